from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from suture.bench.suite import MULTI_TURN, Answer, Test
from suture.bench.suite.scenarios.adventure import ADVENTURE
from suture.bench.suite.scenarios.ledger import LEDGER
from suture.bench.suite.scenarios.review import REVIEW
from suture.bench.suite.scenarios.turns import Check
from tests.unit.bench.answers import multi_turn as answers
from tests.unit.bench.answers.multi_turn import ADVERSARY, PERFECT, fenced, function
from tests.unit.bench.transcripts import found, lead, score_answers

CONVERSATIONS = tuple(test for test in MULTI_TURN if test.category == "multi_turn")
ALL = pytest.mark.parametrize("test", CONVERSATIONS, ids=lambda test: test.id)


def error_class(test: str, turn: int, text: str) -> str:
    """The error class of a conversation that is perfect but for this turn, counted from 1."""
    said = list(PERFECT[test])
    said[turn - 1] = text
    score = score_answers(found(test), said)
    assert score.passed or f"turn {turn} is the first that is not" in score.why
    return score.error_class


# -- all conversations ----------------------------------------------------------------------------------------


def test_there_are_at_least_six_conversations_of_at_least_eight_turns() -> None:
    assert len(CONVERSATIONS) >= 6
    assert set(PERFECT) == set(ADVERSARY) == {test.id for test in CONVERSATIONS}
    for test in CONVERSATIONS:
        assert len(lead(test, ["Yes."]).answers) >= 8
        assert test.context <= 8192


@ALL
def test_perfect_answers_pass(test: Test) -> None:
    assert score_answers(test, PERFECT[test.id]).error_class == ""


@ALL
def test_an_answer_that_goes_wrong_in_one_turn_fails_and_the_score_says_where(test: Test) -> None:
    score = score_answers(test, ADVERSARY[test.id])
    total = len(PERFECT[test.id])
    (broken,) = [n for n in range(total) if ADVERSARY[test.id][n] != PERFECT[test.id][n]]
    assert not score.passed
    assert score.why.startswith(f"{total - 1} of {total} turns are right; turn {broken + 1} is the first")


@ALL
def test_what_was_right_a_turn_ago_is_not_right_now(test: Test) -> None:
    said = PERFECT[test.id]
    score = score_answers(test, [said[0], *said[:-1]])
    assert not score.passed
    assert int(score.why.split()[0]) <= len(said) / 2


@ALL
@pytest.mark.parametrize(
    "text", ["I'm sorry, but I can't help with that.", "and so on, " * 400, "OK", "{}", "```\n```"]
)
def test_the_same_reply_to_everything_gets_no_turn_right(test: Test, text: str) -> None:
    score = score_answers(test, [text])
    assert score.why.startswith(f"0 of {len(PERFECT[test.id])} turns are right; turn 1")


@ALL
def test_what_is_only_thought_is_not_said(test: Test) -> None:
    said = list(PERFECT[test.id])
    said[3] = f"<think>{said[3]}</think>"
    assert score_answers(test, said).error_class == "no_answer"
    assert score_answers(test, [f"<think>{text[:20]}</think>{text}" for text in map(str, PERFECT[test.id])]).passed


@ALL
def test_what_is_cut_off_is_told_apart_from_what_is_wrong(test: Test) -> None:
    said = [Answer(str(text)) for text in PERFECT[test.id]]
    said[4] = Answer("Well, let me", finish="length")
    score = score_answers(test, said)
    assert (score.error_class, "turn 5" in score.why) == ("length", True)


@ALL
def test_the_model_sees_its_own_answers_without_its_thoughts(test: Test) -> None:
    said = lead(test, [f"<think>hm</think>{text}" for text in PERFECT[test.id]])
    history = said.requests[-1].messages
    assert [message.role for message in history] == [
        "system",
        *["user", "assistant"] * (len(history) // 2 - 1),
        "user",
    ]
    assert [message.content for message in history[2::2]] == list(PERFECT[test.id][:-1])


# -- cash book ------------------------------------------------------------------------------------------------


def test_the_balances_are_the_sums_of_the_entries() -> None:
    after = {1: 240, 2: -18, 3: 35, 4: -120, 5: -10, 6: 30, 7: 0, 8: 20, 9: -35, 10: -42}
    for turn in after:
        balance = sum(amount for number, amount in after.items() if number <= turn)
        assert LEDGER.turns[turn - 1].check(f"65 Balance: {balance}").passed


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Balance: 137", ""),
        ("**Balance:** €137.00", ""),
        ("Balance: 257\n120 goes out.\nBalance: 137 euros", ""),
        ("The balance is now: 137 euros.", ""),
        ("New balance = 257 - 120\nBalance: 137", ""),
        ("Balance: 137\nBalance: 377", "forgot"),
        ("Balance: 1370", "forgot"),
        ("Balance: 257 - 120 = 137", "forgot"),
        ("Balance: N", "forgot"),
        ("137", "forgot"),
    ],
)
def test_ledger(text: str, expected: str) -> None:
    assert error_class("turns-ledger", 4, text) == expected


