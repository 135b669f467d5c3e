"""A finished demo run in a real store: the artifacts hold hand-written facts, the numbers are plausible ones."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from random import Random

from pydantic import JsonValue

from suture.recipe import Recipe
from suture.report.inputs import ArmView, ReportInput, SourceView, StepView
from suture.store import Manifest, RunRecord, StepRecord, Store, artifact_key

STARTED = datetime(2026, 11, 22, 3, 15, 2, tzinfo=UTC)
MODEL = "builtin:smollm2-135m-instruct"
COMMIT = "sha256-6f1a"
LLAMA_CPP = "llama.cpp 0.3.36 (cpu, native)"
TESTS = {
    "exact-instruction": "basic",
    "arithmetic": "basic",
    "json-only": "basic",
    "one-word": "basic",
    "translate": "basic",
    "refuse-to-guess": "basic",
    "syllogism": "reasoning",
    "bat-and-ball": "reasoning",
    "weekday": "reasoning",
    "counterfactual": "reasoning",
}

Facts = Mapping[str, JsonValue]


class Made:
    """Puts artifacts into a store, in the order of a plan, and remembers the steps."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.steps: list[StepView] = []
        self.records: list[StepRecord] = []

    def step(
        self,
        label: str,
        facts: Facts,
        parents: Sequence[str] = (),
        *,
        seconds: float = 1.0,
        cached: bool = False,
        tool: str = "",
        files: Mapping[str, str] | None = None,
    ) -> str:
        kind = label.partition(" ")[0]
        key = artifact_key(kind, 1, label, parents, tool)
        self.steps.append(StepView(label=label, step=kind, key=key))
        head = Manifest(
            key=key,
            step=kind,
            version=1,
            spec=label,
            parents=tuple(parents),
            tool=tool,
            files=(),
            facts=dict(facts),
            host={"python": "3.11.14", "system": "Linux x86_64", "processors": "2", "torch": "2.13.0"},
            created=STARTED,
            seconds=seconds,
        )
        with self.store.lock(key), self.store.workspace(key) as work:
            for name, content in (files or {"content": label}).items():
                (work.out / name).write_text(content)
            self.store.commit(work, head)
        took = 0.02 if cached else seconds
        self.records.append(StepRecord(label=label, step=kind, key=key, cached=cached, seconds=took))
        return key

    def fetch(self, model: str = MODEL) -> str:
        facts: Facts = {
            "model": model,
            "commit": COMMIT,
            "licence": "Apache-2.0",
            "tensors": 272,
            "parameters": 134_515_008,
            "bytes": 269_060_552,
            "nan": 0,
            "inf": 0,
            "note": "Its weights were 4-bit (Q4_1) before.",
        }
        return self.step("fetch a", facts, seconds=21.4, cached=True)

    def training(self, label: str, model: str, data: str, first: float, last: float) -> str:
        steps = 60 if label.startswith("heal") or label.endswith("control") else 30
        losses = [_loss(step, steps, first, last) for step in range(1, steps + 1)]
        rows = [
            {
                "step": step,
                "loss": loss,
                "learning_rate": 5e-4,
                "grad_norm": 1.0,
                "tokens_per_second": 190.0,
                "memory_bytes": 2_000_000_000,
                **({"held_out_loss": loss + 0.125} if label.startswith("heal") and step % 20 == 0 else {}),
            }
            for step, loss in enumerate(losses, start=1)
        ]
        facts: Facts = {
            "steps": steps,
            "first_loss": losses[0],
            "final_loss": losses[-1],
            "trainable_parameters": 4_884_480,
            "tokens": 256 * steps,
            "tokens_per_second": 191.4,
            "resumed_from": None,
            "device": "x86_64 AVX2",
            "versions": {"torch": "2.13.0", "peft": "0.21.2"},
        }
        files = {"losses.jsonl": "".join(json.dumps(row) + "\n" for row in rows), "train.log": "done\n"}
        adapter = self.step(label, facts, [model, data], seconds=1.4 * steps, files=files)
        fused: Facts = {
            "tensors_changed": 210,
            "tensors_copied": 62,
            "relative_delta": 0.0131,
            "share_survived": 0.9964,
            "bytes": 269_060_552,
        }
        return self.step(f"fuse {label.rpartition(' ')[2]}", fused, [model, adapter], seconds=3.1)

    def blend(self, label: str, parents: Sequence[str], notes: Sequence[str] = ()) -> str:
        facts: Facts = {
            "layers": 30,
            "tensors_in": 272 * len(parents),
            "tensors_out": 272,
            "copied": 0,
            "merged": 272,
            "dropped": [],
            "seams": [],
            "notes": list(notes),
            "bytes": 269_060_552,
            "parameters": 134_515_008,
        }
        return self.step(label, facts, parents, seconds=1.1)

    def merge(self, a: str, b: str) -> str:
        dropped: list[JsonValue] = [
            {"tensor": f"model.layers.{layer}.mlp.up_proj.weight", "source": source, "reason": "layer not in a slice"}
            for source, layers in (("a", range(24, 30)), ("b", range(6)))
            for layer in layers
        ]
        dropped.append({"tensor": "model.norm.weight", "source": "b", "reason": "taken from the base"})
        facts: Facts = {
            "layers": 48,
            "tensors_in": 544,
            "tensors_out": 434,
            "copied": 434,
            "merged": 0,
            "dropped": dropped,
            "seams": [24],
            "bytes": 396_500_000,
            "parameters": 198_236_736,
        }
        return self.step("merge", facts, [a, b], seconds=0.9)

    def arm(
        self,
        name: str,
        role: str,
        checkpoint: str,
        measured: tuple[float, float],
        passed: int,
        by_text: Mapping[str, float] | None = None,
    ) -> ArmView:
        deep = role in ("merged", "healed")
        size = 152_400_128 if deep else 105_454_144
        converted = self.step(
            f"convert {name}",
            {"tensors": 434, "size_bytes": 396_600_000, "type": "bf16"},
            [checkpoint],
            seconds=4.2,
            tool=LLAMA_CPP,
        )
        gguf = self.step(
            f"quantize {name} Q4_K_M",
            {"size_bytes": size, "type": "Q4_K_M", "bits_per_weight": 6.27, "tensors": 434, "fallback_tensors": 90},
            [converted],
            seconds=5.5,
            tool=LLAMA_CPP,
        )
        value, error = measured
        by_text = by_text or {"prose": 0.8 * value, "code": 1.25 * value}
        texts: dict[str, JsonValue] = {
            text: {"value": round(each, 4), "error": error, "tokens": 4096, "chunks": _chunks(name, text, each)}
            for text, each in by_text.items()
        }
        perplexity = self.step(
            f"perplexity {name}",
            {"value": value, "error": error, "tokens": 8192, "texts": texts, "tokenizer": "49152 tokens"},
            [gguf],
            seconds=24.0,
            tool=LLAMA_CPP,
        )
        tests: list[JsonValue] = [
            {
                "id": id_,
                "category": category,
                "passed": int(number < passed),
                "asked": 1,
                "error_class": "" if number < passed else "wrong_answer",
                "seconds": 1.25,
            }
            for number, (id_, category) in enumerate(TESTS.items())
        ]
        facts: Facts = {
            "passed": passed,
            "total": 10,
            "tests": tests,
            "tokens_per_second": {"value": 41.3 if deep else 62.8, "error": 0.9},
            "prompt_tokens_per_second": 310.5,
            "time_to_first_token": {"value": 0.143, "error": 0.012},
            "template_has_tools": False,
        }
        benchmark = self.step(f"benchmark {name}", facts, [gguf], seconds=31.0, tool=LLAMA_CPP)
        return ArmView.model_validate(
            {
                "name": name,
                "role": role,
                "quant": "Q4_K_M",
                "gguf": gguf,
                "perplexity": perplexity,
                "benchmark": benchmark,
            }
        )


