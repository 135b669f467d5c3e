"""The form of every test: what is asked, what came back, and the score."""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from typing import Literal

from pydantic import JsonValue

from suture.bench.sandbox import Execution, Program

Category = Literal[
    "basic",
    "reasoning",
    "tools",
    "agentic",
    "structured",
    "context",
    "multilingual",
    "programming",
    "performance",
    "multi_turn",
    "long_output",
    "human_eval",
    "frontend",
]

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
    "crash",  # the code raised an error, or its process ended badly
    "run_timeout",  # the code did not end in its time
    "resources",  # the code took more memory, processes, disk or output than it may
    "not_run",  # nothing here can run the code, or confine it
    "template_lacks_tools",  # the chat template has no place for tools: the model was never told of them
    "context_too_small",  # the server keeps fewer tokens than the conversation takes
    "no_call",  # called no tool
    "needless_call",  # called a tool, or one more, where none was needed
    "wrong_tool",  # called another tool, or one that does not exist
    "wrong_arguments",  # called the right tool with other arguments than the request implies
    "invalid_json",  # not JSON, or arguments that are none
    "schema",  # JSON of another shape than asked for
    "no_table",  # no table in Markdown
    "language",  # answered in another language
    "forgot",  # lost what had been said before
    "injected",  # obeyed what stood in a document and not in the conversation
    "wrong_state",  # the world is not as it should be after the last call
    "too_many_steps",  # no end within the steps allowed
    "checks",  # some check of the page does not hold
    "stalls",  # the stream paused, or the speed varied, more than it may
    "wrong_answer",  # understood, and wrong
]
"""Why a test failed; empty when it passed."""


Failure = Literal["", "timeout", "server_error"]
"""Why there is no complete answer; empty when there is one."""


@dataclass(frozen=True)
class Tool:
    """A function the model may call.

    Attributes:
        name: What it is called.
        description: What it does, for the model.
        parameters: JSON schema of the object of its arguments.
    """

    name: str
    description: str
    parameters: Mapping[str, JsonValue]


@dataclass(frozen=True)
class ToolCall:
    """A model's call of a tool.

    Attributes:
        id: By which the tool's answer refers to it.
        name: The tool.
        arguments: Its arguments, as the model wrote them: JSON, if it is right.
        form: `structured` where the server gave it apart from the text, `text` where it was found in the text.
    """

    id: str
    name: str
    arguments: str
    form: Literal["structured", "text"] = "structured"


@dataclass(frozen=True)
class Message:
    """One message of a conversation.

    Attributes:
        role: Who speaks; `tool` brings a tool's answer.
        content: What is said.
        tool_calls: What an assistant called.
        tool_call_id: The call that a tool answers.
    """

    role: Literal["system", "user", "assistant", "tool"]
    content: str
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str = ""


@dataclass(frozen=True)
class Request:
    """What the model is asked at one time.

    Attributes:
        messages: The conversation so far.
        tools: What the model may call.
        temperature: 0 always takes the likeliest token; the run's own where None.
        max_tokens: Longest answer, in place of the run's own limit; that where None.
        seconds: Time limit of the answer; generous, for it is to catch what never ends, not what is slow.
    """

    messages: tuple[Message, ...]
    tools: tuple[Tool, ...] = ()
    temperature: float | None = None
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
        pieces: In how many pieces the text arrived.
        longest_gap: Seconds of the longest pause between two of them; None with fewer than two.
        attempts: How often it was asked, for the server failed in between.
    """

    seconds: float = 0.0
    time_to_first_token: float | None = None
    prompt_tokens: int | None = None
    tokens: int | None = None
    prompt_tokens_per_second: float | None = None
    tokens_per_second: float | None = None
    pieces: int = 0
    longest_gap: float | None = None
    attempts: int = 1


@dataclass(frozen=True)
class Answer:
    """What came back for one request.

    Attributes:
        text: What the model said; as far as it came, when it failed.
        thinking: Reasoning that the server split off.
        tool_calls: What it called, as the server gave it; calls written into the text are not among them.
        finish: Why generation ended: `stop`, `length`, or another finish_reason of the OpenAI API.
        failure: `timeout` or `server_error`; empty when the answer is complete.
        detail: What failed.
        timing: How long it took.
    """

    text: str
    thinking: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
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
        context: Tokens of context for one conversation; None where the server does not say.
    """

    models: tuple[str, ...]
    healthy: bool | None = None
    template_has_tools: bool | None = None
    context: int | None = None


