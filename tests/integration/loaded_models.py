"""Judges a stack and a mean on the models that transformers loads: keys alone prove little."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel

Origins = Sequence[tuple[str, int]]
"""For each layer of the stack: its source, and which of its layers it was."""

_MAY_DIFFER = re.compile(
    r"layer_?(idx|id|index|number|num)|_is_hf_initialized|num_hidden_layers|att(entio)?n_layers|store_full_length_kv"
)
"""Attributes that hold a layer's number, or facts of the whole model, and decide nothing in a layer.

`num_hidden_layers` sets the decay of MiniMax's attention, which is a tensor of the checkpoint; `attention_layers` and
`attn_layers` are the whole lists of GPT-Neo and Reformer; `store_full_length_kv` matters only where later layers
share keys and values."""

_SCALARS = (bool, int, float, str, type(None), type)
_SAME_FOR_A_LAYER = re.compile(r"attention_mask|mask|position_embeddings|position_ids|rotary.*|freqs_cis")
"""Arguments of a layer that do not depend on what the layers below computed."""


def differences(
    sources: Mapping[str, PreTrainedModel], base: str, stacked: PreTrainedModel, origins: Origins
) -> list[str]:
    """Return what in a stack is not what it was in its sources."""
    found = sorted(_containers(sources, base, stacked, origins))
    if not found:
        return ["no list of layers has as many as the stack"]
    problems = list(_outside(sources[base], stacked, found))
    for path in found:
        for place, (source, layer) in enumerate(origins):
            ours, theirs = (
                model.get_submodule(f"{path}.{i}") for model, i in ((stacked, place), (sources[source], layer))
            )
            problems += [f"{path}.{place} ({source} {layer}): {text}" for text in _unlike(ours, theirs)]
    return problems


def _containers(
    sources: Mapping[str, PreTrainedModel], base: str, stacked: PreTrainedModel, origins: Origins
) -> Iterator[str]:
    """Yield the lists of layers: those that are longer than in the base."""
    for name, part in stacked.named_modules():
        if isinstance(part, nn.ModuleList) and len(part) == len(origins):
            try:
                same = sources[base].get_submodule(name)
            except AttributeError:
                continue
            if isinstance(same, nn.ModuleList) and len(same) != len(part):
                yield name


def _outside(base: PreTrainedModel, stacked: PreTrainedModel, found: Sequence[str]) -> Iterator[str]:
    prefixes = tuple(f"{path}." for path in found)
    ours, theirs = (
        {name: tensor for name, tensor in _tensors(model).items() if not name.startswith(prefixes)}
        for model in (stacked, base)
    )
    for name in sorted(ours.keys() ^ theirs.keys()):
        yield f"{name}: only in {'the stack' if name in ours else 'the base'}"
    for name in ours.keys() & theirs.keys():
        if not _same(ours[name], theirs[name]):
            yield f"{name}: not that of the base"
    modules = {name: part for name, part in base.named_modules() if not f"{name}.".startswith(prefixes)}
    for name, part in stacked.named_modules():
        if f"{name}.".startswith(prefixes):
            continue
        if name not in modules:
            yield f"{name}: a module that the base lacks"
        elif type(part) is not type(modules[name]):
            yield f"{name}: {type(part).__name__}, in the base {type(modules[name]).__name__}"


def _tensors(model: nn.Module) -> dict[str, torch.Tensor]:
    return {
        **dict(model.named_parameters(remove_duplicate=False)),
        **dict(model.named_buffers(remove_duplicate=False)),
    }


def _same(one: torch.Tensor, other: torch.Tensor) -> bool:
    return one.shape == other.shape and one.dtype == other.dtype and torch.equal(one.nan_to_num(), other.nan_to_num())


def _unlike(ours: nn.Module, theirs: nn.Module) -> Iterator[str]:
    """Yield what two layers differ in: tensors, classes, and attributes such as the sliding window."""
    mine, others = _tensors(ours), _tensors(theirs)
    for name in sorted(mine.keys() ^ others.keys()):
        yield f"{name}: only in {'the stack' if name in mine else 'its source'}"
    for name in mine.keys() & others.keys():
        if not _same(mine[name], others[name]):
            yield f"{name}: other numbers"
    modules = dict(theirs.named_modules())
    for name, part in ours.named_modules():
        other = modules.get(name)
        if type(part) is not type(other):
            yield f"{name}: {type(part).__name__}, in its source {type(other).__name__}"
            continue
        for attribute, value in _attributes(part).items():
            expected = getattr(other, attribute, "no such attribute")
            if value != expected and not isinstance(expected, torch.Tensor):  # what was kept of a run
                yield f"{name}.{attribute}: {value}, in its source {expected}"


def _attributes(module: nn.Module | None) -> dict[str, Any]:
    return {
        name: value
        for name, value in vars(module).items()
        if not _MAY_DIFFER.fullmatch(name) and (isinstance(value, _SCALARS) or _is_plain(value))
    }


def _is_plain(value: Any) -> bool:
    return isinstance(value, list | tuple) and all(isinstance(part, _SCALARS) for part in value)


def run(
    model: PreTrainedModel, found: Sequence[str]
) -> tuple[torch.Tensor, list[tuple[str, tuple[Any, ...], dict[str, Any], Any]]]:
    """Run a model on a few tokens; return its logits and each layer's path, arguments and result."""
    seen: list[tuple[str, tuple[Any, ...], dict[str, Any], Any]] = []

    def note(path: str) -> Any:
        return lambda _module, args, kwargs, output: seen.append(
            (path, _copied(args), _copied(kwargs), _copied(output))
        )

    hooks = [
        layer.register_forward_hook(note(f"{path}.{number}"), with_kwargs=True)
        for path in found
        for number, layer in enumerate(model.get_submodule(path))  # type: ignore[arg-type]
    ]
    try:
        with torch.no_grad():
            torch.manual_seed(0)
            output = model(input_ids=torch.arange(5, 17)[None], use_cache=False)
    finally:
        for hook in hooks:
            hook.remove()
    logits = output.logits if hasattr(output, "logits") else output[0]
    return logits, seen


