from __future__ import annotations

import pytest

from suture.bench.suite import Server
from tests.unit.bench.transcripts import score


@pytest.mark.parametrize(
    ("server", "error_class"),
    [
        (Server(models=("m",), healthy=True), ""),
        (Server(models=("m",), healthy=None), ""),  # not every server has a health page
        (Server(models=("m",), healthy=False), "server_error"),
        (Server(models=(), healthy=True), "server_error"),
    ],
)
def test_server_health(server: Server, error_class: str) -> None:
    assert score("server-health", "Hello!", server=server).error_class == error_class


@pytest.mark.parametrize(("finish", "error_class"), [("stop", ""), ("length", ""), ("gone", "server_error")])
def test_server_health_wants_a_known_end(finish: str, error_class: str) -> None:
    assert score("server-health", "Hello!", finish=finish).error_class == error_class


@pytest.mark.parametrize(
    ("text", "error_class"),
    [
        ("suture-suture-suture", ""),
        (" suture-suture-suture\n", ""),
        ("<think>Three times.</think>suture-suture-suture", ""),
        ("Here you are: suture-suture-suture", "extra_text"),
        ("suture-suture-suture.", "extra_text"),
        ('"suture-suture-suture"', "extra_text"),
        ("```\nsuture-suture-suture\n```", "extra_text"),
        ("suture-suture-suture-suture", "wrong_answer"),
        ("suture-suture", "wrong_answer"),
        ("Suture-Suture-Suture", "wrong_answer"),
        ("suture suture suture", "wrong_answer"),
        ("Suture: SEPER-\n\nSuture is a medical procedure that involves creating", "wrong_answer"),  # SmolLM2-135M
    ],
)
def test_exact_instruction(text: str, error_class: str) -> None:
    assert score("exact-instruction", text).error_class == error_class


def test_exact_instruction_without_end() -> None:
    assert score("exact-instruction", "suture-" * 100, finish="length").error_class == "length"


@pytest.mark.parametrize(
    ("text", "passed"),
    [
        ("Mars", True),
        ("The Red Planet is Mars.", True),  # SmolLM2-135M
        ("**MARS**, for the iron oxide on its surface.", True),
        ("It is Mars, the fourth planet from the Sun, between Earth and Jupiter.", True),
        ("<think>Venus? No.</think>Mars", True),
        ("Venus", False),
        ("Jupiter has a red spot, but it is Mars.", False),
        ("Mars or Venus", False),
        ("Mars, Venus, Jupiter", False),
        ("Mars and Jupiter", False),
        ("It is not Mars.", False),
        ("It isn't the planet Mars.", False),
        ("Mars is not it.", False),
        ("Marsala", False),
        ("The Red Planet is a planet that is red.", False),
    ],
)
def test_factual_answer(text: str, passed: bool) -> None:
    assert score("factual-answer", text).error_class == ("" if passed else "wrong_answer")


@pytest.mark.parametrize(
    ("text", "error_class"),
    [
        ("Spring comes after winter. OVER", ""),
        ("Spring. **OVER**", ""),
        ("SPRING OVER.", ""),
        ("Spring comes after winter. Over", "system_prompt"),
        ("Spring comes after winter.", "system_prompt"),
        ("OVER: spring comes after winter.", "system_prompt"),
        ("Spring, MOREOVER", "system_prompt"),
        ("OVER", "wrong_answer"),
        ("Summer comes after winter. OVER", "wrong_answer"),
        ("Summer, not spring. OVER", "wrong_answer"),
        ("The season that comes after winter is a completely different one altogether.", "system_prompt"),  # SmolLM2
    ],
)
def test_system_prompt(text: str, error_class: str) -> None:
    assert score("system-prompt", text).error_class == error_class


def test_system_prompt_cut_off_before_its_end() -> None:
    assert score("system-prompt", "Spring is lovely, for", finish="length").error_class == "length"


@pytest.mark.parametrize(
    ("text", "finish", "error_class"),
    [
        ("A vehicle with two wheels.", "stop", ""),
        ("A vehicle with two wheels", "length", "length"),
        ("A vehicle.<|im_end|>", "stop", "template_leak"),
        ("A vehicle.\n<|im_start|>user\nAnd a car?", "length", "template_leak"),
        ("A vehicle.\nHuman: And a car?", "stop", "template_leak"),
        ("A vehicle.", "content_filter", "server_error"),
    ],
)
def test_clean_stop(text: str, finish: str, error_class: str) -> None:
    assert score("clean-stop", text, finish=finish).error_class == error_class


def test_deterministic() -> None:
    assert score("deterministic", "Hold paper.", "Hold paper.").passed
    other = score("deterministic", "Hold paper.", "Hold poster.")
    assert (other.error_class, other.why) == ("not_deterministic", "the answers part after 6 characters")
    longer = score("deterministic", "Hold paper.", "Hold paper. Pick a lock.")
    assert (longer.error_class, longer.why) == ("not_deterministic", "the answers part after 11 characters")


def test_deterministic_looks_at_the_thinking_too() -> None:
    assert score("deterministic", "<think>a</think>Hold.", "<think>b</think>Hold.").error_class == "not_deterministic"
