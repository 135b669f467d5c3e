from __future__ import annotations

import re
import time

import pytest

from suture.bench.suite import SUITE
from suture.bench.suite.structured import _ORDER, _ORDER_QUESTION, _TABLE_QUESTION
from tests.unit.bench.answers import structured
from tests.unit.bench.answers.structured import ORDER, TABLE
from tests.unit.bench.transcripts import found, score, score_answers

IDS = [test.id for test in SUITE if test.category == "structured"]


@pytest.mark.parametrize("test", IDS)
def test_a_right_answer_passes_and_one_that_only_looks_right_does_not(test: str) -> None:
    assert score_answers(found(test), structured.PERFECT[test]).passed
    assert not score_answers(found(test), structured.ADVERSARY[test]).passed


# -- JSON -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "error_class"),
    [
        (ORDER, ""),
        (re.sub(r"\s+", " ", ORDER), ""),  # in one line
        (f"```json\n{ORDER}\n```", ""),  # the question does not forbid a fence
        (f"```\n{ORDER}\n```\n", ""),
        (f"<think>A dozen is 12.</think>{ORDER}", ""),
        (ORDER.replace("80", "80.0"), ""),
        (ORDER.replace("desk lamp", "Desk lamp"), ""),
        (f"Here is the order:\n{ORDER}", "extra_text"),
        (f"```json\n{ORDER}\n```\nThe dozen is 12.", "extra_text"),
        (f"Sure!\n```json\n{ORDER}\n```", "extra_text"),
        (f"{ORDER}\n{ORDER}", "invalid_json"),
        (ORDER.replace('"note": null', '"note": None'), "invalid_json"),
        (ORDER.replace('"note": null', '"note": NaN'), "invalid_json"),
        (ORDER.replace("null\n", "null,\n"), "invalid_json"),
        (ORDER.replace('"', "'"), "invalid_json"),
        (ORDER.replace("19.5", "19.5 // each"), "invalid_json"),
        ("[" * 5000, "invalid_json"),
        ("The order is for Ines Moreau.", "invalid_json"),
        (f"[{ORDER}]", "schema"),
        (ORDER.replace("false", '"no"'), "schema"),
        (ORDER.replace("3,", '"3",'), "schema"),
        (ORDER.replace('"invoice"', '"Invoice"'), "schema"),
        (ORDER.replace('"note": null', '"note": null, "total": 1018.5'), "schema"),
        (re.sub(r',\s*"note": null', "", ORDER), "schema"),
        (ORDER.replace("12", "0"), "schema"),
        (ORDER.replace("12", "10"), "wrong_answer"),
        (ORDER.replace("null", '"none"'), "wrong_answer"),
        (ORDER.replace("false", "true"), "wrong_answer"),
        (ORDER.replace("chair", "desk lamp"), "wrong_answer"),
    ],
)
def test_json(text: str, error_class: str) -> None:
    assert score("json-schema", text).error_class == error_class


def test_json_that_is_cut_off() -> None:
    assert score("json-schema", ORDER[:80], finish="length").error_class == "length"
    assert score("json-schema", f"```json\n{ORDER[:80]}", finish="length").error_class == "length"


def test_the_question_has_the_facts_and_is_no_answer() -> None:
    assert all(
        str(word) in _ORDER_QUESTION for word in (_ORDER["customer"], "3 desk lamps", "19.50", "80", "invoice")
    )
    assert not score("json-schema", _ORDER_QUESTION).passed


# -- table ----------------------------------------------------------------------------------------------------

ROWS = TABLE.splitlines()
REVERSED = "\n".join([*ROWS[:2], *ROWS[:1:-1]])


@pytest.mark.parametrize(
    ("text", "error_class"),
    [
        (TABLE, ""),
        (f"Here is the table:\n\n{TABLE}\n\nPorto had the most.", ""),
        (f"```markdown\n{TABLE}\n```", ""),
        ("\n".join(line.strip("| ") for line in ROWS), ""),  # without the outer pipes
        (re.sub(r" *\| *", "|", TABLE), ""),
        (TABLE.replace("1500", "1,500").replace("Porto", "**Porto**"), ""),
        (TABLE.replace("rain", "Rain").replace("City", "city"), ""),
        (TABLE.replace("640     ", "640 visitors"), ""),
        (TABLE.replace(ROWS[1], "|:-:|:-|-:|"), ""),
        (f"{REVERSED}\nSorted:\n{TABLE}", ""),  # the last one counts
        (REVERSED, "wrong_answer"),
        ("\n".join(ROWS[:-1]), "wrong_answer"),
        ("\n".join([*ROWS, "| Rome | 1 | sun |"]), "wrong_answer"),
        (TABLE.replace("1500", "1501"), "wrong_answer"),
        (TABLE.replace("snow", "rain"), "wrong_answer"),
        (TABLE.replace("Visitors", "Guests"), "wrong_answer"),
        ("\n".join(f"| {number} {line}" for number, line in enumerate(ROWS)), "no_table"),
        ("\n".join(ROWS[:1] + ROWS[2:]), "no_table"),  # without the line below the head
        (TABLE.replace("|", ","), "no_table"),
        ("Porto 1500 rain, Oslo 640 snow, Cairo 320 sun, Quito 85 fog", "no_table"),
        ("<table><tr><td>Porto</td><td>1500</td></tr></table>", "no_table"),
        (_TABLE_QUESTION, "no_table"),
        (f"{TABLE}\n\n| not | a | row |", ""),
        ("| a | b |\n" * 5000, "no_table"),
        ("|---|---|---|\n" * 5000, "wrong_answer"),
    ],
)
def test_table(text: str, error_class: str) -> None:
    assert score("markdown-table", text).error_class == error_class


@pytest.mark.parametrize(
    ("text", "error_class"),
    [
        ("\n".join(ROWS[:4]), "length"),
        ("Let me see", "length"),
        ("\n".join(ROWS[:4]).replace("1500", "15"), "wrong_answer"),
    ],
)
def test_a_table_that_is_cut_off(text: str, error_class: str) -> None:
    assert score("markdown-table", text, finish="length").error_class == error_class


@pytest.mark.parametrize("test", IDS)
def test_endless_output_is_read_in_little_time(test: str) -> None:
    for endless in ("{" * 50_000, "|---|---|\n" * 5_000, "```\n" * 10_000, "| " * 25_000):
        start = time.monotonic()
        assert not score(test, endless, finish="length").passed
        assert time.monotonic() - start < 2
