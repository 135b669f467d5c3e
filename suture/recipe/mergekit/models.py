"""How mergekit names models, and the sources that they become.

A model is a folder, a hub repository (`owner/name`, or `owner/name@revision`), the name of another merge of the same
file, each with a LoRA adapter or without: `model+adapter`. Where mergekit takes relative paths from the current
directory, they are looked for in the file's own folder first, so that a file means the same wherever it is run from.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from suture.recipe.mergekit.node import Node
from suture.recipe.model import ARMS

_CACHED = re.compile(r"(?:^|.*[/\\])models--([\w.-]+?)--([\w.-]+)[/\\]snapshots[/\\]([0-9a-f]{40})[/\\]?")
"""A model in a hub cache: such paths stand in many published files, and lead nowhere on another machine."""

_REPOSITORY = re.compile(r"[\w.-]+(?:/[\w.-]+)?(?:@[\w./-]+)?")
_PINNED = re.compile(r"(?<=[\w-])@[\w./-]+$")
_WEIGHTS_FILE = re.compile(r".*\.(safetensors|bin|pt|pth|ckpt|gguf)", re.IGNORECASE)
_LONGEST_NAME = 64
_ADAPTERS = "Fuse the adapter into the model first, and name the result here."


@dataclass(frozen=True)
class _Reference:
    """A model as mergekit names it.

    Attributes:
        model: A folder or a hub repository, as a Suture recipe has it.
        revision: Of a hub repository.
        adapter: A folder or a hub repository with a LoRA adapter; of a repository, with its revision if one is named.
    """

    model: str
    revision: str | None = None
    adapter: str | None = None


@dataclass
class Sources:
    """The models of a file, each under a name of its own.

    Attributes:
        folder: The file's folder.
        stages: What a file's models may call its own merges -> their names in the recipe.
        note: Is told what the user should know.
        used_stages: Names of the merges of the file that were asked for.
    """

    folder: Path
    stages: Mapping[str, str]
    note: Callable[[str], None]
    used_stages: set[str] = field(default_factory=set[str], init=False)
    _known: dict[_Reference, str] = field(default_factory=dict[_Reference, str], init=False)

    def name_of(self, node: Node) -> str:
        """Return the name of a model's source, or of the merge of this file that it is.

        Raises:
            RecipeError: When it is neither a folder, nor a hub repository, nor such a merge.
        """
        if isinstance(node.value, str) and node.text() in self.stages:
            name = self.stages[node.text()]
            self.used_stages.add(name)
            return name
        reference = self._structured(node) if isinstance(node.value, dict) else self._written(node)
        if reference.model in self.stages:
            raise node.refusal("An adapter cannot be fused into another merge of the file.", way_out=_ADAPTERS)
        if reference not in self._known:
            taken = {*ARMS, *self.stages.values(), *self._known.values()}
            self._known[reference] = free_name(_candidates(reference), taken)
        return self._known[reference]

    def entries(self) -> list[dict[str, Any]]:
        """Return the recipe's `sources`."""
        rows = [
            {"name": name, "model": each.model, "revision": each.revision, "adapter": each.adapter}
            for each, name in self._known.items()
        ]
        return [{key: value for key, value in row.items() if value is not None} for row in rows]

    def _written(self, node: Node) -> _Reference:
        """Read `model`, `model@revision`, `model+adapter`."""
        text = node.text()
        if folder := self._folder(text):
            return _Reference(folder)
        model, plus, adapter = text.partition("+")
        if plus and ("+" in adapter or not adapter or not model):
            raise node.refusal("A model has more than one adapter.", expected="model+adapter", way_out=_ADAPTERS)
        return self._reference(node, model, adapter or None)

    def _structured(self, node: Node) -> _Reference:
        """Read what mergekit itself writes: `model: {path: ..., revision: ...}, lora: {path: ...}`."""
        fields = node.fields(("model", "lora", "override_architecture"))
        if "override_architecture" in fields:
            raise fields["override_architecture"].refusal("Suture finds the layers by itself.", way_out="Remove it.")
        if "model" not in fields:
            raise node.refusal("A model is missing.", expected="model: {path: ...}")
        model, lora = self._path(fields["model"]), fields.get("lora")
        return self._reference(node, model, self._path(lora) if lora else None)

    def _path(self, node: Node) -> str:
        fields = node.fields(("path", "revision"))
        if "path" not in fields:
            raise node.refusal("A path is missing.", expected="path: a folder or a hub repository")
        revision = f"@{fields['revision'].text()}" if "revision" in fields else ""
        return fields["path"].text() + revision

    def _reference(self, node: Node, model: str, adapter: str | None) -> _Reference:
        place, revision = self._place(node, model)
        if adapter is None:
            return _Reference(place, revision)
        adapter_place, adapter_revision = self._place(node, adapter)
        pinned = f"{adapter_place}@{adapter_revision}" if adapter_revision else adapter_place
        return _Reference(place, revision, pinned)

    def _place(self, node: Node, text: str) -> tuple[str, str | None]:
        """Return a model's folder or hub repository, and its revision."""
        if text in self.stages:
            return text, None
        if folder := self._folder(text):
            return folder, None
        if cached := _CACHED.fullmatch(text):
            owner, name, commit = cached.groups()
            self.note(f"{text} is not on this machine: taken from the hub, {owner}/{name} at {commit[:12]}.")
            return f"{owner}/{name}", commit
        if text.startswith(("/", "./", "../", "~")):  # missing, as the fetch will say; or on another machine
            return text, None
        if not _REPOSITORY.fullmatch(text) or _WEIGHTS_FILE.fullmatch(text):
            raise node.refusal(
                "The model is neither a folder on this machine nor a hub repository.",
                expected="a folder, owner/name, owner/name@revision, or one of these with +adapter",
                way_out="Name where the model lies.",
            )
        model, _, revision = text.partition("@")
        return model, revision or None

    def _folder(self, text: str) -> str | None:
        """Return an existing folder as a Suture recipe has it, or None."""
        try:
            path = Path(text).expanduser()
            if (self.folder / path).is_dir():
                return text if text.startswith(("/", "./", "../", "~")) else f"./{text}"
            return str(path.resolve()) if path.is_dir() else None
        except (OSError, RuntimeError, ValueError):  # too long a name, no such user, a NUL
            return None


def fit_name(text: str) -> str:
    """Return a name such as a recipe has them: small letters, digits, `.`, `_` and `-`."""
    return re.sub(r"[^a-z0-9._-]+", "-", text.lower()).strip("._-")[:_LONGEST_NAME].rstrip("._-") or "model"


def free_name(candidates: Iterable[str], taken: set[str]) -> str:
    """Return the first candidate that is not taken, or the last one with a number."""
    name = ""
    for name in candidates:
        if name not in taken:
            return name
    number = 2
    while (numbered := f"{name[: _LONGEST_NAME - 6]}-{number}") in taken:
        number += 1
    return numbered


def _candidates(reference: _Reference) -> list[str]:
    """Return what a source may be called: by the last part of its path, or by the last two."""
    parts = [part for part in re.split(r"[/\\]+", reference.model) if part.strip(".~")]
    adapter = [_PINNED.sub("", reference.adapter).rstrip("/").rpartition("/")[2]] if reference.adapter else []
    return [fit_name("-".join([*parts[-count:], *adapter])) for count in (1, 2)]
