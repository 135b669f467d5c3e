"""What two compared checkpoints look like in a terminal, and as data: layers, the rest, the largest differences."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Literal

from pydantic import JsonValue
from rich.markup import escape
from rich.table import Table

from suture.checkpoint.inspection.compare import Comparison, Difference, Sums, add_up, rank
from suture.checkpoint.inspection.groups import GROUPS, Group, Part, part_of
from suture.show.numbers import cosine_text, percent, share_text

Order = Literal["layer", "distance"]
"""How the table of layers is sorted."""

_BAR = 16
"""Characters of the longest bar."""
_EIGHTHS = " ▏▎▍▌▋▊▉█"
_SHADES = ("grey50", "default", "yellow", "dark_orange", "bold red")
"""From no difference to the largest one of a table."""
_SHOWN = 12
"""How many reasons or config fields are shown."""
_SHOWN_CHARACTERS = 40


def difference_tables(comparison: Comparison, *, sort: Order, top: int) -> list[Table]:
    """Return two checkpoints' differences.

    Args:
        comparison: What was found.
        sort: Order of the layers.
        top: How many of the tensors that are farthest apart to name.
    """
    farthest = [_row(each) for each in rank(comparison.differences, top) if each.sums.difference]
    tables = [
        _layers_table(comparison, sort),
        _tensors_table("Outside of the layers", _outside_rows(comparison), comparison),
        _tensors_table("Farthest apart", farthest, comparison),
        _beside_table(comparison),
        _unpaired_table(comparison),
        _short_table(comparison),
    ]
    return [table for table in tables if table.row_count]


def headline(comparison: Comparison) -> str:
    """Return what to take away first from a comparison, in one line."""
    total = comparison.total
    if total.difference == 0 and not total.nonfinite:
        return f"All {len(comparison.differences):,} tensors compared are identical."
    if comparison.has_base:
        return (
            f"A is {percent(total.first_length)} away from the base, B {percent(total.second_length)}; "
            f"cosine of the changes {cosine_text(total.cosine)}, signs opposed in {share_text(total.opposed_share)}"
        )
    return (
        f"relative distance {percent(total.distance)}, cosine {cosine_text(total.cosine)}; "
        f"{share_text(total.changed_share)} of {total.count:,} numbers differ"
    )


def takeaways(comparison: Comparison) -> list[str]:
    """Return the headline and what else stands out, a line each."""
    total = comparison.total
    lines = [headline(comparison)]
    layers = {layer: add_up(tensors).distance for layer, tensors in comparison.by_layer.items()}
    if total.difference and layers:
        far, near = max(layers, key=layers.__getitem__), min(layers, key=layers.__getitem__)
        lines.append(
            f"layers: {near} ({percent(layers[near])}) is closest, {far} ({percent(layers[far])}) farthest apart"
        )
        same = sum(each.sums.difference == 0 for each in comparison.differences)
        lines.append(f"tensors: {same:,} of {len(comparison.differences):,} are identical")
    if total.nonfinite:
        lines.append(f"left out: {total.nonfinite:,} numbers that are NaN or infinite in one of them")
    return lines


def difference_data(comparison: Comparison) -> dict[str, JsonValue]:
    """Return the same as data, with every tensor."""
    with_base = comparison.has_base
    return {
        "folders": [str(folder) for folder in comparison.folders],
        "total": _sums_data(comparison.total, with_base=with_base),
        "layers": [
            {
                "layer": layer,
                **_sums_data(add_up(tensors), with_base=with_base),
                "groups": {group: _sums_data(sums, with_base=with_base) for group, sums in _groups(tensors).items()},
            }
            for layer, tensors in comparison.by_layer.items()
        ],
        "tensors": [
            {
                "name": each.tensor.name,
                "layer": each.tensor.layer,
                "group": each.tensor.group,
                **_sums_data(each.sums, with_base=with_base),
            }
            for each in comparison.differences
        ],
        "not_compared": [{"name": each.name, "reason": each.reason} for each in comparison.unpaired],
        "config": [{"field": each.field, "first": each.first, "second": each.second} for each in comparison.fields],
        "files": {each.file: each.state for each in comparison.files},
    }


def _sums_data(sums: Sums, *, with_base: bool) -> dict[str, JsonValue]:
    """Return what follows from some sums; null where it is not a number."""
    data: dict[str, JsonValue] = {
        "distance": _finite(sums.distance),
        "cosine": _finite(sums.cosine),
        "numbers": sums.count,
        "changed": sums.changed,
        "opposed_signs": sums.opposed,
        "nonfinite": sums.nonfinite,
        "norm_difference": math.sqrt(sums.difference),
        "norm_reference": math.sqrt(sums.reference),
    }
    lengths: dict[str, JsonValue] = {
        "first_from_base": _finite(sums.first_length),
        "second_from_base": _finite(sums.second_length),
    }
    return data | lengths if with_base else data


def _finite(number: float) -> float | None:
    return number if math.isfinite(number) else None


def _groups(tensors: Sequence[Difference]) -> dict[Group, Sums]:
    """Return the sums of each group of tensors that is there."""
    members: dict[Group, list[Difference]] = {
        group: [each for each in tensors if each.tensor.group == group] for group in GROUPS
    }
    return {group: add_up(found) for group, found in members.items() if found}


def _layers_table(comparison: Comparison, sort: Order) -> Table:
    rows = [(layer, add_up(tensors), _groups(tensors)) for layer, tensors in comparison.by_layer.items()]
    if sort == "distance":
        rows.sort(key=lambda row: -row[1].distance)
    groups = [group for group in GROUPS if any(group in held for _, _, held in rows)]
    largest = _largest(sums.distance for _, sums, _ in rows)
    shade = _shader(sums.distance for _, _, held in rows for sums in held.values())
    relative_to = "base" if comparison.has_base else "B"
    table = Table(title=f"Layers: distance of A and B, relative to the length of {relative_to}", title_justify="left")
    table.add_column("layer", justify="right", no_wrap=True)
    table.add_column("", width=_BAR, no_wrap=True)
    for column in ("whole layer", *groups, *_measures(comparison)):
        table.add_column(column, justify="right", no_wrap=True)
    for layer, sums, held in rows:
        table.add_row(
            str(layer),
            _bar(sums.distance, largest),
            percent(sums.distance),
            *(shade(held[group].distance) if group in held else "" for group in groups),
            *_measured(sums, comparison),
        )
    return table


def _short_table(comparison: Comparison) -> Table:
    """Return what to take away, last: where the eye is when a command has ended."""
    table = Table(title="In short", title_justify="left", show_header=False)
    table.add_column("", overflow="fold")
    for line in takeaways(comparison):
        table.add_row(escape(line))
    return table


def _measures(comparison: Comparison) -> tuple[str, ...]:
    """Return the headings of what is told of every row beside its distance."""
    return ("A - base", "B - base", "cosine", "opposed") if comparison.has_base else ("cosine", "differ")


def _measured(sums: Sums, comparison: Comparison) -> tuple[str, ...]:
    """Return a row's cells under these headings."""
    if comparison.has_base:
        lengths = percent(sums.first_length), percent(sums.second_length)
        return *lengths, cosine_text(sums.cosine), share_text(sums.opposed_share)
    return cosine_text(sums.cosine), share_text(sums.changed_share)


