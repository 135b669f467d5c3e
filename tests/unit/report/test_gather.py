"""ReportData says what the manifests say, and leaves empty what no step made."""

from __future__ import annotations

import json
from typing import Any

import pytest
from statsmodels.stats.proportion import proportion_confint

from suture.recipe import Recipe
from suture.report.data import Estimate, ReportData
from suture.report.gather import gather
from suture.report.inputs import ReportInput
from suture.store import Store
from tests.unit.report.demo_report import COMMIT, LLAMA_CPP, MODEL, TESTS, Made, demo_recipe


def arm_facts(store: Store, demo: ReportInput, name: str, part: str) -> dict[str, Any]:
    (arm,) = [arm for arm in demo.arms if arm.name == name]
    manifest = json.loads((store.artifacts / getattr(arm, part) / "manifest.json").read_text())
    return manifest["facts"]


@pytest.mark.parametrize("name", ["a", "b", "merged", "healed", "control"])
def test_an_arm_has_the_numbers_of_its_manifests(
    store: Store, demo: ReportInput, data: ReportData, name: str
) -> None:
    (arm,) = [arm for arm in data.arms if arm.name == name]
    gguf, perplexity, benchmark = (arm_facts(store, demo, name, part) for part in ("gguf", "perplexity", "benchmark"))
    assert arm.perplexity == Estimate(value=perplexity["value"], error=perplexity["error"])
    assert {text: each.value for text, each in arm.perplexities.items()} == {
        text: each["value"] for text, each in perplexity["texts"].items()
    }
    assert {text: list(each) for text, each in arm.chunks.items()} == {
        text: each["chunks"] for text, each in perplexity["texts"].items()
    }
    assert arm.tokenizer == perplexity["tokenizer"]
    assert (arm.size_bytes, arm.fallback_tensors) == (gguf["size_bytes"], gguf["fallback_tensors"])
    assert (arm.tokens_per_second, arm.tokens_per_second_error) == tuple(benchmark["tokens_per_second"].values())
    assert (arm.passed, arm.total) == (benchmark["passed"], 10)
    assert [test.id for test in arm.tests] == list(TESTS)
    assert sum(test.passed for test in arm.tests) == arm.passed
    assert arm.missing == ()


def test_the_interval_is_wilsons(data: ReportData) -> None:
    for arm in data.arms:
        assert arm.interval is not None
        expected = proportion_confint(arm.passed, arm.total, method="wilson")
        assert (arm.interval.low, arm.interval.high) == pytest.approx(expected)


def test_arms_keep_order_and_roles(data: ReportData) -> None:
    assert [(arm.name, arm.role) for arm in data.arms] == [
        ("a", "source"),
        ("b", "source"),
        ("merged", "merged"),
        ("healed", "healed"),
        ("control", "control"),
    ]


def test_every_training_has_its_losses_and_what_became_of_it(data: ReportData) -> None:
    assert [(training.name, training.role, len(training.losses)) for training in data.trainings] == [
        ("a", "source", 30),
        ("b", "source", 30),
        ("healed", "healed", 60),
        ("control", "control", 60),
    ]
    assert [step for step, _ in data.trainings[2].losses] == list(range(1, 61))
    healed = data.trainings[2]
    assert healed.held_out == tuple((step, loss + 0.125) for step, loss in healed.losses if step % 20 == 0)
    assert [training.held_out for training in data.trainings if training.role != "healed"] == [()] * 3
    assert all(training.share_survived == 0.9964 for training in data.trainings)


def test_the_merge_is_accounted_for(data: ReportData) -> None:
    (merge,) = data.merges
    account = merge.account
    assert account is not None
    assert (account.layers, account.seams, account.copied) == (48, (24,), 434)
    assert [(part.source, part.first, part.last) for part in merge.stack] == [("a", 0, 23), ("b", 6, 29)]
    assert [(part.source, part.reason, len(part.tensors)) for part in account.dropped] == [
        ("a", "layer not in a slice", 6),
        ("b", "layer not in a slice", 6),
        ("b", "taken from the base", 1),
    ]


