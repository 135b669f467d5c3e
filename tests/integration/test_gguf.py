"""A real checkpoint through the real tools: convert, quantize, serve, measure."""

from __future__ import annotations

import hashlib
import http.client
import json
import math
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import httpx
import numpy as np
import pytest
import torch
from gguf import GGUFReader
from pydantic import BaseModel, JsonValue
from safetensors.torch import load_file, save_file

from suture.errors import DataError, ProcessError, TransientError
from suture.gguf import metadata, perplexity, server
from suture.gguf.convert import ConvertSpec, Provenance, SourceCredit, convert
from suture.gguf.lora import ConvertLoraSpec, convert_lora
from suture.gguf.quantize import QuantizeSpec, quantize
from suture.gguf.toolchain import Toolchain
from suture.heal.fusing.fuse import FuseSpec, fuse
from suture.progress import Silent
from suture.settings import settings
from suture.store import Artifact, FileEntry, Manifest, Workspace

pytestmark = pytest.mark.real_model

LAYERS = 2
CREDIT = SourceCredit(name="smol", model="builtin:smollm2", commit="c" * 40, licence="apache-2.0")
PROVENANCE = Provenance(name="pico-smol", recipe="pico", sources=(CREDIT,))


class Recorder(Silent):
    """Remembers the last progress."""

    last: tuple[float, float, str] = (0, 0, "")

    def update(self, done: float, total: float, unit: str) -> None:
        self.last = (done, total, unit)


@dataclass(frozen=True)
class Made:
    """What a step made."""

    artifact: Artifact
    last_progress: tuple[float, float, str]

    @property
    def gguf(self) -> Path:
        return self.artifact.path / "model.gguf"

    @property
    def digest(self) -> str:
        return hashlib.sha256(self.gguf.read_bytes()).hexdigest()


def as_artifact(folder: Path, key: str, facts: Mapping[str, JsonValue]) -> Artifact:
    files = tuple(FileEntry(path=path.name, size=path.stat().st_size, sha256="") for path in sorted(folder.iterdir()))
    manifest = Manifest(
        key=key,
        step="",
        version=1,
        spec={},
        parents=(),
        tool="",
        files=files,
        facts=dict(facts),
        host={},
        created=datetime.now(UTC),
        seconds=0,
    )
    return Artifact(folder, manifest)


def made(
    folder: Path, step: Callable[..., Mapping[str, JsonValue]], spec: BaseModel, parent: Artifact, key: str
) -> Made:
    """Run a step in a workspace of its own."""
    work = Workspace(key, folder / key / "out", folder / key / "scratch")
    work.out.mkdir(parents=True)
    work.scratch.mkdir()
    progress = Recorder()
    facts = step(spec, [parent], work, progress)
    assert not any(path.is_file() and not path.is_symlink() for path in work.scratch.rglob("*"))
    return Made(as_artifact(work.out, key, facts), progress.last)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("gguf")


@pytest.fixture(scope="module")
def checkpoint(smollm2: Path, folder: Path) -> Artifact:
    """The first layers of the small real model, with all of its vocabulary."""
    pico = folder / "checkpoint"
    pico.mkdir()
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "LICENSE"):
        shutil.copyfile(smollm2 / name, pico / name)
    config = json.loads((smollm2 / "config.json").read_text()) | {"num_hidden_layers": LAYERS}
    (pico / "config.json").write_text(json.dumps(config))
    kept = {
        name: tensor
        for name, tensor in load_file(smollm2 / "model.safetensors").items()
        if not name.startswith("model.layers.") or int(name.split(".")[2]) < LAYERS
    }
    save_file(kept, pico / "model.safetensors", metadata={"format": "pt"})
    return as_artifact(pico, "ee" * 32, {})


