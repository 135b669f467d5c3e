"""Training: exact resume after kills, the curve, the schedule, both methods, and errors that name the way out."""

from __future__ import annotations

import json
import math
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from safetensors.numpy import load_file

from suture.errors import RecipeError
from suture.heal.child import JOB, environment
from suture.heal.seam import plain_spec
from suture.heal.train import TrainJob, TrainSpec, train
from suture.process import run
from suture.progress import Silent
from suture.recipe import Training
from suture.store import Artifact
from tests.unit.heal.adapters import fused, tensors_of
from tests.unit.heal.steps_by_hand import as_artifact, make_workspace

STEPS, BATCH, ACCUMULATION = 12, 2, 2
DATA_ALONE = {"data", "sequence_length", "group_by_length", "held_out"}
ROWS, HELD_OUT = STEPS * BATCH * ACCUMULATION, 5
GATES: dict[str, Any] = {"layers": (1, 2), "start": 0.25, "learning_rate": 0.05}
PLATEAU: dict[str, Any] = {
    "gates": GATES,
    "learning_rate": 5.0,  # rises step by step: good for the second, then far too much
    "warmup_steps": STEPS,
    "checkpoint_every": 3,
}
IN_8_BITS: dict[str, Any] = {"optimizer": "paged_adamw_8bit", "rank": 64, "steps": 4, "checkpoint_every": 2}
ATTEMPTS = Path(__file__).with_name("attempts.py")


def spec(**changes: Any) -> TrainSpec:
    fields: dict[str, Any] = {
        "method": "lora",
        "rank": 4,
        "alpha": 8.0,
        "targets": ("q_proj", "v_proj", "out_proj", "down_proj"),
        "learning_rate": 0.02,
        "warmup_steps": 2,
        "steps": STEPS,
        "batch_size": BATCH,
        "gradient_accumulation": ACCUMULATION,
        "checkpoint_every": 4,
        "seed": 0,
    }
    return TrainSpec(**fields | changes)


class Place(NamedTuple):
    """A training's folders."""

    out: Path
    scratch: Path

    @property
    def rows(self) -> list[dict[str, float]]:
        return [json.loads(line) for line in (self.out / "losses.jsonl").read_text().splitlines()]

    @property
    def adapter(self) -> bytes:
        return (self.out / "adapter_model.safetensors").read_bytes()

    @property
    def gates(self) -> dict[str, float]:
        return json.loads((self.out / "gates.json").read_text())

    @property
    def result(self) -> dict[str, Any]:
        return json.loads((self.scratch / "result.json").read_text())

    @property
    def failure(self) -> dict[str, str]:
        return json.loads((self.scratch / "failure.json").read_text())


class Session:
    """Trainings to be run in one process, one after the other."""

    def __init__(self, folder: Path, rows: Artifact) -> None:
        self.folder = folder
        self._rows = rows
        self._attempts: list[tuple[str, list[Any] | None]] = []

    def place(self, name: str, model: Path, **changes: Any) -> Place:
        work = make_workspace(self.folder / name)
        job = TrainJob(
            spec=spec(**changes),
            model=model,
            rows=self._rows.path / "train.safetensors",
            held_out=self._rows.path / "heldout.safetensors" if "evaluate_every" in changes else None,
            out=work.out,
            scratch=work.scratch,
            threads=1,
        )
        (work.scratch / JOB).write_text(job.model_dump_json())
        return Place(work.out, work.scratch)

    def attempt(self, place: Place, kill: list[Any] | None = None) -> None:
        self._attempts.append((str(place.scratch / JOB), kill))

    def run(self) -> list[int]:
        listed = self.folder / "attempts.json"
        listed.write_text(json.dumps(self._attempts))
        run(
            [sys.executable, ATTEMPTS, listed],
            log=self.folder / "attempts.log",
            doing="training for the tests",
            env=environment(1),
        )
        return json.loads(Path(f"{listed}.out").read_text())


class Trained(NamedTuple):
    """What came of the trainings of this module."""

    statuses: dict[str, list[int]]
    places: dict[str, Place]
    log: str


