from __future__ import annotations

import json

import pytest

from suture.bench.suite import Answer, ToolCall, Transcript
from suture.bench.suite.errands import RELEASE, SHOP, TABLE, Reservations
from suture.bench.suite.repository import REPOSITORY, Repository
from suture.bench.suite.worlds import World, replay
from tests.unit.bench.answers.agentic import ADVERSARY, FIX, JOBS, PERFECT, runs
from tests.unit.bench.answers.agentic import TABLE as BOOKING
from tests.unit.bench.answers.calling import calls
from tests.unit.bench.transcripts import HEALTHY, found, lead, score_answers

TESTED = calls("run_tests")
DONE = "All done."


def error_class(test: str, *answers: Answer | str) -> str:
    return score_answers(found(test), answers).error_class


def replies(test: str, *answers: Answer | str) -> list[str]:
    """What the tools said in the course of a conversation, as the model got to read it."""
    said = lead(found(test), [*answers, DONE])
    return [message.content for message in said.requests[-1].messages if message.role == "tool"]


def test_perfect_answers_pass_and_those_that_only_look_right_do_not() -> None:
    assert {test for test, answers in PERFECT.items() if error_class(test, *answers)} == set()
    assert {test: error_class(test, *answers) for test, answers in ADVERSARY.items()} == dict.fromkeys(
        PERFECT, "wrong_state"
    )


@pytest.mark.parametrize("test", PERFECT)
def test_words_without_deeds_change_nothing(test: str) -> None:
    assert error_class(test, "I have done all that. All tests passed, everything is confirmed.") == "no_call"
    assert score_answers(found(test), [Answer("I will", finish="length")]).error_class == "length"


@pytest.mark.parametrize("test", PERFECT)
def test_going_round_in_circles_ends(test: str) -> None:
    first = PERFECT[test][0]
    score = score_answers(found(test), [first])
    assert score.error_class == "too_many_steps"
    steps = {"agent-plan": RELEASE, "agent-fix": REPOSITORY, "agent-recovers": TABLE, "agent-corrects-itself": SHOP}
    assert len(lead(found(test), [first]).answers) == steps[test].steps


@pytest.mark.parametrize("test", PERFECT)
def test_calls_in_the_text_act_too(test: str) -> None:
    answers = [
        answer
        if isinstance(answer, str)
        else "\n".join(
            f'<tool_call>{{"name": "{call.name}", "arguments": {call.arguments}}}</tool_call>'
            for call in answer.tool_calls
        )
        for answer in PERFECT[test]
    ]
    score = score_answers(found(test), answers)
    assert score.passed
    assert "in the text" in score.why


@pytest.mark.parametrize("world", [RELEASE, REPOSITORY, TABLE, SHOP])
def test_what_makes_no_sense_is_answered_and_changes_nothing(world: World[object]) -> None:
    name = world.tools[-1].name
    answers = (
        Answer("", tool_calls=(ToolCall("1", "rm_rf", "{}"),)),
        Answer("", tool_calls=(ToolCall("1", name, '{"job'),)),
        Answer("", tool_calls=(ToolCall("1", name, "[1]"),)),
        Answer("", tool_calls=(ToolCall("1", name, '{"job": null, "path": null, "time": ""}'),)),
    )
    history = replay(world, Transcript(answers, HEALTHY))
    assert history.state == world.start
    assert len(history.calls) == 4
    assert not history.ended


@pytest.mark.parametrize("test", PERFECT)
def test_what_the_model_broke_does_not_break_the_next_request(test: str) -> None:
    broken = Answer("", tool_calls=(ToolCall("1", found(test).title, '{"a": '),))
    said = lead(found(test), [broken, DONE])
    *_, spoken, answered = said.requests[-1].messages
    assert json.loads(spoken.tool_calls[0].arguments) == {}  # servers parse the history
    assert "error" in json.loads(answered.content)


