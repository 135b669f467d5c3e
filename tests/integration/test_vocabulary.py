"""The small real model's tokenizer, and variants of it, united and aligned: judged by transformers."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerBase

from suture.checkpoint.layout import Layout, TensorInfo
from suture.checkpoint.tokenizer import read_tokenizer
from suture.errors import SourceError
from suture.merge.companions import companion_files, vocabulary_config, write_companions
from suture.merge.rows import RowMap
from suture.merge.vocabulary import MergedVocabulary, check_vocabularies, merge_vocabulary
from suture.recipe.merge import Blend

TEXTS = [
    "The seam heals when the model has seen enough text. Mühsam ernährt sich das Eichhörnchen; 它们 are 号 fine 🙂.",
    "def heal(layer: int) -> list[float]:\n    return [w for w in layer.weights if w > 1e-5]\n\n\n\t# 12,345",
    "<|im_start|>user\nWhat is a seam?<|im_end|>\n<|im_start|>assistant\n",
    "  leading, trailing  \r\n",
]
SMALL = {
    "hidden_size": 16,
    "intermediate_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "head_dim": 8,
}
Variant = Callable[[dict[str, Any], dict[str, Any]], None]


@pytest.fixture
def variant(smollm2: Path, tmp_path: Path) -> Callable[..., Path]:
    """Writes the small real model's files, without its weights, with a changed tokenizer and tokenizer config."""

    def write(name: str, change: Variant | None = None) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        for path in smollm2.iterdir():
            if path.suffix in (".json", ".jinja") and not path.name.startswith(("model", "manifest")):
                shutil.copyfile(path, folder / path.name)
        tables = [json.loads((folder / file).read_text()) for file in ("tokenizer.json", "tokenizer_config.json")]
        if change:
            change(*tables)
            for file, table in zip(("tokenizer.json", "tokenizer_config.json"), tables, strict=True):
                (folder / file).write_text(json.dumps(table))
        return folder

    return write


def adding(*tokens: str, **config: Any) -> Variant:
    def change(table: dict[str, Any], tokenizer_config: dict[str, Any]) -> None:
        known = table["model"]["vocab"]
        flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
        entries = [{"id": len(known) + place, "content": token, **flags} for place, token in enumerate(tokens)]
        table["added_tokens"] += entries
        tokenizer_config |= config

    return change


def without_the_last(count: int) -> Variant:
    """Take the last merges away, and what they make."""

    def change(table: dict[str, Any], _: dict[str, Any]) -> None:
        model = table["model"]
        pairs = [pair.split(" ") if isinstance(pair, str) else pair for pair in model["merges"]]
        model["merges"] = pairs[:-count]
        kept = {left + right for left, right in pairs[:-count]}
        gone = {left + right for left, right in pairs[-count:]} - kept
        kept_tokens = [token for token in sorted(model["vocab"], key=model["vocab"].get) if token not in gone]
        model["vocab"] = {token: number for number, token in enumerate(kept_tokens)}
        for entry in table["added_tokens"]:
            entry["id"] = model["vocab"][entry["content"]]

    return change


def permuted(table: dict[str, Any], _: dict[str, Any]) -> None:
    """Give all tokens other ids."""
    vocabulary = table["model"]["vocab"]
    order = np.random.default_rng(0).permutation(len(vocabulary)).tolist()
    table["model"]["vocab"] = dict(zip(vocabulary, order, strict=True))
    for entry in table["added_tokens"]:
        entry["id"] = table["model"]["vocab"][entry["content"]]


def of_its_own_class(table: dict[str, Any], tokenizer_config: dict[str, Any]) -> None:
    """As the hub has it: a class that builds the tokenizer anew of its vocabulary, merges and listed tokens."""
    entries = {str(entry["id"]): {k: v for k, v in entry.items() if k != "id"} for entry in table["added_tokens"]}
    tokenizer_config |= {"tokenizer_class": "GPT2Tokenizer", "added_tokens_decoder": entries}


def load(folder: Path) -> PreTrainedTokenizerBase:
    return AutoTokenizer.from_pretrained(folder)


