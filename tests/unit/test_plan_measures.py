"""What a plan measures beside perplexity and tests: quantization loss and bare speed; and importance matrices."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy

from suture.errors import RecipeError
from suture.gguf.divergence import Logits
from suture.plan import Plan, needed_bytes, resolve
from suture.recipe import NEED_IMATRIX, parse_recipe
from suture.steps import PlannedStep
from suture.store import Store

VOCABULARY, WIDTH = 40, 16


@pytest.fixture(autouse=True)
def required(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The tools that plans require, of a llama.cpp that need not be there."""
    names: list[str] = []
    monkeypatch.setattr("suture.plan.arms.require", names.append)
    monkeypatch.setattr("suture.plan.arms.expected_version", lambda: "llama.cpp of this test")
    return names


@pytest.fixture
def content(tmp_path: Path) -> dict[str, Any]:
    """A recipe of two small models, and a text to measure on."""
    for name in "ab":
        folder = tmp_path / name
        folder.mkdir()
        shapes = {"model.embed_tokens.weight": (VOCABULARY, WIDTH), "model.layers.0.mlp.weight": (WIDTH, WIDTH)}
        tensors = {tensor: np.ones(shape, np.float32) for tensor, shape in shapes.items()}
        safetensors.numpy.save_file(tensors, folder / "model.safetensors")
        config = {"model_type": "pico", "num_hidden_layers": 1, "hidden_size": WIDTH, "vocab_size": VOCABULARY}
        (folder / "config.json").write_text(json.dumps(config))
        (folder / "tokenizer.json").write_text(
            json.dumps({"model": {"type": "BPE", "vocab": {"a": 0}, "merges": []}})
        )
        (folder / "tokenizer_config.json").write_text("{}")
    (tmp_path / "text.txt").write_text("\n\n".join(f"Passage number {number}." for number in range(100)))
    return {
        "name": "measured",
        "sources": [{"name": name, "model": str(tmp_path / name)} for name in "ab"],
        "merge": {"method": "linear", "base": "a", "models": [{"source": "a"}, {"source": "b"}]},
        "gguf": {"quantize": ["Q8_0", "Q4_K_M"]},
        "benchmark": {"perplexity": {"texts": [{"text": str(tmp_path / "text.txt")}]}},
    }


def plan_of(content: dict[str, Any], tmp_path: Path, **benchmark: object) -> Plan:
    content["benchmark"].update(benchmark)
    return resolve(parse_recipe(content, where="recipe", folder=tmp_path))


def of_kind(plan: Plan, kind: str) -> list[PlannedStep]:
    return [step for step in plan.steps if step.step == kind]


def test_nothing_costly_is_measured_unasked(content: dict[str, Any], tmp_path: Path, required: list[str]) -> None:
    plan = plan_of(content, tmp_path)
    assert required == []
    assert {step.step for step in plan.steps} == {"fetch", "merge", "convert", "quantize", "perplexity", "benchmark"}
    assert all((arm.divergence, arm.speed) == (None, None) for arm in plan.arms)


def test_each_file_is_compared_with_the_16_bit_file_it_was_made_of(content: dict[str, Any], tmp_path: Path) -> None:
    text = {"text": str(tmp_path / "text.txt")}
    plan = plan_of(content, tmp_path, divergence={"text": text, "chunks": 4, "context": 128})
    assert len(plan.arms) == 6
    for arm in plan.arms:
        assert arm.divergence is not None
        quantized, logits = arm.divergence.parents
        assert quantized == arm.gguf
        assert logits.parents == arm.gguf.parents[:1]
        assert logits.parents[0].step == "convert"
    assert len(of_kind(plan, "logits")) == 3  # once per model, whatever the types
    assert len({step.key for step in of_kind(plan, "divergence")}) == 6


def test_the_bytes_of_the_predictions_are_counted_beforehand(
    content: dict[str, Any], tmp_path: Path, store: Store
) -> None:
    without = needed_bytes(plan_of(content, tmp_path), store)
    text = {"text": str(tmp_path / "text.txt")}
    plan = plan_of(content, tmp_path, divergence={"text": text, "chunks": 4, "context": 128})
    size = Logits(context=128, vocabulary=VOCABULARY, chunks=4).size
    assert [step.size for step in of_kind(plan, "logits")] == [size] * 3
    assert needed_bytes(plan, store) - without == pytest.approx(1.1 * 3 * size, abs=1)


def test_a_reference_is_timed_but_has_nothing_to_be_compared_with(
    content: dict[str, Any], tmp_path: Path, small_reference: Path, required: list[str]
) -> None:
    text = {"text": str(tmp_path / "text.txt")}
    references = [{"name": "theirs", "gguf": str(small_reference)}]
    plan = plan_of(content, tmp_path, divergence={"text": text}, speed={"repeats": 2}, references=references)
    assert set(required) == {"llama-bench"}
    reference = plan.arms[-1]
    assert (reference.role, reference.divergence) == ("reference", None)
    for arm in plan.arms:
        assert arm.speed is not None
        assert arm.speed.parents == (arm.gguf,)
        assert arm.speed.spec.model_dump() == {"prompt": 512, "generate": 128, "repeats": 2}