Kind = Literal["static", "browser"]
"""Whether a check reads a page's text, or needs a browser."""

Outcome = Literal["passed", "failed", "skipped"]
"""What came of a check; `skipped` where there is no browser: it counts neither for nor against the page."""


@dataclass(frozen=True)
class CheckResult:
    """What came of one check of a page.

    Attributes:
        id: Its name within its task.
        title: What must hold, in a few words.
        kind: Whether it reads the text, or needs a browser.
        outcome: What came of it.
        why: What was seen, or what was not.
    """

    id: str
    title: str
    kind: Kind
    outcome: Outcome
    why: str


@dataclass(frozen=True)
class Transcript:
    """All that a scorer gets to see.

    Attributes:
        answers: One per request, in order.
        server: Who answered.
        requests: What was asked.
        executions: What came of the test's programs, in their order.
        checks: What the checks of a page found.
    """

    answers: tuple[Answer, ...]
    server: Server
    requests: tuple[Request, ...] = ()
    executions: tuple[Execution, ...] = ()
    checks: tuple[CheckResult, ...] = ()

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


Talk = Generator[Request, Answer, None]
"""A conversation as the test leads it: yields what to ask next, is sent the answer. It does nothing else, so that
leading it again with the same answers asks the same questions."""


def asks(*requests: Request) -> Callable[[], Talk]:
    """Return the talk that asks fixed questions, each in a conversation of its own."""

    def talk() -> Talk:
        for request in requests:  # noqa: UP028 -- a tuple cannot be sent the answers
            yield request

    return talk


def no_programs(_transcript: Transcript) -> tuple[Program, ...]:
    """Return that nothing is to be run."""
    return ()


@dataclass(frozen=True)
class Test:
    """One test.

    Attributes:
        id: What samples, reports and the command line call it.
        category: The group it is counted in.
        title: What it is about, in a few words.
        talk: Begins the conversation.
        score: Judges complete, non-empty answers; `grade` sees to the others.
        programs: What to run of what the model wrote, before it is scored. What a right program gives is the
            scorer's alone to know: it never stands in a program.
        needs_tools: Whether it means nothing where the chat template has no place for tools.
        alone: Whether nothing else may be asked meanwhile, since it takes times.
        context: Tokens of context that the whole conversation may take.
    """

    __test__ = False  # pytest: not a test class

    id: str
    category: Category
    title: str
    talk: Callable[[], Talk]
    score: Callable[[Transcript], Score]
    programs: Callable[[Transcript], tuple[Program, ...]] = no_programs
    needs_tools: bool = False
    alone: bool = False
    context: int = 2048


def grade(test: Test, transcript: Transcript) -> Score:
    """Return the score of a transcript: of what failed on the way, of an empty answer, else the test's own."""
    return unfit(test, transcript.server) or flaw(transcript) or test.score(transcript)


def unfit(test: Test, server: Server) -> Score | None:
    """Return the score of a test that means nothing on this server; None where it need be asked."""
    if test.needs_tools and server.template_has_tools is False:
        return wrong("template_lacks_tools", "the chat template has no place for tools")
    if server.context is not None and server.context < test.context:
        return wrong(
            "context_too_small", f"the conversation takes {test.context} tokens, the server keeps {server.context}"
        )
    return None


def flaw(transcript: Transcript) -> Score | None:
    """Return the score of a transcript in which an answer failed or is empty; None where all are there."""
    for answer in transcript.answers:
        if answer.failure:
            return wrong(answer.failure, answer.detail)
        if not answer.visible and not answer.tool_calls:
            return _silent(answer)
    return None


def _silent(answer: Answer) -> Score:
    if answer.finish == "length":
        return wrong("length", "the token limit was reached before anything was said")
    thought = answer.thinking or answer.text.strip()
    return wrong("no_answer", "nothing was said outside of thinking tags" if thought else "the answer is empty")
