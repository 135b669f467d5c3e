"""What lies outside a model's layers: told apart by name."""

from __future__ import annotations

import re

_HEAD = re.compile(r"(^|\.)(lm_head|embed_out|output|score|norm|final_norm|norm_f|ln_f|final_layernorm)\.")
_BESIDE = re.compile(r"vis|image|audio|speech|mtp|nextn")


def is_head(name: str) -> bool:
    """Return whether a tensor outside the layers comes after them: the final norm or the language model's head."""
    return bool(_HEAD.search(name)) and not is_beside(name)


def is_beside(name: str) -> bool:
    """Return whether a tensor belongs to a tower for images or sound, or to multi-token prediction."""
    return bool(_BESIDE.search(name))


def is_prediction_block(name: str) -> bool:
    """Return whether a tensor belongs to multi-token prediction, which transformers drops when it saves a model."""
    return re.search(r"(^|\.)(mtp|nextn)", name) is not None
