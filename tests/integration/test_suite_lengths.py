"""How long the suite's conversations are in the real small model's tokens."""

from __future__ import annotations

import importlib
import json
from pathlib import Path

import pytest
from tokenizers import Tokenizer

from suture.bench.suite import MULTI_TURN, SUITE, Answer, Test
from tests.unit.bench.transcripts import found, lead

pytestmark = pytest.mark.real_model

MODULES = ("tools", "agentic", "context", "multilingual", "multi_turn", "long_output")
PER_MESSAGE = 8
"""More tokens than a chat template puts around a message."""


@pytest.fixture(scope="module")
def tokenizer(smollm2: Path) -> Tokenizer:
    return Tokenizer.from_file(str(smollm2 / "tokenizer.json"))


def answers(test: Test) -> tuple[Answer | str, ...]:
    modules = (importlib.import_module(f"tests.unit.bench.answers.{name}") for name in MODULES)
    return next(module.PERFECT[test.id] for module in modules if test.id in module.PERFECT)


def length(tokenizer: Tokenizer, text: str) -> int:
    return len(tokenizer.encode(text).ids)


@pytest.mark.parametrize(
    "test",
    [test for test in (*SUITE, *MULTI_TURN) if test.category in MODULES],
    ids=lambda test: test.id,
)
def test_a_perfect_conversation_fits_the_context_that_its_test_asks_for(test: Test, tokenizer: Tokenizer) -> None:
    said = lead(test, answers(test))
    messages = said.requests[-1].messages
    texts = [message.content + "".join(call.arguments for call in message.tool_calls) for message in messages]
    tools = json.dumps([[tool.name, tool.description, dict(tool.parameters)] for tool in said.requests[-1].tools])
    prompt = sum(length(tokenizer, text) + PER_MESSAGE for text in texts) + length(tokenizer, tools)
    answer = max(length(tokenizer, said.text), 512)  # and room for one that is longer than it need be
    assert prompt + answer < test.context * (0.95 if test.category == "long_output" else 0.9), (prompt, answer)


def test_the_needle_is_hidden_in_four_thousand_tokens(tokenizer: Tokenizer) -> None:
    question = next(found("needle").talk()).messages[-1].content
    assert 4096 < length(tokenizer, question) < 5000


@pytest.mark.parametrize("test", ["long-records", "long-table"])
def test_long_output_takes_more_than_four_thousand_tokens(test: str, tokenizer: Tokenizer) -> None:
    (request,) = found(test).talk()
    (text,) = answers(found(test))
    assert request.max_tokens is not None
    assert 4096 < length(tokenizer, str(text)) < request.max_tokens
    assert length(tokenizer, request.messages[-1].content) + request.max_tokens < found(test).context