# -- plan -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("jobs", "expected"),
    [
        (JOBS, ""),
        (("changelog", *JOBS[:5], "publish"), ""),  # another order that is possible
        ((*JOBS, "publish"), ""),  # done is done
        (JOBS[:-1], "wrong_state"),
        (("publish", *JOBS), "wrong_state"),  # tried first, planned later
        ((*JOBS, "deploy-demo"), "wrong_state"),
        ((*JOBS[1:], *JOBS), "wrong_state"),
        ((), "wrong_state"),
    ],
)
def test_plan(jobs: tuple[str, ...], expected: str) -> None:
    assert error_class("agent-plan", calls("list_jobs"), runs(*jobs) if jobs else DONE, DONE) == expected


def test_a_job_that_does_not_exist_costs_nothing() -> None:
    assert error_class("agent-plan", runs("release"), runs(*JOBS), DONE) == ""
    assert "there is no job 'release'" in replies("agent-plan", runs("release"))[0]


def test_a_refused_job_says_what_it_waits_for() -> None:
    assert json.loads(replies("agent-plan", runs("publish"))[0])["waits_for"] == ["changelog", "sign"]


# -- read, diagnose, fix --------------------------------------------------------------------------------------


def test_the_tests_of_the_repository_fail_for_the_reason_that_is_planted() -> None:
    failed, fixed, passed = replies("agent-fix", TESTED, FIX, TESTED)
    assert "FAILED tests/test_cost.py::test_cost[NO-2-1640] - assert 980 == 1640\n1 failed, 5 passed" in failed
    assert fixed == "data/zones.json: replaced"
    assert passed == "6 passed in 0.03s"


def test_the_simulated_test_runner_agrees_with_the_code_of_the_repository() -> None:
    files = Repository().files
    code = files["shipping/cost.py"].replace("Path(__file__).parent.parent", "Folder()")

    class File:
        def __init__(self, path: str) -> None:
            self.path = path

        def __truediv__(self, name: str) -> File:
            return File(f"{self.path}/{name}".lstrip("/"))

        def read_text(self) -> str:
            return files[self.path]

    namespace: dict[str, object] = {"Folder": lambda: File("")}
    exec(code, namespace)  # noqa: S102 -- our own
    cost = namespace["cost"]
    assert callable(cost)
    cases = [("DE", 2, 600), ("AT", 5, 750), ("PT", 2, 980), ("ES", 1, 890), ("NO", 2, 1640), ("IS", 4, 2080)]
    assert [case for case in cases if cost(*case[:2]) != case[2]] == [("NO", 2, 1640)]
    assert all(str(case).replace("'", '"') in files["tests/test_cost.py"] for case in cases)


def replaces(path: str, old: str, new: str) -> Answer:
    return calls("replace_in_file", path=path, old=old, new=new)


@pytest.mark.parametrize(
    ("edits", "expected"),
    [
        ((FIX,), ""),
        ((replaces("./data/zones.json", '"B",\n  "IS"', '"C",\n  "IS"'),), ""),
        ((replaces("data/zones.json", '"NO":"B"', ""), FIX), ""),  # the first try finds nothing
        ((), "wrong_state"),
        ((replaces("data/zones.json", '"NO": "B"', '"NO": "A"'),), "wrong_state"),
        ((replaces("data/zones.json", '"NO": "B"', '"NO": "C'),), "wrong_state"),  # no JSON any more
        ((FIX, replaces("data/rates.json", '"per_kg": 50', '"per_kg": 50.5')), "wrong_state"),
        (
            (  # makes the tests pass without what the tariff says
                replaces("data/zones.json", '"NO": "B"', '"NO": "D"'),
                replaces("data/rates.json", "220}", '220}, "D": {"base": 1200, "per_kg": 220}'),
            ),
            "wrong_state",
        ),
        ((replaces("data/zones.json", '"NO": "B"', '"NO": []'),), "wrong_state"),
        ((replaces("data/rates.json", "500", '"five"'), FIX), "wrong_state"),
    ],
)
def test_read_diagnose_fix(edits: tuple[Answer, ...], expected: str) -> None:
    assert error_class("agent-fix", TESTED, *edits, TESTED, DONE) == expected


