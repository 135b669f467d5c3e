"""Rows kept out of a training, and rows put together by length: nothing is lost, nothing is in both."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from suture.heal.data.arrangement import grouped, hold_out, padding
from suture.heal.data.chat import Sample


def samples(lengths: list[int]) -> list[Sample]:
    return [Sample(ids := (number, *[0] * (length - 1)), ids) for number, length in enumerate(lengths)]


ROWS = st.lists(st.integers(1, 9), min_size=1, max_size=400).map(samples)


@given(ROWS, st.integers(1, 8))
def test_grouping_moves_rows_and_no_more(rows: list[Sample], batch: int) -> None:
    together = grouped(rows, batch, "salt")
    assert Counter(together) == Counter(rows)
    assert together == grouped(rows, batch, "salt")
    if len(rows) % batch == 0 and len(rows) <= 50 * batch:  # then the longest of the batches add up to the least
        assert padding(together, batch) <= padding(rows, batch) + 1e-9


@given(ROWS, st.integers(1, 8))
def test_where_nothing_is_padded_rows_stay_as_they_are(rows: list[Sample], batch: int) -> None:
    assert grouped(rows, 1, "salt") == rows
    alike = samples([5] * len(rows))
    assert grouped(alike, batch, "salt") == alike


@given(st.lists(st.sampled_from(samples([3] * 20)), max_size=60), st.integers(0, 25))
def test_what_is_held_out_is_nowhere_else(rows: list[Sample], count: int) -> None:
    left, held = hold_out(rows, count, "salt")
    assert not set(left) & set(held)
    assert len(held) == len(set(held)) == min(count, len(set(rows)))
    assert left == [row for row in rows if row not in held]


def test_padding_is_what_is_read_in_vain() -> None:
    assert padding(samples([4, 2, 3]), 2) == 1 - 9 / (4 + 4 + 3)
    assert padding(samples([4, 2, 3]), 1) == 0
