"""Task arithmetic, and TIES, which trims task vectors and lets them vote before it adds them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from suture.merge.methods.ranks import KEEP_ALL, KEEP_NONE, keep_from, magnitudes_at
from suture.merge.methods.task_vectors import Dialect, add_up, task_vectors, vote
from suture.merge.stream import Chunk, Combine, Floats, Inputs


def task_arithmetic(_: Inputs, *, weight: tuple[float, ...], normalize: bool, lambda_: float) -> Combine:
    """Return base + lambda * sum(w_i * (x_i - base)).

    Ilharco et al. 2022, Editing models with task arithmetic (arXiv 2212.04089), section 2: adding task vectors adds
    what the models have learned; a negative weight takes it away.

    Args:
        weight: One per model.
        normalize: Whether to divide by the sum of the weights.
        lambda_: What the sum of the task vectors is multiplied by.
    """
    return add_up(task_vectors, weight=weight, normalize=normalize, lambda_=lambda_)


def ties(
    inputs: Inputs,
    *,
    weight: tuple[float, ...],
    density: tuple[float, ...],
    normalize: bool,
    lambda_: float,
    dialect: Dialect,
    cuts: tuple[int, ...] | None = None,
) -> Combine:
    """Return base + lambda * the task vectors' mean, trimmed, over those that agree with the elected sign.

    Yadav et al. 2023, TIES-Merging (arXiv 2306.01708), algorithm 1. Numbers exactly at the cut are all kept.

    Args:
        inputs: The models and their base.
        weight: One per model.
        density: Share of each task vector's numbers that is kept: those of the largest magnitude.
        normalize: Whether to divide by the sum of the weights that agree.
        lambda_: What the merged task vector is multiplied by.
        dialect: `paper` trims over the whole model and leaves the base where the vote is a draw; `mergekit` trims
            tensor by tensor and elects + there.
        cuts: What `whole_cuts` found, for `paper`; without it the tensor is the whole model.
    """
    least = trim_cuts([inputs], density) if cuts is None else cuts

    def trimmed(chunk: Chunk) -> Iterator[Floats]:
        for values, cut in zip(task_vectors(chunk), least, strict=True):
            yield keep_from(values, cut)

    return vote(trimmed, weight=weight, normalize=normalize, lambda_=lambda_, dialect=dialect)


def whole_cuts(tensors: Sequence[Inputs], *, density: tuple[float, ...], **_: object) -> dict[str, tuple[int, ...]]:
    """Return, as `cuts`, where TIES trims each model as a whole.

    Args:
        tensors: All tensors that are merged by it, with the models in the same order.
        density: One per model.
        _: The method's other settings.
    """
    return {"cuts": trim_cuts(tensors, density)}


def trim_cuts(tensors: Sequence[Inputs], density: Sequence[float]) -> tuple[int, ...]:
    """Return the bits of the least magnitude that each model keeps of its task vector over some tensors.

    Args:
        tensors: The tensors, taken as one long vector.
        density: Share to keep, one per model; the count is rounded down, but not to 0.
    """
    size = sum(inputs.size for inputs in tensors)
    cuts = [KEEP_ALL if share >= 1 else KEEP_NONE for share in density]
    ranks = {model: [size - max(1, int(share * size))] for model, share in enumerate(density) if 0 < share < 1}
    if ranks:
        found = magnitudes_at(
            tensors, lambda chunk: [chunk.models[model] - chunk.origin for model in ranks], [*ranks.values()]
        )
        for model, (cut,) in zip(ranks, found, strict=True):
            cuts[model] = cut
    return tuple(cuts)
