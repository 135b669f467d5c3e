"""What a plan makes of a heal that is kept as an adapter beside the quantized merge."""

from __future__ import annotations

from pathlib import Path

import pytest

from suture.errors import RecipeError
from suture.gguf.lora import ConvertLoraSpec
from suture.steps import PlannedStep
from tests.unit.test_plan_heal import LAYERS, WIDTH, plan_of, step

ASKED = {"rank": 8, "result": "adapter"}


@pytest.fixture(autouse=True)
def _no_tools(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("arms", "models"):
        monkeypatch.setattr(f"suture.plan.{module}.expected_version", lambda: "llama.cpp of this test")


def keys(steps: tuple[PlannedStep, ...]) -> list[str]:
    return [one.key for one in steps]


def test_the_raw_merge_is_quantized_once_and_the_adapter_measured_beside_it(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, **ASKED)
    arms = {arm.name: arm for arm in plan.arms}
    healed, control = arms["healed"], arms["control"]
    assert (healed.gguf.key, healed.role) == (arms["merged"].gguf.key, "healed")
    assert (control.gguf.key, control.role) == (arms["a"].gguf.key, "control")
    lora = step(plan, "convert lora healed")
    assert healed.lora == lora
    for measured in (healed.perplexity, healed.benchmark):
        assert keys(measured.parents) == keys((healed.gguf, lora))
    assert keys(lora.parents) == keys((step(plan, "merge"), step(plan, "heal healed")))
    assert step(plan, "convert lora control").parents[1] == step(plan, "finetune control")
    assert len(plan.steps) == len(set(keys(plan.steps)))
    assert not any(one.step == "fuse" for one in plan.steps)
    assert arms["merged"].lora is None


def test_its_file_holds_16_bits_of_each_number_and_its_origin(tmp_path: Path) -> None:
    planned = step(plan_of(tmp_path, **ASKED), "convert lora healed")
    layers = 2 * (LAYERS - 1)
    assert planned.size == 2 * 8 * layers * 2 * (WIDTH + WIDTH)  # two projections of each
    assert isinstance(planned.spec, ConvertLoraSpec)
    assert planned.spec.provenance.name == "healed-healed"
    assert [source.name for source in planned.spec.provenance.sources] == ["a", "b"]


@pytest.mark.parametrize("asked", [{"start": "gated"}, {"start": "damped"}, {"method": "full"}])
def test_what_an_adapter_cannot_hold_is_refused(tmp_path: Path, asked: dict[str, str]) -> None:
    with pytest.raises(RecipeError, match="result: expected `fused` beside"):
        plan_of(tmp_path, **ASKED, **asked)