def with_nan(model: Path, folder: Path) -> Path:
    """Return a copy of the model whose first norm is NaN."""
    copy = shutil.copytree(model, folder)
    file = copy / "model.safetensors"
    content = bytearray(file.read_bytes())
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    start = len(content) - max(entry["data_offsets"][1] for name, entry in header.items() if name[0] != "_")
    begin, end = header["model.layers.0.input_layernorm.weight"]["data_offsets"]
    content[start + begin : start + end] = b"\xc0\x7f" * ((end - begin) // 2)
    file.write_bytes(content)
    return copy


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, pico: Path, make_rows: Callable[..., Artifact]) -> Trained:
    session = Session(tmp_path_factory.mktemp("trainings"), make_rows(ROWS, held_out=HELD_OUT))
    places = {
        "undisturbed": session.place("undisturbed", pico),
        "killed": session.place("killed", pico),
        "other seed": session.place("other-seed", pico, seed=1),
        "qlora": session.place("qlora", pico, method="qlora", steps=2),
        "nan": session.place("nan", with_nan(pico, session.folder / "nan-model")),
        "no targets": session.place("no-targets", pico, targets=("in_proj_qkv", "out_proj")),
        "one layer": session.place("one-layer", pico, layers=(1,), steps=1),
        "gated": session.place("gated", pico, gates=GATES),
        "gated, killed": session.place("gated-killed", pico, gates=GATES),
        "damped": session.place("damped", pico, gates=GATES | {"learning_rate": 0.0}, steps=2),
        "measured": session.place("measured", pico, evaluate_every=5),
        "plateau": session.place("plateau", pico, evaluate_every=1, patience=2, **PLATEAU),
        "plateau, killed": session.place("plateau-killed", pico, evaluate_every=1, patience=2, **PLATEAU),
        "8 bits": session.place("8-bits", pico, gates=GATES, **IN_8_BITS),
        "8 bits, killed": session.place("8-bits-killed", pico, gates=GATES, **IN_8_BITS),
        "no memory": session.place("no-memory", pico, rank=10**6),
        "nothing to gate": session.place("nothing-to-gate", pico, gates=GATES | {"layers": (7,)}),
    }
    kills = [["before seal", 4], ["after row", 3], ["after row", 10], ["before seal", 12], None, None]
    killed = {
        "killed": kills,
        "gated, killed": [["after row", 7], ["before seal", 8], None],
        "plateau, killed": [["before seal", 3], ["after row", 4], ["before seal", 4], None, None],
        "8 bits, killed": [["after row", 3], None],
        "no memory": [["memory", 200 * 10**6]],
    }
    plan = [(name, kill) for name in places for kill in killed.get(name, [None])]
    for name, kill in plan:
        session.attempt(places[name], kill)
    statuses: dict[str, list[int]] = {}
    for (name, _), status in zip(plan, session.run(), strict=True):
        statuses.setdefault(name, []).append(status)
    return Trained(statuses, places, (session.folder / "attempts.log").read_text())


def test_every_attempt_ends_as_planned(trained: Trained) -> None:
    assert trained.statuses == {
        "undisturbed": [0],
        "killed": [-9, -9, -9, -9, 0, 0],
        "other seed": [0],
        "qlora": [0],
        "nan": [3],
        "no targets": [3],
        "one layer": [0],
        "gated": [0],
        "gated, killed": [-9, -9, 0],
        "damped": [0],
        "measured": [0],
        "plateau": [0],
        "plateau, killed": [-9, -9, -9, 0, 0],
        "8 bits": [0],
        "8 bits, killed": [-9, 0],
        "no memory": [3],
        "nothing to gate": [3],
    }


def test_after_kills_the_adapter_is_byte_for_byte_that_of_an_undisturbed_run(trained: Trained) -> None:
    undisturbed, killed = trained.places["undisturbed"], trained.places["killed"]
    assert killed.adapter == undisturbed.adapter
    assert (killed.out / "adapter_config.json").read_bytes() == (undisturbed.out / "adapter_config.json").read_bytes()
    assert trained.places["other seed"].adapter != undisturbed.adapter


def test_after_kills_the_curve_has_each_step_once(trained: Trained) -> None:
    undisturbed, killed = trained.places["undisturbed"].rows, trained.places["killed"].rows
    assert [row["step"] for row in killed] == list(range(1, STEPS + 1))
    for column in ("loss", "learning_rate", "grad_norm"):
        assert [row[column] for row in killed] == [row[column] for row in undisturbed]


