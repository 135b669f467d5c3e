"""One mergekit merge, its models resolved, and what stacks and blends of it have in common."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from suture.errors import RecipeError
from suture.recipe.mergekit.models import Sources
from suture.recipe.mergekit.node import Node
from suture.recipe.mergekit.settings import Levels
from suture.recipe.mergekit.vocabulary import vocabulary

Fields = Mapping[str, Node]

_DTYPES = ("bfloat16", "float16", "float32")
_NO_MATTER = {
    "int8_mask": "it saves memory in mergekit; the result does not depend on it.",
    "eps": "it keeps mergekit from dividing by zero; Suture needs no number for that.",
}
"""Parameters that mergekit reads, and that change nothing here."""


@dataclass(frozen=True)
class Input:
    """A model of a slice: its source, its layers (None for all of them) and its own parameters."""

    source: str
    layers: list[int] | None
    parameters: Fields
    node: Node


@dataclass(frozen=True)
class OutputSlice:
    """Models to be merged into some layers of the result, and the parameters they share."""

    inputs: tuple[Input, ...]
    parameters: Fields
    node: Node


@dataclass(frozen=True)
class Document:
    """A merge as mergekit has it, its models resolved.

    Attributes:
        fields: Those of the document.
        slices: What is merged; one slice if it is whole models.
        base: The base, or the first model if there is none.
        parameters: Those of the module, if there is one, and of the document.
        sources: Where its models are kept.
    """

    fields: Fields
    slices: tuple[OutputSlice, ...]
    base: str
    parameters: tuple[Fields, ...]
    sources: Sources

    @property
    def is_whole(self) -> bool:
        """Whether whole models are merged, not slices of layers."""
        return self.slices[0].inputs[0].layers is None

    @property
    def has_base(self) -> bool:
        """Whether the document names a base."""
        return "base_model" in self.fields

    def levels(self, part: OutputSlice, model: Input | None = None) -> Levels:
        """Return where a parameter may stand, the place that counts most first."""
        return (*([model.parameters] if model else []), part.parameters, *self.parameters)

    def refusal(self, problem: str, *, expected: str) -> RecipeError:
        """Return the error that says what is wrong with the merge as a whole."""
        return self.fields["merge_method"].refusal(problem, expected=expected)


def read_document(fields: Fields, sources: Sources) -> Document:
    """Return a merge with its models resolved.

    Args:
        fields: Those of one mergekit document.
        sources: Receives its models.

    Raises:
        RecipeError: When it does not say what to merge.
    """
    module = _module(fields, sources)
    whats = [where for where in (fields, module) for name in ("models", "slices") if name in where]
    if len(whats) != 1:
        raise fields["merge_method"].refusal(
            "One of `models`, `slices` and `modules` says what to merge.", expected="one of the three"
        )
    slices = _slices(whats[0], sources)
    base = sources.name_of(fields["base_model"]) if "base_model" in fields else slices[0].inputs[0].source
    parameters = tuple(where["parameters"].mapping() for where in (module, fields) if "parameters" in where)
    return Document(fields, slices, base, parameters, sources)


def _module(fields: Fields, sources: Sources) -> Fields:
    """Return the one merge that `modules` ask for; mergekit itself writes `modules: {default: ...}`."""
    if "modules" not in fields:
        return {}
    node = fields["modules"]
    modules = node.mapping()
    contents = [module.value for module in modules.values()]
    if not modules or any(content != contents[0] for content in contents):
        raise node.refusal(
            f"The modules {', '.join(modules)} are merged each in its own way.",
            expected="one module, or the same merge for all of them",
            way_out="Give the merge of the language model alone, as `models` or `slices`: a stack takes all else "
            "from its base, a blend of `models` blends all else too.",
        )
    return next(iter(modules.values())).fields(("models", "slices", "parameters"), sources.note)


def common(document: Document) -> dict[str, Any]:
    """Return what a merge says of dtype, tokens and chat template."""
    fields = document.fields
    dtypes = {name: _dtype(fields[name]) for name in ("dtype", "out_dtype") if name in fields}
    computed = dtypes.get("dtype", "float32")
    if computed != "float32" and fields["merge_method"].value != "passthrough":
        document.sources.note(
            f"dtype {computed}: mergekit converts the models to it and merges them so; Suture computes in fp32."
        )
    stored = dtypes.get("out_dtype") or dtypes.get("dtype")
    return {**({"dtype": stored} if stored else {}), **vocabulary(fields, document.base, document.sources)}


def _dtype(node: Node) -> str:
    name = node.text().removeprefix("torch.")
    if name not in _DTYPES:
        raise node.refusal("No such dtype.", expected=", ".join(_DTYPES))
    return name


def note_idle(document: Document, of_models: Collection[str], of_merge: Collection[str]) -> None:
    """Tell which parameters change nothing."""
    method = document.fields["merge_method"].text()
    for name, is_models in _given(document):
        if name in _NO_MATTER:
            document.sources.note(f"{name}: {_NO_MATTER[name]}")
        elif name not in of_models and (is_models or name not in of_merge):
            place = " of a model" if name in of_merge else ""
            document.sources.note(f"{name}: mergekit's {method} does not read it{place}; it has no effect.")


def _given(document: Document) -> Iterator[tuple[str, bool]]:
    """Yield the name of every parameter, and whether it is given for a model."""
    yield from ((name, False) for level in document.parameters for name in level)
    for part in document.slices:
        yield from ((name, False) for name in part.parameters)
        yield from ((name, True) for model in part.inputs for name in model.parameters)


def _slices(fields: Fields, sources: Sources) -> tuple[OutputSlice, ...]:
    if "models" in fields:
        inputs = tuple(_input(item, sources, is_whole=True) for item in fields["models"].items())
        return (OutputSlice(inputs, {}, fields["models"]),)
    return tuple(_slice(item, sources) for item in fields["slices"].items())


def _slice(node: Node, sources: Sources) -> OutputSlice:
    fields = node.fields(("sources", "parameters"), sources.note)
    if "sources" not in fields:
        raise node.refusal("A slice has no `sources`.", expected="sources: a list of models with their layer_range")
    inputs = tuple(_input(item, sources, is_whole=False) for item in fields["sources"].items())
    return OutputSlice(inputs, _mapping(fields, "parameters"), node)


def _input(node: Node, sources: Sources, *, is_whole: bool) -> Input:
    fields = node.fields(
        ("model", "parameters") if is_whole else ("model", "layer_range", "parameters"), sources.note
    )
    if "model" not in fields:
        raise node.refusal("A model is missing.", expected="model: a folder or a hub repository")
    if not is_whole and "layer_range" not in fields:
        raise node.refusal("A slice has no `layer_range`.", expected="layer_range: [first, end]")
    layers = None if is_whole else _layers(fields["layer_range"])
    return Input(sources.name_of(fields["model"]), layers, _mapping(fields, "parameters"), node)


def _layers(node: Node) -> list[int]:
    numbers = [item.number() for item in node.items()]
    if len(numbers) != 2 or any(number != int(number) for number in numbers):
        raise node.refusal("A layer_range is none.", expected="[first, end]")
    return [int(number) for number in numbers]


def _mapping(fields: Fields, name: str) -> Fields:
    return fields[name].mapping() if name in fields else {}
