"""Training the weights themselves, and training in several processes (FSDP2, here on CPUs): the same as in one."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from safetensors.numpy import load_file
from safetensors.torch import load_file as load_torch
from safetensors.torch import save_file
from transformers import GPT2Config, GPT2LMHeadModel

from suture.checkpoint.reader import open_checkpoint
from suture.errors import CheckpointError, HostError, RecipeError
from suture.heal.child import JOB, environment
from suture.heal.seam import plain_spec
from suture.heal.train import TrainJob, TrainSpec, train
from suture.heal.training.launch import threads_each, visible_gpus, was_killed
from suture.heal.training.model import load_model
from suture.heal.training.unsloth_backend import import_unsloth
from suture.heal.training.whole import release_weights
from suture.process import run
from suture.progress import Silent
from suture.recipe import Heal
from suture.store import Artifact
from tests.unit.heal.adapters import fused, tensor_bytes, tensors_of
from tests.unit.heal.steps_by_hand import as_artifact, make_workspace
from tests.unit.heal.test_probe import hybrid

STEPS, BATCH, ACCUMULATION = 4, 1, 2
GATES: dict[str, Any] = {"layers": (1, 2), "start": 0.25, "learning_rate": 0.05}
ATTEMPTS = Path(__file__).with_name("attempts.py")
FULL: dict[str, Any] = {"method": "full", "gates": GATES}
MEASURED: dict[str, Any] = {"method": "lora", "gates": GATES, "evaluate_every": 2, "patience": 2}
PREDICTION = "mtp.layers.0.mlp.up_proj.weight"
"""A tensor that transformers does not load."""


def spec(**changes: Any) -> TrainSpec:
    fields: dict[str, Any] = {
        "method": "full",
        "rank": 4,
        "alpha": 8.0,
        "targets": ("q_proj", "down_proj", "in_proj_qkv"),
        "learning_rate": 0.01,
        "warmup_steps": 1,
        "steps": STEPS,
        "batch_size": BATCH,
        "gradient_accumulation": ACCUMULATION,
        "checkpoint_every": 2,
        "seed": 0,
    }
    return TrainSpec(**fields | changes)


class Place(NamedTuple):
    """A training's folders."""

    out: Path
    scratch: Path

    @property
    def curve(self) -> list[tuple[float, ...]]:
        rows = [json.loads(line) for line in (self.out / "losses.jsonl").read_text().splitlines()]
        columns = ("step", "loss", "learning_rate", "grad_norm", "held_out_loss")
        return [tuple(row[name] for name in columns if name in row) for row in rows]

    @property
    def tensors(self) -> dict[str, np.ndarray]:
        (file,) = self.out.glob("*.safetensors")
        return load_file(file)

    @property
    def failure(self) -> dict[str, str]:
        return json.loads((self.scratch / "failure.json").read_text())


class Trained(NamedTuple):
    statuses: dict[str, list[int]]
    places: dict[str, Place]
    models: dict[str, Path]