def _loss(step: int, steps: int, first: float, last: float) -> float:
    noise = 0.11 * math.sin(37.7 * step) + 0.07 * math.sin(11.3 * step * step)
    return round(last + (first - last) * math.exp(-5 * step / steps) + noise, 4)


def _chunks(name: str, text: str, perplexity: float) -> list[JsonValue]:
    """Return losses of 16 chunks: hard and easy ones for all arms alike, with a little of the arm's own."""
    random = Random(text)
    hardness = [random.gauss(0, 0.3) for _ in range(16)]
    random = Random(name + text)
    own = [hard + random.gauss(0, 0.008) for hard in hardness]
    return [round(math.log(perplexity) + each - sum(own) / 16, 6) for each in own]


def demo_recipe(**changes: object) -> Recipe:
    """Return the recipe of the demo run, with some fields changed."""
    training = {
        "data": [{"text": "builtin:code"}, {"text": "builtin:prose"}],
        "method": "lora",
        "rank": 16,
        "learning_rate": 5e-4,
        "steps": 30,
        "sequence_length": 128,
    }
    recipe: dict[str, object] = {
        "name": "demo-stack",
        "description": "Two children of SmolLM2-135M, one tuned on code and one on prose, stacked to 48 layers and "
        "healed; the control shows how much of the gain is only more training.",
        "sources": [
            {"name": "a", "model": MODEL, "finetune": training},
            {"name": "b", "model": MODEL, "finetune": training},
        ],
        "merge": {
            "method": "passthrough",
            "base": "a",
            "slices": [{"source": "a", "layers": [0, 24]}, {"source": "b", "layers": [6, 30]}],
        },
        "heal": {**training, "steps": 60},
    }
    return Recipe.model_validate({**recipe, **changes})