def test_steps_say_what_was_cached(data: ReportData) -> None:
    states = {step.label: step.state for step in data.steps}
    assert [label for label, state in states.items() if state == "cached"] == ["fetch a", "dataset a"]
    (fetch,) = [step for step in data.steps if step.label == "fetch a"]
    assert (fetch.seconds, fetch.built_seconds) == (0.02, 21.4)


def test_two_sources_of_one_commit_share_a_fetch(data: ReportData) -> None:
    assert [(source.name, source.model, source.commit) for source in data.sources] == [
        ("a", MODEL, COMMIT),
        ("b", MODEL, COMMIT),
    ]
    assert all(source.parameters == 134_515_008 and source.finetuned for source in data.sources)


def test_provenance_names_tools_and_packages(data: ReportData) -> None:
    assert data.tools == dict.fromkeys(("benchmark", "convert", "perplexity", "quantize"), (LLAMA_CPP,))
    assert data.packages["torch"] == ("2.13.0",)
    assert Recipe.model_validate(data.recipe) == demo_recipe()


def test_what_a_failed_run_did_not_make_is_none_and_named(store: Store, lose: Any) -> None:
    lost = ("heal healed", "fuse healed", "convert healed", "quantize healed Q4_K_M", "perplexity healed")
    data = gather(store, lose(*lost, "benchmark healed", "benchmark control"))
    arms = {arm.name: arm for arm in data.arms}
    healed, control = arms["healed"], arms["control"]
    assert healed.missing == ("gguf", "perplexity", "benchmark")
    assert healed.quant == "Q4_K_M"
    absent = (healed.perplexity, healed.size_bytes, healed.tokens_per_second, healed.passed, healed.interval)
    assert set(absent) == {None}
    assert control.missing == ("benchmark",)
    assert control.perplexity is not None
    assert control.passed is None
    assert data.recovery == ()
    assert [training.losses for training in data.trainings if training.name == "healed"] == [()]
    assert {step.label for step in data.steps if step.state == "missing"} == {
        *lost,
        "benchmark healed",
        "benchmark control",
    }


def test_a_run_that_made_nothing_still_has_a_report(store: Store, demo: ReportInput) -> None:
    for step in demo.steps:
        store.remove(step.key)
    run = demo.run.model_copy(update={"steps": (), "state": "failed", "ended": None})
    data = gather(store, demo.model_copy(update={"run": run}))
    assert [merge.account for merge in data.merges] == [None]
    assert data.seconds is None
    assert {step.state for step in data.steps} == {"missing"}


def test_an_artifact_of_an_earlier_run_counts_as_cached(store: Store, demo: ReportInput) -> None:
    run = demo.run.model_copy(update={"steps": ()})
    data = gather(store, demo.model_copy(update={"run": run}))
    assert {(step.state, step.seconds) for step in data.steps} == {("cached", None)}


def test_a_reference_takes_its_type_from_the_file(store: Store, demo: ReportInput) -> None:
    made = Made(store)
    key = made.step("reference big", {"size_bytes": 22_000_000_000, "type": "Q6_K", "tensors": 800})
    arm = demo.arms[0].model_copy(update={"name": "big", "role": "reference", "quant": "", "gguf": key})
    with_reference = demo.model_copy(update={"arms": (*demo.arms, arm), "steps": (*demo.steps, *made.steps)})
    reference = gather(store, with_reference).arms[-1]
    assert (reference.quant, reference.size_bytes, reference.bits_per_weight) == ("Q6_K", 22_000_000_000, None)
    assert reference.missing == ()


def test_data_survives_json(data: ReportData) -> None:
    assert ReportData.model_validate_json(data.model_dump_json()) == data
