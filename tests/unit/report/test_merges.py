"""What the report knows of merges before any of them has run."""

from __future__ import annotations

from pathlib import Path

import pytest

from suture.recipe import Recipe
from suture.report.data import MergeData
from suture.report.gather import gather, title
from suture.report.inputs import ReportInput, Role, StepView
from suture.report.merges import merges_of
from suture.store import Store
from tests.unit.report.demo_report import Made, blend_recipe, blend_run

BOTH = [{"source": "a"}, {"source": "b"}]


def merges(tmp_path: Path, **changes: object) -> dict[str, MergeData]:
    """Return the merges of a recipe of which nothing has run."""
    recipe = Recipe.model_validate(blend_recipe().model_dump(mode="json") | changes)
    run = blend_run(Store(tmp_path / "store"))
    labels = [*(f"merge {stage.name}" for stage in recipe.stages), "merge"]
    steps = tuple(StepView(label=label, step="merge", key=f"key of {label}") for label in labels)
    asked = run.model_copy(update={"recipe": recipe, "steps": steps})
    return {merge.name: merge for merge in merges_of(asked, {})}


@pytest.mark.parametrize(
    ("merge", "parents"),
    [
        ({"method": "linear", "base": "a", "models": BOTH}, ("a", "b")),
        ({"method": "slerp", "base": "b", "models": BOTH}, ("a", "b")),
        ({"method": "ties", "base": "base", "models": [{"source": "base"}, *BOTH]}, ("a", "b")),
        ({"method": "model_stock", "base": "base", "models": BOTH}, ("a", "b")),
        ({"method": "arcee_fusion", "base": "a", "models": [{"source": "b"}]}, ("a", "b")),
        ({"method": "passthrough", "base": "base", "slices": [{"source": "b", "layers": [0, 2]}]}, ("b",)),
    ],
)
def test_parents_are_what_the_result_is_made_of(tmp_path: Path, merge: object, parents: tuple[str, ...]) -> None:
    assert merges(tmp_path, merge=merge)["merged"].parents == parents


@pytest.mark.parametrize(("measured", "parents"), [(True, ("slerp", "b")), (False, ("a", "b"))])
def test_a_stage_that_is_not_measured_stands_for_its_parents(
    tmp_path: Path, measured: bool, parents: tuple[str, ...]
) -> None:
    stage = {"name": "slerp", "benchmark": measured, "merge": {"method": "slerp", "base": "a", "models": BOTH}}
    merge = {"method": "linear", "base": "a", "models": [{"source": "slerp"}, {"source": "b"}]}
    assert merges(tmp_path, stages=[stage], merge=merge)["merged"].parents == parents


def test_a_stack_keeps_its_scales(tmp_path: Path) -> None:
    scale = [{"filter": "o_proj", "value": 0.5}]
    slices = [{"source": "a", "layers": [0, 2]}, {"source": "b", "layers": [1, 3], "scale": scale}]
    stacked = merges(tmp_path, merge={"method": "passthrough", "base": "a", "slices": slices})["merged"]
    assert [part.scale for part in stacked.stack] == [1.0, scale]
    assert stacked.models == ()


def test_two_merges_that_ask_for_the_same_are_one_step(tmp_path: Path) -> None:
    """The plan holds such a step once, under the label of the first of them."""
    store = Store(tmp_path)
    asked: ReportInput = blend_run(store)
    made = Made(store)
    key = made.blend("merge twin", ["a" * 64])
    merge = asked.recipe.merge.model_dump(mode="json", by_alias=True)
    changes = {"stages": [{"name": "twin", "merge": merge}]}
    recipe = Recipe.model_validate(asked.recipe.model_dump(mode="json", by_alias=True) | changes)
    steps = tuple(step for step in asked.steps if step.step != "merge") + tuple(made.steps)
    data = gather(store, asked.model_copy(update={"recipe": recipe, "steps": steps}))
    assert [(each.name, each.key) for each in data.merges] == [("twin", key), ("merged", key)]
    assert all(each.account and each.account.merged == 272 for each in data.merges)


@pytest.mark.parametrize(
    ("name", "role", "healed", "said"),
    [
        ("merged", "merged", True, "the raw merge"),
        ("merged Q8_0", "merged", False, "the merge Q8_0"),
        ("slerp Q8_0", "merged", True, "merge slerp Q8_0"),
        ("healed", "healed", True, "the healed merge"),
        ("control Q8_0", "control", True, "the control Q8_0"),
        ("a", "source", False, "source a"),
        ("big", "reference", False, "reference big"),
    ],
)
def test_what_a_sentence_calls_an_arm(name: str, role: Role, healed: bool, said: str) -> None:
    assert title(name, role, healed=healed) == said
