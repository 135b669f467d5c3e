"""Which licences go together, and what they ask for."""

from __future__ import annotations

import pytest

from suture.licences import LICENCES, Licensed, judge, known, of_builtin_text
from suture.licences.table import DUTIES


def parts(*licences: str) -> list[Licensed]:
    return [Licensed(name=f"part {number}", kind="model", licence=each) for number, each in enumerate(licences)]


@pytest.mark.parametrize(
    ("licences", "verdict", "whole"),
    [
        (["cc0-1.0"], "ok", "cc0-1.0"),
        (["mit", "apache-2.0"], "obligations", "apache-2.0"),
        (["Apache-2.0"], "obligations", "apache-2.0"),
        (["apache-2.0", "cc-by-nc-4.0"], "obligations", "cc-by-nc-4.0"),
        (["llama3.1", "llama3.2"], "obligations", "other"),
        (["llama3.1", "apache-2.0"], "obligations", "llama3.1"),
        (["gemma", "llama3.1"], "obligations", "other"),
        (["mit, apache-2.0"], "obligations", "apache-2.0"),
        (["cc-by-sa-4.0", "mit"], "obligations", "cc-by-sa-4.0"),
        (["gpl-3.0", "agpl-3.0"], "obligations", "other"),
        (["cc-by-nd-4.0"], "conflict", "cc-by-nd-4.0"),
        (["gpl-3.0", "cc-by-sa-4.0"], "conflict", "other"),
        (["gpl-3.0", "cc-by-nc-4.0"], "conflict", "other"),
        (["gpl-3.0", "openrail"], "conflict", "other"),
        (["cc-by-nc-sa-4.0", "cc-by-nc-4.0"], "obligations", "other"),
        (["gpl-2.0", "apache-2.0"], "conflict", "gpl-2.0"),
        (["llama3", "gemma"], "conflict", "other"),
        (["unknown"], "unknown", "unknown"),
        (["apache-2.0", ""], "unknown", "unknown"),
        (["apache-2.0", "my-own-licence"], "unknown", "unknown"),
        (["cc-by-nd-4.0", "unknown"], "conflict", "unknown"),
        ([], "ok", "unknown"),
    ],
)
def test_verdict(licences: list[str], verdict: str, whole: str) -> None:
    judgement = judge(parts(*licences))
    assert (judgement.verdict, judgement.licence) == (verdict, whole)
    assert judgement.may_be_published == (verdict in ("ok", "obligations"))
    assert bool(judgement.problems) != judgement.may_be_published


def test_what_is_asked_names_the_parts_and_the_words_to_show() -> None:
    found = {asked.duty: asked for asked in judge(parts("llama3.2", "apache-2.0")).requirements}
    assert found["notice"].parts == ("part 0", "part 1")
    assert "Built with Llama" in found["naming"].text
    assert found["naming"].parts == ("part 0",)
    assert found["changes"].licences == ("apache-2.0",)


def test_the_order_of_the_parts_changes_no_verdict() -> None:
    for pair in (["gpl-3.0", "openrail"], ["gemma", "llama3"], ["apache-2.0", "gpl-2.0"], ["mit", "unknown"]):
        assert judge(parts(*pair)).verdict == judge(parts(*reversed(pair))).verdict


def test_the_table_is_whole() -> None:
    assert all(set(licence.duties) <= DUTIES.keys() for licence in LICENCES.values())
    assert known("LLAMA-3.1") is LICENCES["llama3.1"]
    assert all(known(of_builtin_text(text) or "") for text in ("builtin:code", "builtin:prose"))
    assert of_builtin_text("mine.txt") is None
