"""What an adapter does to each tensor of a checkpoint: told from names, shapes and config alone, before any fetch.

    <module>.lora_A.weight (r, in), <module>.lora_B.weight (out, r)           W + s B A
    <module>.lora_embedding_A (r, tokens), <module>.lora_embedding_B (d, r)   W + s (B A)^T, W: (tokens, d)
    <module>.lora_magnitude_vector (out,)                                     the length of each output's vector: DoRA
    <module>.lora_B.bias (out,)                                               bias + s b
    any other name                                                            a tensor that takes the model's place

A gate g, which stands in a file of its own, makes g W of W before anything is added (see gates.py).

PEFT puts `base_model.model.` before the names, and has put the adapter's own name (`default`) after their roles.
"""

from __future__ import annotations

import copy
import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import JsonValue

from suture.checkpoint.adapter import ADAPTER, ADAPTER_CONFIG
from suture.checkpoint.floats import FLOATS
from suture.checkpoint.layers import section_path
from suture.checkpoint.layout import Layout, TensorInfo
from suture.errors import CheckpointError, SourceError
from suture.heal.fusing.adapter_config import check_adapter_config, scale_of
from suture.heal.fusing.adapter_names import USUAL_HEAD, find_embedding, is_embedding, is_head, is_tied, place_modules

_PREFIX = "base_model.model."
_LORA = re.compile(
    r"(?P<module>.+?)\.(?P<role>lora_A|lora_B|lora_embedding_A|lora_embedding_B|lora_magnitude_vector)"
    r"(?:\.(?!weight$|bias$)[^.]+)?(?P<bias>\.bias)?(?:\.weight)?"
)
_WRAPPERS = re.compile(r"\.(?:base_layer|modules_to_save(?:\.default)?)(?=\.)")
"""What stands in the name of a tensor that takes the model's place, according to how it was saved."""

_PAIRS = (("lora_B", "lora_A"), ("lora_embedding_B", "lora_embedding_A"))
_CONV1D = ("gpt2", "openai-gpt", "imagegpt", "decision_transformer")
"""Model types whose layers hold their weights as (in, out). Where a matrix is square, only this tells."""


@dataclass(frozen=True)
class Change:
    """How one tensor of the fused checkpoint is made. All names but `base` are of the adapter's tensors.

    Attributes:
        base: The checkpoint's tensor that it starts from.
        replacement: Takes that tensor's place, before anything is added.
        left: (rows, rank), or (rank, rows) if `is_transposed`; of a bias, all that is added.
        right: (rank, columns), or (columns, rank) if `is_transposed`; None for a bias.
        scale: What their product is multiplied by.
        is_transposed: Whether the columns of the tensor are the layer's outputs, as in embeddings and GPT-2.
        magnitude: Length of each output's vector.
        gate: Factor on the tensor that it starts from.
    """

    base: str
    replacement: str | None = None
    left: str | None = None
    right: str | None = None
    scale: float = 1.0
    is_transposed: bool = False
    magnitude: str | None = None
    gate: float = 1.0

    @property
    def is_copy(self) -> bool:
        """Whether the tensor stays as it is."""
        return self.replacement is None and self.left is None and self.gate == 1


@dataclass(frozen=True)
class Fusion:
    """A checkpoint with an adapter in it.

    Attributes:
        layout: What it holds: that of the checkpoint; with a head of its own where one is needed.
        changes: Tensor -> how it is made; every other one is copied.
    """

    layout: Layout
    changes: Mapping[str, Change]


def plan_fusion(
    model: Layout, adapter: Layout, where: str | Path, gates: Mapping[str, float] | None = None
) -> Fusion:
    """Return what an adapter makes of a checkpoint.

    Args:
        model: The checkpoint.
        adapter: The adapter; its config is adapter_config.json.
        where: What errors call the adapter.
        gates: Module -> the factor on its output that was trained beside the adapter.

    Raises:
        SourceError: When the adapter is of a kind that cannot be fused, or the model is quantized.
        CheckpointError: When it is malformed, or does not fit the checkpoint.
    """
    check_adapter_config(adapter.config, f"{where}, {ADAPTER_CONFIG}")
    _refuse_quantized(model, where)
    roles, others = _sort(adapter.tensors, where)
    gates = gates or {}
    places = place_modules([*roles, *gates, *(name.rpartition(".")[0] for name in others)], model.tensors)
    changes: dict[str, Change] = {}
    for name, tensor in others.items():
        module, _, last = name.rpartition(".")
        target = f"{places[module]}.{last}"
        changes[target] = Change(base=_base(target, model, where), replacement=tensor)
    for module, parts in roles.items():
        for target, change in _lora_changes(module, places[module], parts, model, adapter, where):
            replaced = changes.get(target)
            changes[target] = replace(change, replacement=replaced.replacement) if replaced else change
    for module, gate in gates.items():
        for target in (f"{places[module]}.{last}" for last in ("weight", "bias")):
            if target in model.tensors:
                changes[target] = replace(changes.get(target, Change(base=target)), gate=gate)
    for target, change in changes.items():
        _check_fit(target, change, model, adapter)
    return _with_own_head(model, adapter, changes)


