"""What a tensor does in a model, told from its name alone: no file that defines the architecture is needed."""

from __future__ import annotations

import re
from typing import Literal, get_args

Group = Literal["attention", "mlp", "norm", "other"]
GROUPS: tuple[Group, ...] = get_args(Group)
"""`attention` is whatever mixes tokens: softmax and linear attention, state spaces, convolutions over time."""

Part = Literal["text", "vision", "audio", "mtp"]
"""A model's language model, its towers for other kinds of input, and its multi-token prediction."""

_NORM = re.compile(r"norm|(^|_)ln(_|\d|$)|layernorm")
_MODULES: tuple[tuple[Group, re.Pattern[str]], ...] = (
    ("attention", re.compile(r"attn|attention|mamba|ssm|rwkv|time_mix|conv|recurrent|temporal|rglru|mlstm|slstm")),
    ("mlp", re.compile(r"mlp|ffn|feed_forward|feedforward|moe|expert|router|channel_mix|intermediate")),
)
"""What modules are called; the outermost that fits decides: `self_attn.gate_proj` is attention."""

_LEAVES: tuple[tuple[Group, re.Pattern[str]], ...] = (
    ("mlp", re.compile(r"up_proj|down_proj|gate_proj|fc\d|c_fc|dense_h_to_4h|dense_4h_to_h|w[123]|output")),
    ("attention", re.compile(r"[qkvo]+_proj|qkv|query|in_proj|out_proj|A_log|dt_bias|dt_proj|x_proj|D")),
)
"""What their projections are called, for modules whose name says nothing, such as nemotron_h's `mixer`."""

_PARTS: tuple[tuple[Part, re.Pattern[str]], ...] = (
    ("mtp", re.compile(r"(^|[._])(mtp|nextn)")),
    ("vision", re.compile(r"vision|visual|image|vit\b|multi_modal_projector|mm_projector")),
    ("audio", re.compile(r"audio|speech")),
)

_NUMBER = re.compile(r"(?<![^.])\d+(?![^.])")


def group_of(rest: str) -> Group:
    """Return what a layer's tensor does.

    Args:
        rest: Its name after the layer's number: `self_attn.q_proj.weight`.
    """
    modules = rest.removesuffix(".weight").removesuffix(".bias").split(".")
    if _NORM.search(modules[-1]):
        return "norm"
    for module in modules:
        for group, pattern in _MODULES:
            if pattern.search(module):
                return group
    for group, pattern in _LEAVES:
        if pattern.fullmatch(modules[-1]):
            return group
    return "other"


def part_of(name: str) -> Part:
    """Return which part of a model a tensor outside the layers belongs to."""
    for part, pattern in _PARTS:
        if pattern.search(name):
            return part
    return "text"


def pattern_of(name: str) -> str:
    """Return a tensor's name with a star for every number, the same for all experts or all blocks of a tower."""
    return _NUMBER.sub("*", name)