def test_a_finished_training_is_resumed_from_its_last_checkpoint(trained: Trained) -> None:
    assert trained.places["undisturbed"].result["resumed_from"] is None
    assert trained.places["killed"].result["resumed_from"] == STEPS
    assert [path.name for path in trained.places["killed"].scratch.glob("checkpoint-*")] == [f"checkpoint-{STEPS}"]


def test_the_schedule_is_a_cosine_after_a_linear_warm_up(trained: Trained) -> None:
    peak, warm = 0.02, 2
    expected = [
        peak * (step / warm if step < warm else 0.5 * (1 + math.cos(math.pi * (step - warm) / (STEPS - warm))))
        for step in range(STEPS)
    ]
    assert [row["learning_rate"] for row in trained.places["undisturbed"].rows] == pytest.approx(expected)


def test_the_loss_falls(trained: Trained) -> None:
    losses = [row["loss"] for row in trained.places["undisturbed"].rows]
    assert sum(losses[-3:]) < sum(losses[:3]) - 1


def test_the_first_loss_is_that_of_the_first_rows(
    trained: Trained, pico: Path, make_rows: Callable[..., Artifact]
) -> None:
    import torch
    from transformers import LlamaForCausalLM

    tensors = load_file(make_rows(ROWS, held_out=HELD_OUT).path / "train.safetensors")
    rows = torch.from_numpy(tensors["input_ids"]).long().reshape(-1, 32)[: BATCH * ACCUMULATION]
    with torch.no_grad():
        logits = LlamaForCausalLM.from_pretrained(pico, dtype=torch.float32)(input_ids=rows).logits
    plain = torch.nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), rows[:, 1:].flatten())
    assert trained.places["undisturbed"].rows[0]["loss"] == pytest.approx(plain.item(), rel=0.01)  # bf16 there


def test_the_adapter_is_fp32_on_targets_alone_and_says_nothing_of_this_machine(trained: Trained) -> None:
    place = trained.places["undisturbed"]
    tensors = load_file(place.out / "adapter_model.safetensors")
    targets = {name.split(".")[-3] for name in tensors}
    assert targets == {"q_proj", "v_proj", "down_proj"}
    assert {str(tensor.dtype) for tensor in tensors.values()} == {"float32"}
    assert all(tensor.any() for tensor in tensors.values())
    assert place.result["trainable_parameters"] == sum(tensor.size for tensor in tensors.values())
    config = (place.out / "adapter_config.json").read_text()
    assert json.loads(config)["base_model_name_or_path"] is None
    assert str(place.out.parents[1]) not in config


def test_rows_and_facts_count_tokens(trained: Trained) -> None:
    place = trained.places["undisturbed"]
    assert place.result["tokens"] == STEPS * BATCH * ACCUMULATION * 32
    assert place.result["steps"] == STEPS
    assert place.result["first_loss"] == place.rows[0]["loss"]
    assert place.result["final_loss"] == place.rows[-1]["loss"]
    assert all(row["tokens_per_second"] > 0 and row["memory_bytes"] > 10**8 for row in place.rows)


def test_qlora_trains_on_four_bits(trained: Trained) -> None:
    place, same_in_16_bits = trained.places["qlora"], trained.places["undisturbed"]
    assert [row["step"] for row in place.rows] == [1, 2]
    first, first_in_16_bits = place.rows[0]["loss"], same_in_16_bits.rows[0]["loss"]
    assert first != first_in_16_bits
    assert first == pytest.approx(first_in_16_bits, rel=0.1)
    assert {str(t.dtype) for t in load_file(place.out / "adapter_model.safetensors").values()} == {"float32"}


def test_a_loss_that_is_no_number_is_explained(trained: Trained) -> None:
    failure = trained.places["nan"].failure
    assert failure["kind"] == "RecipeError"
    assert failure["where"] == f"step 1 of {STEPS}"
    assert "nan" in failure["found"]
    assert list(trained.places["nan"].scratch.glob("checkpoint-*")) == []


def test_missing_targets_are_explained(trained: Trained) -> None:
    failure = trained.places["no targets"].failure
    assert failure["kind"] == "RecipeError"
    assert failure["found"] == "in_proj_qkv, out_proj"
    assert failure["expected"] == "some of down_proj, gate_proj, k_proj, o_proj, q_proj, up_proj, v_proj"


