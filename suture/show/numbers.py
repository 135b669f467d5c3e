"""How numbers are written: counts, shares, distances, cosines, each with the digits that matter."""

from __future__ import annotations

import math


def human_count(number: float) -> str:
    """Return how many numbers there are as models are called: `135 M`, `9.65 B`."""
    for limit, unit in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k")):
        if number >= limit:
            return f"{number / limit:.3g} {unit}"
    return f"{number:.0f}"


def percent(distance: float) -> str:
    """Return a relative distance with three digits that count: `3.12 %`; `0` only where nothing differs."""
    if distance == 0 or math.isinf(distance):
        return "0" if distance == 0 else "inf"
    digits = 2 - math.floor(math.log10(100 * distance))
    return f"{100 * distance:.{max(0, min(digits, 6))}f} %"


def share_text(share: float) -> str:
    """Return a share of numbers; 0 and 100 only where it is exact."""
    if share in (0, 1):
        return f"{100 * share:.0f} %"
    return "< 0.1 %" if share < 0.001 else "> 99.9 %" if share > 0.999 else f"{100 * share:.1f} %"


def cosine_text(cosine: float) -> str:
    """Return a cosine with as many nines as it needs to be told from 1; `-` where there is none."""
    if math.isnan(cosine) or cosine == 1:
        return "-" if math.isnan(cosine) else "1"
    nines = -math.log10(1 - cosine) if 0 < cosine < 1 else 0
    return f"{cosine:.{4 + min(8, int(nines))}f}"
