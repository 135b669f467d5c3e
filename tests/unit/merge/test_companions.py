from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from suture.checkpoint.layout import Layout
from suture.checkpoint.tokenizer import read_tokenizer
from suture.errors import SourceError
from suture.merge.chat import chat_notes
from suture.merge.companions import Files, companion_files, vocabulary_config
from suture.merge.templates import read_format
from suture.merge.vocabulary import merge_vocabulary
from suture.recipe import Blend, ChatTemplate
from tests.unit.small_tokenizers import bpe, layout, write_tokenizer

END = 300
"""Id of the one special token of `bpe()`."""


class Models:
    """Sources a, b, ... and the files that a merge of them has."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.layouts: dict[str, Layout] = {}
        self.folders: dict[str, Path] = {}

    def add(
        self,
        name: str,
        tokenizer: Any = None,
        *,
        files: Mapping[str, Any] | None = None,
        config: Mapping[str, Any] | None = None,
        rows: int = 304,
        **tokenizer_config: Any,
    ) -> None:
        folder = write_tokenizer(self._folder / name, tokenizer or bpe(), **tokenizer_config)
        for file, content in (files or {}).items():
            (folder / file).write_text(content if isinstance(content, str) else json.dumps(content))
        self.folders[name] = folder
        self.layouts[name] = layout(rows, files=files or (), **(config or {}))

    def _merge(self, **fields: Any) -> Blend:
        models = [{"source": name} for name in self.layouts]
        return Blend.model_validate({"method": "linear", "base": "a", "models": models, **fields})

    def files(self, **fields: Any) -> Files:
        merge = self._merge(**fields)
        merged = merge_vocabulary(merge, self.layouts, self.folders) if merge.vocabulary else None
        return companion_files(merge, self.layouts, self.folders, merged)

    def config(self, config: Mapping[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
        merge = self._merge(**fields)
        merged = merge_vocabulary(merge, self.layouts, self.folders)
        return vocabulary_config(config or self.layouts["a"].config, merge, self.layouts, merged)

    def from_(self, files: Files) -> dict[str, str]:
        """Tell of each file which source it is a copy of; `new` if of none."""
        owners = {folder: name for name, folder in self.folders.items()}
        return {file: owners[made.parent] if isinstance(made, Path) else "new" for file, made in files.items()}


@pytest.fixture
def models(tmp_path: Path) -> Models:
    return Models(tmp_path)


EVERYTHING = {
    "chat_template.jinja": "plain",
    "generation_config.json": {"eos_token_id": END},
    "preprocessor_config.json": {},
    "special_tokens_map.json": {},
    "tokenizer.model": "sentencepiece",
    "vocab.json": {},
    "merges.txt": "",
    "added_tokens.json": {},
    "LICENSE": "MIT",
    "README.md": "a card",
}


def test_without_a_vocabulary_all_files_are_the_base_s(models: Models) -> None:
    models.add("a", files=EVERYTHING)
    models.add("b", files=EVERYTHING)
    found = models.from_(models.files())
    assert found.keys() == (EVERYTHING.keys() | {"tokenizer.json", "tokenizer_config.json"}) - {"README.md"}
    assert set(found.values()) == {"a"}


def test_tokenizer_and_template_come_from_its_source_whole(models: Models) -> None:
    models.add("a", files=EVERYTHING | {"tool_use.jinja": "old"})
    models.add("b", files={"chat_template.json": {"chat_template": "of b"}, "preprocessor_config.json": {}})
    assert models.from_(models.files(vocabulary={"source": "b"})) == {
        "tokenizer.json": "b",
        "tokenizer_config.json": "b",
        "chat_template.json": "b",
        "generation_config.json": "new",
        "preprocessor_config.json": "a",
        "LICENSE": "a",
    }


def test_a_union_leaves_out_files_that_know_half_of_it(models: Models) -> None:
    models.add("a", files=EVERYTHING)
    models.add("b", bpe(special=["<|b|>"]), files=EVERYTHING)
    files = models.files(vocabulary={"union": True})
    assert models.from_(files) == {
        "tokenizer.json": "new",
        "tokenizer_config.json": "new",
        "special_tokens_map.json": "a",
        "chat_template.jinja": "a",
        "generation_config.json": "a",
        "preprocessor_config.json": "a",
        "LICENSE": "a",
    }
    content = files["tokenizer.json"]
    assert isinstance(content, bytes)
    assert [token["content"] for token in json.loads(content)["added_tokens"]] == ["<|end|>", "<|b|>"]


def test_a_union_that_adds_nothing_copies_the_tokenizer(models: Models) -> None:
    models.add("a", files=EVERYTHING)
    models.add("b", files=EVERYTHING)
    assert set(models.from_(models.files(vocabulary={"union": True})).values()) == {"a"}


# -- the chat template --------------------------------------------------------------------------------------------

CHATML = "{{ '<|im_start|>' }}...{{ '<|im_end|>' }}"


def content_of(files: Files, name: str) -> Any:
    made = files[name]
    return json.loads(made if isinstance(made, bytes) else made.read_text())


def test_the_template_of_another_source_replaces_every_form_of_the_tokenizer_s(models: Models) -> None:
    models.add("a", bpe(special=["<|end|>", "<|im_start|>", "<|im_end|>"]), chat_template="old", eos_token="<|end|>")
    models.add("b", bpe(special=["<|im_start|>", "<|im_end|>"]), files={"chat_template.jinja": CHATML})
    files = models.files(chat_template="b")
    assert models.from_(files)["chat_template.jinja"] == "b"
    config = content_of(files, "tokenizer_config.json")
    assert (config.get("chat_template"), config["eos_token"]) == (None, "<|end|>")


def test_a_template_inside_the_tokenizer_config_is_taken_over(models: Models) -> None:
    templates = [{"name": "default", "template": "x"}, {"name": "tool_use", "template": "y"}]
    models.add("a", files={"chat_template.jinja": "old"})
    models.add("b", chat_template=templates)
    files = models.files(chat_template="b")
    assert "chat_template.jinja" not in files
    assert content_of(files, "tokenizer_config.json")["chat_template"] == templates


def test_the_speaker_s_end_of_turn_ends_an_answer_too(models: Models) -> None:
    tokens = bpe(special=["<|end|>", "<|im_start|>", "<|im_end|>"])
    models.add("a", tokens, files={"generation_config.json": {"eos_token_id": END, "temperature": 0.6}})
    speaker = {"chat_template.jinja": CHATML, "generation_config.json": {"eos_token_id": [301, 300]}}
    models.add("b", bpe(special=["<|im_start|>", "<|im_end|>"]), files=speaker)
    assert content_of(models.files(chat_template="b"), "generation_config.json") == {
        "eos_token_id": [END, 302, 301],
        "temperature": 0.6,
    }
    models.add("c", files={"chat_template.jinja": "{{ eos_token }}"}, config={"eos_token_id": END})
    assert content_of(models.files(chat_template="c"), "generation_config.json")["eos_token_id"] == END


def test_the_end_is_told_where_the_base_has_no_generation_config(models: Models) -> None:
    models.add("a", bpe(special=["<|end|>", "<|eot|>"]), config={"eos_token_id": 300})
    models.add("b", bpe(special=["<|eot|>"]), files={"chat_template.jinja": "<|eot|>"}, config={"eos_token_id": 300})
    assert content_of(models.files(chat_template="b"), "generation_config.json") == {"eos_token_id": [300, 301]}


def test_a_template_whose_marks_are_missing_is_refused(models: Models) -> None:
    models.add("a")
    models.add("b", bpe(special=["<|im_start|>", "<|im_end|>", "<|rare|>"]), files={"chat_template.jinja": CHATML})
    with pytest.raises(SourceError, match="uses tokens that the result lacks") as caught:
        models.files(chat_template="b")
    assert caught.value.expected == "<|im_start|>, <|im_end|>"
    assert models.from_(models.files(chat_template="b", vocabulary={"union": True}))["chat_template.jinja"] == "b"


def test_a_source_without_a_template_is_refused(models: Models) -> None:
    models.add("a", files={"chat_template.jinja": "x"})
    models.add("b")
    with pytest.raises(SourceError, match="b has no chat template"):
        models.files(chat_template="b")


@pytest.mark.parametrize(
    ("name", "marks"), [("chatml", ["<|im_start|>", "<|im_end|>"]), ("exaone", ["[|endofturn|]"])]
)
def test_a_template_by_its_format_replaces_every_other(models: Models, name: str, marks: list[str]) -> None:
    own = {"chat_template.jinja": "old", "tool_use.jinja": "old", "chat_template.json": {}}
    tokens = bpe(special=["<|end|>", *marks])
    generation = {"eos_token_id": END, "temperature": 0.6}
    models.add(
        "a", tokens, files=own | {"generation_config.json": generation}, chat_template="old", eos_token="<|end|>"
    )
    models.add("b", tokens, files={"chat_template.jinja": "of b"})
    files = models.files(chat_template={"format": name})
    assert [file for file in files if "jinja" in file or "chat" in file] == ["chat_template.jinja"]
    assert files["chat_template.jinja"] == read_format(name).encode()
    config = content_of(files, "tokenizer_config.json")
    assert (config.get("chat_template"), config["eos_token"]) == (None, "<|end|>")
    ends = [END, tokens.token_to_id(marks[-1])]
    assert content_of(files, "generation_config.json") == generation | {"eos_token_id": ends}


@pytest.mark.parametrize("eos", ["<|end|>", {"content": "<|end|>", "special": True}])
def test_where_the_end_of_a_text_ends_an_answer_it_is_told(models: Models, eos: Any) -> None:
    models.add("a", bpe(special=["<|eot|>", "<|end|>"]), config={"eos_token_id": 300}, eos_token=eos)
    files = models.files(chat_template={"format": "alpaca"})
    assert content_of(files, "generation_config.json") == {"eos_token_id": [300, 301]}
    models.add("a", bpe())
    assert "generation_config.json" not in models.files(chat_template={"format": "mistral"})


def test_a_format_whose_marks_are_missing_is_refused_and_a_union_helps(models: Models) -> None:
    models.add("a", bpe(special=["<|im_start|>"]))
    models.add("b", bpe(special=["<|im_start|>", "<|im_end|>"]))
    with pytest.raises(SourceError, match="The chat template chatml uses tokens that the result lacks") as caught:
        models.files(chat_template={"format": "chatml"})
    assert (caught.value.expected, caught.value.found) == ("<|im_end|>", "the tokenizer of a")
    ways_out = ({"union": True}, {"tokens": [{"token": "<|im_end|>", "source": "b"}]}, {"source": "b"})
    for vocabulary in ways_out:
        files = models.files(chat_template={"format": "chatml"}, vocabulary=vocabulary)
        assert files["chat_template.jinja"] == read_format("chatml").encode()


def test_a_template_of_ones_own_is_written_as_it_is(models: Models) -> None:
    models.add("a", files={"chat_template.jinja": "old"})
    text = "{{ messages }}\n"
    assert models.files(chat_template={"jinja": text})["chat_template.jinja"] == text.encode()


def test_marks_of_ones_own_template_that_are_no_tokens_are_told(tmp_path: Path) -> None:
    result = read_tokenizer(write_tokenizer(tmp_path, bpe(special=["<|end|>"])), "a")
    template = ChatTemplate(jinja="{{ messages }}<|end|><|im_end|>{{ '<|im_start|>' }}<|im_end|>")
    (note,) = chat_notes(template, result)
    assert note.startswith("The chat template uses <|im_end|>, <|im_start|>: no single tokens")
    assert chat_notes(ChatTemplate(jinja="{{ messages }}<|end|><b>"), result) == ()


def test_auto_takes_the_template_that_most_have(models: Models) -> None:
    models.add("a", files={"chat_template.jinja": "of a"})
    models.add("b", files={"chat_template.jinja": "of b and c\n"})
    models.add("c", chat_template="of b and c")
    models.add("d")
    assert models.from_(models.files(chat_template={"format": "auto"}))["chat_template.jinja"] == "b"


def test_auto_takes_the_tokenizers_in_a_tie_and_whole(models: Models) -> None:
    models.add("b", files={"chat_template.jinja": "of b"})
    models.add("a", files={"chat_template.jinja": "of a", "tool_use.jinja": "of a"})
    files = models.from_(models.files(chat_template={"format": "auto"}))
    assert {files[name] for name in ("chat_template.jinja", "tool_use.jinja", "tokenizer_config.json")} == {"a"}


def test_auto_passes_over_templates_that_the_result_cannot_speak(models: Models) -> None:
    tokens = bpe(special=["<|im_start|>", "<|im_end|>"])
    models.add("a")
    models.add("b", tokens, files={"chat_template.jinja": CHATML})
    models.add("c", tokens, files={"chat_template.jinja": CHATML})
    assert "chat_template.jinja" not in models.files(chat_template={"format": "auto"})
    models.add("d", files={"chat_template.jinja": "plain"})
    assert models.from_(models.files(chat_template={"format": "auto"}))["chat_template.jinja"] == "d"
    united = models.files(chat_template={"format": "auto"}, vocabulary={"union": True})
    assert models.from_(united)["chat_template.jinja"] == "b"


def test_auto_without_any_template_or_tokenizer_is_the_base_s(models: Models) -> None:
    models.add("a", chat_template={"odd": 1})
    models.add("b")
    (models.folders["b"] / "tokenizer.json").unlink()
    assert set(models.from_(models.files(chat_template={"format": "auto"})).values()) == {"a"}


# -- the config ---------------------------------------------------------------------------------------------------


def test_the_length_is_told_wherever_the_config_tells_it(models: Models) -> None:
    text = {"num_hidden_layers": 1, "vocab_size": 304, "vocab_size_per_layer_input": 304, "eos_token_id": END}
    models.add("a", config={"text_config": text, "vision_config": {"vocab_size": 304}})
    models.add("b", bpe(special=[f"<{number}>" for number in range(9)]), rows=309)
    config = models.config(vocabulary={"union": True})
    assert config["vocab_size"] == 310
    assert config["text_config"] == text | {"vocab_size": 310, "vocab_size_per_layer_input": 310}
    assert config["vision_config"] == {"vocab_size": 304}
    assert models.layouts["a"].config["vocab_size"] == 304, "the base's own config is untouched"


def test_a_length_left_to_transformers_is_told_when_it_changes(models: Models) -> None:
    models.add("a")
    models.add("b")
    bare = {"text_config": {"num_hidden_layers": 1}}
    assert models.config(bare, vocabulary={}) == bare
    assert models.config(bare, vocabulary={"pad_to_multiple_of": 100}) == {
        "text_config": {"num_hidden_layers": 1, "vocab_size": 400}
    }


def test_ids_are_those_of_the_tokenizer(models: Models) -> None:
    mine = {
        "bos_token_id": 301,
        "eos_token_id": [300, 302],
        "pad_token_id": 303,
        "image_token_index": -200,
        "text_config": {"num_hidden_layers": 1, "vocab_size": 304, "eos_token_id": 300, "image_token_id": 301},
    }
    models.add("a", bpe(special=["<|end|>", "<|start|>", "<|eot|>", "<|pad|>"]), config=mine)
    models.add("b", bpe(special=["<|start|>", "<|end|>"]), config={"bos_token_id": 300, "eos_token_id": 301})
    config = models.config(vocabulary={"source": "b"})
    assert {key: value for key, value in config.items() if "token" in key} == {
        "bos_token_id": 300,
        "eos_token_id": 301,
        "pad_token_id": None,
        "image_token_index": -200,
    }
    assert config["text_config"] == {
        "num_hidden_layers": 1, "vocab_size": 304, "eos_token_id": 301, "image_token_id": 300,
    }  # fmt: skip
    assert models.config(vocabulary={"union": True})["eos_token_id"] == [300, 302]


def test_generation_settings_stay_and_their_ids_follow(models: Models) -> None:
    settings = {"eos_token_id": [300, 302], "bos_token_id": 301, "suppress_tokens": [302, 5], "temperature": 0.6}
    models.add("a", bpe(special=["<|end|>", "<|start|>", "<|eot|>"]), files={"generation_config.json": settings})
    models.add("b", bpe(special=["<|start|>", "<|end|>"]), config={"eos_token_id": 301})
    assert content_of(models.files(vocabulary={"source": "b"}), "generation_config.json") == {
        "eos_token_id": 301,
        "bos_token_id": 300,
        "suppress_tokens": [5],
        "temperature": 0.6,
    }


def test_a_token_that_the_model_needs_is_not_lost_in_silence(models: Models) -> None:
    models.add("a", bpe(special=["<image>"]), config={"image_token_id": 300})
    models.add("b", bpe(special=["<|end|>"]))
    with pytest.raises(SourceError, match="lacks a token that the config needs") as caught:
        models.config(vocabulary={"source": "b"})
    assert (caught.value.where, caught.value.expected) == ("image_token_id in config.json", "<image>")
    assert models.config(vocabulary={"source": "b", "union": True})["image_token_id"] == 301