class Sources:
    """Models of one small layer with these tokenizers."""

    def __init__(self, *, tied: bool = True, **folders: Path) -> None:
        self.folders = folders
        self.models = {
            name: _small_model(load(folder), seed, tied=tied) for seed, (name, folder) in enumerate(folders.items())
        }
        self.tensors = {
            name: {
                tensor: value.numpy() for tensor, value in model.state_dict().items() if _is_stored(tensor, tied=tied)
            }
            for name, model in self.models.items()
        }
        self.layouts = {name: self._layout(name) for name in folders}

    def _layout(self, name: str) -> Layout:
        tensors = {tensor: TensorInfo("F32", value.shape) for tensor, value in self.tensors[name].items()}
        config = json.loads(self.models[name].config.to_json_string(use_diff=False))
        return Layout(config, tensors, tuple(sorted(path.name for path in self.folders[name].iterdir())))

    def merge(self, out: Path, **fields: Any) -> MergedVocabulary:
        """Write the files beside the weights of a merge, and its config, into a folder."""
        models = [{"source": name} for name in self.folders]
        merge = Blend.model_validate({"method": "linear", "base": "a", "models": models, **fields})
        merged = merge_vocabulary(merge, self.layouts, self.folders)
        out.mkdir()
        write_companions(companion_files(merge, self.layouts, self.folders, merged), out)
        config = vocabulary_config(self.layouts["a"].config, merge, self.layouts, merged)
        (out / "config.json").write_text(json.dumps(config))
        return merged

    def gather(self, rows: RowMap) -> np.ndarray:
        """Collect the rows of a map, run by run."""
        width = next(iter(self.tensors.values()))["model.embed_tokens.weight"].shape[1]
        parts = [
            self.tensors[source][tensor][first : first + count] if source else np.zeros((count, width), np.float32)
            for source, tensor, first, count in rows.runs()
        ]
        return np.concatenate(parts)


def _small_model(tokenizer: PreTrainedTokenizerBase, seed: int, *, tied: bool) -> LlamaForCausalLM:
    torch.manual_seed(seed)
    ids = {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id}
    config = LlamaConfig(vocab_size=len(tokenizer), tie_word_embeddings=tied, **ids, **SMALL)
    return LlamaForCausalLM(config).eval()


def _is_stored(tensor: str, *, tied: bool) -> bool:
    return not (tied and tensor == "lm_head.weight")


@pytest.mark.parametrize("change", [None, adding("<|a|>", "<|b|>", pad_token="<|pad|>"), of_its_own_class, permuted])
def test_ids_are_those_of_transformers(variant: Callable[..., Path], change: Variant | None) -> None:
    folder = variant("a", change)
    assert read_tokenizer(folder, "a").ids == load(folder).get_vocab()


@pytest.mark.parametrize("change", [None, of_its_own_class])
def test_a_union_of_added_tokens_cuts_text_as_the_base_does(
    variant: Callable[..., Path], tmp_path: Path, change: Variant | None
) -> None:
    a, b = variant("a", change), variant("b", adding("<|tool|>", "<|end_of_tool|>", pad_token="<|pad|>"))
    sources = Sources(a=a, b=b)
    merged = sources.merge(tmp_path / "out", vocabulary={"union": True})
    base, united = load(a), load(tmp_path / "out")
    assert united.get_vocab() == merged.tokenizer.ids
    for text in TEXTS:
        assert united.encode(text) == base.encode(text)
        assert united.decode(united.encode(text)) == base.decode(base.encode(text))
    new = united.encode("<|tool|>seam<|end_of_tool|>")
    assert new == [len(base), *base.encode("seam"), len(base) + 1]
    assert united.decode(new) == "<|tool|>seam<|end_of_tool|>"
    embedding = sources.gather(merged.row_map("a", "model.embed_tokens.weight"))
    its_own = sources.tensors["b"]["model.embed_tokens.weight"]
    for token in ("<|tool|>", "<|end_of_tool|>", "<|pad|>"):
        row = united.convert_tokens_to_ids(token)
        assert np.array_equal(embedding[row], its_own[load(b).convert_tokens_to_ids(token)])
    assert np.array_equal(embedding[: len(base)], sources.tensors["a"]["model.embed_tokens.weight"])
    messages = [{"role": "user", "content": "What is a seam?"}]
    assert united.apply_chat_template(messages) == base.apply_chat_template(messages)
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    assert config["vocab_size"] == len(united) == len(embedding)


