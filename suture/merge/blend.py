"""What becomes of the tensors of a blend: each tensor of the result is computed from the same one of the models."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from suture.checkpoint.config import stack_config
from suture.checkpoint.layers import LayerStack, find_layers
from suture.errors import CheckpointError, RecipeError, SourceError
from suture.merge.account import Draft, Input, Output
from suture.merge.fit import COUNTED, Layouts, check_configs, check_layers, check_positions, check_tensors
from suture.merge.outside import is_head, is_prediction_block
from suture.merge.settings import value_at
from suture.merge.stack import check_prefix, check_ranges, find_stacks, layer_tensors
from suture.merge.table import METHODS
from suture.recipe import Blend, Blended, BlendedSlice, Setting
from suture.recipe.merge import MODEL_SETTINGS


def draft_blend(merge: Blend, layouts: Layouts, by_token: Collection[str]) -> Draft:
    """Return what becomes of a blend's tensors.

    Args:
        merge: What the recipe asks for.
        layouts: The sources in use, by name.
        by_token: Names of the base's tensors whose rows will be aligned by token.

    Raises:
        RecipeError: When a slice goes past a source's last layer, the weights give no mean, or a setting cannot be.
        SourceError: When the sources are not of one shape, or no config can describe the result.
        CheckpointError: When a source's layers cannot be found.
    """
    _check_dialect(merge)
    if merge.slices:
        return _blend_slices(merge, layouts)
    for name in layouts:
        check_configs(layouts, merge.base, name, layer_by_layer=True)
        check_tensors(layouts, merge.base, name, by_token)
    (whole,) = merge.plain_slices
    blender = _Blender(merge, layouts)
    depths = _Depths(merge, layouts)
    outputs = [
        blender.output(whole, name, depths.of(name), [name] * len(whole.models), name)
        for name in layouts[merge.base].tensors
    ]
    return Draft(layouts[merge.base].config, tuple(outputs), _reason(merge, layouts), notes=blender.notes)


def _blend_slices(merge: Blend, layouts: Layouts) -> Draft:
    ranges = [(model.source, model.layers) for part in merge.slices for model in part.models if model.layers]
    check_ranges(ranges, layouts, "merge.slices")
    stacks = find_stacks(layouts)
    layers = {name: layer_tensors(layouts[name], stack) for name, stack in stacks.items()}
    for name, stack in stacks.items():
        check_configs(layouts, merge.base, name, layer_by_layer=False)
        check_prefix(merge.base, stacks[merge.base], name, stack)
        check_layers(layouts, (merge.base, layers[merge.base]), (name, layers[name]))
    places = [place for part in merge.slices for place in _places(merge.base, part)]
    origins = [(merge.base, place.base) for place in places]
    config = stack_config({merge.base: layouts[merge.base].config}, merge.base, origins)
    check_positions(layouts, layers, origins)
    blender = _Blender(merge, layouts)
    base = stacks[merge.base]
    outputs = [
        blender.output(
            place.part,
            base.name(number, rest),
            place.depth,
            _same_in_models(layouts, (merge.base, name), _tensors_of(place, base, rest)),
            name,
        )
        for number, place in enumerate(places)
        for rest, name in layers[merge.base][place.base].items()
    ]
    for name in layouts[merge.base].tensors:
        if base.split(name) is None:
            part = merge.slices[-1] if is_head(name) else merge.slices[0]
            mine = _same_in_models(layouts, (merge.base, name), [(model.source, name) for model in part.models])
            new = base.outside_name(name, len(places))
            outputs.append(blender.output(part, new, _depth_outside(merge, name), mine, name))
    return Draft(config, tuple(outputs), _reason(merge, layouts), notes=blender.notes)


@dataclass(frozen=True)
class _Place:
    """A layer of the result: its slice, how deep it lies there, the layer of each model and that of the base."""

    part: BlendedSlice
    depth: float
    layers: tuple[int, ...]
    base: int


def _places(base: str, part: BlendedSlice) -> Iterator[_Place]:
    ranges = [model.layers or (0, 0) for model in part.models]
    # The base that is not among the models gives the same layers as the first of them.
    own = next((model.layers for model in part.models if model.source == base), None) or ranges[0]
    count = own[1] - own[0]
    for offset in range(count):
        depth = offset / (count - 1) if count > 1 else 1.0
        yield _Place(part, depth, tuple(start + offset for start, _ in ranges), own[0] + offset)


def _depth_outside(merge: Blend, name: str) -> float:
    """Return how deep a tensor outside the layers lies; mergekit has even the head at the start of a gradient."""
    return 1.0 if is_head(name) and merge.dialect == "paper" else 0.0


def _tensors_of(place: _Place, stack: LayerStack, rest: str) -> list[tuple[str, str]]:
    models = zip(place.part.models, place.layers, strict=True)
    return [(model.source, stack.name(layer, rest)) for model, layer in models]


def _same_in_models(layouts: Layouts, base: tuple[str, str], tensors: Sequence[tuple[str, str]]) -> list[str]:
    """Return the tensors' names in the models of a slice.

    Raises:
        SourceError: When a model has no such tensor, or one of another shape: its layer is of another kind.
    """
    mine = layouts[base[0]].tensors[base[1]]
    for source, name in tensors:
        other = layouts[source].tensors.get(name)
        if is_prediction_block(name) or (other is not None and other.shape == mine.shape):
            continue
        raise SourceError(
            f"A slice blends layers of different kinds, or models of different shapes, {base[0]} and {source}.",
            where=f"{name} in {source}",
            expected=f"{mine}, as {base[1]} in {base[0]}",
            found=str(other or "no such tensor"),
            way_out="Choose slices whose layers are of one kind.",
        )
    return [name for _, name in tensors]


class _Depths:
    """How deep each tensor lies: 0 for the embedding and the first layer, 1 for the last layer and the head."""

    def __init__(self, merge: Blend, layouts: Layouts) -> None:
        self._merge = merge
        layout = layouts[merge.base]
        self._stack: LayerStack | None = None
        try:
            self._stack = find_layers(layout.config, layout.tensors, f"source {merge.base}")
        except CheckpointError:
            if _has_gradients(merge):  # a blend of whole models needs no layers, but for these
                raise

    def of(self, name: str) -> float:
        place = self._stack.split(name) if self._stack else None
        if self._stack is None or place is None:
            return _depth_outside(self._merge, name)
        return place[0] / (self._stack.count - 1) if self._stack.count > 1 else 1.0


class _Blender:
    """Decides what each tensor of the result is made of."""

    def __init__(self, merge: Blend, layouts: Layouts) -> None:
        self._merge = merge
        self._layouts = layouts
        self._copied: Counter[str] = Counter()

    def output(self, part: BlendedSlice, name: str, depth: float, tensors: Sequence[str], base_tensor: str) -> Output:
        """Return a tensor of the result.

        Args:
            part: The slice with the models and their settings.
            name: The tensor's name in the result.
            depth: How deep it lies, for gradients.
            tensors: Its name in each of the models.
            base_tensor: Its name in the base.
        """
        merge, layouts = self._merge, self._layouts
        info = layouts[merge.base].tensors[base_tensor]
        base = Input(merge.base, base_tensor)
        pairs = list(zip(part.models, tensors, strict=True))
        if merge.uses_task_vectors:
            pairs = [(model, tensor) for model, tensor in pairs if model.source != merge.base]
        if merge.method == "slerp":  # from the base, at t = 0, to the other
            pairs.sort(key=lambda pair: pair[0].source != merge.base)
        if is_prediction_block(name) and any(tensor not in layouts[model.source].tensors for model, tensor in pairs):
            self._copied["for multi-token prediction, which not every source has"] += 1
            return Output(name, info, (base,))
        if info.dtype in COUNTED:
            self._copied["of whole numbers, which have no mean"] += 1
            return Output(name, info, (base,))
        inputs = tuple(Input(model.source, tensor) for model, tensor in pairs)
        parameters = self._parameters(part, [model for model, _ in pairs], name, depth)
        return Output(name, info, inputs, base if merge.uses_task_vectors else None, merge.method, parameters)

    @property
    def notes(self) -> tuple[str, ...]:
        """What the user should know."""
        base = self._merge.base
        return tuple(f"{count} tensors {kind}, are copied from {base}." for kind, count in self._copied.items())

    def _parameters(self, part: BlendedSlice, models: Sequence[Blended], name: str, depth: float) -> dict[str, Any]:
        merge = self._merge

        def number(setting: Setting, field: str, owner: type[Blended | Blend]) -> float:
            default = owner.model_fields[field].default
            return value_at(setting, name=name, depth=depth, default=default)

        found: dict[str, Any] = {
            field: tuple(number(getattr(model, field), field, Blended) for model in models)
            for field in MODEL_SETTINGS
        }
        found["t"] = number(merge.t if part.t is None else part.t, "t", Blend)
        found["lambda_"] = number(merge.lambda_, "lambda_", Blend)
        found["select_topk"] = number(merge.select_topk, "select_topk", Blend)
        found["normalize"] = merge.is_normalized
        for field in ("rescale", "seed", "flatten", "row_wise", "filter_wise", "max_iter", "tol", "dialect"):
            found[field] = getattr(merge, field)
        parameters = {field: found[field] for field in METHODS[merge.method].settings}
        _check_weights(merge, parameters, name)
        return parameters


def _check_weights(merge: Blend, parameters: Mapping[str, Any], name: str) -> None:
    """Refuse weights that have to be divided by their sum, and cannot."""
    weights: tuple[float, ...] = parameters.get("weight", ())
    if weights and parameters.get("normalize", merge.method != "karcher") and not _give_a_mean(weights):
        raise RecipeError(
            "The weights give no mean.",
            where=f"merge.models, for {name}",
            expected="weights whose sum is not 0",
            found=list(weights),
            way_out="Change a weight, or set `normalize: false`.",
        )


def _give_a_mean(weights: Sequence[float]) -> bool:
    """Return whether weights can be divided by their sum; 0.1 + 0.2 - 0.3 is meant to be 0 and is not quite."""
    total = math.fsum(weights)
    return abs(total) > 1e-6 * max(map(abs, weights)) and math.isfinite(total)


def _check_dialect(merge: Blend) -> None:
    """Refuse densities that the paper's TIES, which trims over the whole task vector, has no place for."""
    if METHODS[merge.method].across is None or merge.dialect != "paper":
        return
    models = [model for part in merge.plain_slices for model in part.models]
    varied = [model.source for model in models if not isinstance(model.density, int | float)]
    if varied or merge.slices:
        raise RecipeError(
            f"The {merge.method} of the paper trims each model as a whole: one density for all of its tensors.",
            where="merge.slices" if merge.slices else "merge.models",
            expected="whole models, with a number as density",
            found="slices" if merge.slices else f"a density by name or depth for {', '.join(varied)}",
            way_out="Set `dialect: mergekit`: it trims tensor by tensor.",
        )


def _has_gradients(merge: Blend) -> bool:
    settings: list[Setting] = [merge.t, merge.lambda_, merge.select_topk]
    settings += [getattr(model, field) for model in merge.models for field in MODEL_SETTINGS]
    return any(not isinstance(setting, int | float) for setting in settings)


def _reason(merge: Blend, layouts: Layouts) -> Callable[[str, str], str]:
    blended = {model.source for part in merge.plain_slices for model in part.models}

    def reason(source: str, tensor: str) -> str:
        if source == merge.base:
            return "its layer is in no slice" if merge.slices else "the base gives the config and the tokenizer alone"
        if source not in blended:
            return "the source gives tokens or the chat template alone"
        if tensor not in layouts[merge.base].tensors:
            return f"{merge.base}, the base, has no such tensor"
        return "its layer is in no slice" if merge.slices else f"not every source has it: {merge.base} gives it"

    return reason