def multimodal(folder: Path) -> Path:
    """Write a tiny Qwen3.5 in bf16 with a vision tower, and a tensor for multi-token prediction."""
    file = hybrid(folder) / "model.safetensors"
    tensors = {name: tensor.bfloat16() for name, tensor in load_torch(file).items()}
    save_file(tensors | {PREDICTION: torch.ones(4, 4, dtype=torch.bfloat16)}, file, metadata={"format": "pt"})
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"dtype": "bfloat16"}))
    return folder


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, pico: Path, make_rows: Callable[..., Artifact]) -> Trained:
    folder = tmp_path_factory.mktemp("shared")
    rows = make_rows(STEPS * BATCH * ACCUMULATION, held_out=3).path
    models = {"llama": pico, "qwen": multimodal(folder / "qwen")}
    asked: dict[str, tuple[str, dict[str, Any], list[list[Any] | None]]] = {
        "full, one": ("llama", FULL, [None]),
        "full, one, killed": ("llama", FULL, [["after row", 3], None]),
        "full, two": ("llama", FULL | {"processes": 2}, [None]),
        "full, two, killed": ("llama", FULL | {"processes": 2}, [["after row", 3], ["before seal", 4], None]),
        "lora, one": ("llama", MEASURED, [None]),
        "lora, two": ("llama", MEASURED | {"processes": 2}, [["after row", 3], None]),
        "seam": ("llama", {"layers": (1,), "warmup_steps": 0, "steps": 1}, [None]),
        "qwen, one": ("qwen", {"warmup_steps": 0, "steps": 1}, [None]),
        "qwen, two": ("qwen", {"warmup_steps": 0, "steps": 1, "processes": 2}, [None]),
        "unsloth": ("llama", {"method": "lora", "backend": "unsloth"}, [None]),
        "no targets, two": ("llama", {"method": "lora", "targets": ("nothing",), "processes": 2}, [None]),
    }
    places: dict[str, Place] = {}
    plan: list[tuple[str, list[Any] | None]] = []
    for number, (name, (model, changes, hindrances)) in enumerate(asked.items()):
        work = make_workspace(folder / str(number))
        places[name] = Place(work.out, work.scratch)
        job = TrainJob(
            spec=spec(**changes),
            model=models[model],
            rows=rows / "train.safetensors",
            held_out=rows / "heldout.safetensors" if "evaluate_every" in changes else None,
            out=work.out,
            scratch=work.scratch,
            threads=1,
        )
        (work.scratch / JOB).write_text(job.model_dump_json())
        plan += [(name, hindrance) for hindrance in hindrances]
    listed = folder / "attempts.json"
    listed.write_text(json.dumps([(str(places[name].scratch / JOB), hindrance) for name, hindrance in plan]))
    run([sys.executable, ATTEMPTS, listed], log=folder / "log", doing="training for the tests", env=environment(1))
    statuses: dict[str, list[int]] = {}
    for (name, _), status in zip(plan, json.loads(Path(f"{listed}.out").read_text()), strict=True):
        statuses.setdefault(name, []).append(status)
    return Trained(statuses, places, models)


def test_every_attempt_ends_as_planned(trained: Trained) -> None:
    assert trained.statuses == {
        "full, one": [0],
        "full, one, killed": [-9, 0],
        "full, two": [0],
        "full, two, killed": [-9, -9, 0],
        "lora, one": [0],
        "lora, two": [-9, 0],
        "seam": [0],
        "qwen, one": [0],
        "qwen, two": [0],
        "unsloth": [3],
        "no targets, two": [3],
    }


# -- several processes ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["full", "lora", "qwen"])
def test_two_processes_train_what_one_does(trained: Trained, what: str) -> None:
    one, two = trained.places[f"{what}, one"], trained.places[f"{what}, two"]
    assert len(one.curve) == len(two.curve) > 0
    for ours, theirs in zip(two.curve, one.curve, strict=True):
        assert ours == pytest.approx(theirs, rel=1e-3)
    assert two.tensors.keys() == one.tensors.keys()
    for name, tensor in one.tensors.items():
        np.testing.assert_allclose(two.tensors[name], tensor, rtol=1e-3, atol=1e-4, err_msg=name)
    if what != "qwen":
        gates = [json.loads((place.out / "gates.json").read_text()) for place in (one, two)]
        assert gates[1] == pytest.approx(gates[0], rel=1e-3)
        assert set(gates[0].values()) != {0.25}


@pytest.mark.parametrize("what", ["full, one", "full, two"])
def test_after_kills_the_weights_are_byte_for_byte_those_of_an_undisturbed_run(trained: Trained, what: str) -> None:
    undisturbed, killed = trained.places[what], trained.places[f"{what}, killed"]
    for file in ("model.safetensors", "gates.json"):
        assert (killed.out / file).read_bytes() == (undisturbed.out / file).read_bytes()
    assert killed.curve == undisturbed.curve
    assert [int(row[0]) for row in killed.curve] == list(range(1, STEPS + 1))


