"""Quantization loss and bare speed in the report: shown where they were measured, and nowhere else."""

from __future__ import annotations

import pytest

from suture.report import tables
from suture.report.data import ReportData
from suture.report.gather import gather
from suture.report.html import html_page
from suture.report.inputs import ArmView, ReportInput, StepView
from suture.report.markdown import markdown_page
from suture.store import Store
from tests.unit.report.demo_report import Facts, Made

LOSS: Facts = {
    "mean": {"value": 0.05091, "error": 0.004559},
    "median": 0.029627,
    "high": 0.296934,
    "ratio": {"value": 1.058113, "error": 0.02431},
    "same_top": {"value": 0.87698, "error": 0.02073},
    "tokens": 2040,
    "text": "builtin:prose",
}
SPEED: Facts = {
    "prompt": {"value": 310.4, "error": 4.2},
    "prompt_tokens": 512,
    "generation": {"value": 61.8, "error": 0.35},
    "generated_tokens": 128,
    "threads": 2,
    "device": "Some CPU",
}


@pytest.fixture
def measured(store: Store, demo: ReportInput) -> ReportData:
    """The demo with `merged` compared and timed, and `healed` planned so, but not come to it."""
    made = Made(store)
    keys = {
        "divergence": made.step("divergence merged", LOSS),
        "speed": made.step("speed merged", SPEED),
    }
    lost = dict.fromkeys(keys, "0" * 64)
    updates = {"merged": keys, "healed": lost}
    arms: tuple[ArmView, ...] = tuple(arm.model_copy(update=updates.get(arm.name, {})) for arm in demo.arms)
    steps: tuple[StepView, ...] = (*demo.steps, *made.steps)
    return gather(store, demo.model_copy(update={"arms": arms, "steps": steps}))


def test_the_numbers_are_those_of_the_manifests(measured: ReportData) -> None:
    arms = {arm.name: arm for arm in measured.arms}
    loss, speed = arms["merged"].loss, arms["merged"].bare_speed
    assert loss is not None
    assert speed is not None
    assert (loss.divergence.value, loss.divergence.error) == (0.05091, 0.004559)
    assert (loss.median, loss.high, loss.tokens) == (0.029627, 0.296934, 2040)
    assert (speed.prompt.value, speed.generation.error) == (310.4, 0.35)
    assert arms["merged"].missing == ()
    assert (arms["healed"].loss, arms["healed"].bare_speed) == (None, None)
    assert arms["healed"].missing == ("divergence", "speed")
    assert arms["a"].missing == ()


def test_a_row_for_each_file_that_was_measured(measured: ReportData) -> None:
    (loss,) = tables.loss_rows(measured)
    assert loss == {
        "model": "merged",
        "quant": "Q4_K_M",
        "size": "152.40 MB",
        "bits per weight": "6.3",
        "mean KLD": "0.0509 ± 0.0046",
        "median": "0.0296",
        "99 %": "0.297",
        "perplexity / 16-bit": "1.058 ± 0.024",
        "same top token": "88 ± 2 %",
        "on": "builtin:prose, 2,040 tokens",
    }
    (speed,) = tables.speed_rows(measured)
    assert speed == {
        "model": "merged",
        "quant": "Q4_K_M",
        "prompt, tokens/s": "310.4 ± 4.2 (of 512)",
        "generation, tokens/s": "61.80 ± 0.35 (of 128)",
        "served, tokens/s": "41.3 ± 0.9",
        "threads": "2",
        "on": "Some CPU",
    }


def test_a_loss_close_to_nothing_keeps_its_digits(measured: ReportData) -> None:
    arm = next(arm for arm in measured.arms if arm.loss)
    assert arm.loss is not None
    tiny = arm.loss.divergence.model_copy(update={"value": 0.000518, "error": 0.000021})
    small = arm.model_copy(update={"loss": arm.loss.model_copy(update={"divergence": tiny})})
    (row,) = tables.loss_rows(measured.model_copy(update={"arms": (small,)}))
    assert row["mean KLD"] == "0.000518 ± 0.000021"


def test_both_pages_show_them_only_where_there_are_some(measured: ReportData, data: ReportData) -> None:
    for page in (html_page(measured), markdown_page(measured)):
        assert "Quantization loss" in page
        assert "0.0509 ± 0.0046" in page
        assert "Bare speed" in page
        assert "310.4 ± 4.2" in page
    for page in (html_page(data), markdown_page(data)):
        assert "Quantization loss" not in page
        assert "Bare speed" not in page