@pytest.fixture(scope="module")
def converted(toolchain: Toolchain, checkpoint: Artifact, folder: Path) -> Made:
    assert toolchain.binaries.is_dir()
    return made(folder, convert, ConvertSpec(type="bf16", provenance=PROVENANCE), checkpoint, "c1" * 32)


@pytest.fixture(scope="module")
def quantized(converted: Made, folder: Path) -> Made:
    return made(folder, quantize, QuantizeSpec(type="Q4_K_M"), converted.artifact, "a1" * 32)


@pytest.fixture(scope="module")
def text(folder: Path) -> Path:
    path = folder / "text.txt"
    path.write_text("\n".join(textwrap.wrap(metadata.__doc__ or "", 60)) * 12 + "\nThe year was 2024.\n")
    return path


# -- convert and quantize -----------------------------------------------------------------------------------------


def test_the_gguf_holds_the_checkpoints_numbers(converted: Made, checkpoint: Artifact) -> None:
    tensors = load_file(checkpoint.path / "model.safetensors")
    found = {tensor.name: tensor for tensor in GGUFReader(converted.gguf).tensors}
    assert len(found) == len(tensors) == 2 + 9 * LAYERS
    for ours, theirs in (
        ("token_embd.weight", "model.embed_tokens.weight"),
        ("blk.1.ffn_down.weight", "model.layers.1.mlp.down_proj.weight"),
        ("blk.0.attn_v.weight", "model.layers.0.self_attn.v_proj.weight"),
    ):
        assert found[ours].data.tobytes() == tensors[theirs].view(torch.uint16).numpy().tobytes()
    norm = tensors["model.norm.weight"].float().numpy()  # vectors become f32
    np.testing.assert_array_equal(found["output_norm.weight"].data, norm)


def test_the_facts_and_the_progress_tell_what_was_done(converted: Made, quantized: Made) -> None:
    tensors = 2 + 9 * LAYERS
    assert converted.artifact.facts == {
        "tensors": tensors,
        "size_bytes": converted.gguf.stat().st_size,
        "type": "BF16",
    }
    facts = quantized.artifact.facts
    assert (facts["tensors"], facts["type"]) == (tensors, "Q4_K_M")
    assert facts["size_bytes"] == quantized.gguf.stat().st_size
    assert facts["fallback_tensors"] == 6 * LAYERS  # all rows of 576 numbers; the others have 1536
    data = sum(int(tensor.n_bytes) for tensor in GGUFReader(quantized.gguf).tensors)
    parameters = sum(int(tensor.n_elements) for tensor in GGUFReader(converted.gguf).tensors)
    assert facts["bits_per_weight"] == pytest.approx(8 * data / parameters, abs=1e-4)
    assert quantized.last_progress == (tensors, tensors, "tensors")
    done, total, unit = converted.last_progress
    assert (done, unit) == (total, "bytes")
    assert {path.name for path in converted.artifact.path.iterdir()} == {"model.gguf", "convert.log"}
    assert {path.name for path in quantized.artifact.path.iterdir()} == {"model.gguf", "quantize.log"}


def test_each_file_names_its_own_artifact_and_where_it_came_from(converted: Made, quantized: Made) -> None:
    for one in (converted, quantized):
        shown = metadata.read(one.gguf).metadata
        assert shown["suture.key"] == one.artifact.key
        assert shown["suture.recipe"] == "pico"
        assert shown["suture.name"] == shown["general.name"] == "pico-smol"
        assert json.loads(str(shown["suture.sources"])) == [CREDIT.model_dump()]
        assert shown["tokenizer.ggml.pre"] == "smollm"
        assert "chat_template" in " ".join(shown)
        assert not any("ee" * 32 in str(value) or "eeee" in str(value).lower() for value in shown.values())


