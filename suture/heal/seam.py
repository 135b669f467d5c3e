"""Where the seams of a stack are, and which of its layers repeat others: what a heal is planned from."""

from __future__ import annotations

from collections.abc import Sequence

from suture.errors import RecipeError
from suture.heal.train import Gates, TrainSpec
from suture.recipe import Heal, Merge, Passthrough, Training


def heal_spec(heal: Heal, merge: Merge, seams: Sequence[int], count: int) -> TrainSpec:
    """Return how to train the merge's adapter.

    Args:
        heal: What the recipe asks for.
        merge: The merge that is healed.
        seams: The new layers before which the source or the run of consecutive layers breaks.
        count: Layers of the merge.

    Raises:
        RecipeError: When seams or repeated layers are asked for and the merge has none.
    """
    return plain_spec(heal).model_copy(
        update={
            "layers": near_seams(seams, count, heal.seam_layers) if heal.layers == "seam" else None,
            "gates": _gates(heal, merge) if heal.start != "raw" else None,
        }
    )


def plain_spec(training: Training) -> TrainSpec:
    """Return how to train an adapter on all layers of a model as it is."""
    common = set(TrainSpec.model_fields) & set(Training.model_fields)
    return TrainSpec.model_validate(training.model_dump(include=common))


def near_seams(seams: Sequence[int], count: int, width: int) -> tuple[int, ...]:
    """Return the layers that are among the `width` before or after a seam, of `count` layers in all.

    Raises:
        RecipeError: When there is no seam.
    """
    if not seams:
        raise _nothing_to("layers", "a merge with a seam", "layers: all")
    near = {layer for seam in seams for layer in range(seam - width, seam + width)}
    return tuple(sorted(near & set(range(count))))


def repeated_layers(origins: Sequence[tuple[str, int]]) -> tuple[int, ...]:
    """Return the layers whose number in their source stood in the stack before, of the same source or another.

    Args:
        origins: For each layer of the stack its source and its number there.
    """
    seen: set[int] = set()
    repeated: list[int] = []
    for layer, (_, number) in enumerate(origins):
        if number in seen:
            repeated.append(layer)
        seen.add(number)
    return tuple(repeated)


def _gates(heal: Heal, merge: Merge) -> Gates:
    repeated = repeated_layers(merge.origins) if isinstance(merge, Passthrough) else ()
    if not repeated:
        raise _nothing_to("start", "a stack that repeats layers", "start: raw")
    return Gates(
        layers=repeated,
        start=heal.damping,
        learning_rate=heal.gate_learning_rate if heal.start == "gated" else 0.0,
    )


def _nothing_to(field: str, expected: str, way_out: str) -> RecipeError:
    return RecipeError(
        f"The merge has nothing that heal.{field} could work on.",
        where=f"heal.{field}",
        expected=expected,
        found="layers that each stand once, in the order of their source",
        way_out=f"Say `{way_out}`.",
    )
