from __future__ import annotations

import json

import pytest

from suture.bench.suite import Answer
from tests.unit.bench.answers.long_output import ADVERSARY, PERFECT, array, records, rows, table
from tests.unit.bench.transcripts import found, score, score_answers


def test_perfect_answers_pass_and_those_that_only_look_right_do_not() -> None:
    assert all(score_answers(found(test), answers).passed for test, answers in PERFECT.items())
    for test, answers in ADVERSARY.items():
        assert score_answers(found(test), answers).error_class == "wrong_answer"


@pytest.mark.parametrize("test", PERFECT)
def test_the_request_asks_for_more_than_a_run_allows_and_leaves_room_for_the_question(test: str) -> None:
    (request,) = found(test).talk()
    assert request.max_tokens is not None
    assert request.max_tokens > 4096
    assert request.max_tokens + len(request.messages[0].content) / 3 < found(test).context


# -- records --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "error_class", "why"),
    [
        (f"```json\n{array(records())}\n```", "", "all 144 records are right"),
        (json.dumps(records(), indent=2), "", "all 144 records are right"),
        (f"Here they are:\n{array(records())}\nAll 144 seats.", "", "all 144 records are right"),
        (array(records()[:-1]), "wrong_answer", "the first 143 of 144 records are right, 143 are there"),
        (array([*records(), records()[-1]]), "wrong_answer", "the first 144 of 144 records are right, 145 are there"),
        (array(records()[:40])[:-1] + ",\n...\n]", "invalid_json", "the first 40 of 144 records are right, 40"),
        ("\n".join(map(json.dumps, records())), "invalid_json", "not a JSON array; the first 144 of 144"),
        (array([*records()[:9], *records()[10:]]), "wrong_answer", "the first 9 of 144 records are right, 143"),
        (array([each | {"aisle": int(bool(each["aisle"]))} for each in records()]), "wrong_answer", "the first 0 of"),
        (array([each | {"note": ""} for each in records()]), "wrong_answer", "the first 0 of 144"),
        (json.dumps({"seats": records()}), "invalid_json", "not a JSON array"),
        ("[{'id': i} for i in range(144)]", "invalid_json", "0 are there"),
        ("[]", "invalid_json", "0 are there"),
    ],
)
def test_records(text: str, error_class: str, why: str) -> None:
    found_score = score("long-records", text)
    assert found_score.error_class == error_class
    assert why in found_score.why


def test_records_that_are_cut_off_say_how_far_they_came() -> None:
    text = array(records())[:3000]
    cut = score_answers(found("long-records"), [Answer(text, finish="length")])
    assert cut.error_class == "length"
    assert f"the first {text.count('}')} of 144 records are right" in cut.why


# -- table ----------------------------------------------------------------------------------------------------


def test_the_totals_are_the_sums_of_the_deposits() -> None:
    body = rows()
    assert [row[4] for row in body] == [sum(int(str(row[3])) for row in body[: n + 1]) for n in range(156)]
    assert body[-1] == [156, "2043-12", "Q4", 100, 7020]


@pytest.mark.parametrize(
    ("text", "error_class", "why"),
    [
        (f"The plan:\n\n{table(rows())}\n\nIn the end there are 7020.", "", "all 156 rows are right"),
        (f"```markdown\n{table(rows())}\n```", "", "all 156 rows are right"),
        (table([[*row[:4], f"{row[4]:,}"] for row in rows()]), "", "all 156 rows are right"),
        (table([[f"{row[0]}.", *row[1:]] for row in rows()]), "", "all 156 rows are right"),
        (table(rows()[:100]), "wrong_answer", "the first 100 of 156 rows are right, 100 are there"),
        (table([*rows()[:50], ["...", "", "", "", ""], *rows()[-2:]]), "wrong_answer", "the first 50 of 156"),
        (table([*rows(), [157, "2044-01", "Q1", 40, 7060]]), "wrong_answer", "the first 156 of 156"),
        (table([[*row[:2], *row[3:]] for row in rows()]), "wrong_answer", "the first 0 of 156"),
        (table([[*row[:2], "Q1", *row[3:]] for row in rows()]), "wrong_answer", "the first 3 of 156"),
        ("\n".join(table(rows()).splitlines()[2:]), "no_table", "no Markdown table"),
        ("\n".join(",".join(map(str, row)) for row in rows()), "no_table", "no Markdown table"),
        ("I can't write such a long table.", "no_table", "no Markdown table"),
    ],
)
def test_table(text: str, error_class: str, why: str) -> None:
    found_score = score("long-table", text)
    assert found_score.error_class == error_class
    assert why in found_score.why


def test_a_table_that_is_cut_off_says_how_far_it_came() -> None:
    text = table(rows()[:60])
    cut = score_answers(found("long-table"), [Answer(text[:-9], finish="length")])
    assert (cut.error_class, cut.why[:27]) == ("length", "the first 59 of 156 rows ar")
