"""Which of a checkpoint's layers an adapter's names mean; and its embedding and head, which may be one tensor.

A layer's name in the trained class may begin otherwise than in the checkpoint (`model.layers.0` and
`model.language_model.layers.0`), but alike for all layers: one beginning is exchanged for another, if exactly one
fits. The head stands apart from the layers in every class, and is looked for by its last name.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence

from pydantic import JsonValue

from suture.checkpoint.layers import text_section
from suture.errors import CheckpointError

_HEAD = re.compile(r"(?:.*\.)?(?:lm_head|embed_out)")
_EMBEDDING = re.compile(r"(?:.*\.)?(?:embed_tokens|wte|embed_in|word_embeddings|tok_embeddings)\.weight")
_IN_A_LAYER = re.compile(r"\.\d+\.")
USUAL_HEAD = "lm_head.weight"


def place_modules(modules: Iterable[str], tensors: Collection[str]) -> dict[str, str]:
    """Return module -> the module of the checkpoint that it is, keeping as much of the names as possible.

    Args:
        modules: Names in the class that was trained.
        tensors: Names of the checkpoint's tensors.

    Raises:
        CheckpointError: When no beginning fits or several do.
    """
    modules = sorted(set(modules))
    known = {name.rpartition(".")[0] for name in tensors}
    heads = [module for module in modules if _HEAD.fullmatch(module)]
    layers = [module for module in modules if module not in heads]
    return {head: _place_head(head, known) for head in heads} | (_rename(layers, known) if layers else {})


def is_head(tensor: str) -> bool:
    """Return whether a tensor is the weight of the head, by its name."""
    module, _, last = tensor.rpartition(".")
    return last == "weight" and _HEAD.fullmatch(module) is not None


def is_embedding(tensor: str) -> bool:
    """Return whether a tensor holds the tokens' vectors, by its name."""
    return _EMBEDDING.fullmatch(tensor) is not None and not _IN_A_LAYER.search(tensor)


def find_embedding(tensors: Iterable[str]) -> str:
    """Return the tensor that holds the tokens' vectors.

    Raises:
        CheckpointError: When there is none, or more than one.
    """
    found = sorted(filter(is_embedding, tensors))
    if len(found) == 1:
        return found[0]
    raise CheckpointError(
        "The adapter changes the embedding or the head, and the embedding cannot be told among the tensors.",
        expected="one embed_tokens.weight, or what it is called elsewhere",
        found=", ".join(found) or "none",
        way_out="Name a model whose embedding and head are tensors of their own.",
    )


def is_tied(config: Mapping[str, JsonValue], tensors: Iterable[str]) -> bool:
    """Return whether the embedding serves as the head, too."""
    stated = [section.get("tie_word_embeddings") for section in (config, text_section(config))]
    return True in stated or (False not in stated and not any(map(is_head, tensors)))


def _place_head(head: str, known: Collection[str]) -> str:
    last = head.rpartition(".")[2]
    found = [name for name in known if name == last or (name.endswith(f".{last}") and not _IN_A_LAYER.search(name))]
    return head if head in known or len(found) > 1 else (found or [last])[0]


def _rename(modules: Sequence[str], known: Collection[str]) -> dict[str, str]:
    depth = min(module.count(".") for module in modules)
    beginnings: list[str] = []
    for dropped in range(depth + 1):
        rests = {module: ".".join(module.split(".")[dropped:]) for module in modules}
        beginnings = _beginnings(list(rests.values()), known)
        if len(beginnings) == 1 and len(set(rests.values())) == len(modules):
            return {module: beginnings[0] + rest for module, rest in rests.items()}
        if beginnings:
            break
    raise CheckpointError(
        "The adapter's layers cannot be told among the checkpoint's tensors.",
        expected=f"one beginning of names under which all {len(modules)} layers of the adapter are found",
        found=f"{beginnings or 'none'}, for layers such as {modules[0]}",
        way_out="The adapter was trained on another model.",
    )


def _beginnings(rests: Sequence[str], known: Collection[str]) -> list[str]:
    first = rests[0]
    found = {name.removesuffix(first) for name in known if name == first or name.endswith(f".{first}")}
    return sorted(beginning for beginning in found if all(beginning + rest in known for rest in rests))
