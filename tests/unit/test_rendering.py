"""Chat templates: rendered as transformers renders them, and stopped when they take too much."""

from __future__ import annotations

import resource
from pathlib import Path
from typing import Any

import pytest
from transformers.utils.chat_template_utils import render_jinja_template

from suture.errors import DataError, SourceError
from suture.rendering import Limits, render_limited, rendering

TALK: list[dict[str, Any]] = [
    {"role": "user", "content": "Größe <b>?"},
    {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"function": {"name": "f", "arguments": {"z": 1, "a": ["ä", None]}}}],
    },
    {"role": "assistant", "content": "forty-two"},
]
TEMPLATE = """\
{%- macro told(x) %}{{ x | tojson }}{% endmacro %}
{{ bos_token }}{% if tools is defined and tools %}tools{% endif %}
{% for m in messages %}
    {% if loop.index > 5 %}{% break %}{% endif %}
    {% generation %}
[{{ m.role }}]{{ m.content if m.content is string else told(m.tool_calls[0].function) | upper }}
    {% endgeneration %}
{% endfor %}
{{ strftime_now('%Y') }} {{ messages | map(attribute='role') | join(',') | replace('a', 'A') }}
{% if add_generation_prompt %}[assistant]{% endif %}
"""
LIMITS = Limits(cpu=1, memory=1 << 28)


def test_a_template_is_rendered_as_transformers_does() -> None:
    with rendering(TEMPLATE, "here", tokens={"bos_token": "<s>"}) as render:
        for prompt in (False, True):
            expected, _ = render_jinja_template(
                [TALK], chat_template=TEMPLATE, add_generation_prompt=prompt, bos_token="<s>"
            )
            assert render(TALK, "talk", prompt=prompt) == expected[0]
        whole, first = render.cut(TALK, [(3, False), (1, True)], "talk")
        assert whole == render(TALK, "talk")
        assert first == render(TALK[:1], "talk", prompt=True)


BOMBS = {
    "a constant": ("{{ 'a' * 10**10 }}", "256 MB of memory"),
    "doubling": (
        "{% set n = namespace(s='ab') %}{% for i in range(64) %}{% set n.s = n.s + n.s %}{% endfor %}",
        "256 MB of memory",
    ),
    "loops": (
        "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
        "1 seconds of the processor",
    ),
    "a long text": ("{% for a in range(34000) %}{{ 'a' * 1000 }}{% endfor %}", "32 MB of text"),
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_a_template_that_takes_too_much_is_stopped_and_named(bomb: str) -> None:
    template, found = BOMBS[bomb]
    with pytest.raises(SourceError, match="more time or memory") as caught:
        render_limited(template, TALK, "model/chat_template.jinja", limits=LIMITS)
    assert caught.value.where == "model/chat_template.jinja"
    assert found in str(caught.value.found)


@pytest.mark.parametrize(
    ("template", "found"),
    [
        ("{% for m in messages %}", "a mistake in line 1"),
        ("{{ messages | no_such_filter }}", "no_such_filter"),
        ("{% if 1 %}" * 200 + "{% endif %}" * 200, "Error"),
        ("{% for a in range(10**9) %}{% endfor %}", "Range too big"),
        ("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "recursion"),
        ("{{ messages.__class__.__mro__[1].__subclasses__() }}", "unsafe"),
        ("{{ messages.append(1) }}", "unsafe"),
    ],
)
def test_a_template_that_the_sandbox_does_not_take_is_named(template: str, found: str) -> None:
    with pytest.raises(SourceError, match="cannot be used") as caught:
        render_limited(template, TALK, "model/chat_template.jinja")
    assert caught.value.where == "model/chat_template.jinja"
    assert found in str(caught.value.found)


def test_a_conversation_that_is_refused_ends_nothing() -> None:
    template = "{% if messages[0].role == 'tool' %}{{ raise_exception('no tools') }}{% endif %}ok"
    with rendering(template, "here") as render:
        with pytest.raises(DataError, match="refuses") as caught:
            render([{"role": "tool", "content": "1"}], "file, line 3")
        assert (caught.value.where, caught.value.found) == ("file, line 3", "TemplateError: no tools")
        assert render(TALK, "file, line 4") == "ok"


def test_the_process_has_no_secret_no_file_and_no_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    with rendering("ok", "here") as render:
        pid = render._child.pid
        render(TALK, "talk")
        assert b"hf_secret" not in Path(f"/proc/{pid}/environ").read_bytes()
        assert {path.name for path in Path(f"/proc/{pid}/fd").iterdir()} == {"0", "1", "2"}
        assert resource.prlimit(pid, resource.RLIMIT_NOFILE) == (3, 3), "it can open no other"