@pytest.fixture
def small_reference(tmp_path: Path) -> Path:
    path = tmp_path / "theirs.gguf"
    path.write_bytes(b"GGUF" + bytes(100))
    return path


def test_an_importance_matrix_is_made_once_per_model_and_is_in_the_key(
    content: dict[str, Any], tmp_path: Path, required: list[str]
) -> None:
    plain = plan_of(content, tmp_path)
    keys = []
    for chunks in (8, 9):
        content["gguf"]["imatrix"] = {"text": {"text": str(tmp_path / "text.txt")}, "chunks": chunks}
        plan = plan_of(content, tmp_path)
        assert len(of_kind(plan, "imatrix")) == 3
        for step in of_kind(plan, "quantize"):
            converted, matrix = step.parents
            assert matrix.parents == (converted,)
        keys.append([step.key for step in of_kind(plan, "quantize")])
    assert set(required) == {"llama-imatrix"}
    assert not set(keys[0]) & set(keys[1])
    assert not set(keys[0]) & {step.key for step in of_kind(plain, "quantize")}


def test_what_is_measured_on_is_kept_from_the_matrix(content: dict[str, Any], tmp_path: Path) -> None:
    """One file for both is split; the matrix gets the part that is not held out."""
    text = {"text": str(tmp_path / "text.txt")}
    content["gguf"]["imatrix"] = {"text": text}
    plan = plan_of(content, tmp_path, divergence={"text": text})
    parts = {kind: of_kind(plan, kind)[0].spec.model_dump() for kind in ("imatrix", "logits", "perplexity")}
    assert parts["imatrix"]["text"]["part"] == "train"
    assert parts["logits"]["text"]["part"] == "heldout"
    assert parts["perplexity"]["texts"][0]["part"] == "heldout"


@pytest.mark.parametrize("type_", sorted(NEED_IMATRIX))
def test_a_type_that_needs_a_matrix_is_refused_without_one(
    content: dict[str, Any], tmp_path: Path, type_: str
) -> None:
    content["gguf"]["quantize"] = ["Q8_0", type_]
    with pytest.raises(RecipeError, match=f"{type_} cannot be made without an importance matrix"):
        plan_of(content, tmp_path)


def test_too_few_tokens_to_compare_are_refused_with_their_number(content: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="at least 100 tokens, found 90"):
        plan_of(content, tmp_path, divergence={"chunks": 6, "context": 32})


def test_the_merge_and_its_sources_are_looked_into_where_asked(content: dict[str, Any], tmp_path: Path) -> None:
    assert plan_of(content, tmp_path).probes == ()
    content["sources"].append({"name": "apart", "model": str(tmp_path / "a")})
    plan = plan_of(
        content, tmp_path, probe={"text": {"text": str(tmp_path / "text.txt")}, "chunks": 2, "context": 64}
    )
    assert [(probed.name, probed.role) for probed in plan.probes] == [
        ("a", "source"),
        ("b", "source"),
        ("merged", "merged"),
    ]
    assert [probed.probe.parents[0].step for probed in plan.probes] == ["fetch", "fetch", "merge"]
    # the two sources hold the same, and are looked into once
    assert [step.label for step in of_kind(plan, "probe")] == ["probe a", "probe merged"]
    assert {(step.spec.chunks, step.spec.context) for step in of_kind(plan, "probe")} == {(2, 64)}


def test_what_healing_adds_is_looked_into_wherever_it_is(content: dict[str, Any], tmp_path: Path) -> None:
    text = {"text": str(tmp_path / "text.txt")}
    for result, parents in (("fused", ["fuse"]), ("adapter", ["merge", "heal"])):
        content["heal"] = {"data": [text], "method": "lora", "steps": 1, "control": False, "result": result}
        plan = plan_of(content, tmp_path, probe={"text": text, "chunks": 2, "context": 64})
        healed = plan.probes[-1]
        assert (healed.name, [step.step for step in healed.probe.parents]) == ("healed", parents)


def test_a_probes_text_is_held_out(content: dict[str, Any], tmp_path: Path) -> None:
    text = {"text": str(tmp_path / "text.txt")}
    (tmp_path / "other.txt").write_text("One passage.")
    content["benchmark"]["perplexity"] = {"texts": [{"text": str(tmp_path / "other.txt")}]}
    training = {"data": [text], "method": "lora", "steps": 1}
    content["sources"][0]["finetune"] = training
    trained = [step.spec.texts[0].part for step in of_kind(plan_of(content, tmp_path), "dataset")]
    assert trained == ["all"]
    plan = plan_of(content, tmp_path, probe={"text": text, "chunks": 2, "context": 64})
    assert [step.spec.texts[0].part for step in of_kind(plan, "dataset")] == ["train"]
    assert {step.spec.text.part for step in of_kind(plan, "probe")} == {"heldout"}