def test_whichever_process_fails_tells_why(trained: Trained) -> None:
    assert trained.places["no targets, two"].failure["kind"] == "RecipeError"
    assert trained.places["no targets, two"].failure["where"] == "targets"
    assert not (trained.places["no targets, two"].scratch / "result.json").exists()


class Told(Silent):
    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, message: str) -> None:
        self.said.append(message)


def test_the_step_starts_them_with_accelerate(tmp_path: Path, pico: Path, make_rows: Callable[..., Artifact]) -> None:
    work, told = make_workspace(tmp_path / "work"), Told()
    facts = train(spec(method="lora", processes=2, steps=2), [as_artifact(pico), make_rows(4)], work, told)
    line = told.said[0].removeprefix("starting 2 processes: ")
    assert "accelerate.commands.launch --num_processes=2" in line
    assert "--use_fsdp --fsdp_version=2" in line
    log = (work.out / "train.log").read_text()
    assert log.startswith(f"$ {line}\n")
    assert [log.count(f"step {step} of 2") for step in (1, 2)] == [1, 1]
    assert facts["processes"] == 2
    assert {path.name for path in work.out.iterdir()} == {
        "adapter_model.safetensors",
        "adapter_config.json",
        "losses.jsonl",
        "train.log",
    }


def test_a_killed_process_is_told_from_the_launchers_last_lines() -> None:
    said = (
        "  exitcode  : -9 (pid: 22915)\n  error_file: <N/A>\n  traceback : Signal 9 (SIGKILL) received by PID 22915"
    )
    assert was_killed(1, said)
    assert was_killed(-9, "step 3 of 6")
    assert not was_killed(1, said.replace("9 (SIGKILL)", "15 (SIGTERM)"))


@pytest.mark.parametrize(
    ("visible", "taken"), [(None, "0"), ("2,3", "2"), ("", ""), ("GPU-8932f937", "GPU-8932f937")]
)
def test_one_process_sees_one_gpu(monkeypatch: pytest.MonkeyPatch, visible: str | None, taken: str) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert visible_gpus(1) == {"CUDA_VISIBLE_DEVICES": taken}
    assert visible_gpus(2) == {}


def test_the_threads_are_shared_out() -> None:
    assert [threads_each(8, count) for count in (1, 3, 16)] == [8, 2, 1]


# -- the weights themselves -----------------------------------------------------------------------------------------


def test_all_weights_are_trained_in_fp32_and_fused_with_their_gates(
    trained: Trained, pico: Path, tmp_path: Path
) -> None:
    place = trained.places["full, one"]
    gates = json.loads((place.out / "gates.json").read_text())
    assert {str(tensor.dtype) for tensor in place.tensors.values()} == {"float32"}
    before, (out, facts) = tensors_of(pico), fused(tmp_path / "fused", pico, place.out)
    assert place.tensors.keys() == before.keys() == tensors_of(out).keys()
    for name, tensor in tensors_of(out).items():
        wanted = place.tensors[name] * np.float32(gates.get(name.removesuffix(".weight"), 1))
        in_bf16 = torch.from_numpy(wanted).bfloat16().float().numpy()
        np.testing.assert_array_equal(tensor, in_bf16)
        assert not np.array_equal(tensor, before[name]), name
    assert facts["tensors_changed"] == len(before)
    assert 0 < facts["relative_delta"] < 1
    assert facts["share_survived"] == pytest.approx(1, abs=0.05)


def test_near_a_seam_only_its_layers_change(trained: Trained, pico: Path, tmp_path: Path) -> None:
    out, facts = fused(tmp_path / "fused", pico, trained.places["seam"].out)
    before, after = tensor_bytes(pico), tensor_bytes(out)
    layer = {name for name in before if ".layers.1." in name}
    changed = {name for name in before if after[name] != before[name]}
    assert {name for name in layer if "proj" in name} <= changed <= layer
    assert facts["tensors_changed"] == len(layer)


