"""mergekit files as recipes: one merge, or several that build on each other."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from suture.recipe.mergekit.blend import blend
from suture.recipe.mergekit.inputs import read_document
from suture.recipe.mergekit.methods import METHODS
from suture.recipe.mergekit.models import Sources, fit_name, free_name
from suture.recipe.mergekit.node import Node
from suture.recipe.mergekit.stack import stack
from suture.recipe.model import ARMS

_FIELDS = (
    "merge_method",
    "base_model",
    "models",
    "slices",
    "modules",
    "parameters",
    "dtype",
    "out_dtype",
    "tokenizer_source",
    "tokenizer",
    "chat_template",
    "name",
    "out_path",
)
_OTHER_TOOLS = {
    "experts": "mergekit-moe builds a mixture of experts; Suture merges models of one architecture.",
    "genome": "mergekit-evolve searches for a merge; Suture makes the one that a recipe describes.",
}
"""Fields that tell a file of another of mergekit's tools."""


@dataclass(frozen=True)
class Translation:
    """A mergekit file in Suture's terms.

    Attributes:
        recipe: The content of a recipe.
        notes: What has no effect, or is done otherwise than in mergekit.
    """

    recipe: dict[str, Any]
    notes: tuple[str, ...]


def is_mergekit(documents: Sequence[object]) -> bool:
    """Return whether the documents of a YAML file are for mergekit."""
    marks = {"merge_method", *_OTHER_TOOLS}
    return any(isinstance(each, dict) and marks & {*cast("dict[object, object]", each)} for each in documents)


def translate(documents: Sequence[object], *, name: str, folder: Path, where: str | Path) -> Translation:
    """Return the recipe that a mergekit file stands for.

    The merges of a file with several become stages, in the order in which they need each other; the last one is the
    one without a name, or, if all have one, the last that no other needs.

    Args:
        documents: What the YAML file holds.
        name: What the recipe is called unless its merge has a name.
        folder: Where relative paths start.
        where: What errors call the file.

    Raises:
        RecipeError: When it asks for what a recipe cannot say; names the field, what was found, and the way out.
    """
    several = len(documents) > 1
    nodes = [
        Node(value, str(where), (f"document {number}",) if several else ())
        for number, value in enumerate(documents, 1)
        if value is not None
    ]
    notes: list[str] = []
    merges = [_open(node, notes.append) for node in nodes]
    stages = _stage_names(merges) if len(merges) > 1 else {}
    sources = Sources(folder, stages, notes.append)
    for merge in merges:
        sources.used_stages.clear()
        merge.content |= _translate(merge.fields, sources)
        merge.needs |= sources.used_stages
    *earlier, last = _in_order(merges, stages)
    title = last.title or name
    recipe: dict[str, Any] = {"name": fit_name(title), "sources": sources.entries()}
    if earlier:
        recipe["stages"] = [
            {"name": stages[merge.title], "merge": merge.content, "benchmark": False} for merge in earlier
        ]
    return Translation({**recipe, "merge": last.content}, tuple(dict.fromkeys(notes)))


def _translate(fields: Mapping[str, Node], sources: Sources) -> dict[str, Any]:
    """Return one merge in a recipe's terms."""
    name = fields["merge_method"].text()
    if name == "passthrough":
        return stack(read_document(fields, sources))
    if name not in METHODS:
        known = ", ".join(["passthrough", *METHODS])
        raise fields["merge_method"].refusal("Suture has no merge method of this name.", expected=known)
    return blend(read_document(fields, sources), name)


@dataclass
class _Merge:
    """One document.

    Attributes:
        node: The document.
        fields: Its fields.
        content: The merge in a recipe's terms.
        needs: Names of the stages that it uses.
    """

    node: Node
    fields: Mapping[str, Node]
    content: dict[str, Any] = field(default_factory=dict[str, Any])
    needs: set[str] = field(default_factory=set[str])

    @property
    def title(self) -> str:
        """What the file calls the merge; empty if it has no name."""
        if "name" in self.fields:
            return self.fields["name"].text()
        return Path(self.fields["out_path"].text()).name if "out_path" in self.fields else ""


def _open(node: Node, note: Callable[[str], None]) -> _Merge:
    """Read the outermost fields of a document."""
    fields = node.mapping()
    for name, problem in _OTHER_TOOLS.items():
        if name in fields:
            raise fields[name].refusal(problem, way_out="Run that tool, and name its result as a source.")
    if "merge_method" not in fields:
        raise node.refusal("A merge has no `merge_method`.", expected="merge_method: linear, slerp, ties, ...")
    return _Merge(node, node.fields(_FIELDS, note))


def _stage_names(merges: Sequence[_Merge]) -> dict[str, str]:
    """Return what the file calls its merges -> their names in the recipe.

    Raises:
        RecipeError: When two have the same name, or more than one has none.
    """
    names: dict[str, str] = {}
    unnamed = [merge for merge in merges if not merge.title]
    if len(unnamed) > 1:
        raise unnamed[1].node.refusal(
            "More than one merge has no name.", expected="one, the last; `name:` in all others"
        )
    for merge in merges:
        if not merge.title:
            continue
        if merge.title in names:
            raise merge.node.refusal(f"Two merges are called {merge.title}.", expected="names of their own")
        names[merge.title] = free_name([fit_name(merge.title)], {*ARMS, *names.values()})
        if "out_path" in merge.fields:
            names[merge.fields["out_path"].text()] = names[merge.title]
    return names


def _in_order(merges: Sequence[_Merge], stages: Mapping[str, str]) -> list[_Merge]:
    """Return merges so that each comes after those that it needs, and the file's result at the end."""
    needed = {name for merge in merges for name in merge.needs}
    results = [merge for merge in merges if not merge.title]
    results = results or [merge for merge in merges if stages.get(merge.title) not in needed]
    if not results:
        raise _circle(merges[0])
    pending = [merge for merge in merges if merge is not results[-1]]
    ordered: list[_Merge] = []
    made: set[str] = set()
    while pending:
        ready = next((merge for merge in pending if merge.needs <= made), None)
        if ready is None:
            raise _circle(pending[0])
        pending.remove(ready)
        ordered.append(ready)
        made.add(stages[ready.title])
    return [*ordered, results[-1]]


def _circle(merge: _Merge) -> Exception:
    return merge.node.refusal(
        "The merges need each other in a circle.", expected="each made of sources or earlier ones"
    )