def _copied(value: Any) -> Any:
    match value:
        case torch.Tensor():
            return value.clone()
        case tuple() | list():
            return type(value)(_copied(part) for part in value) if type(value) in (tuple, list) else value
        case dict():
            return {key: _copied(part) for key, part in value.items()}
        case _:
            return value


def behaviour(
    sources: Mapping[str, PreTrainedModel], base: str, stacked: PreTrainedModel, origins: Origins
) -> list[str]:
    """Return where a running stack treats a layer otherwise than its source does, or the layer answers otherwise.

    Every layer of the stack is given the mask and the positions that it had in its source; the source's own layer, on
    the inputs that the stack's layer had, gives the same result.
    """
    found = sorted(_containers(sources, base, stacked, origins))
    logits, seen = run(stacked, found)
    problems = [] if logits.isfinite().all() else ["the logits are not finite"]
    originals = {name: {path: (a, k) for path, a, k, _ in run(model, found)[1]} for name, model in sources.items()}
    for path, args, kwargs, output in seen:
        container, _, place = path.rpartition(".")
        source, layer = origins[int(place)]
        _, before = originals[source].get(f"{container}.{layer}", (None, None))
        if before is None:
            problems.append(f"{path} runs, its source {source} {layer} does not")
            continue
        problems += [
            f"{path} is given another {name} than {source} {layer}"
            for name in kwargs.keys() | before.keys()
            if _SAME_FOR_A_LAYER.fullmatch(name) and not _alike(kwargs.get(name), before.get(name))
        ]
        with torch.no_grad():
            torch.manual_seed(0)
            expected = sources[source].get_submodule(f"{container}.{layer}")(*_copied(args), **_copied(kwargs))
        if not _alike(output, expected):
            problems.append(f"{path} answers otherwise than {source} {layer}")
    for container in found:
        ran = {path for path, *_ in seen}
        for place, (source, layer) in enumerate(origins):
            if f"{container}.{layer}" in originals[source] and f"{container}.{place}" not in ran:
                problems.append(f"{container}.{place} does not run, its source {source} {layer} does")
    return problems


def _alike(one: Any, other: Any) -> bool:
    match one:
        case torch.Tensor():
            return isinstance(other, torch.Tensor) and _same(one, other)
        case tuple() | list():
            return isinstance(other, tuple | list) and len(one) == len(other) and all(map(_alike, one, other))
        case dict():
            return (
                isinstance(other, dict) and one.keys() == other.keys() and all(_alike(one[k], other[k]) for k in one)
            )
        case bool() | int() | float() | str() | None:
            return one == other
        case _:
            return type(one) is type(other)


def not_the_mean(sources: Sequence[PreTrainedModel], mean: PreTrainedModel) -> list[str]:
    """Return the parameters that are not the mean of the sources', to one bf16 ulp."""
    parameters = [dict(model.named_parameters()) for model in sources]
    problems: list[str] = []
    for name, tensor in mean.named_parameters():
        expected = torch.stack([each[name].float() for each in parameters]).mean(0)
        if not torch.allclose(tensor.float(), expected, rtol=2**-7, atol=1e-6):
            problems.append(f"{name}: not the mean")
    return problems