def demo_run(store: Store) -> ReportInput:
    """Fill a store with the demo's artifacts and return what its report is made from."""
    made, recipe = Made(store), demo_recipe()
    fetched = made.fetch()
    data_a = made.step("dataset a", {"sequences": 60, "tokens": 7680}, [fetched], cached=True)
    a = made.training("finetune a", fetched, data_a, 3.05, 2.62)
    data_b = made.step("dataset b", {"sequences": 60, "tokens": 7680}, [fetched])
    b = made.training("finetune b", fetched, data_b, 3.3, 2.85)
    merged = made.merge(a, b)
    data = made.step("dataset heal", {"sequences": 120, "tokens": 15360}, [a])
    healed = made.training("heal healed", merged, data, 4.1, 2.95)
    control = made.training("finetune control", a, data, 3.0, 2.72)
    arms = (
        made.arm("a", "source", a, (20.14, 0.42), 4),
        made.arm("b", "source", b, (20.62, 0.44), 4),
        made.arm("merged", "merged", merged, (37.38, 0.88), 1),
        made.arm("healed", "healed", healed, (22.31, 0.47), 3),
        made.arm("control", "control", control, (19.05, 0.39), 5),
    )
    return _finished(made, recipe, arms)


def blend_recipe() -> Recipe:
    """Return a recipe of rival blends, and of a source that was trained on all texts at once."""
    training = demo_recipe().sources[0].finetune
    models = [{"source": "a"}, {"source": "b"}]
    return demo_recipe(
        name="demo-blend",
        sources=[
            {"name": "base", "model": MODEL},
            *({"name": name, "model": MODEL, "finetune": training} for name in ("a", "b", "mix")),
        ],
        stages=[
            {"name": "slerp", "merge": {"method": "slerp", "base": "a", "models": models, "t": [0.4, 0.6]}},
            {
                "name": "arithmetic",
                "merge": {"method": "task_arithmetic", "base": "base", "models": models, "lambda": 0.8},
            },
        ],
        merge={"method": "linear", "base": "a", "models": models},
        heal=None,
    )


BLENDED: Mapping[str, tuple[float, float]] = {
    "base": (18.45, 9.75),
    "a": (17.18, 9.12),
    "b": (16.11, 9.33),
    "mix": (16.34, 8.80),
    "slerp": (15.80, 9.11),
    "arithmetic": (17.50, 9.60),
    "merged": (15.80, 8.90),
}
"""Perplexities on prose and code: one merge beats both parents on both, one on prose alone, one is worse."""


def blend_run(store: Store) -> ReportInput:
    """Fill a store with the artifacts of rival blends, and return what their report is made from."""
    made, recipe = Made(store), blend_recipe()
    fetched = made.fetch()
    checkpoints = {"base": fetched}
    for name in ("a", "b", "mix"):
        data = made.step(f"dataset {name}", {"sequences": 60, "tokens": 7680}, [fetched])
        checkpoints[name] = made.training(f"finetune {name}", fetched, data, 3.05, 2.62)
    children = [checkpoints["a"], checkpoints["b"]]
    checkpoints["slerp"] = made.blend("merge slerp", children)
    note = "2 tensors hold numbers that are too large for 16 bits"
    checkpoints["arithmetic"] = made.blend("merge arithmetic", [fetched, *children], [note])
    checkpoints["merged"] = made.blend("merge", children)
    arms: list[ArmView] = []
    for name, (prose, code) in BLENDED.items():
        role = "source" if name in ("base", "a", "b", "mix") else "merged"
        whole = math.sqrt(prose * code)
        arms.append(made.arm(name, role, checkpoints[name], (whole, 0.02 * whole), 4, {"prose": prose, "code": code}))
    return _finished(made, recipe, arms)


def _finished(made: Made, recipe: Recipe, arms: Sequence[ArmView]) -> ReportInput:
    run = RunRecord(
        run=f"20261122-031502-{recipe.name}-3fa9",
        recipe=recipe.model_dump(mode="json"),
        started=STARTED,
        ended=STARTED + timedelta(minutes=18, seconds=41),
        state="completed",
        keys=tuple(step.key for step in made.steps),
        steps=tuple(made.records),
        flow_run="0b0c5f0e-6f3a-4a51-9d3f-4d41cf0f7a11",
    )
    names = [source.name for source in recipe.sources]
    sources = tuple(SourceView(name=name, model=MODEL, commit=COMMIT, licence="Apache-2.0") for name in names)
    return ReportInput(recipe=recipe, run=run, sources=sources, steps=tuple(made.steps), arms=tuple(arms))
