"""Chats in each format, against their literal texts, as transformers renders them."""

from __future__ import annotations

from typing import Any, get_args

import pytest
from transformers import PreTrainedTokenizerFast

from suture.merge.templates import FORMATS, read_format
from suture.recipe import ChatTemplate
from suture.recipe.jinja import find_mistake
from tests.unit.small_tokenizers import bpe

MARKS = {"bos_token": "<s>", "eos_token": "</s>"}
SYSTEM = {"role": "system", "content": "Be brief."}
CHAT = [
    {"role": "user", "content": "One and one?"},
    {"role": "assistant", "content": "Two."},
    {"role": "user", "content": "And\ntwo? "},
]


def render(name: str, messages: list[dict[str, Any]], *, asks: bool, **marks: str) -> str:
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=bpe(), **marks)
    text = tokenizer.apply_chat_template(
        messages, chat_template=read_format(name), add_generation_prompt=asks, tokenize=False
    )
    assert isinstance(text, str)
    return text


CHATS = {
    "chatml": "<|im_start|>system\nBe brief.<|im_end|>\n"
    "<|im_start|>user\nOne and one?<|im_end|>\n<|im_start|>assistant\nTwo.<|im_end|>\n"
    "<|im_start|>user\nAnd\ntwo? <|im_end|>\n",
    "llama3": "<s><|start_header_id|>system<|end_header_id|>\n\nBe brief.<|eot_id|>"
    "<|start_header_id|>user<|end_header_id|>\n\nOne and one?<|eot_id|>"
    "<|start_header_id|>assistant<|end_header_id|>\n\nTwo.<|eot_id|>"
    "<|start_header_id|>user<|end_header_id|>\n\nAnd\ntwo?<|eot_id|>",
    "mistral": "<s>[INST] Be brief.\n\nOne and one? [/INST] Two.</s>[INST] And\ntwo?  [/INST]",
    "alpaca": "<s>Be brief.\n\n### Instruction:\nOne and one?\n\n### Response:\nTwo.</s>"
    "\n\n### Instruction:\nAnd\ntwo? ",
    "exaone": "[|system|]Be brief.[|endofturn|]\n"
    "[|user|]One and one?\n[|assistant|]Two.[|endofturn|]\n[|user|]And\ntwo? \n",
}
PROMPTS = {
    "chatml": "<|im_start|>assistant\n",
    "llama3": "<|start_header_id|>assistant<|end_header_id|>\n\n",
    "mistral": "",
    "alpaca": "\n\n### Response:\n",
    "exaone": "[|assistant|]",
}
FIRST_TURNS = {
    "chatml": "<|im_start|>user\nOne and one?<|im_end|>\n<|im_start|>assistant\n",
    "llama3": "<|start_header_id|>user<|end_header_id|>\n\nOne and one?<|eot_id|>"
    "<|start_header_id|>assistant<|end_header_id|>\n\n",
    "mistral": "[INST] One and one? [/INST]",
    "alpaca": "Below is an instruction that describes a task. Write a response that appropriately completes the "
    "request.\n\n### Instruction:\nOne and one?\n\n### Response:\n",
    "exaone": "[|user|]One and one?\n[|assistant|]",
}


def test_every_format_that_a_recipe_may_name_is_here() -> None:
    (formats, _) = get_args(ChatTemplate.model_fields["format"].annotation)
    assert {*get_args(formats)} == {"auto", *FORMATS}
    assert CHATS.keys() == PROMPTS.keys() == FIRST_TURNS.keys() == FORMATS.keys()


@pytest.mark.parametrize("name", FORMATS)
def test_a_chat_of_several_turns(name: str) -> None:
    assert render(name, [SYSTEM, *CHAT], asks=False, **MARKS) == CHATS[name]
    assert render(name, [SYSTEM, *CHAT], asks=True, **MARKS) == CHATS[name] + PROMPTS[name]


@pytest.mark.parametrize("name", FORMATS)
def test_a_first_turn_without_system_message_and_marks_of_the_text(name: str) -> None:
    assert render(name, CHAT[:1], asks=True) == FIRST_TURNS[name]


@pytest.mark.parametrize("name", FORMATS)
def test_an_answer_without_words(name: str) -> None:
    assert "None" not in render(name, [CHAT[0], {"role": "assistant", "content": None}], asks=False, **MARKS)


@pytest.mark.parametrize("name", FORMATS)
def test_a_formats_marks_are_in_its_template(name: str) -> None:
    text, form = read_format(name), FORMATS[name]
    assert find_mistake(text) is None
    assert all(mark in text for mark in form.marks)
    assert form.end is None or form.end in form.marks