@pytest.mark.parametrize("change", [None, of_its_own_class])
def test_a_union_of_vocabularies_cuts_text_with_the_merges_of_both(
    variant: Callable[..., Path], tmp_path: Path, change: Variant | None
) -> None:
    def fewer(table: dict[str, Any], tokenizer_config: dict[str, Any]) -> None:
        without_the_last(20_000)(table, tokenizer_config)
        if change:
            change(table, tokenizer_config)

    a, b = variant("a", fewer), variant("b", adding("<|tool|>"))
    sources = Sources(a=a, b=b)
    merged = sources.merge(tmp_path / "out", vocabulary={"union": True})
    base, full, united = load(a), load(b), load(tmp_path / "out")
    ids, known, theirs = united.get_vocab(), base.get_vocab(), full.get_vocab()
    assert {token: ids[token] for token in known} == known
    assert sorted(ids.values()) == list(range(len(united)))
    for text in TEXTS:
        # The base's merges are the first of b's: with those of b after them, all texts are cut as b cuts them.
        assert united.tokenize(text) == full.tokenize(text)
        assert united.decode(united.encode(text)) == text
    assert any(united.tokenize(text) != base.tokenize(text) for text in TEXTS)
    embedding = sources.gather(merged.row_map("a", "model.embed_tokens.weight"))
    mine, others = (sources.tensors[name]["model.embed_tokens.weight"] for name in "ab")
    for token, row in ids.items():
        expected = mine[known[token]] if token in known else others[theirs[token]]
        assert np.array_equal(embedding[row], expected), token


@pytest.mark.parametrize("tied", [True, False])
def test_a_model_with_other_ids_computes_the_same_seen_through_its_map(
    variant: Callable[..., Path], tmp_path: Path, tied: bool
) -> None:
    a, b = variant("a", adding("<|only a|>")), variant("b", permuted)
    sources = Sources(a=a, b=b, tied=tied)
    with pytest.raises(SourceError, match="cannot be blended row by row"):
        check_vocabularies("a", ["b"], sources.layouts, sources.folders)
    merged = sources.merge(tmp_path / "out", vocabulary={})
    config = LlamaConfig.from_pretrained(tmp_path / "out")
    assert config.vocab_size == len(load(a))
    seen = dict(sources.models["b"].state_dict())
    for tensor in filter(merged.is_by_token, sources.tensors["a"]):
        seen[tensor] = torch.from_numpy(sources.gather(merged.row_map("b", tensor)))
    if tied:
        seen["lm_head.weight"] = seen["model.embed_tokens.weight"]
    aligned = LlamaForCausalLM(config).eval()
    aligned.load_state_dict(seen)
    mine, others = load(a), load(b)
    ids = mine.get_vocab()
    rows, places = zip(*((ids[token], number) for token, number in others.get_vocab().items()), strict=True)
    for text in TEXTS:
        with torch.no_grad():
            expected = sources.models["b"](torch.tensor([others.encode(text)])).logits
            found = aligned(torch.tensor([mine.encode(text)])).logits
        torch.testing.assert_close(found[..., rows], expected[..., places], rtol=0, atol=1e-5)


def test_the_tokenizer_of_another_source_comes_with_its_ids_and_template(
    variant: Callable[..., Path], tmp_path: Path
) -> None:
    a, b = variant("a"), variant("b", permuted)
    (b / "chat_template.jinja").write_text("{% for message in messages %}{{ message['content'] }}{% endfor %}")
    (b / "generation_config.json").unlink()  # it names the ids before they were shuffled
    sources = Sources(a=a, b=b)
    sources.merge(tmp_path / "out", vocabulary={"source": "b"})
    united, theirs = load(tmp_path / "out"), load(b)
    assert united.get_vocab() == theirs.get_vocab()
    assert united.chat_template == theirs.chat_template
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    generation = json.loads((tmp_path / "out" / "generation_config.json").read_text())
    for table in (config, generation):
        assert table["eos_token_id"] == theirs.convert_tokens_to_ids("<|im_end|>")
        assert table["bos_token_id"] == theirs.convert_tokens_to_ids("<|im_start|>")
