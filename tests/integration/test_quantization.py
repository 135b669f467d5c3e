"""Quantization loss, bare speed and importance matrices, with the real tools and the real small model."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from gguf import GGUFWriter

from suture.bench.bare_speed import SpeedSpec
from suture.bench.divergence import DivergenceSpec, LogitsSpec
from suture.cli import app
from suture.corpus import pin_text
from suture.direct_gguf import quantize_into
from suture.errors import CheckpointError, DataError, HostError, ProcessError
from suture.gguf import metadata
from suture.gguf.divergence import write_logits
from suture.gguf.imatrix import ImatrixSpec
from suture.gguf.quantize import QuantizeSpec
from suture.gguf.reference import pin_reference
from suture.gguf.toolchain import Toolchain
from suture.progress import Silent
from suture.recipe import NEED_IMATRIX, QuantType, Text
from suture.steps import PlannedStep, build_all, plan_step
from suture.store import Artifact, Store

pytestmark = pytest.mark.real_model

CHUNKS, CONTEXT = 2, 128


@pytest.fixture(scope="module")
def module_store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A store for all tests of this module; the one that outlives the session would answer for old code."""
    return Store(tmp_path_factory.mktemp("quantization") / "store")


@pytest.fixture(scope="module")
def full(smollm2_bf16: Path) -> PlannedStep:
    """The step whose artifact holds the 16-bit file."""
    return plan_step("reference smollm2", "reference", pin_reference(smollm2_bf16))


@pytest.fixture
def story(tmp_path: Path) -> Path:
    """A text of a user, long enough for a few chunks."""
    paragraph = "The {0} ship of the {0} fleet left the harbour on day {0}, and its {0} sailors sang. "
    path = tmp_path / "story.txt"
    path.write_text("\n\n".join(paragraph.format(number) * 6 for number in range(60)))
    return path


def build(store: Store, kind: str, spec: Any, parents: list[PlannedStep], toolchain: Toolchain) -> Artifact:
    return build_all(plan_step(f"{kind} x", kind, spec, parents, tool=toolchain.version), store, Silent()).artifact


# -- loss ---------------------------------------------------------------------------------------------------------


def test_fewer_bits_lose_more_and_the_file_itself_loses_nothing(
    full: PlannedStep, module_store: Store, toolchain: Toolchain
) -> None:
    text = pin_text(Text(text="builtin:prose"), "heldout")
    spec = LogitsSpec(text=text, chunks=CHUNKS, context=CONTEXT)
    logits = plan_step("logits x", "logits", spec, [full], tool=toolchain.version)
    predictions = build_all(logits, module_store, Silent()).artifact
    assert predictions.facts["bytes"] == spec.size(49152) == predictions.only(".logits").stat().st_size
    files = {
        type_: plan_step(f"quantize {type_}", "quantize", QuantizeSpec(type=type_), [full], tool=toolchain.version)
        for type_ in ("Q8_0", "Q4_K_M")
    }
    found: dict[str, Any] = {}
    for name, file in {"itself": full, **files}.items():
        artifact = build(module_store, "divergence", DivergenceSpec(), [file, logits], toolchain)
        found[name] = artifact.facts
        assert json.loads(artifact.only(".json").read_text()) == artifact.facts
    assert found["itself"]["mean"]["value"] == pytest.approx(0, abs=1e-4)
    assert found["itself"]["ratio"]["value"] == pytest.approx(1, abs=1e-3)
    assert found["itself"]["same_top"]["value"] > 0.99
    means = {name: facts["mean"]["value"] for name, facts in found.items()}
    assert 10 * means["itself"] < means["Q8_0"] < means["Q4_K_M"] / 5
    for facts in found.values():
        assert facts["tokens"] == CHUNKS * 63
        assert facts["text"] == "builtin:prose"
    four = found["Q4_K_M"]
    assert 0 < four["mean"]["error"] < four["mean"]["value"]
    assert four["median"] < four["mean"]["value"] < four["high"]
    assert four["same_top"]["value"] < found["Q8_0"]["same_top"]["value"]


def test_a_disk_too_small_for_the_predictions_is_called_full(
    smollm2_bf16: Path, story: Path, tmpfs: Callable[[int], Path], tmp_path: Path
) -> None:
    """The tool ends with 0 all the same, and leaves the beginning of the file."""
    target = tmpfs(2**21) / "x.logits"
    with pytest.raises(OSError, match="No space left"):
        write_logits(smollm2_bf16, story, target, chunks=2, context=64, log=tmp_path / "log", progress=Silent())


# -- speed --------------------------------------------------------------------------------------------------------


def test_the_bare_speed(smollm2_gguf: Path, toolchain: Toolchain, module_store: Store) -> None:
    model = plan_step("reference smollm2", "reference", pin_reference(smollm2_gguf))
    artifact = build(module_store, "speed", SpeedSpec(prompt=32, generate=4, repeats=3), [model], toolchain)
    facts: Any = artifact.facts
    assert json.loads(artifact.only(".json").read_text()) == facts
    for part in ("prompt", "generation"):
        assert facts[part]["value"] > 1
        assert 0 <= facts[part]["error"] < facts[part]["value"]
    assert (facts["prompt_tokens"], facts["generated_tokens"]) == (32, 4)
    assert facts["threads"] >= 1
    assert facts["device"]


