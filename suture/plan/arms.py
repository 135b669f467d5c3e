"""The steps after a checkpoint: its files for llama.cpp, and what is measured of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from suture.bench.bare_speed import SpeedSpec
from suture.bench.capability import BenchmarkSpec
from suture.bench.divergence import DivergenceSpec, LogitsSpec
from suture.bench.perplexity import PerplexitySpec
from suture.bench.suite import select
from suture.checkpoint.layers import text_section
from suture.gguf.convert import ConvertSpec
from suture.gguf.imatrix import ImatrixSpec
from suture.gguf.quantize import QuantizeSpec
from suture.gguf.reference import pin_reference
from suture.gguf.toolchain import expected_version, require
from suture.plan.form import Arm, Model, Role
from suture.plan.texts import pin_texts
from suture.recipe import Divergence, Imatrix, Recipe, Speed
from suture.steps import PlannedStep, plan_step

_BITS_PER_WEIGHT = {
    "F16": 16.0, "Q8_0": 8.5, "Q6_K": 6.6, "Q5_K_M": 5.7, "Q5_K_S": 5.5, "Q4_K_M": 4.9, "Q4_K_S": 4.6, "Q4_0": 4.6,
    "IQ4_NL": 4.6, "IQ4_XS": 4.4, "Q3_K_L": 4.3, "Q3_K_M": 3.9, "Q3_K_S": 3.5, "IQ3_M": 3.7, "IQ3_S": 3.5,
    "IQ3_XS": 3.3, "IQ3_XXS": 3.1, "Q2_K": 3.2, "Q2_K_S": 3.0, "IQ2_M": 2.8, "IQ2_S": 2.6, "IQ2_XS": 2.4,
    "IQ2_XXS": 2.2, "IQ1_M": 1.9, "IQ1_S": 1.7,
}  # fmt: skip
"""llama.cpp's usual averages, for the estimate of sizes only; small models come out larger."""


def arms_of(recipe: Recipe, model: Model) -> Iterable[Arm]:
    """Yield a model's rows of the scoreboard: one for each type it is quantized to."""
    tool = expected_version()
    size = 2 * model.layout.parameters
    converted = plan_step(
        f"convert {model.name}",
        "convert",
        ConvertSpec(type="bf16", provenance=model.provenance),
        [model.step],
        tool=tool,
        size=size,
    )
    weighted = [_imatrix(recipe, recipe.gguf.imatrix, model, converted)] if recipe.gguf.imatrix else []
    several = len(recipe.gguf.quantize) > 1
    for type_ in recipe.gguf.quantize:
        label = f"{model.name} {type_}"
        gguf = plan_step(
            f"quantize {label}",
            "quantize",
            QuantizeSpec(type=type_),
            [converted, *weighted],
            tool=tool,
            size=round(model.layout.parameters * _BITS_PER_WEIGHT[type_] / 8),
        )
        arm = _measured(recipe, label if several else model.name, model.role, type_, gguf, model.lora)
        loss = recipe.benchmark.divergence
        yield replace(arm, divergence=_divergence(recipe, loss, model, converted, arm)) if loss else arm


def _imatrix(recipe: Recipe, asked: Imatrix, model: Model, converted: PlannedStep) -> PlannedStep:
    require("llama-imatrix")
    (text,) = pin_texts(recipe, [asked.text], "train")
    spec = ImatrixSpec(text=text, chunks=asked.chunks, context=asked.context)
    return plan_step(f"imatrix {model.name}", "imatrix", spec, [converted], tool=expected_version())


def _divergence(recipe: Recipe, asked: Divergence, model: Model, converted: PlannedStep, arm: Arm) -> PlannedStep:
    (text,) = pin_texts(recipe, [asked.text], "heldout")
    spec = LogitsSpec(text=text, chunks=asked.chunks, context=asked.context)
    vocabulary = text_section(model.layout.config).get("vocab_size")
    size = spec.size(vocabulary if isinstance(vocabulary, int) else 0)
    tool = expected_version()
    beside = _beside(model.lora)
    logits = plan_step(f"logits {model.name}", "logits", spec, [converted, *beside], tool=tool, size=size)
    return plan_step(f"divergence {arm.name}", "divergence", DivergenceSpec(), [arm.gguf, logits, *beside], tool=tool)


def reference_arms(recipe: Recipe) -> Iterable[Arm]:
    """Yield the rows of the finished files that are measured beside the others."""
    for reference in recipe.benchmark.references:
        path = Path(reference.gguf)
        spec = pin_reference(path)
        gguf = plan_step(f"reference {reference.name}", "reference", spec, size=path.stat().st_size)
        yield _measured(recipe, reference.name, "reference", "", gguf)


def _measured(
    recipe: Recipe, name: str, role: Role, quant: str, gguf: PlannedStep, lora: PlannedStep | None = None
) -> Arm:
    ask = recipe.benchmark
    texts = pin_texts(recipe, ask.perplexity.texts, "heldout")
    perplexity = PerplexitySpec(texts=texts, chunks=ask.perplexity.chunks, context=ask.perplexity.context)
    tests = tuple(test.id for test in select(ask.capability.tests))
    benchmark = BenchmarkSpec.model_validate(ask.capability.model_dump() | {"tests": tests})
    tool = expected_version()
    served = [gguf, *_beside(lora)]
    return Arm(
        name,
        role,
        quant,
        gguf,
        plan_step(f"perplexity {name}", "perplexity", perplexity, served, tool=tool),
        plan_step(f"benchmark {name}", "benchmark", benchmark, served, tool=tool),
        speed=_speed(ask.speed, name, gguf) if ask.speed and lora is None else None,  # llama-bench takes no adapter
        lora=lora,
    )


def _beside(lora: PlannedStep | None) -> tuple[PlannedStep, ...]:
    return () if lora is None else (lora,)


def _speed(asked: Speed, name: str, gguf: PlannedStep) -> PlannedStep:
    require("llama-bench")
    return plan_step(f"speed {name}", "speed", SpeedSpec(**asked.model_dump()), [gguf], tool=expected_version())
