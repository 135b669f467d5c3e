"""Whether transformers makes of a merged checkpoint what was meant: keys, shapes, and what each layer does.

Everything happens on torch's meta device, from the files' headers, in seconds for any size; on request the checkpoint
is also loaded for real and run on a few tokens. torch and transformers are needed here alone.
"""

# transformers and torch leave much of what they return without a type.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from suture.checkpoint.layers import layer_count
from suture.checkpoint.layout import CONFIG, Layout, read_layout
from suture.errors import SourceError

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedConfig, PreTrainedModel

_PREDICTION = re.compile(r"(^|\.)(mtp|nextn)")
_MAY_DIFFER = re.compile(
    r"training|layer_?(idx|id|index|number|num)|num_hidden_layers|attn_layers|attention_layers|store_full_length_kv"
)
"""Attributes that hold a layer's number, or facts of the whole model, and decide nothing in a layer.

`num_hidden_layers` sets the decay of MiniMax's attention, which is a tensor of the checkpoint; `attention_layers` and
`attn_layers` are the whole lists of GPT-Neo and Reformer; `store_full_length_kv` matters only where later layers
share keys and values."""

_TORCH_DTYPES = {
    "BF16": "bfloat16",
    "F16": "float16",
    "F32": "float32",
    "F64": "float64",
    "F8_E4M3": "float8_e4m3fn",
    "F8_E5M2": "float8_e5m2",
    "I8": "int8",
    "I16": "int16",
    "I32": "int32",
    "I64": "int64",
    "U8": "uint8",
    "BOOL": "bool",
}


@dataclass(frozen=True)
class Verification:
    """What transformers says of a checkpoint.

    Attributes:
        model: The class that loads it.
        missing: Tensors that the class has and the checkpoint lacks.
        unexpected: Tensors of the checkpoint that the class has no place for.
        mismatched: Tensors of another shape than the class has.
        ignored: Tensors for multi-token prediction, which the class leaves aside.
        differences: What a layer is or does otherwise than in its source.
        finite: Whether the model's answer to a few tokens holds finite numbers alone; None if it was not run.
    """

    model: str
    missing: tuple[str, ...] = ()
    unexpected: tuple[str, ...] = ()
    mismatched: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()
    differences: tuple[str, ...] = ()
    finite: bool | None = None

    @property
    def problems(self) -> tuple[str, ...]:
        """What was found, a line for each kind of it."""
        kinds = {
            "missing": self.missing,
            "unexpected": self.unexpected,
            "of another shape": self.mismatched,
            "differences": self.differences,
        }
        found = [f"{len(rows)} {kind}, such as {', '.join(rows[:3])}" for kind, rows in kinds.items() if rows]
        return (*found, *(["its answer holds NaN or infinities"] if self.finite is False else []))

    @property
    def is_exact(self) -> bool:
        """Whether nothing was found."""
        return not self.problems


@dataclass(frozen=True)
class StackedFrom:
    """What a stack was made of.

    Attributes:
        sources: Name -> folder.
        base: The source that everything outside the layers comes from.
        origins: For each layer of the stack, its source and its number there.
    """

    sources: Mapping[str, Path]
    base: str
    origins: Sequence[tuple[str, int]] = field(default=())


def verify(folder: Path, made_of: StackedFrom | None = None, *, for_real: bool = False) -> Verification:
    """Return what transformers makes of a checkpoint.

    Args:
        folder: The checkpoint.
        made_of: The sources of a stack, to compare each layer with what it was; None compares keys and shapes alone.
        for_real: Also load the weights and run the model on a few tokens.

    Raises:
        SourceError: When transformers has no class for the checkpoint, or cannot build it from its config.
    """
    layout = read_layout(folder)
    model, info = _load_headers(folder, layout)
    mtp = {key for key in info["unexpected_keys"] if _is_prediction(key, layout)}
    differences = tuple(_differences(model, made_of)) if made_of and made_of.origins else ()
    return Verification(
        model=type(model).__name__,
        missing=tuple(sorted(info["missing_keys"])),
        unexpected=tuple(sorted(set(info["unexpected_keys"]) - mtp)),
        mismatched=tuple(sorted(str(key[0] if isinstance(key, tuple) else key) for key in info["mismatched_keys"])),
        ignored=tuple(sorted(mtp)),
        differences=differences,
        finite=_is_finite(folder, type(model)) if for_real else None,
    )


def _is_prediction(key: str, layout: Layout) -> bool:
    numbered = re.search(r"(?:^|\.)layers\.([0-9]+)\.", key)
    return bool(_PREDICTION.search(key)) or (numbered is not None and int(numbered[1]) >= layout.layers)


def _load_headers(folder: Path, layout: Layout) -> tuple[PreTrainedModel, Mapping[str, Any]]:
    """Return the model on the meta device, and what its loading says of the keys."""
    import torch
    from transformers.utils import logging

    logging.disable_progress_bar()

    config = _config(folder)
    tensors = {
        name: torch.empty(info.shape, dtype=getattr(torch, _TORCH_DTYPES[info.dtype]), device="meta")
        for name, info in layout.tensors.items()
    }
    options: dict[str, Any] = {"config": config, "state_dict": tensors, "device_map": "meta"}
    options |= {"ignore_mismatched_sizes": True, "output_loading_info": True}
    try:
        loaded: Any = _class_of(config, folder).from_pretrained(None, **options)
    except (ValueError, RuntimeError, KeyError, AttributeError, IndexError) as error:
        raise _unloadable(folder, error) from error
    return loaded