def _refuse_quantized(model: Layout, where: str | Path) -> None:
    if "quantization_config" in model.config:
        raise SourceError(
            "The model is quantized: the adapter's update would be lost in the rounding.",
            where=where,
            expected="a model in 16 bits",
            found="quantization_config in its config.json",
            way_out="Name the model that was quantized; its card tells.",
        )


def _sort(tensors: Mapping[str, TensorInfo], where: str | Path) -> tuple[dict[str, dict[str, str]], dict[str, str]]:
    """Return the names as module -> role -> tensor, and the rest as name in the model -> tensor."""
    roles: dict[str, dict[str, str]] = defaultdict(dict)
    others: dict[str, str] = {}
    for tensor in tensors:
        name = tensor.removeprefix(_PREFIX)
        found = _LORA.fullmatch(name)
        table = roles[found["module"]] if found else others
        key = found["role"] + (found["bias"] or "") if found else _WRAPPERS.sub("", name)
        if key in table:
            raise CheckpointError(
                "The file holds more than one adapter, or a tensor twice.",
                where=where,
                expected="each tensor once",
                found=f"{table[key]} and {tensor}",
                way_out="Save the adapter that is wanted alone: save_pretrained(selected_adapters=[NAME]).",
            )
        table[key] = tensor
    if not roles and not others:
        raise _unpaired("no tensors", where)
    return dict(roles), others


def _lora_changes(
    module: str, place: str, parts: Mapping[str, str], model: Layout, adapter: Layout, where: str | Path
) -> list[tuple[str, Change]]:
    """Return what the LoRA tensors of one layer change: its weight, and its bias where they have one."""
    left, right = next((pair for pair in _PAIRS if pair[0] in parts or pair[1] in parts), _PAIRS[0])
    allowed = {left, right, "lora_magnitude_vector", "lora_B.bias"}
    if wrong := sorted({left, right} - parts.keys()) + sorted(parts.keys() - allowed):
        raise _unpaired(f"{module}: {wrong[0]} {'unexpected' if wrong[0] in parts else 'missing'}", where)
    if ("lora_magnitude_vector" in parts) != bool(adapter.config.get("use_dora")):
        raise _unpaired(f"{module}: use_dora is {adapter.config.get('use_dora')}", where)
    a, b = adapter.tensors[parts[right]], adapter.tensors[parts[left]]
    if len(a.shape) != 2 or len(b.shape) != 2 or a.shape[0] != b.shape[1] or not a.shape[0]:
        raise _unpaired(f"{module}: {b} and {a}, which are not (out, rank) and (rank, in)", where)
    scale = scale_of(adapter.config, module, a.shape[0], f"{where}, {ADAPTER_CONFIG}")
    weight = f"{place}.weight"
    base = _base(weight, model, where)
    shape = model.tensors[base].shape
    plain, turned = (b.shape[0], a.shape[1]), (a.shape[1], b.shape[0])
    is_transposed = left == "lora_embedding_B" or (
        shape == turned and (plain != turned or (model.config.get("model_type") in _CONV1D))
    )
    change = Change(
        base=base,
        left=parts[right] if is_transposed else parts[left],
        right=parts[left] if is_transposed else parts[right],
        scale=scale,
        is_transposed=is_transposed,
        magnitude=parts.get("lora_magnitude_vector"),
    )
    changes = [(weight, change)]
    if "lora_B.bias" in parts:
        bias = f"{place}.bias"
        changes.append((bias, Change(base=_base(bias, model, where), left=parts["lora_B.bias"], scale=scale)))
    return changes


