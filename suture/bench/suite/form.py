"""The form of every test: what is asked, what came back, and the score."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

Category = Literal["basic", "reasoning"]

ErrorClass = Literal[
    "",  # passed
    "server_error",  # the endpoint answered with an error, or broke off, each time it was asked
    "timeout",  # no complete answer within the request's time
    "no_answer",  # nothing was said outside of thinking tags
    "length",  # cut off at the token limit before what was asked for was there
    "template_leak",  # tokens of the chat template, or the next speaker's turn, stand in the answer
    "not_deterministic",  # equal requests at temperature 0, different answers
    "extra_text",  # right, but not alone as demanded
    "system_prompt",  # answered, but against the system prompt
    "no_fence",  # code, but not in a code block
    "syntax",  # the code does not parse
    "name",  # the code lacks the function that was asked for
    "signature",  # the function takes other arguments
    "wrong_answer",  # understood, and wrong
]
"""Why a test failed; empty when it passed."""


Failure = Literal["", "timeout", "server_error"]
"""Why there is no complete answer; empty when there is one."""


@dataclass(frozen=True)
class Message:
    """One message of a conversation."""

    role: Literal["system", "user", "assistant"]
    content: str


@dataclass(frozen=True)
class Request:
    """One question, asked in a conversation of its own.

    Attributes:
        messages: The conversation so far.
        temperature: 0 always takes the likeliest token.
        max_tokens: Longest answer, where the question calls for less than the run allows.
        seconds: Time limit of the answer; generous, for it is to catch what never ends, not what is slow.
    """

    messages: tuple[Message, ...]
    temperature: float = 0.0
    max_tokens: int | None = None
    seconds: float = 900.0


@dataclass(frozen=True)
class Timing:
    """How long an answer took: by the server's own account where it gives one, else by our clock.

    Attributes:
        seconds: Wall time from sending the request to the end of the answer.
        time_to_first_token: Seconds until the first text arrived, or the stream began if no text did; None when
            nothing came.
        prompt_tokens: Length of the prompt.
        tokens: Length of the answer.
        prompt_tokens_per_second: Speed of reading the prompt; None where the server does not say.
        tokens_per_second: Speed of generating; None when there was too little to time.
        attempts: How often it was asked, for the server failed in between.
    """

    seconds: float = 0.0
    time_to_first_token: float | None = None
    prompt_tokens: int | None = None
    tokens: int | None = None
    prompt_tokens_per_second: float | None = None
    tokens_per_second: float | None = None
    attempts: int = 1


@dataclass(frozen=True)
class Answer:
    """What came back for one request.

    Attributes:
        text: What the model said; as far as it came, when it failed.
        thinking: Reasoning that the server split off.
        finish: Why generation ended: `stop`, `length`, or another finish_reason of the OpenAI API.
        failure: `timeout` or `server_error`; empty when the answer is complete.
        detail: What failed.
        timing: How long it took.
    """

    text: str
    thinking: str = ""
    finish: str = "stop"
    failure: Failure = ""
    detail: str = ""
    timing: Timing = Timing()

    @property
    def visible(self) -> str:
        """The text without what stands in thinking tags, and without white space around it."""
        return _THINKING.sub("", _BEFORE_CLOSING_TAG.sub("", self.text)).strip()


_TAGS = "think|thinking|thought|reasoning"
_BEFORE_CLOSING_TAG = re.compile(rf"\A(?:(?!<(?:{_TAGS})>).)*?</(?:{_TAGS})>", re.DOTALL | re.IGNORECASE)
"""Templates may open the tag in the prompt, so that the answer holds only its end."""
_THINKING = re.compile(rf"<({_TAGS})>.*?(?:</\1>|\Z)", re.DOTALL | re.IGNORECASE)
"""A tag that is never closed reaches to the end."""


@dataclass(frozen=True)
class Server:
    """What the endpoint says about itself.

    Attributes:
        models: Names of the models it lists.
        healthy: Answer of its health page; None where it has none.
        template_has_tools: Whether the chat template knows tools; None where the server does not say.
    """

    models: tuple[str, ...]
    healthy: bool | None = None
    template_has_tools: bool | None = None


@dataclass(frozen=True)
class Transcript:
    """All that a scorer gets to see: one answer per request, in order."""

    answers: tuple[Answer, ...]
    server: Server

    @property
    def text(self) -> str:
        """What was visibly said in answer to the only, or the last, request."""
        return self.answers[-1].visible

    @property
    def cut_off(self) -> bool:
        """Whether that answer ended at the token limit."""
        return self.answers[-1].finish == "length"


@dataclass(frozen=True)
class Score:
    """A scorer's verdict; make it with `right` or `wrong`."""

    passed: bool
    error_class: ErrorClass
    why: str


def right(why: str) -> Score:
    """Return a pass."""
    return Score(passed=True, error_class="", why=why)


def wrong(error_class: ErrorClass, why: str) -> Score:
    """Return a failure."""
    return Score(passed=False, error_class=error_class, why=why)


@dataclass(frozen=True)
class Test:
    """One test.

    Attributes:
        id: What samples, reports and the command line call it.
        category: The group it is counted in.
        title: What it is about, in a few words.
        requests: What is asked, each in a conversation of its own.
        score: Judges complete, non-empty answers; `grade` sees to the others.
    """

    __test__ = False  # pytest: not a test class

    id: str
    category: Category
    title: str
    requests: tuple[Request, ...]
    score: Callable[[Transcript], Score]


def grade(test: Test, transcript: Transcript) -> Score:
    """Return the score of a transcript: of what failed on the way, of an empty answer, else the test's own."""
    for answer in transcript.answers:
        if answer.failure:
            return wrong(answer.failure, answer.detail)
        if not answer.visible:
            return _silent(answer)
    return test.score(transcript)


def _silent(answer: Answer) -> Score:
    if answer.finish == "length":
        return wrong("length", "the token limit was reached before anything was said")
    thought = answer.thinking or answer.text.strip()
    return wrong("no_answer", "nothing was said outside of thinking tags" if thought else "the answer is empty")
