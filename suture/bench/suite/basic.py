"""The category `basic`: does the model, behind its server, work at all, and do as it is told?"""

from __future__ import annotations

import re

from suture.bench.suite.form import Message, Request, Score, Test, Transcript, asks, right, wrong
from suture.bench.suite.reading import template_leak


def _ask(question: str, *, system: str | None = None) -> Request:
    messages = (Message("user", question),)
    return Request(messages if system is None else (Message("system", system), *messages))


# -- server health --------------------------------------------------------------------------------------------


def score_server_health(transcript: Transcript) -> Score:
    """The server calls itself healthy, lists a model, and completed an answer of any content."""
    server = transcript.server
    if server.healthy is False:
        return wrong("server_error", "the health page does not say that the server is ready")
    if not server.models:
        return wrong("server_error", "the server lists no model")
    finish = transcript.answers[0].finish
    if finish not in ("stop", "length"):
        return wrong("server_error", f"generation ended for an unknown reason: {finish!r}")
    return right("ready, and it answered")


# -- follows an instruction exactly ---------------------------------------------------------------------------

_TRIPLE = "suture-suture-suture"


def score_exact_instruction(transcript: Transcript) -> Score:
    """Nothing but the demanded line, to the letter; white space around it does not count."""
    if transcript.text == _TRIPLE:
        return right("exactly what was asked for")
    if transcript.cut_off:
        return wrong("length", "went on to the token limit")
    if re.search(rf"(?<![\w-]){_TRIPLE}(?![\w-])", transcript.text):
        return wrong("extra_text", "there, but not alone")
    return wrong("wrong_answer", f"expected {_TRIPLE!r}")


# -- factual answer -------------------------------------------------------------------------------------------

_PLANET = re.compile(r"\b(?:mercury|venus|earth|mars|jupiter|saturn|uranus|neptune|pluto)\b", re.IGNORECASE)
_DENIED = re.compile(
    r"\b(?:not|isn't|never|neither)\W+(?:\w+\W+){0,2}mars\b|\bmars\W+(?:is|was)(?: not|n't)\b", re.IGNORECASE
)
_HEDGED = re.compile(rf"\bmars\s*(?:,|/|or|and)\s*(?:or )?{_PLANET.pattern}(?!')", re.IGNORECASE)


def score_factual_answer(transcript: Transcript) -> Score:
    """The first planet it names is Mars, without denial and without a second one on offer."""
    planet = _PLANET.search(transcript.text)
    if planet is None:
        return wrong("wrong_answer", "names no planet")
    if planet[0].lower() != "mars":
        return wrong("wrong_answer", f"names {planet[0]}")
    if _DENIED.search(transcript.text) or _HEDGED.search(transcript.text):
        return wrong("wrong_answer", "denies Mars, or offers another planet beside it")
    return right("names Mars")


# -- obeys the system prompt ----------------------------------------------------------------------------------

_SEASON = re.compile(r"\b(?:spring|summer|autumn|fall)\b", re.IGNORECASE)
_OVER = re.compile(r"\bOVER\W*\Z")


def score_system_prompt(transcript: Transcript) -> Score:
    """The answer ends as the system prompt demands, and still answers the user."""
    if not _OVER.search(transcript.text):
        return wrong("length" if transcript.cut_off else "system_prompt", "does not end with OVER")
    season = _SEASON.search(transcript.text)
    if season is None or season[0].lower() != "spring":
        return wrong("wrong_answer", f"names {season[0]}" if season else "names no season that could follow")
    return right("names spring and ends with OVER")


# -- stops cleanly --------------------------------------------------------------------------------------------


def score_clean_stop(transcript: Transcript) -> Score:
    """The model ended its answer by itself, and neither a template token nor another turn stands in it."""
    leak = template_leak(transcript.text)
    if leak:
        return wrong("template_leak", f"the answer holds {leak!r}")
    if transcript.cut_off:
        return wrong("length", "did not stop before the token limit")
    if transcript.answers[0].finish != "stop":
        return wrong("server_error", f"generation ended for an unknown reason: {transcript.answers[0].finish!r}")
    return right("ended by itself")


# -- deterministic at temperature 0 ---------------------------------------------------------------------------


def score_determinism(transcript: Transcript) -> Score:
    """The same request, asked again, gave the same characters."""
    first, *others = [answer.thinking + answer.text for answer in transcript.answers]
    for other in others:
        if other != first:
            pairs = zip(first, other, strict=False)
            same = next((i for i, (a, b) in enumerate(pairs) if a != b), min(len(first), len(other)))
            return wrong("not_deterministic", f"the answers part after {same} characters")
    return right(f"{len(transcript.answers)} equal answers of {len(first)} characters")


BASIC: tuple[Test, ...] = (
    Test(
        id="server-health",
        category="basic",
        title="server health",
        talk=asks(_ask("Say hello.")),
        score=score_server_health,
    ),
    Test(
        id="exact-instruction",
        category="basic",
        title="follows an instruction exactly",
        talk=asks(
            _ask("Write the word suture three times, in lowercase, joined by hyphens, and write nothing else."),
        ),
        score=score_exact_instruction,
    ),
    Test(
        id="factual-answer",
        category="basic",
        title="factual answer",
        talk=asks(
            _ask("Which planet is known as the Red Planet? Answer with its name."),
        ),
        score=score_factual_answer,
    ),
    Test(
        id="system-prompt",
        category="basic",
        title="obeys the system prompt",
        talk=asks(
            _ask(
                "Which season comes after winter?",
                system="You are a radio operator. Every reply must end with the word OVER in capital letters.",
            ),
        ),
        score=score_system_prompt,
    ),
    Test(
        id="clean-stop",
        category="basic",
        title="stops cleanly",
        talk=asks(
            _ask("In one sentence, what is a bicycle?"),
        ),
        score=score_clean_stop,
    ),
    Test(
        id="deterministic",
        category="basic",
        title="deterministic at temperature 0",
        talk=asks(_ask("Name three uses of a paper clip."), _ask("Name three uses of a paper clip.")),
        score=score_determinism,
    ),
)