def _base(target: str, model: Layout, where: str | Path) -> str:
    """Return the tensor that another starts from: itself, or the embedding for a head that is tied to it."""
    if is_head(target) and is_tied(model.config, model.tensors):
        return find_embedding(model.tensors)
    if target in model.tensors:
        return target
    raise CheckpointError(
        "The adapter changes a tensor that the checkpoint does not have.",
        where=where,
        expected=target,
        way_out="The adapter was trained on another model, or with biases that this one lacks.",
    )


def _check_fit(target: str, change: Change, model: Layout, adapter: Layout) -> None:
    """Refuse a change whose shapes or dtypes are not those of the tensor."""
    info = model.tensors[change.base]
    tensors = (change.replacement, change.left, change.right, change.magnitude)
    dtypes = sorted({info.dtype, *(adapter.tensors[name].dtype for name in tensors if name)})
    wrong = [shape for shape in _shapes(change, adapter.tensors) if shape != info.shape]
    if not wrong and set(dtypes) <= set(FLOATS):
        return
    if wrong and (is_head(target) or is_embedding(target)) and wrong[0][1:] == info.shape[1:]:
        raise CheckpointError(
            "The adapter was trained with a vocabulary of another size.",
            where=target,
            expected=f"{info.shape[0]} rows, as the checkpoint has",
            found=f"{wrong[0][0]} rows",
            way_out="Resize the model first (transformers: resize_token_embeddings), save it with the adapter's "
            "tokenizer, and name that folder as the source's model.",
        )
    raise CheckpointError(
        "The adapter does not fit the checkpoint.",
        where=target,
        expected=f"the checkpoint's shape {list(info.shape)}, and dtypes of {', '.join(FLOATS)}",
        found=f"shape {list((wrong or [info.shape])[0])}, and dtypes {', '.join(dtypes)}",
        way_out="The adapter was trained on another model.",
    )


def _shapes(change: Change, tensors: Mapping[str, TensorInfo]) -> list[tuple[int, ...]]:
    """Return the shapes of tensor that the parts of a change are made for."""
    shapes: list[tuple[int, ...]] = []
    if change.replacement:
        shapes.append(tensors[change.replacement].shape)
    if change.left and change.right:
        left, right = tensors[change.left].shape, tensors[change.right].shape
        shape = (left[1], right[0]) if change.is_transposed else (left[0], right[1])
        shapes.append(shape)
        if change.magnitude:  # of one number for each output
            numbers = tensors[change.magnitude].parameters
            shapes.append((shape[0], numbers) if change.is_transposed else (numbers, shape[1]))
    elif change.left:
        shapes.append(tensors[change.left].shape)
    return shapes


def _with_own_head(model: Layout, adapter: Layout, changes: Mapping[str, Change]) -> Fusion:
    """Give a model whose head is its embedding a head of its own, if the adapter changes only one, or each otherwise.

    In training the two were apart: PEFT wraps the one that is asked for and leaves the other as it was, unless it was
    told `ensure_weight_tying`. Then what the adapter holds for the head is the embedding's.
    """
    head, embedding = next(filter(is_head, changes), None), next(filter(is_embedding, changes), None)
    if not (head or embedding) or not is_tied(model.config, model.tensors):
        return Fusion(model, changes)
    if embedding and adapter.config.get("ensure_weight_tying"):
        return Fusion(model, {name: change for name, change in changes.items() if name != head})
    name = head or next(filter(is_head, model.tensors), USUAL_HEAD)
    base = find_embedding(model.tensors)
    tensors = {**model.tensors, name: model.tensors[base]}
    return Fusion(replace(model, config=_untied(model.config), tensors=tensors), {name: Change(base=base), **changes})


def _untied(config: dict[str, JsonValue]) -> dict[str, JsonValue]:
    """Return a config that says that the head is not the embedding, wherever transformers looks for it."""
    config = copy.deepcopy(config)
    section = config
    section["tie_word_embeddings"] = False
    for key in section_path(config):
        inner = section[key]
        assert isinstance(inner, dict)  # noqa: S101 -- what `section_path` looked for
        section = inner
        section["tie_word_embeddings"] = False
    return config


def _unpaired(found: str, where: str | Path) -> CheckpointError:
    return CheckpointError(
        "The adapter is not made of pairs of LoRA factors.",
        where=f"{where}, {ADAPTER}",
        expected="lora_A (rank, in) and lora_B (out, rank) for each layer, and with use_dora a lora_magnitude_vector",
        found=found,
        way_out="If it was saved by another program than PEFT, save it again with PEFT's save_pretrained.",
    )