# -- importance matrix --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def pico(pico_checkpoints: tuple[Path, Path]) -> Path:
    """A small checkpoint: it converts in seconds."""
    return pico_checkpoints[0]


def test_two_bits_are_made_with_a_matrix_and_refused_without(
    full: PlannedStep, module_store: Store, story: Path, toolchain: Toolchain
) -> None:
    spec = ImatrixSpec(text=pin_text(Text(text=str(story)), "train", alone=True), chunks=2, context=64)
    matrix = plan_step("imatrix x", "imatrix", spec, [full], tool=toolchain.version)
    facts = build_all(matrix, module_store, Silent()).artifact.facts
    assert (facts["tensors"], facts["tokens"]) == (7 * 30, 128)
    small = QuantizeSpec(type="Q2_K_S")
    with pytest.raises(ProcessError, match="quantizing to Q2_K_S"):
        build(module_store, "quantize", small, [full], toolchain)
    weighted = build(module_store, "quantize", small, [full, matrix], toolchain)
    summary = metadata.read(weighted.only(".gguf"))
    assert summary.type == "Q2_K_S"
    says = summary.metadata
    # names without folders: the same bytes wherever the store lies
    assert says["quantize.imatrix.file"] == "imatrix.gguf"
    assert says["quantize.imatrix.dataset"] == "calibration.txt"
    assert says["quantize.imatrix.chunks_count"] == 2


def test_a_text_too_short_for_a_matrix_is_refused(
    full: PlannedStep, module_store: Store, story: Path, toolchain: Toolchain
) -> None:
    spec = ImatrixSpec(text=pin_text(Text(text=str(story)), "train", alone=True), chunks=4000, context=64)
    with pytest.raises(DataError, match="too short"):
        build(module_store, "imatrix", spec, [full], toolchain)


def write_llama(path: Path, width: int = 256) -> Path:
    """Write a llama of one layer whose rows divide into the blocks of every type."""
    writer = GGUFWriter(path, "llama")
    writer.add_block_count(1)
    writer.add_context_length(64)
    writer.add_embedding_length(width)
    writer.add_feed_forward_length(width)
    writer.add_head_count(4)
    writer.add_head_count_kv(4)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_file_type(0)
    matrix = np.zeros((width, width), np.float32)
    names = ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down")
    for name in ("token_embd", *(f"blk.0.{part}" for part in names)):
        writer.add_tensor(f"{name}.weight", matrix)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def test_the_types_that_need_a_matrix_are_those_that_the_tool_refuses_without(
    toolchain: Toolchain, tmp_path: Path
) -> None:
    model = write_llama(tmp_path / "llama.gguf")
    refused: set[str] = set()
    for type_ in get_args(QuantType):
        argv = [toolchain.binary("llama-quantize"), "--dry-run", model, type_]
        told = subprocess.run(argv, capture_output=True, text=True, check=True)
        if "will require an imatrix" in told.stdout + told.stderr:
            refused.add(type_)
    assert refused == NEED_IMATRIX


# -- the command --------------------------------------------------------------------------------------------------


def test_a_checkpoint_becomes_a_small_file_and_nothing_is_left(
    pico: Path, story: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "made" / "small.gguf"
    matrix = ["--imatrix", str(story), "--imatrix-chunks", "2"]
    app(["quantize", str(pico), str(out), "--type", "Q8_0", *matrix, "--json"], standalone_mode=False)
    told = json.loads(capsys.readouterr().out)
    summary = metadata.read(out)
    assert [path.name for path in out.parent.iterdir()] == ["small.gguf"]
    assert (told["source"]["type"], told["result"]["type"]) == ("BF16", "Q8_0")
    assert told["source"]["bits_per_weight"] > 15.9
    assert told["result"]["bits_per_weight"] == summary.bits_per_weight == pytest.approx(8.5, abs=0.2)
    assert told["result"]["size_bytes"] == out.stat().st_size
    assert told["result"]["fallback_tensors"] == 0
    assert told["imatrix"] == str(story)
    assert summary.metadata["quantize.imatrix.file"] == "imatrix.gguf"
    assert summary.metadata["suture.key"] == ""
    assert summary.metadata["suture.name"] == pico.name


def test_a_16_bit_file_is_quantized_as_it_is(smollm2_bf16: Path, smollm2_gguf: Path, tmp_path: Path) -> None:
    """The same tensors as the step makes."""
    done = quantize_into(smollm2_bf16, tmp_path / "small.gguf", "Q4_K_M", None, Silent())
    assert done.result.types == metadata.read(smollm2_gguf).types
    assert done.fallback_tensors > 0
    with pytest.raises(HostError, match="exists already"):
        quantize_into(smollm2_bf16, tmp_path / "small.gguf", "Q8_0", None, Silent())
    with pytest.raises(CheckpointError, match="quantized already") as caught:
        quantize_into(tmp_path / "small.gguf", tmp_path / "smaller.gguf", "Q2_K", None, Silent())
    assert caught.value.found == "Q4_K_M"
    assert [path.name for path in tmp_path.glob("small*")] == ["small.gguf"]
