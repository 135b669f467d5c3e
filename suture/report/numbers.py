"""Numbers as a reader wants them: no more digits than the error allows, and a dash for what was not measured."""

from __future__ import annotations

import math

from pydantic import JsonValue

from suture.progress import human_bytes, human_seconds
from suture.report.data import ArmData, Difference, Estimate, Interval

MISSING = "\N{EN DASH}"


def with_error(estimate: Estimate | None, digits: int = 2, most: int = 4) -> str:
    """Return `22.41 ± 0.53`: as many decimals as show so many digits of the error, and at most `most`."""
    if estimate is None:
        return MISSING
    decimals = _decimals(estimate.error, digits, most)
    return f"{estimate.value:,.{decimals}f} ± {estimate.error:,.{decimals}f}"


def percent(share: Estimate) -> str:
    """Return a share such as 0.84 as `84 ± 4 %`."""
    decimals = _decimals(100 * share.error, digits=1)
    return f"{100 * share.value:,.{decimals}f} ± {100 * share.error:,.{decimals}f} %"


def apart(difference: Difference, than: str = "") -> str:
    """Return how far two perplexities are apart as `1.2 ± 0.3 % lower than b on the same 32 chunks`."""
    ratio = math.exp(difference.value)
    much = percent(Estimate(value=abs(ratio - 1), error=ratio * difference.error))
    chunks = f" on the same {difference.chunks} chunks" if difference.chunks else ""
    other = f" than {than}" if than else ""
    return f"{much} {'higher' if ratio >= 1 else 'lower'}{other}{chunks}"


def change(difference: Difference) -> str:
    """Return a difference of log-perplexities as the change of the perplexity: `-1.2 %`."""
    return f"{_signed(difference.value, _figures(difference))} %"


def change_interval(difference: Difference) -> str:
    """Return a difference's interval as `-1.8 to -0.6 %`."""
    decimals = _figures(difference)
    return f"{_signed(difference.interval.low, decimals)} to {_signed(difference.interval.high, decimals)} %"


def _signed(log_ratio: float, decimals: int) -> str:
    """Return exp(log_ratio) - 1 in percent, with a true minus sign."""
    return f"{100 * math.expm1(log_ratio):+,.{decimals}f}".replace("-", "\N{MINUS SIGN}")


def _figures(difference: Difference) -> int:
    return _decimals(100 * difference.error, digits=2)


def setting(value: JsonValue) -> str:
    """Return a setting of a recipe: `0.5`, `yes`, a gradient as `0 0.5 1`, filters as `self_attn 0.5, * 1`."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        return f"{value['filter']} {setting(value['value'])}"
    if isinstance(value, list):
        return (", " if any(isinstance(part, dict) for part in value) else " ").join(map(setting, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def capital(text: str) -> str:
    """Return a sentence's beginning with a capital letter."""
    return text[0].upper() + text[1:]


def times(ratio: float) -> str:
    """Return a ratio as `1.55 times`."""
    return f"{ratio:.2f} times"


def interval(bounds: Interval | None) -> str:
    """Return a rate's interval as `40 to 89 %`."""
    return MISSING if bounds is None else f"{100 * bounds.low:.0f} to {100 * bounds.high:.0f} %"


def probability(p: float) -> str:
    """Return a p-value as `0.034`."""
    return f"{p:.2g}"


def passed(arm: ArmData) -> str:
    """Return `7 of 10`."""
    return MISSING if arm.passed is None else f"{arm.passed} of {arm.total}"


def speed(arm: ArmData) -> str:
    """Return tokens per second with their error."""
    if arm.tokens_per_second is None or arm.tokens_per_second_error is None:
        return MISSING
    return with_error(Estimate(value=arm.tokens_per_second, error=arm.tokens_per_second_error), digits=1)


def milliseconds(seconds: Estimate | None) -> str:
    """Return a short time as `152 ± 11 ms`."""
    if seconds is None:
        return MISSING
    return f"{1000 * seconds.value:,.0f} ± {1000 * seconds.error:,.0f} ms"


def size(count: float | None) -> str:
    """Return bytes as `98.36 MB`."""
    return MISSING if count is None else human_bytes(count)


def quant(arm: ArmData) -> str:
    """Return what a model's weights are stored in as `Q4_K_M`, or `Q4_K_M + LoRA` with an adapter beside them."""
    return f"{arm.quant or MISSING}{' + LoRA' if arm.adapter else ''}"


def files(arm: ArmData) -> str:
    """Return the size of what a model is served from as `9.20 GB`, or `9.20 GB + 692.00 MB` with an adapter."""
    return f"{size(arm.size_bytes)}{f' + {size(arm.adapter_bytes)}' if arm.adapter else ''}"


def duration(seconds: float | None) -> str:
    """Return seconds as `3 min 20 s`."""
    return MISSING if seconds is None else human_seconds(seconds)


def count(number: int | None) -> str:
    """Return a whole number with thousands apart, or in millions and billions where it is large."""
    if number is None:
        return MISSING
    for unit, factor in (("B", 10**9), ("M", 10**6)):
        if number >= factor:
            return f"{number / factor:,.1f} {unit}"
    return f"{number:,}"


def plain(number: float | None) -> str:
    """Return a number without an error, with one decimal."""
    return MISSING if number is None else f"{number:,.1f}"


def significant(number: float) -> str:
    """Return a number with three digits that count: `0.0296`."""
    return f"{number:.3g}"


def small_share(share: float | None) -> str:
    """Return a share as `0.12 %`."""
    return MISSING if share is None else f"{100 * share:.3g} %"


def _decimals(error: float, digits: int, most: int = 4) -> int:
    """Return how many decimals show this many digits of an error."""
    if error <= 0 or not math.isfinite(error):
        return 2
    return min(most, max(0, digits - 1 - math.floor(math.log10(error))))
