"""mergekit's `tokenizer_source`, `tokenizer` and `chat_template`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from suture.recipe.mergekit.models import Sources
from suture.recipe.mergekit.node import Node


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
        _check_template(fields["chat_template"], base, sources)
    return found


def _block(node: Node, base: str, sources: Sources) -> dict[str, Any]:
    fields = node.fields(("source", "tokens", "pad_to_multiple_of"))
    if "tokens" in fields and (tokens := fields["tokens"].mapping()):
        raise next(iter(tokens.values())).refusal(
            "A single token cannot get an embedding of its own choice.",
            expected="rows as `tokenizer.source` gives them: of the base, or of the first source that has the token",
            way_out="Leave out `tokens`, or set the rows in a source before the merge.",
        )
    found: dict[str, Any] = _source(fields["source"], base, sources) if "source" in fields else {"union": True}
    if "pad_to_multiple_of" in fields:
        found["pad_to_multiple_of"] = fields["pad_to_multiple_of"].number()
    return found


def _source(node: Node, base: str, sources: Sources) -> dict[str, Any]:
    """Read `union`, `base`, or a model; older files write `model:<model>`."""
    if node.value == "union":
        return {"union": True}
    if node.value == "base":
        return {"source": base}
    if isinstance(node.value, str):
        node = Node(node.value.removeprefix("model:"), node.file, node.path)
    return {"source": sources.name_of(node)}


def _check_template(node: Node, base: str, sources: Sources) -> None:
    """Accept `auto`, which is what a merge does anyway if the models of one family agree on their template."""
    if node.text() != "auto":
        raise node.refusal(
            "A chat template comes from one of the sources.",
            expected="auto, or nothing",
            way_out="Leave it out, and name a source in the translated recipe's `merge.chat_template`; or write the "
            "template into the chat_template.jinja of a source.",
        )
    sources.note(
        f"chat_template auto: the template comes with the tokenizer ({base} unless the recipe names another); "
        "mergekit takes the one that most of the models have."
    )
