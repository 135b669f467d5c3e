"""Whether models are of one shape: so that layers of one run inside the other, or their tensors can be averaged."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

from pydantic import JsonValue

from suture.checkpoint.config import PLACE_FIELDS
from suture.checkpoint.config.kinds import layer_facts
from suture.checkpoint.floats import FLOATS
from suture.checkpoint.layers import PREDICTION_KEYS, text_section
from suture.checkpoint.layout import Layout
from suture.checkpoint.tensors import layer_order
from suture.errors import SourceError
from suture.merge.outside import is_prediction_block

Layouts = Mapping[str, Layout]
LayerTensors = Mapping[str, str]
"""The tensors of one layer: what follows its number -> the whole name."""

COUNTED = ("I64", "BOOL")
"""Dtypes of counters and tables; the weights of quantized models are held in others."""

_MAY_DIFFER = frozenset(
    {
        "vocab_size",
        "max_position_embeddings",
        *PREDICTION_KEYS,
        "tie_word_embeddings",
        "use_cache",
        "pretraining_tp",
        "initializer_range",
        "gradient_checkpointing",
        "return_dict",
        "scale_depth",
    }
)
"""What does not concern a layer, or shows in the tensors."""

_ALSO_COMPARED = frozenset(
    {
        "model_type",
        "hidden_act",
        "hidden_activation",
        "activation_function",
        "rope_theta",
        "rope_parameters",
        "rope_scaling",
        "sliding_window",
    }
)
"""Beside numbers and switches; these must agree even where one of them is null."""


def check_configs(layouts: Layouts, base: str, other: str, *, layer_by_layer: bool) -> None:
    """Refuse a source whose config makes another function of the same tensors.

    A field that only one config has is passed over: other versions of transformers write more or fewer of them.

    Args:
        layouts: The sources.
        base: Name of the source to compare with.
        other: Name of the source to judge.
        layer_by_layer: Also compare how many layers there are, and of which kind each is. A stack takes care of that.

    Raises:
        SourceError: Naming the first field that differs.
    """
    mine, others = (dict(_shape_fields(layouts[name].config)) for name in (base, other))
    for field in sorted(mine.keys() & others.keys(), key=lambda field: (field != "model_type", field)):
        differs = mine[field] != others[field]
        is_given = field in _ALSO_COMPARED or None not in (mine[field], others[field])
        if differs and is_given and (layer_by_layer or field not in PLACE_FIELDS):
            raise _misfit(base, other, f"{field} in config.json", mine[field], others[field])


def check_layers(
    layouts: Layouts,
    base: tuple[str, Mapping[int, LayerTensors]],
    other: tuple[str, Mapping[int, LayerTensors]],
) -> None:
    """Refuse a source with a layer whose tensors are named or shaped as in no layer of the base.

    Args:
        layouts: The sources.
        base: Name of the base and the tensors of its layers.
        other: Name of the other source and the tensors of those of its layers that are used.

    Raises:
        SourceError: Naming the first tensor that differs.
    """
    base_name, base_layers = base
    kinds = [_shapes(layouts[base_name], tensors) for tensors in base_layers.values()]
    name, layers = other
    for tensors in layers.values():
        shapes = _shapes(layouts[name], tensors)
        if shapes not in kinds:
            nearest = max(kinds, key=lambda kind: len(kind.items() & shapes.items()))
            rest = min(rest for rest, _ in nearest.items() ^ shapes.items())
            where = tensors.get(rest, f"{rest} in the layers")
            raise _misfit(base_name, name, where, nearest.get(rest), shapes.get(rest))


def check_positions(
    layouts: Layouts, layers: Mapping[str, Mapping[int, LayerTensors]], origins: Sequence[tuple[str, int]]
) -> None:
    """Refuse to move a layer that is made for its place.

    The first or the last layer may have tensors that no layer between has, without a word of it in the config (the
    first of RWKV and ModernBERT, the last of GPT-NeoX-Japanese): the model's class goes by the layer's number then.

    Args:
        layouts: The sources.
        layers: The tensors of each source's layers.
        origins: For each layer of the stack, its source and its number there.

    Raises:
        SourceError: Naming the layer.
    """
    for source in dict.fromkeys(name for name, _ in origins):
        for special, end in _special_layers(layouts[source], layers[source], source):
            place = 0 if end == "first" else len(origins) - 1
            elsewhere = [new for new, origin in enumerate(origins) if origin == (source, special) and new != place]
            is_taken = origins[place][0] == source and origins[place][1] != special
            if elsewhere or is_taken:
                raise SourceError(
                    f"Layer {special} of {source} is made for its place: it has other tensors than those between.",
                    where="layers of the stack",
                    expected=f"layer {special} of {source} as the {end} layer of the stack, and nowhere else",
                    found=f"it is layer {elsewhere[0]}" if elsewhere else f"another layer of {source} there",
                    way_out="Choose slices so that the stack begins and ends as a source does.",
                )


def _special_layers(layout: Layout, layers: Mapping[int, LayerTensors], source: str) -> Iterator[tuple[int, str]]:
    """Yield the first and the last layer where those of which the config says the same have other tensors."""
    last = len(layers) - 1
    for alike in layer_facts(text_section(layout.config)):
        shapes = [_shapes(layout, layers[layer]) for layer in alike]
        between = [shape for layer, shape in zip(alike, shapes, strict=True) if 0 < layer < last]
        if any(shape != between[0] for shape in between):
            raise SourceError(
                f"The layers of {source} cannot be stacked: the config does not say which have other tensors.",
                where="the tensors' shapes",
                expected=f"one kind of layer at {alike}, of which the config says the same",
                found="several kinds",
            )
        usual = [*between, shapes[-1]]
        if alike[0] == 0 and shapes[0] != usual[0]:
            yield 0, "first"
        if alike[-1] == last and shapes[-1] != (between or shapes)[0]:
            yield last, "last"


def check_tensors(layouts: Layouts, base: str, other: str, by_token: Collection[str] = ()) -> None:
    """Refuse a source whose tensors are not those of the base by name and shape, or cannot be averaged.

    Multi-token prediction may be lacking: transformers drops it when it saves a fine-tune.

    Args:
        layouts: The sources.
        base: Name of the source to compare with.
        other: Name of the source to judge.
        by_token: Names of tensors whose rows are aligned by token, so that their number may differ.

    Raises:
        SourceError: Naming the first tensor that differs.
    """
    mine, others = layouts[base].tensors, layouts[other].tensors
    for name in sorted(mine.keys() | others.keys(), key=layer_order):
        pair = [tensors[name].shape if name in tensors else None for tensors in (mine, others)]
        if name in by_token or (None in pair and is_prediction_block(name)):
            continue
        if pair[0] != pair[1]:
            raise _misfit(base, other, name, *pair)
        if others[name].dtype not in (*FLOATS, *COUNTED):
            raise SourceError(
                f"Tensors of {other} cannot be averaged.",
                where=name,
                expected=f"a dtype out of {', '.join(FLOATS)}",
                found=others[name].dtype,
                way_out="Use the model as it was before it was quantized.",
            )


def _shape_fields(config: Mapping[str, JsonValue]) -> Iterator[tuple[str, JsonValue]]:
    """Yield the fields that decide what the layers compute."""
    section = text_section(config)
    for field, value in section.items():
        aside = field in _MAY_DIFFER or field.startswith(("_", "output_", "unsloth")) or "dropout" in field
        is_setting = isinstance(value, int | float) and not aside and not field.endswith("token_id")
        if is_setting or field in _ALSO_COMPARED or field in PLACE_FIELDS:
            yield field, value
    match section.get("rope_parameters"):  # transformers 5 moved rope_theta there
        case {"rope_theta": theta}:
            yield "rope_theta", theta
        case _:
            pass


def _shapes(layout: Layout, tensors: LayerTensors) -> dict[str, tuple[int, ...]]:
    return {rest: layout.tensors[name].shape for rest, name in tensors.items()}


def _misfit(base: str, other: str, where: str, mine: object, others: object) -> SourceError:
    return SourceError(
        f"{other} is of another shape than {base}.",
        where=where,
        expected=f"{_show(mine)}, as in {base}",
        found=f"{_show(others)} in {other}",
        way_out="Merge models that were made of the same one.",
    )


def _show(value: object) -> str:
    return "none" if value is None else str(value)