def test_an_adapter_may_keep_to_some_layers(trained: Trained) -> None:
    tensors = load_file(trained.places["one layer"].out / "adapter_model.safetensors")
    assert {name.split(".layers.")[1].split(".")[0] for name in tensors} == {"1"}
    assert len(tensors) == 6  # two factors for each of q_proj, v_proj, down_proj


def test_gates_are_learned_on_the_output_projections_of_their_layers(trained: Trained) -> None:
    gates = trained.places["gated"].gates
    parts = ("self_attn.o_proj", "mlp.down_proj")
    assert set(gates) == {f"model.layers.{layer}.{part}" for layer in (1, 2) for part in parts}
    assert all(gate != 0.25 and 0 < abs(gate - 0.25) < STEPS * 0.05 for gate in gates.values())
    assert trained.places["gated"].result["gates"] == gates
    assert trained.places["gated"].adapter != trained.places["undisturbed"].adapter


def test_gates_come_through_kills_too(trained: Trained) -> None:
    gated, killed = trained.places["gated"], trained.places["gated, killed"]
    assert killed.adapter == gated.adapter
    assert killed.gates == gated.gates


def test_damped_layers_stay_as_damped_as_they_were(trained: Trained) -> None:
    assert set(trained.places["damped"].gates.values()) == {0.25}
    assert not (trained.places["undisturbed"].out / "gates.json").exists()
    first, gated = trained.places["damped"].rows[0], trained.places["gated"].rows[0]
    assert first["loss"] == gated["loss"] != trained.places["undisturbed"].rows[0]["loss"]


def test_the_fused_checkpoint_computes_what_was_trained(trained: Trained, pico: Path, tmp_path: Path) -> None:
    place = trained.places["gated"]
    before = tensors_of(pico)
    after = tensors_of(fused(tmp_path / "fused", pico, place.out)[0])
    factors = load_file(place.out / "adapter_model.safetensors")
    gates = place.gates
    for name, weights in before.items():
        module = name.removesuffix(".weight")
        a, b = (factors.get(f"base_model.model.{module}.lora_{side}.weight") for side in "AB")
        wanted = weights * np.float32(gates.get(module, 1.0))
        if a is not None and b is not None:
            wanted = wanted + np.float32(8.0 / 4) * (b @ a)
        assert np.allclose(after[name], wanted, rtol=2**-8, atol=1e-7), name
        changed = a is not None or module in gates
        assert changed != np.array_equal(after[name], weights), name


def test_measuring_the_held_out_loss_changes_nothing(
    trained: Trained, pico: Path, make_rows: Callable[..., Artifact], tmp_path: Path
) -> None:
    import torch
    from transformers import LlamaForCausalLM

    place = trained.places["measured"]
    assert place.adapter == trained.places["undisturbed"].adapter
    measured = {int(row["step"]): row["held_out_loss"] for row in place.rows if "held_out_loss" in row}
    assert list(measured) == [5, 10, 12]
    assert place.result["held_out_loss"] == measured[12] < measured[5]
    healed = LlamaForCausalLM.from_pretrained(fused(tmp_path / "fused", pico, place.out)[0], dtype=torch.float32)
    tensors = load_file(make_rows(ROWS, held_out=HELD_OUT).path / "heldout.safetensors")
    rows = torch.from_numpy(tensors["input_ids"]).long().reshape(HELD_OUT, 32)
    with torch.no_grad():
        logits = healed(input_ids=rows).logits
    plain = torch.nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), rows[:, 1:].flatten())
    assert measured[12] == pytest.approx(plain.item(), rel=0.01)  # bf16 there


def test_at_a_plateau_the_training_stops_and_the_best_adapter_is_kept(trained: Trained) -> None:
    place = trained.places["plateau"]
    losses = [row["held_out_loss"] for row in place.rows]
    best = losses.index(min(losses)) + 1
    assert len(losses) == best + 2 < STEPS
    result = place.result
    assert (result["stopped_early"], result["steps"], result["best_step"]) == (True, best + 2, best)
    assert result["best_held_out_loss"] == min(losses)
    assert result["gates"] == place.gates
    checkpoint = place.scratch / f"checkpoint-{best + 2}"
    assert (checkpoint / "held_out" / "best" / "adapter_model.safetensors").read_bytes() == place.adapter
    last, kept = (load_file(path / "adapter_model.safetensors") for path in (checkpoint, place.out))
    assert all((last[name] != kept[name]).any() for name in kept)
    assert json.loads((checkpoint / "gates.json").read_text()) != place.gates