def test_neither_the_vision_tower_nor_the_prediction_block_is_trained(trained: Trained, tmp_path: Path) -> None:
    model, place = trained.models["qwen"], trained.places["qwen, one"]
    names = set(open_checkpoint(model).layout.tensors)
    language = {name for name in names if name.startswith(("model.language_model.", "lm_head."))}
    assert place.tensors.keys() == language
    out, _ = fused(tmp_path / "fused", model, place.out)
    before, after = tensor_bytes(model), tensor_bytes(out)
    assert before.keys() == after.keys()
    assert {name for name in names if before[name] == after[name]} >= names - language
    assert PREDICTION in names - language


def test_weights_of_another_model_are_refused(trained: Trained, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="does not fit"):
        fused(tmp_path / "fused", trained.models["qwen"], trained.places["full, one"].out)


def test_a_head_that_is_stored_beside_its_tied_embedding_stays_the_same(
    trained: Trained, pico: Path, tmp_path: Path
) -> None:
    model = tmp_path / "model"
    model.mkdir()
    for path in pico.iterdir():
        (model / path.name).write_bytes(path.read_bytes())
    tensors = load_torch(model / "model.safetensors")
    head = {"lm_head.weight": tensors["model.embed_tokens.weight"].clone()}
    save_file(tensors | head, model / "model.safetensors", metadata={"format": "pt"})
    after = tensor_bytes(fused(tmp_path / "fused", model, trained.places["full, one"].out)[0])
    assert after["lm_head.weight"] == after["model.embed_tokens.weight"]


def test_a_checkpoint_of_other_names_than_its_class_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "gpt2"
    config = GPT2Config(vocab_size=48, n_embd=32, n_layer=1, n_head=2, bos_token_id=None, eos_token_id=None)
    GPT2LMHeadModel(config).save_pretrained(folder)
    tensors = load_torch(folder / "model.safetensors")  # as the published one: without `transformer.`
    plain = {name.removeprefix("transformer."): tensor for name, tensor in tensors.items()}
    save_file(plain, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(RecipeError, match="cannot be trained") as caught:
        release_weights(load_model(folder, "full"), folder, None)
    assert "lora" in (caught.value.way_out or "")


# -- Unsloth, which cannot run here ----------------------------------------------------------------------------------


def test_unsloth_without_a_gpu_is_refused(trained: Trained) -> None:
    failure = trained.places["unsloth"].failure
    assert failure["kind"] == "HostError"
    assert failure["expected"] == "a GPU"
    assert "backend: peft" in failure["way_out"]


def test_unsloth_that_is_not_installed_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    with pytest.raises(HostError, match="not installed") as caught:
        import_unsloth()
    assert "suture[gpu]" in (caught.value.way_out or "")


# -- what a recipe may ask for ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "problem"),
    [
        ({"processes": 2}, "method: expected lora or full beside processes 2, found qlora"),
        ({"processes": 2, "method": "lora", "backend": "unsloth"}, "backend: expected peft beside processes 2"),
        ({"processes": 3, "method": "lora"}, "multiple of processes (3), found 4"),
        ({"processes": 2, "method": "full", "optimizer": "paged_adamw_8bit"}, "optimizer: expected auto or adamw"),
        ({"method": "full", "backend": "unsloth"}, "backend: expected peft beside method full"),
        ({"method": "lora", "backend": "unsloth", "start": "gated"}, "start: expected raw beside backend unsloth"),
        ({"method": "full", "result": "adapter"}, "result: expected `fused` beside method full"),
    ],
)
def test_what_does_not_go_together_is_refused(asked: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Heal.model_validate({"data": [{"text": "builtin:code"}], **asked})
    assert problem in str(caught.value)


def test_what_goes_together_is_taken() -> None:
    asked = {"data": [{"text": "builtin:code"}], "method": "full", "processes": 4, "start": "gated"}
    taken = plain_spec(Heal.model_validate(asked))
    assert (taken.method, taken.processes, taken.backend) == ("full", 4, "peft")
