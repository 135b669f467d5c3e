"""The probe against hidden states that transformers itself hands out, and a plain loop over tokens."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from peft import LoraConfig, get_peft_model
from tokenizers import Tokenizer
from tokenizers.processors import TemplateProcessing
from transformers import PreTrainedModel, Qwen3_5Config, Qwen3_5ForConditionalGeneration

from suture.corpus import pin_text
from suture.errors import DataError, SourceError
from suture.heal.probing.probe import BUCKETS, ProbeSpec, bounds, chunks_of, probe
from suture.heal.probing.prober import load, read, token_losses
from suture.heal.training.model import load_model
from suture.progress import Lines, Silent
from suture.recipe import Text
from tests.unit.heal.steps_by_hand import END, as_artifact, make_workspace, text_of

CHUNKS, CONTEXT = 3, 48


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("text") / "words.txt"
    path.write_text(text_of(400))
    return path


def spec_of(text: Path, **changes: Any) -> ProbeSpec:
    pinned = pin_text(Text(text=str(text)), "heldout", alone=True)
    return ProbeSpec(**{"text": pinned, "chunks": CHUNKS, "context": CONTEXT} | changes)


class Plain:
    """What a chunk should read, from `output_hidden_states` and one token after the other."""

    def __init__(self, model: PreTrainedModel, row: torch.Tensor) -> None:
        seen: list[torch.Tensor] = []
        model.get_decoder().layers[-1].register_forward_hook(lambda *found: seen.append(found[2]))
        with torch.no_grad():
            found = model(input_ids=row[None], output_hidden_states=True, use_cache=False)
        (last,) = seen  # the last of the hidden states has gone through the final norm
        last = last[0] if isinstance(last, tuple) else last
        self.states = [state[0].double().numpy() for state in (*found.hidden_states[:-1], last)]
        self.scores = found.logits[0].double().numpy()
        self.tokens = row.tolist()

    def layer(self, number: int) -> tuple[float, float, float]:
        rows: list[tuple[float, float, float]] = []
        for token in range(1, len(self.tokens)):
            before, after = self.states[number][token], self.states[number + 1][token]
            long, longer = math.sqrt((before**2).sum()), math.sqrt((after**2).sum())
            added = math.sqrt(((after - before) ** 2).sum())
            rows.append((longer, float((before * after).sum()) / (long * longer), added / long))
        norm, cosine, added = np.mean(rows, axis=0)
        return norm, cosine, added

    def loss(self, first: int, last: int) -> float:
        lost: list[float] = []
        for place in range(max(first, 1), last + 1):
            scores = self.scores[place - 1]
            lost.append(math.log(np.exp(scores - scores.max()).sum()) + scores.max() - scores[self.tokens[place]])
        return sum(lost) / len(lost)


def hybrid(folder: Path) -> Path:
    """Write a multimodal Qwen3.5 of 4 layers, of which the last has full attention."""
    torch.manual_seed(0)
    text = {
        "vocab_size": 384,
        "hidden_size": 64,
        "intermediate_size": 96,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 32,
        "linear_num_key_heads": 2,
        "linear_num_value_heads": 4,
        "linear_key_head_dim": 32,
        "linear_value_head_dim": 32,
        "full_attention_interval": 4,
        "rope_parameters": {
            "rope_type": "default",
            "rope_theta": 10_000_000,
            "partial_rotary_factor": 0.25,
            "mrope_interleaved": True,
            "mrope_section": [2, 1, 1],
        },
    }
    vision = {"depth": 1, "hidden_size": 32, "intermediate_size": 48, "num_heads": 2, "out_hidden_size": 64}
    config = Qwen3_5Config(text_config=text, vision_config=vision)
    Qwen3_5ForConditionalGeneration(config).save_pretrained(folder)
    return folder


@pytest.mark.parametrize("kind", ["llama", "hybrid"])
def test_the_readings_are_those_of_a_plain_computation(kind: str, pico: Path, tmp_path: Path) -> None:
    model = load_model(pico if kind == "llama" else hybrid(tmp_path / "hybrid"), "lora").float().eval()
    rows = torch.randint(1, 384, (2, CONTEXT), generator=torch.Generator().manual_seed(1))
    found = read(model, rows, 5)
    plain = [Plain(model, row) for row in rows]
    assert len(found.layers) == len(plain[0].states) - 1 == {"llama": 3, "hybrid": 4}[kind]
    for norm, expected in zip(found.start, plain, strict=True):
        assert norm == pytest.approx(np.sqrt((expected.states[0][1:] ** 2).sum(axis=1)).mean())
    for number, layer in enumerate(found.layers):
        for chunk, expected in enumerate(plain):
            measured = (layer.norm[chunk], layer.cosine[chunk], layer.added[chunk])
            assert measured == pytest.approx(expected.layer(number), rel=1e-5)
    edges = [(0, 9), (10, 18), (19, 28), (29, 37), (38, 47)]
    for (first, last), losses in zip(edges, found.losses, strict=True):
        assert losses == pytest.approx([each.loss(first, last) for each in plain], rel=1e-5)


def test_an_adapter_beside_the_weights_is_at_work(pico: Path, tmp_path: Path) -> None:
    torch.manual_seed(3)
    config = LoraConfig(r=2, target_modules=["o_proj", "down_proj"], init_lora_weights=False)
    trained = get_peft_model(load_model(pico, "lora"), config)
    trained.save_pretrained(tmp_path)
    rows = torch.randint(1, 384, (2, CONTEXT))
    beside = read(load(pico, tmp_path).float(), rows, 3)
    inside = read(trained.float().merge_and_unload(), rows, 3)
    without = read(load(pico, None).float(), rows, 3)
    assert np.allclose(beside.losses, inside.losses, rtol=1e-4)
    assert not np.allclose(beside.losses, without.losses, rtol=1e-2)
    for one, other in zip(beside.layers, inside.layers, strict=True):
        assert one.added == pytest.approx(other.added, rel=1e-4)


def test_losses_do_not_depend_on_how_many_rows_are_taken_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    random = torch.Generator().manual_seed(0)
    logits, tokens = torch.randn(40, 9, generator=random), torch.randint(0, 9, (40,), generator=random)
    at_once = token_losses(logits, tokens)
    monkeypatch.setattr("suture.heal.probing.prober._ROWS_AT_ONCE", 7)
    assert torch.equal(token_losses(logits, tokens), at_once)
    assert at_once[0] == 0
    assert at_once[5].item() == pytest.approx(-torch.log_softmax(logits[4], 0)[tokens[5]].item())


def test_buckets_cover_every_predicted_place_once() -> None:
    for context in (32, 48, 100, 512):
        places = [place for first, last in bounds(context, BUCKETS) for place in range(first, last + 1)]
        assert places == list(range(1, context))


def test_the_step(pico: Path, text: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    work = make_workspace(tmp_path)
    facts: Any = probe(spec_of(text), [as_artifact(pico)], work, Lines("probe", interval=0))
    assert json.loads((work.out / "probe.json").read_text()) == facts
    assert "chunk 3 of 3" in (work.out / "probe.log").read_text()
    assert "3 / 3 chunks" in capsys.readouterr().err
    assert (facts["text"], facts["chunks"], facts["context"]) == ("words.txt", CHUNKS, CONTEXT)
    model = load_model(pico, "lora").eval()
    again = read(model, torch.from_numpy(chunks_of(spec_of(text), pico)).long(), BUCKETS)
    assert len(facts["layers"]) == 3
    for layer, expected in zip(facts["layers"], again.layers, strict=True):
        for name in ("norm", "cosine", "added"):
            values = getattr(expected, name)
            assert layer[name]["value"] == pytest.approx(np.mean(values), rel=1e-3)
            error = np.std(values, ddof=1) / math.sqrt(CHUNKS)
            assert layer[name]["error"] == pytest.approx(error, rel=0.1, abs=1e-4)
    assert [(each["first"], each["last"]) for each in facts["positions"]] == bounds(CONTEXT, BUCKETS)
    for place, losses in zip(facts["positions"], again.losses, strict=True):
        assert place["losses"] == pytest.approx(losses, rel=1e-2)


def test_every_chunk_begins_as_the_tokenizer_begins_a_text(pico: Path, text: Path, tmp_path: Path) -> None:
    folder = tmp_path / "pico"
    folder.mkdir()
    for path in pico.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    plain = chunks_of(spec_of(text), folder)
    assert plain.reshape(-1).tolist() == tokenizer.encode(text.read_text()).ids[: CHUNKS * CONTEXT]
    tokenizer.post_processor = TemplateProcessing(single=f"{END} $A {END}", special_tokens=[(END, 0)])
    tokenizer.save(str(folder / "tokenizer.json"))
    marked = chunks_of(spec_of(text), folder)
    assert marked.shape == (CHUNKS, CONTEXT)
    assert marked[:, 0].tolist() == [0, 0, 0]
    assert marked[:, 1:].reshape(-1).tolist() == plain.reshape(-1)[: CHUNKS * (CONTEXT - 1)].tolist()


def test_a_short_text_and_an_unknown_model_say_so(pico: Path, text: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="too short") as short:
        probe(spec_of(text, chunks=100), [as_artifact(pico)], make_workspace(tmp_path / "short"), Silent())
    assert short.value.expected == f"100 chunks of {CONTEXT} tokens"
    folder = tmp_path / "unknown"
    folder.mkdir()
    for path in pico.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    config = json.loads((folder / "config.json").read_text()) | {"architectures": ["NoSuchModel"]}
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(SourceError, match="transformers does not know this model") as unknown:
        probe(spec_of(text), [as_artifact(folder)], make_workspace(tmp_path / "work"), Silent())
    assert unknown.value.found == "NoSuchModel"