def test_a_killed_training_stops_where_an_undisturbed_one_does(trained: Trained) -> None:
    plateau, killed = trained.places["plateau"], trained.places["plateau, killed"]
    assert killed.adapter == plateau.adapter
    assert killed.gates == plateau.gates
    for column in ("loss", "held_out_loss"):
        assert [row[column] for row in killed.rows] == [row[column] for row in plateau.rows]
    assert killed.result["resumed_from"] == plateau.result["steps"]


def test_moments_in_8_bits_come_through_a_kill(trained: Trained) -> None:
    place, killed = trained.places["8 bits"], trained.places["8 bits, killed"]
    assert place.result["optimizer"] == "paged_adamw_8bit"
    assert killed.adapter == place.adapter
    assert killed.gates == place.gates
    assert all(gate != 0.25 for gate in place.gates.values())
    assert trained.places["undisturbed"].result["optimizer"] == "adamw_torch"  # on a CPU


def test_too_little_memory_is_explained(trained: Trained) -> None:
    failure = trained.places["no memory"].failure
    assert failure["kind"] == "HostError"
    assert "you tried to allocate 256000000 bytes" in failure["found"]
    assert "method qlora, a smaller batch_size" in failure["way_out"]


def test_layers_without_an_output_projection_are_explained(trained: Trained) -> None:
    failure = trained.places["nothing to gate"].failure
    assert failure["kind"] == "RecipeError"
    assert "o_proj" in failure["expected"]
    assert "raw" in failure["way_out"]


def test_nothing_is_warned_of(trained: Trained) -> None:
    lines = {line for line in trained.log.splitlines() if not line.startswith("step ")}
    assert lines == {"stopped early: the held-out loss no longer falls"}


# -- the step, as the flow calls it ---------------------------------------------------------------------------------


class Told(Silent):
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.steps: list[tuple[float, float, str]] = []
        self.notes: list[str] = []
        self.said: list[str] = []

    def say(self, message: str) -> None:
        self.said.append(message)

    def update(self, done: float, total: float, unit: str, note: str = "") -> None:
        self.steps.append((done, total, unit))
        self.notes.append(note)


def test_the_step_follows_its_process(tmp_path: Path, pico: Path, make_rows: Callable[..., Artifact]) -> None:
    work, told = make_workspace(tmp_path / "work"), Told()
    rows = make_rows(ROWS, held_out=HELD_OUT)
    facts = train(spec(**PLATEAU, evaluate_every=2, patience=1), [as_artifact(pico), rows], work, told)
    assert facts["stopped_early"]
    steps = int(str(facts["steps"]))
    assert told.steps == [(step, STEPS, "steps") for step in range(1, steps + 1)]
    number = r"[-+.e\d]+"
    rest = f"learning rate {number}  gradient norm {number}  {number} tokens/s  memory {number} .?B"
    for step, note in enumerate(told.notes, start=1):
        measured = "" if step % 2 else f"  held-out loss {number}"
        assert re.fullmatch(f"loss {number}{measured}  {rest}", note), note
    assert told.said[-1].startswith("stopped early")
    assert {path.name for path in work.out.iterdir()} == {
        "adapter_model.safetensors",
        "adapter_config.json",
        "gates.json",
        "losses.jsonl",
        "train.log",
    }
    assert (work.out / "train.log").read_text().count("step ") == steps


def test_the_step_raises_what_its_process_left(
    tmp_path: Path, pico: Path, make_rows: Callable[..., Artifact]
) -> None:
    work = make_workspace(tmp_path / "work")
    with pytest.raises(RecipeError, match="none of the layers") as caught:
        train(spec(targets=("nothing",)), [as_artifact(pico), make_rows(12)], work, Silent())
    assert caught.value.where == "targets"
    assert caught.value.exit_code == 2


def test_the_spec_takes_its_fields_from_the_recipe() -> None:
    training = Training.model_validate({"data": [{"text": "builtin:code"}]})
    taken = plain_spec(training)
    assert set(Training.model_fields) - set(TrainSpec.model_fields) == DATA_ALONE
    assert taken.rank == training.rank
    assert taken.targets == training.targets