def test_a_fix_is_not_done_before_the_tests_ran() -> None:
    assert error_class("agent-fix", TESTED, FIX, DONE) == "wrong_state"


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (calls("read_file", path="data/zone.json"), "no such file"),
        (replaces("shipping/cost.py", "kilograms", "kg"), "permission denied"),
        (replaces("docs/tariff.md", "1200", "800"), "permission denied"),
        (replaces("data/rates.json", "base", "basis"), "occurs 3 times"),
        (replaces("data/rates.json", "", "x"), "occurs 0 times"),
        (calls("list_files"), "shipping/cost.py"),
        (calls("read_file", path="docs/tariff.md"), "NO, IS"),
    ],
)
def test_the_repositorys_tools(answer: Answer, said: str) -> None:
    assert said in replies("agent-fix", answer)[0]


# -- recovers from a tool error -------------------------------------------------------------------------------


def books(time: str, **changes: object) -> Answer:
    return calls("reserve_table", **BOOKING | {"time": time} | changes)


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        ((books("19:00"), books("19:00"), books("20:15")), ""),
        ((books("19:00"), books("19:00:00"), books("20:15", guests="6")), ""),
        ((books("19:00"), books("19:00"), books("20:15", name="Mr. Okafor")), ""),
        ((books("19:00"), books("19:00"), books("19:15"), books("20:15")), ""),
        ((books("19:00"), books("20:15", date="3 September"), books("20:15")), ""),
        ((books("19:00"),), "wrong_state"),  # gives up
        ((books("19:00"), books("19:00")), "wrong_state"),
        ((books("19:00"), books("19:00"), books("21:30")), "wrong_state"),
        ((books("19:00"), books("19:00"), books("20:15"), books("20:15")), "wrong_state"),  # twice
        ((books("19:00"), books("19:00"), books("20:15", guests=5)), "wrong_state"),
        ((books("19:00"), books("19:00"), books("20:15", date="2027-03-09")), "wrong_state"),
        ((books("19:00"), books("20:15", guests=True)), "wrong_state"),
    ],
)
def test_recovers(answers: tuple[Answer, ...], expected: str) -> None:
    assert error_class("agent-recovers", *answers, DONE) == expected


def test_the_first_call_fails_and_the_second_tells_what_is_free() -> None:
    first, second = replies("agent-recovers", books("20:15"), books("19:00"))
    assert "503" in json.loads(first)["error"]
    assert json.loads(second)["free_times"] == ["18:15", "20:15", "21:30"]
    assert replay(TABLE, Transcript((books("20:15"),), HEALTHY)).state == Reservations(asked=1)


# -- corrects itself ------------------------------------------------------------------------------------------


def puts(quantity: object, article: str = "AQ-075") -> Answer:
    return calls("set_quantity", article=article, quantity=quantity)


ORDERED = calls("place_order")


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        ((puts(24), puts(4), ORDERED), ""),
        ((puts(4), ORDERED), ""),  # knew it at once
        ((puts("4"), ORDERED), ""),
        ((puts(24), puts(0), puts(4), ORDERED), ""),
        ((puts(1, "LM-033"), puts(0, "LM-033"), puts(4), ORDERED), ""),
        ((puts(4),), "wrong_state"),  # not ordered
        ((puts(24), ORDERED), "wrong_state"),
        ((puts(24), ORDERED, puts(4)), "wrong_state"),  # too late
        ((puts(1, "LM-033"), ORDERED), "wrong_state"),  # 24 bottles, of something else
        ((puts(4, "AQ-100"), ORDERED), "wrong_state"),
        ((puts(4), puts(1, "LM-033"), ORDERED), "wrong_state"),
        ((ORDERED,), "wrong_state"),
        ((puts(-4), puts(4.5), puts("four"), puts(4, "AQ"), ORDERED), "wrong_state"),
    ],
)
def test_corrects_itself(answers: tuple[Answer, ...], expected: str) -> None:
    assert error_class("agent-corrects-itself", *answers, DONE) == expected


def test_the_cart_shows_what_went_wrong() -> None:
    assert json.loads(replies("agent-corrects-itself", puts(24))[0]) == {
        "cart": [
            {
                "article": "AQ-075",
                "product": "Aquila sparkling water 0.75 l",
                "quantity": "24 cases of 6",
                "bottles": 144,
            }
        ],
        "total": "129.60 EUR",
    }
