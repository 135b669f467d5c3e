"""What the probes say of the seam, in sentences.

A layer is known by what it does in the model that it was trained in. The layer after a seam reads another stream
there than in its source, and so does something else; healing may bring it back, or teach the model to live with it.

The models read the same chunks, so that their errors rise and fall together. They are treated here as if they were
independent, which makes intervals too wide: a difference called detectable is one. The losses by position are
compared chunk by chunk.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from suture.report.comparison import as_difference, detectable, log_ratio
from suture.report.data import FINAL, Difference, Estimate, Finding, LayerData, MergeData, ProbeData
from suture.report.numbers import change, times, with_error
from suture.report.probes import Seam, losses_of, perplexity_of, seams_of, stretches
from suture.statistics import Z, mean


@dataclass(frozen=True)
class _AtSeam:
    """A seam with what its layer does: in its source and in the raw merge."""

    seam: Seam
    count: int
    source: ProbeData
    raw: ProbeData

    @property
    def known(self) -> Estimate:
        """Norm of the stream that the layer was trained on."""
        return _norm_before(self.source, self.seam.layer_of_source)

    @property
    def read(self) -> Estimate:
        """Norm of the stream that it reads in the raw merge."""
        return _norm_before(self.raw, self.seam.layer)

    @property
    def apart(self) -> Difference:
        """Logarithm of how many times as large the stream is as the layer knows it."""
        return log_ratio(self.read, self.known)

    @property
    def where(self) -> str:
        """What a sentence calls the place."""
        seam = f"before layer {self.seam.layer}"
        return f"At the seam {seam}," if self.count == 1 else f"At the sharpest of {self.count} seams, {seam},"


def seam_findings(probes: Sequence[ProbeData], merges: Sequence[MergeData]) -> Iterator[Finding]:
    """Yield what the seam does to the raw merge, what healing does to the seam, and where in a text healing helps."""
    by_name = {probe.name: probe for probe in probes}
    raw, healed = by_name.get(FINAL), by_name.get("healed")
    if raw is None:
        return
    sharpest = _sharpest(raw, by_name, merges[-1])
    if sharpest is not None:
        yield _stream(sharpest)
        if healed is not None:
            yield _closer(sharpest, healed)
    if healed is not None:
        yield _by_position(raw, healed)


def _sharpest(raw: ProbeData, by_name: dict[str, ProbeData], merge: MergeData) -> _AtSeam | None:
    """Return the seam where the stream differs most from the one that the layer after it was trained on."""
    seams = [seam for seam in seams_of(merge) if seam.source in by_name]
    found = [_AtSeam(seam, len(seams), by_name[seam.source], raw) for seam in seams]
    return max(found, key=lambda each: abs(each.apart.value), default=None)


def _stream(found: _AtSeam) -> Finding:
    seam, source = found.seam, found.seam.source
    layer = f"{found.where} layer {seam.layer_of_source} of {source}"
    if detectable(found.apart):
        text = f"{layer} reads a residual stream {times(math.exp(found.apart.value))} as large as in {source}."
    else:
        text = f"{layer} reads a residual stream of a size that cannot be told from that in {source}."
    there, here = found.source.layers[seam.layer_of_source], found.raw.layers[seam.layer]
    numbers = (
        f"Norm {with_error(found.read)} against {with_error(found.known)}. "
        f"What the layer adds is {_share(here)} of the stream in {found.raw.title}, {_share(there)} in {source}."
    )
    return Finding(about="merge", tone="note", text=text, numbers=numbers)


def _closer(found: _AtSeam, healed: ProbeData) -> Finding:
    seam, source = found.seam, found.seam.source
    there = found.source.layers[seam.layer_of_source].cosine
    before, after = found.raw.layers[seam.layer].cosine, healed.layers[seam.layer].cosine
    if abs(after.value - before.value) < Z * math.hypot(after.error, before.error):
        verdict = f"Healing left layer {seam.layer}, the first after the seam, as it was, as far as can be told."
    elif abs(after.value - there.value) < abs(before.value - there.value):
        verdict = f"Healing brought layer {seam.layer}, the first after the seam, closer to what it does in {source}."
    else:
        verdict = f"Healing took layer {seam.layer}, the first after the seam, further from what it does in {source}."
    numbers = (
        f"Cosine of the residual stream before and after it: {with_error(before)} in {found.raw.title}, "
        f"{with_error(after)} in {healed.title}, {with_error(there)} in {source}; 1 would be no change."
    )
    return Finding(about="healing", tone="note", text=verdict, numbers=numbers)


def _by_position(raw: ProbeData, healed: ProbeData) -> Finding:
    """Compare what healing gained in the first half of each chunk with what it gained in the second."""
    halves = list(zip(stretches(raw.positions, 2), stretches(healed.positions, 2), strict=True))
    gains = [
        [after - before for before, after in zip(losses_of(one), losses_of(other), strict=True)]
        for one, other in halves
    ]
    early, late = (as_difference(mean(gain), len(gain)) for gain in gains)
    lean = as_difference(mean([b - a for a, b in zip(*gains, strict=True)]), raw.chunks)
    text = "Healing changed the perplexity alike at the beginning and at the end of a text, as far as can be told."
    if detectable(lean):
        text = f"Healing did more for the {'second' if lean.value < 0 else 'first'} half of a chunk of text."
    parts = (
        f"{with_error(perplexity_of(one))} to {with_error(perplexity_of(other))} ({change(gain)}) "
        f"in tokens {one[0].first} to {one[-1].last}"
        for (one, other), gain in zip(halves, (early, late), strict=True)
    )
    numbers = f"Perplexity from {', from '.join(parts)}; on {raw.text}, in 16 bits."
    return Finding(about="healing", tone="note", text=text, numbers=numbers)


def _norm_before(probe: ProbeData, layer: int) -> Estimate:
    return probe.layers[layer - 1].norm if layer else probe.start


def _share(layer: LayerData) -> str:
    return f"{100 * layer.added.value:.0f} %"