def test_a_question_within_the_ledger_wants_an_answer() -> None:
    assert error_class("turns-ledger", 7, "Balance: 157") == "forgot"
    assert error_class("turns-ledger", 7, "35 + 30 = 65.\nBalance: 157") == ""


# -- adventure ------------------------------------------------------------------------------------------------

JOINED = {"hall": {"kitchen", "library", "cellar"}, "kitchen": {"hall", "garden"}, "garden": {"kitchen"}}
JOINED |= {"library": {"hall"}, "cellar": {"hall"}}


class House:
    """The rules, played."""

    def __init__(self) -> None:
        self.place = "hall"
        self.carried: set[str] = set()
        self.lying = {"lamp": "kitchen", "rope": "garden", "book": "library", "key": "cellar"}

    def go(self, place: str) -> None:
        if place in JOINED[self.place] and (place != "cellar" or "lamp" in self.carried):
            self.place = place

    def take(self, thing: str) -> None:
        if self.lying.get(thing) == self.place and len(self.carried) < 2:
            self.carried.add(thing)
            del self.lying[thing]

    def drop(self, thing: str) -> None:
        if thing in self.carried:
            self.carried.remove(thing)
            self.lying[thing] = self.place


def test_the_expected_states_are_those_of_the_rules() -> None:
    house = House()
    for turn in ADVENTURE.turns:
        words = turn.says.lower().replace(".", "").replace(",", "").split()
        for at, word in enumerate(words):
            if word in JOINED:
                house.go(word)
            elif word in {"lamp", "rope", "book", "key"}:
                acts: dict[str, Callable[[str], None]] = {"take": house.take, "drop": house.drop}
                acts[words[at - 2]](word)
        assert turn.check(f"Place: {house.place} | Carrying: {', '.join(house.carried) or 'nothing'}").passed, turn


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Place: garden | Carrying: rope, lamp", ""),
        ("You are there.\n\n**Place: Garden | Carrying: lamp and the rope**", ""),
        ("Place: the garden\nCarrying: lamp, rope", ""),
        ("Place: garden | Carrying: lamp", "forgot"),
        ("Place: garden | Carrying: lamp, rope, key", "forgot"),
        ("Place: kitchen | Carrying: lamp, rope", "forgot"),
        ("Place: garden | Carrying: lamp, rope\nThen:\nPlace: kitchen | Carrying: lamp, rope", "forgot"),
        ("You have lamp and rope in the garden.", "system_prompt"),
    ],
)
def test_adventure(text: str, expected: str) -> None:
    assert error_class("turns-adventure", 3, text) == expected


# -- schedule -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Here is the plan:\n\n- **08:00** Call with Osaka\n- 12:30 Lunch with Petra\n- 14:00 Design Review", ""),
        ("8:00 call with Osaka\n12:30 - lunch with Petra\n14:00: design review", ""),
        ("1. 08:00 Osaka\n2. 12:30 Petra\n3. 14:00 design", ""),
        ("08:00 call with Osaka\n14:00 design review\n12:30 lunch with Petra", "forgot"),
        ("08:00 call with Osaka\n12:30 design review\n14:00 lunch with Petra", "forgot"),
        ("08:00 call with Osaka\n09:00 stand-up\n12:30 lunch with Petra\n14:00 design review", "forgot"),
        ("The stand-up is cancelled.", "forgot"),
    ],
)
def test_schedule(text: str, expected: str) -> None:
    assert error_class("turns-schedule", 4, text) == expected


# -- persona --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Ahoy, that's forty two!\n\n~ Tilda", ""),
        ("**Ahoy**, forty-two. ~Tilda", ""),
        ("Forty-two.\n~ Tilda", "system_prompt"),
        ("Ahoy, six times seven is forty-two.", "system_prompt"),
        ("Ahoy, 42.\n~ Tilda", "system_prompt"),
        ("Ahoy, forty-two (42).\n~ Tilda", "system_prompt"),
        ("Ahoy, forty-two.\n~ Tilda\nCome again!", "system_prompt"),
        ("Ahoy, forty-eight.\n~ Tilda", "wrong_answer"),
        ("Ahoy, traveller.\n~ Tilda", "wrong_answer"),
    ],
)
def test_persona(text: str, expected: str) -> None:
    assert error_class("turns-persona", 3, text) == expected


# -- review ---------------------------------------------------------------------------------------------------

