"""What a setting is for one tensor: a number, a gradient over the depth, or values by name."""

from __future__ import annotations

from collections.abc import Sequence

from suture.recipe import Filtered, Setting


def value_at(setting: Setting, *, name: str, depth: float, default: float) -> float:
    """Return a setting's number for one tensor.

    Args:
        setting: As the recipe has it.
        name: The tensor's name, for filters.
        depth: Where it lies: 0 for the embedding and the first layer, 1 for the last layer and the head.
        default: What tensors get that no filter fits.
    """
    if isinstance(setting, int | float):
        return setting
    filtered = [entry for entry in setting if isinstance(entry, Filtered)]
    if not filtered:
        return _interpolate([entry for entry in setting if not isinstance(entry, Filtered)], depth)
    fitting = next((entry.value for entry in filtered if entry.filter == "*" or entry.filter in name), default)
    return fitting if isinstance(fitting, int | float) else _interpolate(fitting, depth)


def _interpolate(values: Sequence[float], depth: float) -> float:
    """Return a gradient's value: evenly spread values with straight lines between them."""
    place = depth * (len(values) - 1)
    before = min(int(place), len(values) - 1)
    after = min(before + 1, len(values) - 1)
    share = place - before
    return (1 - share) * values[before] + share * values[after]
