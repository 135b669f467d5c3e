"""A process that renders chat templates, and can do little else. Run as a program, with Python's -I.

    python -I worker.py ASK ANSWER CPU MEMORY

ASK and ANSWER are the file descriptors of two pipes, CPU the seconds that one request may take, MEMORY the bytes of
address space. One line of JSON asks, one answers: first {"template", "tokens"}, then {"messages", "cuts"} again and
again; the answer is {}, {"texts"}, {"refusal"} or {"fault"}. A cut is how many of the messages to render, and whether
to end with the opening of the assistant's next turn.

After it has read what it needs it may hold three open files, which are the pipes and its log: so it opens no other
file, nor a connection. The environment is the one that transformers renders with.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import signal
import sys
from datetime import datetime
from typing import Any

from jinja2 import Environment, Template, TemplateError, TemplateSyntaxError
from jinja2.exceptions import SecurityError
from jinja2.ext import Extension, loopcontrols
from jinja2.nodes import CallBlock, Node
from jinja2.parser import Parser
from jinja2.runtime import Macro
from jinja2.sandbox import ImmutableSandboxedEnvironment

OUT_OF_MEMORY = 77
"""Status with which it ends when the memory does not suffice."""
OUT_OF_TIME = (signal.SIGXCPU, signal.SIGKILL)
"""Signals that end it when the time does not suffice; the second where the system's own limit is reached."""

_LOG_BYTES = 1 << 16
_LONGEST_REASON = 500  # characters
_WARM_UP = (
    "{% macro m(x) %}{{ x|tojson }}{% endmacro %}{{ m(1) }}{{ strftime_now('%d %b %Y') }}{{ raise_exception(m) }}"
)


class _Generation(Extension):
    """The block `{% generation %}`, with which templates mark what the model is to learn; written like any other."""

    tags = {"generation"}  # noqa: RUF012 -- as the base class has it

    def parse(self, parser: Parser) -> Node:
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return CallBlock(self.call_method("_as_it_is"), [], [], body).set_lineno(line)

    def _as_it_is(self, caller: Macro) -> str:
        return caller()


def environment() -> Environment:
    """Return what transformers renders chat templates with."""
    made = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, loopcontrols])
    filters: dict[str, Any] = made.filters  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    functions: dict[str, Any] = made.globals  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    filters["tojson"] = _tojson
    functions |= {"raise_exception": _raise_exception, "strftime_now": _strftime_now}
    return made


def _tojson(
    value: object,
    ensure_ascii: bool = False,  # noqa: FBT001, FBT002 -- as templates give it
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,  # noqa: FBT001, FBT002
) -> str:
    """Write JSON; Jinja's own filter would write some characters as HTML has them."""
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def _raise_exception(message: object) -> None:
    raise TemplateError(str(message))


def _strftime_now(form: str) -> str:
    return datetime.now().strftime(form)  # noqa: DTZ005 -- the user's own time, as transformers has it


class _Server:
    """Answers one request after the other."""

    def __init__(self) -> None:
        self._jinja = environment()
        self._template: Template | None = None
        self._tokens: dict[str, str] = {}

    def warm_up(self) -> None:
        """Load what Jinja and the C library load only when they first need it."""
        with contextlib.suppress(TemplateError):
            self._jinja.from_string(_WARM_UP).render()

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """Return the answer to a request; the first one brings the template."""
        if self._template is None:
            return self._compile(**request)
        return self._render(self._template, **request)

    def _compile(self, template: str, tokens: dict[str, str]) -> dict[str, Any]:
        try:
            self._template = self._jinja.from_string(template)
        except MemoryError:
            raise
        except TemplateSyntaxError as error:
            return {"fault": f"a mistake in line {error.lineno}: {error.message}"}
        except Exception as error:  # noqa: BLE001 -- Python itself refuses some of what Jinja makes of a template
            return {"fault": _told(error)}
        self._tokens = tokens
        return {}

    def _render(self, template: Template, messages: list[Any], cuts: list[tuple[int, bool]]) -> dict[str, Any]:
        try:
            texts = [
                template.render(
                    messages=messages[:end],
                    tools=None,
                    documents=None,
                    add_generation_prompt=prompt,
                    **self._tokens,
                )
                for end, prompt in cuts
            ]
        except MemoryError:
            raise
        except (SecurityError, OverflowError, RecursionError) as error:  # of the sandbox: an attribute, a range
            return {"fault": _told(error)}
        except Exception as error:  # noqa: BLE001 -- whatever a template runs into
            return {"refusal": _told(error)}
        return {"texts": texts}


def _told(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:_LONGEST_REASON]


def main() -> None:
    """Answer requests until there are no more."""
    ask, answer, cpu, memory = map(int, sys.argv[1:])
    server = _Server()
    server.warm_up()
    os.dup2(ask, 0)
    os.dup2(answer, 1)
    os.close(ask)
    os.close(answer)
    _confine(memory)
    try:
        for line in sys.stdin.buffer:
            _allow(cpu)
            sys.stdout.write(json.dumps(server.answer(json.loads(line))) + "\n")
            sys.stdout.flush()
    except MemoryError:
        os._exit(OUT_OF_MEMORY)


def _confine(memory: int) -> None:
    for limit, wanted in (
        (resource.RLIMIT_AS, memory),
        (resource.RLIMIT_NOFILE, 3),
        (resource.RLIMIT_FSIZE, _LOG_BYTES),
        (resource.RLIMIT_CORE, 0),
    ):
        most = _at_most(wanted, resource.getrlimit(limit)[1])
        resource.setrlimit(limit, (most, most))


def _allow(seconds: int) -> None:
    """Let this process go on for so many seconds of the processor."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    most = resource.getrlimit(resource.RLIMIT_CPU)[1]
    resource.setrlimit(resource.RLIMIT_CPU, (_at_most(int(used.ru_utime + used.ru_stime) + 1 + seconds, most), most))


def _at_most(wanted: int, allowed: int) -> int:
    return wanted if allowed == resource.RLIM_INFINITY else min(wanted, allowed)


if __name__ == "__main__":
    main()
