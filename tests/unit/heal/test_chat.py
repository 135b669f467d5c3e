"""Conversations as rows: what is learned is what the assistant said, and nothing else."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from safetensors.numpy import load_file
from tokenizers import Tokenizer

from suture.corpus import pin_data
from suture.errors import DataError, SourceError
from suture.heal.data.chat import NO_LOSS, chat_encoding
from suture.heal.data.dataset import DatasetSpec, dataset
from suture.progress import Silent
from suture.recipe import Data
from tests.unit.heal.steps_by_hand import as_artifact, make_workspace

CHATML = """\
{%- for m in messages -%}
{{ '[' + m.role + ']\\n' + m.content + '[end]\\n' }}
{%- endfor -%}
{%- if add_generation_prompt -%}{{ '[assistant]\\n' }}{%- endif -%}"""

FORGETFUL = """\
{%- for m in messages -%}
{%- set c = m.content if loop.last or m.role != 'assistant' else m.content.split('</think>')[-1] -%}
{{ '[' + m.role + ']\\n' + c + '[end]\\n' }}
{%- endfor -%}
{%- if add_generation_prompt -%}{{ '[assistant]\\n<think>' }}{%- endif -%}"""
"""Takes the thinking out of earlier turns, and begins it in the prompt."""

STRICT = "{% if messages[0].role == 'system' %}{{ raise_exception('no system role') }}{% endif %}" + CHATML

TALK = [
    {"role": "user", "content": "one two"},
    {"role": "assistant", "content": "three"},
    {"role": "user", "content": "four"},
    {"role": "assistant", "content": "five six"},
    {"role": "user", "content": "and then?"},
]


@pytest.fixture
def talker(tmp_path: Path, pico: Path) -> Path:
    folder = Path(shutil.copytree(pico, tmp_path / "talker"))
    (folder / "chat_template.jinja").write_text(CHATML)
    return folder


def encode(folder: Path, messages: list[dict[str, Any]]) -> tuple[str, list[str]]:
    """Return the whole as text, and the runs of it that are learned."""
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    with chat_encoding(folder, tokenizer) as chat:
        sample = chat.encode(messages, "here")
    runs: list[list[int]] = [[]]
    for token, label in zip(sample.ids, sample.labels, strict=True):
        assert label in (token, NO_LOSS)
        if label == NO_LOSS:
            runs.append([])
        else:
            runs[-1].append(token)
    return tokenizer.decode(list(sample.ids)), [tokenizer.decode(run) for run in runs if run]


def test_the_assistants_turns_are_learned_with_their_ends(talker: Path) -> None:
    whole, learned = encode(talker, TALK)
    assert learned == ["three[end]", "five six[end]"]
    assert whole == ("[user]\none two[end]\n[assistant]\nthree[end]\n[user]\nfour[end]\n[assistant]\nfive six[end]\n")


def test_of_a_template_that_forgets_only_the_last_turn_is_learned(talker: Path) -> None:
    (talker / "chat_template.jinja").write_text(FORGETFUL)
    talk = [{**m, "content": f"<think>hm</think>{m['content']}"} if m["role"] == "assistant" else m for m in TALK]
    whole, learned = encode(talker, talk)
    assert learned == ["hm</think>five six[end]"]
    assert "hm</think>three" not in whole


def test_a_conversation_without_assistant_teaches_nothing(talker: Path) -> None:
    assert encode(talker, TALK[:1]) == ("", [])


@pytest.mark.parametrize(
    "place",
    [
        lambda folder: (folder / "tokenizer_config.json", {"eos_token": "<|end|>", "chat_template": CHATML}),
        lambda folder: (
            folder / "tokenizer_config.json",
            {"chat_template": [{"name": "tools", "template": "x"}, {"name": "default", "template": CHATML}]},
        ),
        lambda folder: (folder / "chat_template.json", {"chat_template": CHATML}),
    ],
)
def test_the_template_is_found_where_transformers_looks(talker: Path, place: Any) -> None:
    (talker / "chat_template.jinja").unlink()
    path, content = place(talker)
    path.write_text(json.dumps(content))
    assert encode(talker, TALK)[1] == ["three[end]", "five six[end]"]


def test_a_missing_template_is_explained(pico: Path) -> None:
    with pytest.raises(SourceError, match="no chat template"):
        encode(pico, TALK)


def test_a_refusing_template_is_explained(talker: Path) -> None:
    (talker / "chat_template.jinja").write_text(STRICT)
    with pytest.raises(DataError, match="refuses") as caught:
        encode(talker, [{"role": "system", "content": "x"}, *TALK])
    assert caught.value.where == "here"
    assert "no system role" in str(caught.value.found)


# -- the step -------------------------------------------------------------------------------------------------------


def make(
    tmp_path: Path, model: Path, rows: list[Any], length: int = 64, sequences: int = 6, batch: int = 1
) -> tuple[Path, dict]:
    tmp_path.mkdir(exist_ok=True)
    tmp_path.mkdir(exist_ok=True)
    path = tmp_path / "talk.jsonl"
    path.write_text("".join(json.dumps({"messages": row}) + "\n" for row in rows))
    work = make_workspace(tmp_path / "work")
    pinned = pin_data(Data(text=str(path)), alone=True)
    spec = DatasetSpec(texts=(pinned,), sequence_length=length, sequences=sequences, seed=0, batch=batch)
    assert DatasetSpec.model_validate(spec.model_dump()).model_dump() == spec.model_dump()
    return work.out, dict(dataset(spec, [as_artifact(model)], work, Silent()))


def test_rows_keep_their_lengths_and_what_is_left_out_is_counted(tmp_path: Path, talker: Path) -> None:
    talks = [[{"role": "user", "content": f"{n}"}, {"role": "assistant", "content": "x" * n}] for n in range(3)]
    endless = [{"role": "user", "content": "?"}, {"role": "assistant", "content": "y" * 500}]
    folder, facts = make(tmp_path, talker, [*talks, endless, TALK[:1], talks[0]])
    tensors = load_file(folder / "train.safetensors")
    lengths = tensors["lengths"].tolist()
    assert len(lengths) == 6
    assert sum(lengths) == len(tensors["input_ids"]) == len(tensors["labels"]) == facts["tokens"]
    assert len(set(lengths)) > 1
    assert sorted(lengths)[::2] == sorted(lengths)[1::2]  # three conversations, twice each
    (text,) = facts["texts"]
    assert (text["epochs"], text["too_long"], text["silent"]) == (2.0, 1, 1)
    assert facts["learned_tokens"] == (tensors["labels"] != NO_LOSS).sum() < facts["tokens"]


def test_rows_of_similar_length_are_read_together(tmp_path: Path, talker: Path) -> None:
    talks = [[{"role": "user", "content": "?"}, {"role": "assistant", "content": "ab " * n}] for n in range(1, 13)]
    made = [make(tmp_path / f"{batch}", talker, talks, sequences=24, batch=batch) for batch in (1, 4)]
    one_by_one, grouped = (load_file(folder / "train.safetensors")["lengths"] for folder, _ in made)
    assert sorted(one_by_one) == sorted(grouped)

    def padding(lengths: Any) -> float:
        read = 4 * lengths.reshape(-1, 4).max(axis=1).sum()
        return (read - lengths.sum()) / read

    facts = made[1][1]
    assert facts["padding"] == pytest.approx(padding(grouped), abs=1e-4)
    assert facts["padding_before_grouping"] == pytest.approx(padding(one_by_one), abs=1e-4)
    assert padding(grouped) < padding(one_by_one) / 2
    assert list(grouped) != sorted(grouped)
    assert "padding" not in made[0][1]


def test_of_a_large_data_set_a_sample_is_read_whatever_its_order(
    tmp_path: Path, talker: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("suture.heal.data.talks._FIRST", 5)
    talks = [
        [{"role": "user", "content": f"{n}"}, {"role": "assistant", "content": "long " * 200 if n % 4 else "short"}]
        for n in range(200)
    ]
    (text,), (reordered,) = (
        make(tmp_path / name, talker, rows)[1]["texts"] for name, rows in (("one", talks), ("other", talks[::-1]))
    )
    assert 6 <= text["looked_at"] < 200, "as few as it takes to find six that are short enough"
    assert text["looked_at"] - text["too_long"] >= 6
    assert 0.06 < text["epochs"] < 0.5, "six of about fifty"
    counted = ("looked_at", "too_long", "epochs")
    assert [text[name] for name in counted] == [reordered[name] for name in counted]


def test_nothing_to_learn_is_explained(tmp_path: Path, talker: Path) -> None:
    with pytest.raises(DataError, match="does the assistant say anything"):
        make(tmp_path, talker, [TALK[:1]])


def test_nothing_short_enough_is_explained(tmp_path: Path, talker: Path) -> None:
    with pytest.raises(DataError, match="longer than one training sequence") as caught:
        make(tmp_path, talker, [TALK], length=16)
    assert "at most 16 tokens" in str(caught.value.expected)
