"""mergekit's `tokenizer_source`, `tokenizer` and `chat_template`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from suture.recipe.jinja import find_mistake
from suture.recipe.mergekit.models import Sources
from suture.recipe.mergekit.node import Node

_FORMATS = ("chatml", "llama3", "alpaca", "mistral", "exaone")
"""Templates that mergekit has itself."""


def vocabulary(fields: Mapping[str, Node], base: str, sources: Sources) -> dict[str, Any]:
    """Return the fields of a merge that say where its tokens and its chat template come from.

    Args:
        fields: Those of the mergekit file.
        base: Name of the base.
        sources: The models of the file.

    Raises:
        RecipeError: When a recipe has no place for what is asked.
    """
    found: dict[str, Any] = {}
    if "tokenizer" in fields and "tokenizer_source" in fields:
        raise fields["tokenizer_source"].refusal("The tokenizer is given twice.", way_out="Leave out one of the two.")
    if "tokenizer" in fields:
        found["vocabulary"] = _block(fields["tokenizer"], base, sources)
    elif "tokenizer_source" in fields:
        found["vocabulary"] = _source(fields["tokenizer_source"], base, sources)
    if "chat_template" in fields:
        found["chat_template"] = _template(fields["chat_template"], sources)
    may_lack = "vocabulary" in found and found["vocabulary"].get("source") != base
    if may_lack and len(sources.entries()) > 2:
        sources.note(
            "tokenizer: a model that lacks a token takes its row from the base, else from the first model that has "
            "it; mergekit takes the mean of all that have it where the base lacks it."
        )
    return found


def _block(node: Node, base: str, sources: Sources) -> dict[str, Any]:
    fields = node.fields(("source", "tokens", "pad_to_multiple_of"))
    found: dict[str, Any] = _source(fields["source"], base, sources) if "source" in fields else {"union": True}
    if "pad_to_multiple_of" in fields:
        found["pad_to_multiple_of"] = fields["pad_to_multiple_of"].number()
    tokens = fields["tokens"].mapping() if "tokens" in fields else {}
    if tokens:
        found["tokens"] = [_token(token, each, sources) for token, each in tokens.items()]
    return found


def _token(token: str, node: Node, sources: Sources) -> dict[str, Any]:
    """Read the choice of one token's row: `{source: ..., force: ...}`."""
    fields = node.fields(("source", "force"))
    if "source" not in fields:
        raise node.refusal("A token has no `source`.", expected="source: a model, or {kind: zero}")
    found = {"token": token, **_row(fields["source"], sources)}
    return {**found, "force": True} if "force" in fields and fields["force"].flag() else found


def _row(node: Node, sources: Sources) -> dict[str, Any]:
    """Read a model, `{kind: model_token, model: ..., token: ...}` or `{kind: zero}`."""
    fields = node.mapping() if isinstance(node.value, dict) else {}
    if "kind" not in fields:
        return {"source": sources.name_of(node)}
    match fields["kind"].text():
        case "zero":
            node.fields(("kind",))
            return {"zero": True}
        case "model_token":
            return _model_token(node, sources)
        case _:
            raise fields["kind"].refusal("No such kind of embedding.", expected="model_token, zero")


def _model_token(node: Node, sources: Sources) -> dict[str, Any]:
    fields = node.fields(("kind", "model", "token", "token_id"))
    if "model" not in fields:
        raise node.refusal("A model is missing.", expected="model: a folder or a hub repository")
    if ("token" in fields) == ("token_id" in fields):
        raise node.refusal("Which token of the model is not said.", expected="one of token and token_id")
    found = {"source": sources.name_of(fields["model"])}
    if "token" in fields:
        return {**found, "like": fields["token"].value}
    return {**found, "row": fields["token_id"].number()}


def _source(node: Node, base: str, sources: Sources) -> dict[str, Any]:
    """Read `union`, `base`, or a model; older files write `model:<model>`."""
    if node.value == "union":
        return {"union": True}
    if node.value == "base":
        return {"source": base}
    if isinstance(node.value, str):
        node = Node(node.value.removeprefix("model:"), node.file, node.path)
    return {"source": sources.name_of(node)}


def _template(node: Node, sources: Sources) -> dict[str, Any]:
    """Read `auto`, the name of a format, or Jinja."""
    name = node.text()
    if name == "auto":
        return {"format": name}
    if name in _FORMATS:
        sources.note(f"chat_template {name}: Suture's own text of this format; mergekit's may differ in a detail.")
        return {"format": name}
    if "{" not in name:
        raise node.refusal("No such chat template.", expected=f"auto, {', '.join(_FORMATS)}, or a text in Jinja")
    if mistake := find_mistake(name):
        raise node.refusal(f"The chat template is none: {mistake}.", expected="a text in Jinja")
    return {"jinja": node.value}