def _tensors_table(title: str, rows: Sequence[tuple[str, str, Sums]], comparison: Comparison) -> Table:
    """Return a table of tensors: name, shape, sums of each."""
    shade = _shader(sums.distance for _, _, sums in rows)
    table = Table(title=title, title_justify="left")
    table.add_column("tensor", overflow="fold")
    table.add_column("shape", overflow="fold")
    for column in ("distance", *_measures(comparison)):
        table.add_column(column, justify="right", no_wrap=True)
    for name, shape, sums in rows:
        table.add_row(escape(name), shape, shade(sums.distance), *_measured(sums, comparison))
    return table


def _outside_rows(comparison: Comparison) -> list[tuple[str, str, Sums]]:
    """Return a row for each tensor of the language model outside of its layers, and one for each other part."""
    members: dict[Part, list[Difference]] = {}
    for each in comparison.outside:
        members.setdefault(part_of(each.tensor.name), []).append(each)
    rows = [_row(each) for each in members.pop("text", [])]
    return rows + [(f"all of {part}", f"{len(held):,} tensors", add_up(held)) for part, held in members.items()]


def _row(each: Difference) -> tuple[str, str, Sums]:
    shapes = dict.fromkeys(" x ".join(map(str, info.shape)) for info in each.tensor.infos)
    return each.tensor.name, " / ".join(shapes), each.sums


def _beside_table(comparison: Comparison) -> Table:
    """Return what differs beside the weights."""
    table = Table(title="Config and files", title_justify="left")
    for column in ("", "A", "B"):
        table.add_column(column, overflow="fold")
    for each in comparison.fields[:_SHOWN]:
        table.add_row(escape(each.field), _shown(each.first), _shown(each.second))
    if len(comparison.fields) > _SHOWN:
        table.add_row(f"... {len(comparison.fields) - _SHOWN} more fields", "", "")
    table.add_section()
    states = {
        "differs": ("[yellow]differs[/yellow]", "[yellow]differs[/yellow]"),
        "only in the first": ("there", "[yellow]missing[/yellow]"),
        "only in the second": ("[yellow]missing[/yellow]", "there"),
    }
    for file in comparison.files:
        table.add_row(escape(file.file), *states[file.state])
    return table


def _shown(value: JsonValue) -> str:
    text = "-" if value is None else str(value)
    if isinstance(value, list) and len(text) > _SHOWN_CHARACTERS:
        return f"{len(value)} entries"
    return escape(text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]} ...")


def _unpaired_table(comparison: Comparison) -> Table:
    """Return what was not compared; a reason that many tensors share is given once."""
    reasons: dict[str, list[str]] = {}
    for each in comparison.unpaired:
        reasons.setdefault(each.reason, []).append(each.name)
    table = Table(title=f"Not compared: {len(comparison.unpaired):,} tensors", title_justify="left")
    for column in ("reason", "tensors"):
        table.add_column(column, overflow="fold")
    for reason, names in list(reasons.items())[:_SHOWN]:
        more = f" ... {len(names) - 3:,} more" if len(names) > 3 else ""
        table.add_row(escape(reason), escape(", ".join(names[:3])) + more)
    return table


def _largest(distances: Iterable[float]) -> float:
    """Return the largest finite distance."""
    return max(filter(math.isfinite, distances), default=0.0)


def _bar(distance: float, largest: float) -> str:
    """Return a bar as long as a distance, to an eighth of a character."""
    eighths = 8 * _BAR if math.isinf(distance) else round(8 * _BAR * distance / largest) if largest else 0
    full, rest = divmod(eighths, 8)
    return f"[cyan]{'█' * full}{_EIGHTHS[rest].strip()}[/cyan]"


def _shader(distances: Iterable[float]) -> Callable[[float], str]:
    """Return what writes a distance in a colour, from the smallest to the largest of a table."""
    largest = _largest(distances)

    def shade(distance: float) -> str:
        place = len(_SHADES) - 1 if math.isinf(distance) else int((len(_SHADES) - 1) * distance / (largest or 1))
        return f"[{_SHADES[place]}]{percent(distance)}[/]"

    return shade
