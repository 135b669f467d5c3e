from __future__ import annotations

import re

import pytest

from suture import errors
from suture.errors import InputError, ProcessError, RecipeError, SutureError


def all_below(base: type[SutureError]) -> dict[str, str]:
    """Name of each error below `base` -> name of its parent."""
    children = {child.__name__: base.__name__ for child in base.__subclasses__()}
    for child in base.__subclasses__():
        children |= all_below(child)
    return children


def test_the_tree_in_the_docstring_is_the_tree() -> None:
    parents: dict[str, str] = {}
    last_at_depth: dict[int, str] = {}
    for line in (errors.__doc__ or "").splitlines():
        name = re.search(r"\b[A-Z][A-Za-z]+Error\b", line)
        if name is None:
            continue
        depth = name.start() // 4
        last_at_depth[depth] = name[0]
        if depth:
            parents[name[0]] = last_at_depth[depth - 1]
    assert parents == {name: parent for name, parent in all_below(SutureError).items() if "." not in name}


def test_details_that_are_missing_are_left_out() -> None:
    assert str(SutureError("The disk is full.")) == "The disk is full."
    error = SutureError("No such layer.", where="merge.slices.1", expected="0 to 29", found=0, way_out="Count again.")
    assert str(error) == (
        "No such layer.\n  where:    merge.slices.1\n  expected: 0 to 29\n  found:    0\n  way out:  Count again."
    )


def test_nothing_in_an_error_commands_a_terminal() -> None:
    """Strangers choose the names of files and tensors; surrogates are how Python has bytes that are no UTF-8."""
    error = SutureError("A\x1b[2J", where="\r\x07", found="\udcff\u202e", way_out="Leave\tit\nbe: é 😀.")
    assert str(error) == (
        "A\\x1b[2J\n  where:    \\r\\x07\n  found:    \\udcff\\u202e\n  way out:  Leave\tit\nbe: é 😀."
    )


def test_endless_lines_are_cut() -> None:
    lines = str(SutureError("x" * 5000, found="y\n" + "z" * 5000)).split("\n")
    assert [len(line) for line in lines] == [1004, 13, 1004]
    assert lines[-1].endswith("z ...")


@pytest.mark.parametrize(("kind", "code"), [(SutureError, 1), (InputError, 2), (RecipeError, 2), (ProcessError, 1)])
def test_exit_codes(kind: type[SutureError], code: int) -> None:
    assert kind.exit_code == code


@pytest.mark.parametrize(
    ("status", "words"), [(3, "exit status 3"), (-9, "exit status -9"), (None, "no end within the time limit")]
)
def test_process_error_carries_status_and_tail(status: int | None, words: str) -> None:
    error = ProcessError("Failed while converting.", status=status, tail="line 1\nline 2", where="a.log")
    assert error.status == status
    assert error.tail == "line 1\nline 2"
    assert f"{words}; its last lines:\nline 1\nline 2" in str(error)