VOLUME = function("box_volume", prefix="geo_")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (fenced(VOLUME), ""),
        ("Here:\n" + fenced("import math", VOLUME) + "\nDone.", ""),
        (fenced(VOLUME.replace('("negative")', "")), ""),
        (fenced(VOLUME.replace("geo_", "")), "forgot"),
        (fenced(function("box_volume", prefix="geo_", error=False)), "forgot"),
        (fenced(VOLUME.replace("height: float", "height")), "forgot"),
        (fenced(VOLUME.replace(" -> float", "")), "forgot"),
        (fenced(VOLUME.replace("ValueError", "Exception")), "forgot"),
        (fenced(function("diagonal", prefix="geo_")), "forgot"),
        (fenced(VOLUME, function("diagonal", prefix="geo_")), "forgot"),
        (fenced(VOLUME + "("), "syntax"),
        (VOLUME, "no_fence"),
        (fenced("x = 1"), "forgot"),
    ],
)
def test_what_was_agreed_is_kept(text: str, expected: str) -> None:
    assert REVIEW.turns[3].check(text).error_class == expected


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (VOLUME.replace("length: float, ", ""), "signature"),
        (VOLUME.replace("* height", "+ height"), "wrong_answer"),
        (VOLUME.replace("< 0", ">= 0"), "crash"),
        (VOLUME + "\nraise SystemExit('done')", "crash"),
    ],
)
def test_code_that_looks_right_is_called(code: str, expected: str) -> None:
    assert error_class("turns-review", 4, fenced(code)) == expected


def test_the_module_has_all_functions_by_the_rules_that_hold_at_the_end() -> None:
    module, without = map(str, PERFECT["turns-review"][-2:])
    *_, whole, last = REVIEW.turns
    assert whole.check(module.replace("shape_perimeter", "geo_perimeter")).error_class == "forgot"
    assert whole.check(module.replace('    """Return the perimeter."""\n', "")).error_class == "forgot"
    assert whole.check(without).error_class == "forgot"
    assert last.check(module).error_class == "forgot"
    without_circle = fenced(*(function(name, prefix="shape_") for name in answers.FUNCTIONS if "circle" not in name))
    assert last.check(without_circle).error_class == "forgot"
    assert error_class("turns-review", 8, module.replace("6 * side", "4 * side")) == "wrong_answer"


def test_no_expected_value_stands_in_what_is_run() -> None:
    said = lead(found("turns-review"), PERFECT["turns-review"])
    (program,) = found("turns-review").programs(said)
    assert len(said.executions) == 1
    assert not any("54" in text for text in program.files.values())


def test_a_turn_without_code_leaves_the_others_their_own_results() -> None:
    assert error_class("turns-review", 2, "I'd rather not.") == "no_fence"


# -- document -------------------------------------------------------------------------------------------------

FOURTH = answers.documents()[3]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (json.dumps(FOURTH), ""),
        (f"Done:\n{fenced(json.dumps(dict(reversed(FOURTH.items()))), language='')}\nAnything else?", ""),
        (json.dumps(FOURTH | {"seats": 46.0}), ""),
        (json.dumps(FOURTH | {"seats": "46"}), "forgot"),
        (json.dumps(FOURTH | {"country": "Austria"}), "forgot"),
        (json.dumps({"seats": 46, "city": "Graz"}), "forgot"),
        (json.dumps(FOURTH | {"menu": FOURTH["menu"][::-1]}), "forgot"),
        (json.dumps([FOURTH]), "schema"),
        (str(FOURTH), "invalid_json"),
        ("The document now has 46 seats.", "invalid_json"),
    ],
)
def test_document(text: str, expected: str) -> None:
    assert error_class("turns-document", 4, text) == expected


def test_true_is_not_one() -> None:
    last = json.dumps(answers.documents()[-1])
    assert error_class("turns-document", 10, last.replace("true", "1")) == "forgot"


# -- questions ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("6. Yes", ""),
        ("**6.** Yes.", ""),
        ("6: yes, it is", ""),
        ("6. No", "wrong_answer"),
        ("7. Yes", "forgot"),
        ("Yes", "system_prompt"),
        ("6. It is the penguin. Yes", "system_prompt"),
        ("6. Yes, penguins swim well.", "system_prompt"),
    ],
)
def test_questions(text: str, expected: str) -> None:
    assert error_class("turns-questions", 6, text) == expected


def test_the_animal_may_be_named_once_it_is_guessed() -> None:
    assert error_class("turns-questions", 10, "10. Yes, it is the penguin!") == ""


def test_a_check_is_a_function_of_what_was_said() -> None:
    checks: list[Check] = [turn.check for turn in LEDGER.turns]
    assert [check("Balance: 240").passed for check in checks] == [True] + [False] * 9