def _config(folder: Path) -> PreTrainedConfig:
    from huggingface_hub.errors import StrictDataclassError
    from transformers import AutoConfig

    try:
        config: Any = AutoConfig.from_pretrained(folder, local_files_only=True)
    except (ValueError, KeyError, TypeError, StrictDataclassError) as error:
        raise _unloadable(folder / CONFIG, error) from error
    return config


def _class_of(config: PreTrainedConfig, folder: Path) -> type[PreTrainedModel]:
    """Return the class that the config names, else the one for its model type."""
    import transformers
    from transformers.models.auto import modeling_auto as auto

    mappings: list[Any] = [
        auto.MODEL_FOR_CAUSAL_LM_MAPPING,
        auto.MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING,
        auto.MODEL_FOR_MULTIMODAL_LM_MAPPING,
    ]
    found: list[Any] = [getattr(transformers, name, None) for name in config.architectures or ()]
    found += [mapping.get(type(config), None) for mapping in mappings]
    model = next((each for each in found if each is not None), None)
    if model is None:
        raise SourceError(
            "transformers has no class for the model.",
            where=folder / CONFIG,
            expected="a class under architectures, or a model_type, that it knows",
            found=f"architectures: {config.architectures}, model_type: {config.model_type}",
        )
    return model


def _unloadable(where: Path, error: Exception) -> SourceError:
    return SourceError("transformers cannot build the model.", where=where, found=f"{type(error).__name__}: {error}")


def _differences(stacked: PreTrainedModel, made_of: StackedFrom) -> Iterator[str]:
    """Yield what a layer is otherwise than in its source: modules, shapes, attributes such as the sliding window."""
    sources = {name: _on_meta(folder) for name, folder in made_of.sources.items()}
    counts = {name: layer_count(sources[name].config.to_dict()) for name in sources}
    lists = [path for path, length in _lists(sources[made_of.base]).items() if length == counts[made_of.base]]
    lists = [path for path in lists if _lists(stacked).get(path) == len(made_of.origins)]
    if not lists:
        yield f"no list of {len(made_of.origins)} layers where {made_of.base} has {counts[made_of.base]}"
    for path in lists:
        for place, (source, layer) in enumerate(made_of.origins):
            ours, theirs = stacked.get_submodule(f"{path}.{place}"), sources[source].get_submodule(f"{path}.{layer}")
            for difference in _unlike(ours, theirs):
                yield f"{path}.{place}, layer {layer} of {source}: {difference}"


def _on_meta(folder: Path) -> PreTrainedModel:
    import torch

    config = _config(folder)
    model: Any = _class_of(config, folder)
    with torch.device("meta"):
        return model._from_config(config).eval()  # noqa: SLF001 -- the public way loads weights


def _lists(model: torch.nn.Module) -> dict[str, int]:
    import torch

    return {name: len(part) for name, part in model.named_modules() if isinstance(part, torch.nn.ModuleList)}


def _unlike(ours: torch.nn.Module, theirs: torch.nn.Module) -> Iterator[str]:
    mine, others = dict(ours.named_modules()), dict(theirs.named_modules())
    for name in sorted(mine.keys() | others.keys()):
        pair = [_facts(modules[name]) if name in modules else {} for modules in (mine, others)]
        for fact in sorted(pair[0].keys() | pair[1].keys()):
            if pair[0].get(fact) != pair[1].get(fact):
                yield f"{name}.{fact} is {pair[0].get(fact)}, was {pair[1].get(fact)}".lstrip(".")


def _facts(module: torch.nn.Module) -> dict[str, object]:
    """Return a module's class, the shapes of its own tensors, and its plain attributes."""
    facts: dict[str, object] = {"class": type(module).__name__}
    facts |= {name: tuple(tensor.shape) for name, tensor in module.named_parameters(recurse=False)}
    facts |= {name: tuple(tensor.shape) for name, tensor in module.named_buffers(recurse=False)}
    for name, value in vars(module).items():
        if not name.startswith("_") and not _MAY_DIFFER.fullmatch(name) and _is_plain(value):
            facts[name] = value
    return facts


def _is_plain(value: object) -> bool:
    match value:
        case bool() | int() | float() | str() | None:
            return True
        case [*parts]:
            return all(map(_is_plain, parts))
        case _:
            return False


def _is_finite(folder: Path, model: type[PreTrainedModel]) -> bool:
    """Return whether the model, loaded for real, answers with finite numbers."""
    import torch

    loaded = model.from_pretrained(folder, dtype="auto", local_files_only=True).eval()
    size = loaded.config.get_text_config().vocab_size
    with torch.no_grad():
        logits = loaded(input_ids=torch.arange(3, 11)[None] % size).logits
    return bool(logits.isfinite().all())
