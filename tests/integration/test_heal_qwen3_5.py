"""A stack of two multimodal toy Qwen3.5s, healed with the published targets, converted and served.

transformers knows no prediction block and drops it on save, and bitsandbytes would quantize the vision tower: both
must come through bit for bit, and only what the recipe names may change.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import torch

from suture.checkpoint.reader import Checkpoint, open_checkpoint, read_chunks
from suture.corpus import pin_text
from suture.direct import merge_into
from suture.gguf import metadata, server
from suture.gguf.convert import ConvertSpec, Provenance, convert
from suture.gguf.lora import ConvertLoraSpec, convert_lora
from suture.gguf.perplexity import measure
from suture.gguf.toolchain import Toolchain
from suture.heal.child import environment
from suture.heal.data.dataset import ROWS, DatasetSpec, dataset
from suture.heal.fusing.fuse import FuseSpec, fuse
from suture.heal.names import GATED, layer_of
from suture.heal.seam import heal_spec
from suture.heal.train import TrainJob
from suture.heal.training.model import load_model
from suture.process import run
from suture.progress import Silent
from suture.recipe import Heal, Passthrough, Recipe, Text, parse_recipe
from suture.store import Workspace
from tests.integration.test_gguf import as_artifact, made
from tests.integration.toy_qwen3_5 import LAYERS, write_tokenizer, write_toy
from tests.unit.heal.steps_by_hand import text_of

pytestmark = pytest.mark.real_model

ATTEMPTS = Path(__file__).parents[1] / "unit" / "heal" / "attempts.py"
PROVENANCE = Provenance(name="toy-healed", recipe="toy", sources=())
BF16 = ConvertSpec(type="bf16", provenance=PROVENANCE)
STEPS = 1  # the adapter has moved from zero, and the gates from where they started
WAYS: dict[str, dict[str, Any]] = {
    "raw": {"method": "lora", "start": "raw"},
    "gated": {"method": "qlora", "start": "gated"},
}


@dataclass(frozen=True)
class Healed:
    """What came of one way to heal.

    Attributes:
        heal: As the recipe asked for it.
        adapter: Folder with the adapter, and the gates if there are any.
        fused: The checkpoint with both in its weights.
        facts: What fusing said of it.
    """

    heal: Heal
    adapter: Path
    fused: Path
    facts: dict[str, Any]


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Recipe:
    """One toy after the other, healed with the published settings but for their sizes."""
    folder = tmp_path_factory.mktemp("toys")
    tokenizer = write_tokenizer(folder / "tokenizer")
    toys = {name: write_toy(folder / name, tokenizer, seed, multimodal=True) for seed, name in enumerate("ab")}
    (folder / "words.txt").write_text(text_of(4000))
    content = {
        "name": "toy",
        "sources": [{"name": name, "model": str(path)} for name, path in toys.items()],
        "merge": {
            "method": "passthrough",
            "base": "a",
            "slices": [{"source": name, "layers": [0, LAYERS]} for name in "ab"],
        },
        "heal": {
            "data": [{"text": str(folder / "words.txt")}],
            "rank": 4,
            "alpha": 8,
            "learning_rate": 1e-2,
            "warmup_steps": 0,
            "steps": STEPS,
            "batch_size": 1,
            "gradient_accumulation": 1,
            "sequence_length": 32,
        },
    }
    return parse_recipe(content, where="test", folder=folder)


@pytest.fixture(scope="module")
def stack(recipe: Recipe, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("stack") / "merged"
    merge_into(recipe, folder, 30_000_000, Silent())
    return folder


@pytest.fixture(scope="module")
def healed(recipe: Recipe, stack: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Healed]:
    """The stack healed in each way; both trainings share one import of torch and transformers."""
    assert isinstance(recipe.merge, Passthrough)
    assert recipe.heal is not None
    folder, parent = tmp_path_factory.mktemp("healed"), as_artifact(stack, "ee" * 32, {})
    data = workspace(folder / "data")
    text = pin_text(Text(text=recipe.heal.data[0].text), "train", alone=True)
    dataset(DatasetSpec(texts=(text,), sequence_length=32, sequences=STEPS, seed=0), [parent], data, Silent())
    heals = {way: recipe.heal.model_copy(update=changes) for way, changes in WAYS.items()}
    jobs: dict[str, str] = {}
    for way, heal in heals.items():
        work = workspace(folder / way)
        spec = heal_spec(heal, recipe.merge, [LAYERS], 2 * LAYERS)
        job = TrainJob(spec=spec, model=stack, rows=data.out / ROWS, out=work.out, scratch=work.scratch, threads=1)
        path = work.scratch / "job.json"
        path.write_text(job.model_dump_json())
        jobs[way] = str(path)
    train(folder, list(jobs.values()))
    return {
        way: fused(heal, parent, folder / way / "out", workspace(folder / f"{way} fused"))
        for way, heal in heals.items()
    }


def workspace(folder: Path) -> Workspace:
    work = Workspace("0" * 64, folder / "out", folder / "scratch")
    work.out.mkdir(parents=True)
    work.scratch.mkdir()
    return work


def train(folder: Path, jobs: list[str]) -> None:
    attempts = folder / "attempts.json"
    attempts.write_text(json.dumps([[job, None] for job in jobs]))
    log = folder / "attempts.log"
    run([sys.executable, ATTEMPTS, attempts], log=log, doing="training the toys", env=environment(1))
    assert json.loads(Path(f"{attempts}.out").read_text()) == [0] * len(jobs), log.read_text()


def fused(heal: Heal, stack: Any, adapter: Path, work: Workspace) -> Healed:
    facts = fuse(FuseSpec(), [stack, as_artifact(adapter, "ad" * 32, {})], work, Silent())
    return Healed(heal, adapter, work.out, dict(facts))


@pytest.mark.parametrize("way", WAYS)
def test_only_the_targets_of_the_language_model_change(healed: dict[str, Healed], stack: Path, way: str) -> None:
    one = healed[way]
    before, after = open_checkpoint(stack), open_checkpoint(one.fused)
    assert after.layout.tensors == before.layout.tensors
    assert len(after.layout.tensors) == 775 + 424
    changed = {name for name in before.layout.tensors if content(before, name) != content(after, name)}
    targets = {
        name
        for name in before.layout.tensors
        if name.startswith("model.language_model.layers.")
        and name.removesuffix(".weight").rpartition(".")[2] in one.heal.targets
    }
    assert {name.removesuffix(".weight").rpartition(".")[2] for name in targets} == set(one.heal.targets)
    assert changed == targets
    assert one.facts["tensors_changed"] == len(targets)
    assert one.facts["tensors_copied"] == 1199 - len(targets)


def content(checkpoint: Checkpoint, name: str) -> bytes:
    return b"".join(bytes(chunk) for chunk in read_chunks(checkpoint.extents[name], 2**24))


def test_each_repeated_layer_has_two_gates_and_they_learn(healed: dict[str, Healed]) -> None:
    gates = json.loads((healed["gated"].adapter / "gates.json").read_text())
    assert not (healed["raw"].adapter / "gates.json").exists()
    assert sorted(filter(None, map(layer_of, gates))) == sorted(2 * list(range(LAYERS, 2 * LAYERS)))
    assert {name.rpartition(".")[2] for name in gates} == set(GATED)
    assert all(gate != healed["gated"].heal.damping for gate in gates.values())


def test_the_vision_tower_and_the_head_are_not_quantized(stack: Path) -> None:
    from bitsandbytes.nn import Linear4bit

    model = load_model(stack, "qlora")
    linear = {name: type(module) for name, module in model.named_modules() if isinstance(module, torch.nn.Linear)}
    vision = {kind for name, kind in linear.items() if name.startswith("model.visual.")}
    layers = {kind for name, kind in linear.items() if name.startswith("model.language_model.layers.")}
    assert vision == {torch.nn.Linear}
    assert layers == {Linear4bit}
    assert linear["lm_head"] is torch.nn.Linear


@pytest.fixture(scope="module")
def gguf(healed: dict[str, Healed], toolchain: Toolchain, tmp_path_factory: pytest.TempPathFactory) -> Path:
    assert toolchain.binaries.is_dir()
    fused = as_artifact(healed["raw"].fused, "ee" * 32, {})
    return made(tmp_path_factory.mktemp("gguf"), convert, BF16, fused, "c1" * 32).gguf


def test_it_converts_with_the_prediction_block_and_is_served(gguf: Path, tmp_path: Path) -> None:
    assert metadata.read(gguf).tensors == 866  # 64 layers, and 15 of the prediction block
    with server.serving(gguf, context=256, seed=0, log=tmp_path / "server.log") as endpoint:
        question = {"messages": [{"role": "user", "content": "suture closes"}], "max_tokens": 8, "temperature": 0}
        answer = httpx.post(f"{endpoint.url}/v1/chat/completions", json=question, timeout=60).json()
    assert answer["usage"]["completion_tokens"] == 8
    assert answer["choices"][0]["message"]["content"]


def test_the_adapter_beside_the_stack_is_what_it_is_fused(
    gguf: Path, healed: dict[str, Healed], stack: Path, tmp_path: Path
) -> None:
    """The converter puts heads of linear attention in another order: an adapter's factors must follow."""
    merged, adapter = as_artifact(stack, "ee" * 32, {}), as_artifact(healed["raw"].adapter, "ad" * 32, {})
    base = made(tmp_path, convert, BF16, merged, "c2" * 32).gguf
    work = Workspace("c3" * 32, tmp_path / "out", tmp_path / "scratch")
    work.out.mkdir()
    work.scratch.mkdir()
    facts = convert_lora(ConvertLoraSpec(type="f16", provenance=PROVENANCE), [merged, adapter], work, Silent())
    assert facts["tensors"] == 2 * int(healed["raw"].facts["tensors_changed"])

    (tmp_path / "words.txt").write_text(text_of(1000))
    raw, fused, beside = (
        np.array(losses(tmp_path, *files)) for files in ((base, None), (gguf, None), (base, work.out / "lora.gguf"))
    )
    learned = (raw - fused).mean()
    assert learned > 1, "the test's adapter does nothing"
    # the fused weights are rounded to bf16, and the logits have a standard deviation of 30: 0.7 of 24 was measured
    assert np.abs(beside - fused).max() < 0.1 * learned


def losses(folder: Path, gguf: Path, lora: Path | None) -> tuple[float, ...]:
    """Return the mean negative log-likelihood of each of four chunks."""
    words, log = folder / "words.txt", folder / "perplexity.log"
    return measure(gguf, words, chunks=4, context=64, log=log, progress=Silent(), lora=lora).chunks
