from __future__ import annotations

import pytest

from suture.bench.suite.multilingual import score_chinese
from tests.unit.bench.answers.multilingual import ADVERSARY, PERFECT, SEASONS
from tests.unit.bench.transcripts import found, score, score_answers

FRENCH = "La boulangerie ouvre à sept heures, mais le dimanche elle reste fermée jusqu'à neuf heures."


def test_perfect_answers_pass_and_those_that_only_look_right_do_not() -> None:
    assert all(score_answers(found(test), answers).passed for test, answers in PERFECT.items())
    assert {test: score_answers(found(test), answers).error_class for test, answers in ADVERSARY.items()} == {
        "chinese": "wrong_answer",
        "english-to-french": "language",
    }


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (SEASONS, ""),
        (SEASONS.replace("倾", "傾").replace("阳", "陽"), ""),  # traditional characters
        (f"**答案**:\n\n{SEASONS}(倾角约23.5°)", ""),
        (f"{SEASONS} (axial tilt)", ""),
        (SEASONS[:20], "wrong_answer"),
        (
            f"Sure! Here is the explanation in Chinese, in three to five sentences as you wished: {SEASONS}",
            "language",
        ),
        ("The Earth's axis is tilted, so the Sun's rays reach it at different angles.", "language"),
        (
            "地球の自転軸は傾いています。そのため、太陽の光が当たる角度が変わり、季節が生まれるのです。" * 2,
            "language",
        ),
        (
            "春天花开,夏天炎热,秋天叶落,冬天下雪。因为天气会变化,所以人们把一年分为四个不同的季节,每季三个月。",
            "wrong_answer",
        ),
        ("抱歉,我不能回答这个问题。", "wrong_answer"),
    ],
)
def test_chinese(text: str, expected: str) -> None:
    assert score("chinese", text).error_class == expected


@pytest.mark.parametrize("text", [SEASONS, "四季。", SEASONS[:60], "四季" * 50])
def test_the_count_of_characters_is_recorded_whatever_the_verdict(text: str) -> None:
    count = sum("\u4e00" <= character <= "\u9fff" for character in text)
    assert f"{count} CJK characters" in score("chinese", text).why


def test_an_explanation_that_is_cut_off_counts_if_all_is_there() -> None:
    assert score("chinese", SEASONS[:-3], finish="length").passed
    assert score("chinese", SEASONS[:12], finish="length").error_class == "length"
    assert score_chinese.__doc__


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (FRENCH, ""),
        (f"Here is the translation into French:\n\n**{FRENCH}**\n\nNote that 'the bakery' is feminine.", ""),
        (f'The French for "The bakery opens at seven" is "{FRENCH}"', ""),
        (f"Translation: {FRENCH}", ""),
        (f"{FRENCH} (closed until nine = fermée jusqu'à neuf heures)", ""),
        ("La boulangerie ouvre à 7 h, mais les dimanches elle n'ouvre qu'à 9h.", ""),
        (
            "La boulangerie ouvre dès 7\u202fheures ; le dimanche, en revanche, elle est fermée jusqu'à 9 heures.",
            "",
        ),
        ("La boulangerie ouvre à sept heures, mais reste fermée le dimanche jusqu'à neuf heures", ""),
        ("La boulangerie ouvre à sept heures.", "wrong_answer"),
        (FRENCH.replace("neuf", "dix"), "wrong_answer"),
        (FRENCH.replace("dimanche", "samedi"), "wrong_answer"),
        ("La panadería abre a las siete, pero los domingos está cerrada hasta las nueve.", "language"),
        ("The bakery opens at seven, but on Sundays it stays closed until nine.", "language"),
        ("The boulangerie opens at seven, but on Sundays it stays closed until nine.", "language"),
        ("La boulangerie opens à sept heures, mais le dimanche elle reste fermée jusqu'à neuf.", "language"),
    ],
)
def test_english_to_french(text: str, expected: str) -> None:
    assert score("english-to-french", text).error_class == expected