def test_the_same_step_gives_the_same_bytes(
    converted: Made, quantized: Made, checkpoint: Artifact, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SUTURE_THREADS", "1")
    monkeypatch.setenv("LLAMA_ARG_THREADS", "1")
    settings.cache_clear()
    other = folder / "again"
    again = made(other, convert, ConvertSpec(type="bf16", provenance=PROVENANCE), checkpoint, "c1" * 32)
    assert again.digest == converted.digest
    assert made(other, quantize, QuantizeSpec(type="Q4_K_M"), again.artifact, "a1" * 32).digest == quantized.digest


def test_what_a_killed_attempt_left_in_the_scratch_does_no_harm(
    converted: Made, checkpoint: Artifact, folder: Path
) -> None:
    work = Workspace("c1" * 32, folder / "killed" / "out", folder / "killed" / "scratch")
    for path in (work.out, work.scratch / "named"):
        path.mkdir(parents=True)
    (work.scratch / "unstamped.gguf").write_bytes(b"half a file" * 1000)
    (work.scratch / "named" / PROVENANCE.name).symlink_to("/nowhere")
    convert(ConvertSpec(type="bf16", provenance=PROVENANCE), [checkpoint], work, Silent())
    assert hashlib.sha256((work.out / "model.gguf").read_bytes()).hexdigest() == converted.digest


def test_a_failing_converter_shows_the_end_of_its_log(checkpoint: Artifact, folder: Path) -> None:
    broken = folder / "broken"
    shutil.copytree(checkpoint.path, broken)
    config = json.loads((broken / "config.json").read_text()) | {"architectures": ["NoSuchForCausalLM"]}
    (broken / "config.json").write_text(json.dumps(config))
    with pytest.raises(ProcessError) as caught:
        made(
            folder,
            convert,
            ConvertSpec(type="bf16", provenance=PROVENANCE),
            as_artifact(broken, "bb" * 32, {}),
            "c2" * 32,
        )
    assert "NoSuchForCausalLM is not supported" in caught.value.tail


def test_a_full_disk_is_called_that(converted: Made, tmpfs: Callable[[int], Path]) -> None:
    disk = tmpfs(8 * 2**20)
    with pytest.raises(OSError, match="No space left on device"):
        made(disk, quantize, QuantizeSpec(type="Q8_0"), converted.artifact, "a2" * 32)


# -- an adapter beside the model ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def adapter(folder: Path) -> Artifact:
    """Random factors on two projections of each layer, as the step `heal` leaves them."""
    place, random = folder / "adapter", torch.Generator().manual_seed(0)
    place.mkdir()
    shapes = {"self_attn.q_proj": (576, 576), "mlp.down_proj": (576, 1536)}
    tensors = {
        f"base_model.model.model.layers.{layer}.{module}.lora_{factor}.weight": 0.2
        * torch.randn((4, columns) if factor == "A" else (rows, 4), generator=random)
        for layer in range(LAYERS)
        for module, (rows, columns) in shapes.items()
        for factor in "AB"
    }
    save_file(tensors, place / "adapter_model.safetensors")
    config = {"peft_type": "LORA", "r": 4, "lora_alpha": 2, "target_modules": ["q_proj", "down_proj"], "bias": "none"}
    (place / "adapter_config.json").write_text(json.dumps(config))
    return as_artifact(place, "ad" * 32, {})


def make_lora(folder: Path, checkpoint: Artifact, adapter: Artifact) -> Path:
    work = Workspace("10" * 32, folder / "out", folder / "scratch")
    work.out.mkdir(parents=True)
    work.scratch.mkdir()
    spec = ConvertLoraSpec(type="f16", provenance=PROVENANCE)
    facts = convert_lora(spec, [checkpoint, adapter], work, Silent())
    lora = work.out / "lora.gguf"
    assert facts == {"tensors": 4 * LAYERS, "size_bytes": lora.stat().st_size, "type": "F16"}
    return lora


def test_an_adapter_beside_the_model_does_what_it_does_in_its_weights(
    converted: Made, checkpoint: Artifact, adapter: Artifact, text: Path, folder: Path
) -> None:
    """The same bytes each time, named, applied by llama-perplexity and by llama-server."""
    lora = make_lora(folder / "lora", checkpoint, adapter)
    assert make_lora(folder / "lora again", checkpoint, adapter).read_bytes() == lora.read_bytes()
    assert metadata.read(lora).metadata["suture.key"] == "10" * 32
    assert "adad" not in str(metadata.read(lora).metadata)

    work = Workspace("f0" * 32, folder / "fused" / "out", folder / "fused" / "scratch")
    work.out.mkdir(parents=True)
    fuse(FuseSpec(), [checkpoint, adapter], work, Silent())
    spec = ConvertSpec(type="bf16", provenance=PROVENANCE)
    fused = made(folder, convert, spec, as_artifact(work.out, "ff" * 32, {}), "c4" * 32).gguf
    raw, in_weights, beside = (
        perplexity.measure(
            gguf, text, chunks=4, context=64, log=folder / f"{name}.log", progress=Silent(), lora=with_it
        ).value
        for name, gguf, with_it in (
            ("raw", converted.gguf, None),
            ("in the weights", fused, None),
            ("beside", converted.gguf, lora),
        )
    )
    assert abs(math.log(in_weights / raw)) > 0.1, "the test's adapter does nothing"
    assert beside == pytest.approx(in_weights, rel=0.01)

    log = folder / "server with it.log"
    with server.serving(converted.gguf, context=256, seed=1, log=log, lora=lora) as endpoint:
        (loaded,) = httpx.get(f"{endpoint.url}/lora-adapters", trust_env=False).json()
    assert (Path(loaded["path"]), loaded["scale"]) == (lora, 1.0)


# -- perplexity ---------------------------------------------------------------------------------------------------


def plain_perplexity(folder: Path, text: str, chunks: int, context: int) -> tuple[float, float, np.ndarray]:
    """Return exp(mean nll) over the second half of each chunk, its standard error, and each chunk's; with torch."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    tokens = AutoTokenizer.from_pretrained(folder)(text, return_tensors="pt").input_ids[0]
    losses: list[float] = []
    with torch.inference_mode():
        for chunk in tokens[: chunks * context].reshape(chunks, context):
            logits = model(chunk[None]).logits[0].double()
            nll = torch.nn.functional.cross_entropy(logits[:-1], chunk[1:], reduction="none")
            losses += nll[context // 2 :].tolist()
    value = math.exp(np.mean(losses))
    error = value * float(np.std(losses)) / math.sqrt(len(losses) - 1)
    return value, error, np.reshape(losses, (chunks, -1)).mean(axis=1)


def test_perplexity_is_what_torch_makes_of_the_same_checkpoint(
    converted: Made, checkpoint: Artifact, text: Path, tmp_path: Path
) -> None:
    progress = Recorder()
    found = perplexity.measure(converted.gguf, text, chunks=6, context=64, log=tmp_path / "log", progress=progress)
    value, error, each = plain_perplexity(checkpoint.path, text.read_text(), 6, 64)
    assert found.value == pytest.approx(value, rel=0.01)
    assert found.chunks == pytest.approx(each, abs=0.02)
    assert math.exp(np.mean(found.chunks)) == pytest.approx(found.value, rel=1e-4)
    assert found.error == pytest.approx(error, rel=0.02)
    assert found.tokens == 6 * 31
    assert progress.last == (6, 6, "chunks")


def test_a_text_too_short_for_its_chunks_is_refused(converted: Made, text: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="too short") as caught:
        perplexity.measure(converted.gguf, text, chunks=4000, context=64, log=tmp_path / "log", progress=Silent())
    assert caught.value.expected == "4000 chunks of 64 tokens"
    short = tmp_path / "short.txt"
    short.write_text("Four words, no more.")
    with pytest.raises(DataError, match="too short") as caught:
        perplexity.measure(converted.gguf, short, chunks=2, context=64, log=tmp_path / "log2", progress=Silent())
    assert str(caught.value.found).endswith(" tokens")


def test_a_model_that_gives_no_number_is_an_error(
    checkpoint: Artifact, text: Path, folder: Path, tmp_path: Path
) -> None:
    """NaN in the logits: llama-perplexity exits with 0 all the same."""
    broken = folder / "nan"
    shutil.copytree(checkpoint.path, broken)
    tensors = load_file(broken / "model.safetensors")
    tensors["model.norm.weight"][:] = float("nan")
    save_file(tensors, broken / "model.safetensors", metadata={"format": "pt"})
    spec = ConvertSpec(type="bf16", provenance=PROVENANCE)
    nan = made(folder, convert, spec, as_artifact(broken, "dd" * 32, {}), "c3" * 32)
    with pytest.raises(ProcessError, match="no number"):
        perplexity.measure(nan.gguf, text, chunks=2, context=64, log=tmp_path / "log", progress=Silent())


# -- server -------------------------------------------------------------------------------------------------------


def answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health", trust_env=False).status_code == http.client.OK
    except httpx.TransportError:
        return False


def test_two_servers_answer_side_by_side_and_end_with_their_blocks(quantized: Made, tmp_path: Path) -> None:
    log = tmp_path / "server.log"  # one log for both: the second must not take the first one's port for its own
    with server.serving(quantized.gguf, context=256, seed=1, log=log) as first:
        with server.serving(quantized.gguf, context=256, seed=1, log=log) as second:
            assert first.url != second.url
            assert answers(first.url)
            assert answers(second.url)
        assert not answers(second.url)
        assert answers(first.url)
        reply = httpx.post(
            f"{first.url}/completion",
            json={"prompt": "The year was", "n_predict": 4, "temperature": 0},
            timeout=120,
            trust_env=False,
        )
        assert reply.json()["tokens_predicted"] == 4
        assert httpx.get(f"{first.url}/props", trust_env=False).json()["total_slots"] == 1
        first.require_alive()
    assert not answers(first.url)
    with pytest.raises(ProcessError):
        first.require_alive()


def test_an_exception_in_the_block_ends_the_server(quantized: Made, tmp_path: Path) -> None:
    seen: list[str] = []

    def fail(url: str) -> None:
        seen.append(url)
        raise ZeroDivisionError

    with (
        pytest.raises(ZeroDivisionError),
        server.serving(quantized.gguf, context=256, seed=1, log=tmp_path / "log") as endpoint,
    ):
        fail(endpoint.url)
    assert not answers(seen[0])


def test_a_server_that_dies_while_loading_shows_why(tmp_path: Path) -> None:
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"not a model at all")
    with (
        pytest.raises(ProcessError, match="ended while loading") as caught,
        server.serving(broken, context=256, seed=1, log=tmp_path / "log"),
    ):
        pass
    assert "invalid magic" in caught.value.tail


def test_a_server_that_does_not_come_up_in_time_is_worth_another_try(quantized: Made, tmp_path: Path) -> None:
    with (
        pytest.raises(TransientError, match="in time"),
        server.serving(quantized.gguf, context=256, seed=1, log=tmp_path / "log", startup_timeout=0),
    ):
        pass


def test_no_server_outlives_a_parent_that_is_killed(quantized: Made, tmp_path: Path) -> None:
    script = textwrap.dedent(f"""
        import time
        from pathlib import Path
        from suture.gguf.server import serving
        with serving(Path({str(quantized.gguf)!r}), context=256, seed=1, log=Path({str(tmp_path / "log")!r})) as up:
            print(up.url, flush=True)
            time.sleep(600)
    """)
    parent = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    with parent:
        assert parent.stdout is not None
        url = parent.stdout.readline().strip()
        assert answers(url)
        os.kill(parent.pid, signal.SIGKILL)
    deadline = time.monotonic() + 30
    while answers(url) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not answers(url)
