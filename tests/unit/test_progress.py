from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from suture.progress import Lines, Pace, describe, human_bytes, human_seconds


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.00 kB"),
        (269_060_552, "269.06 MB"),
        (33_150_000_000, "33.15 GB"),
        (5.6e15, "5600.00 TB"),
    ],
)
def test_sizes(size: float, text: str) -> None:
    assert human_bytes(size) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0.0 s"),
        (9.94, "9.9 s"),
        (48.4, "48 s"),
        (200, "3 min 20 s"),
        (119.6, "2 min 00 s"),
        (50_520, "14 h 02 min"),
    ],
)
def test_durations(seconds: float, text: str) -> None:
    assert human_seconds(seconds) == text


@given(st.integers(0, 10**16))
def test_a_size_reads_back_within_its_rounding(size: int) -> None:
    number, unit = human_bytes(size).split()
    read = float(number) * {"B": 1, "kB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12}[unit]
    assert abs(read - size) <= max(0.01 * size, 0.5)


def test_a_line_of_progress() -> None:
    assert describe(30, 120, "steps", left=30) == " 25 %  30 / 120 steps  30 s left"
    assert describe(0, 120, "steps", left=None) == "  0 %  0 / 120 steps"
    assert describe(1_200_000_000, 3e9, "bytes", left=12) == " 40 %  1.20 GB / 3.00 GB  12 s left"


def test_an_unknown_total_shows_the_amount_alone() -> None:
    assert describe(5_000_000, 0, "bytes", left=None) == "5.00 MB"
    assert describe(7, 0, "files", left=None) == "7 files"


def test_the_time_left_counts_from_the_first_report(monkeypatch: pytest.MonkeyPatch) -> None:
    now = iter([500.0, 520.0])  # what came before second 500 was no work
    monkeypatch.setattr("time.monotonic", lambda: next(now))
    pace = Pace()
    assert pace.describe(40, 100, "steps") == " 40 %  40 / 100 steps"  # 40 of an earlier attempt
    assert pace.describe(50, 100, "steps") == " 50 %  50 / 100 steps  1 min 40 s left"


def test_the_time_left_counts_from_the_end_of_a_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    now = iter([0.0, 500.0, 520.0])
    monkeypatch.setattr("time.monotonic", lambda: next(now))
    pace = Pace()
    pace.describe(5, 0, "s", "waiting for the machine")
    assert pace.describe(6, 10, "tests") == " 60 %  6 / 10 tests"
    assert pace.describe(8, 10, "tests") == " 80 %  8 / 10 tests  20 s left"


def test_a_wait_is_told_ever_more_rarely(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    now = 1000
    monkeypatch.setattr("time.monotonic", lambda: now)
    lines = Lines("benchmark", interval=5)
    for now in range(1000, 1300):
        lines.update(now - 1000, 0, "s", "waiting")
    for now in range(1300, 1310):
        lines.update(now - 1300, 10, "tests")
    told = [line.partition(":")[2].split()[0] for line in capsys.readouterr().err.splitlines()]
    assert told == ["0", "10", "30", "70", "130", "190", "250", "0", "50"]


def test_lines_are_spaced(capsys: pytest.CaptureFixture[str]) -> None:
    rare = Lines("merge", interval=3600)
    rare.update(1, 2, "tensors")
    rare.update(2, 2, "tensors")
    rare.say("done")
    eager = Lines("merge", interval=0)
    eager.update(1, 2, "tensors", "loss 2.5")
    lines = capsys.readouterr().err.splitlines()
    assert [line.partition(":")[0] for line in lines] == ["merge"] * len(lines)
    assert lines[-2] == "merge: done"
    assert lines[-1] == "merge:  50 %  1 / 2 tensors  loss 2.5"
    assert len(lines) <= 3
