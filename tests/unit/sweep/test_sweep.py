"""A grid over a recipe's fields: its points, what is wrong with it, what the points share, how they compare."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from suture.cli import app
from suture.errors import RecipeError
from suture.report.data import ArmData, Estimate
from suture.report.gather import gather
from suture.store import Store
from suture.sweep import Axis, Sweep, SweepData, points_of, read_sweep, table_rows, write_sweep
from suture.sweep.compare import AxisData, SweepRow, judge
from tests.unit.report.demo_report import demo_run


def sweep(recipe: Path, *sets: str) -> Sweep:
    return read_sweep(recipe, sets)


# -- points -------------------------------------------------------------------------------------------------------


def test_every_combination_is_a_point(pico_recipe: Path) -> None:
    points = points_of(sweep(pico_recipe, "merge.slices.0.layers=[0, 2],[0, 3]", "heal.learning_rate=0.001,0.01"))
    assert [point.values for point in points] == [
        ("[0, 2]", "0.001"),
        ("[0, 2]", "0.01"),
        ("[0, 3]", "0.001"),
        ("[0, 3]", "0.01"),
    ]
    last = points[-1].recipe.model_dump(mode="json")
    assert (last["merge"]["slices"][0]["layers"], last["heal"]["learning_rate"]) == ([0, 3], 0.01)
    assert [point.recipe.name for point in points] == ["pico-1", "pico-2", "pico-3", "pico-4"]


def test_points_that_differ_in_quantization_alone_share_the_model_s_name(pico_recipe: Path) -> None:
    points = points_of(sweep(pico_recipe, "heal.rank=2,4", "gguf.quantize=[Q8_0],[Q4_0]"))
    assert [point.recipe.name for point in points] == ["pico-1", "pico-1", "pico-2", "pico-2"]


def test_a_long_name_leaves_room_for_the_number(pico_recipe: Path) -> None:
    asked = sweep(pico_recipe, "heal.rank=2,4")
    long = asked.recipe.model_copy(update={"name": "n" * 64})
    names = [point.recipe.name for point in points_of(asked.model_copy(update={"recipe": long}))]
    assert names == [f"{'n' * 62}-1", f"{'n' * 62}-2"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("merge.tt=1", "where:    merge.tt\n  expected: one of base, "),
        ("merge.slices.2.layers=[0, 1]", "expected: a number below 2\n  found:    2"),
        ("merge.base.x=1", "expected: nothing below 'a'"),
        ("heal.rank=0", "where:    the point heal.rank=0\n  found:    \n    heal.rank: Input should be greater than"),
        ("merge.base=nobody", "where:    the point merge.base=nobody"),
        ("heal.rank=2,2", "Two points of the sweep are the same."),
        ("heal.rank", "expected: FIELD=VALUE,VALUE"),
        ("heal.rank=[2", "The values are not YAML."),
        (f"heal.seed={','.join(map(str, range(201)))}", "expected: at most 200"),
    ],
)
def test_what_is_wrong_is_named(pico_recipe: Path, text: str, told: str) -> None:
    with pytest.raises(RecipeError) as caught:
        points_of(sweep(pico_recipe, text))
    assert told in str(caught.value)


def test_two_points_that_are_one_are_refused_however_they_are_written(pico_recipe: Path) -> None:
    asked = sweep(pico_recipe, "heal.rank=2,4")
    axes = (Axis(field="heal.learning_rate", values=("0.001", "1.0e-3")),)
    with pytest.raises(RecipeError, match=r"heal.learning_rate=0.001; heal.learning_rate=1.0e-3"):
        points_of(asked.model_copy(update={"grid": axes}))
    with pytest.raises(RecipeError, match=r"Two points of the sweep are the same"):
        points_of(asked.model_copy(update={"grid": asked.grid * 2}))


def test_a_file_may_hold_the_sweep(pico_recipe: Path) -> None:
    grid = {"merge.slices.0.layers": [[0, 2], [0, 3]], "gguf.quantize": [["Q8_0"]]}
    file = pico_recipe.with_name("sweep.yaml")
    for recipe in (pico_recipe.name, yaml.safe_load(pico_recipe.read_text())):
        file.write_text(yaml.safe_dump({"sweep": {"recipe": recipe, "grid": grid}}, sort_keys=False))
        read = sweep(file, "heal.rank=2,4")
        assert read == sweep(
            pico_recipe, "merge.slices.0.layers=[0, 2],[0, 3]", "gguf.quantize=[Q8_0]", "heal.rank=2,4"
        )
    with pytest.raises(RecipeError, match="varies nothing"):
        sweep(pico_recipe)
    with pytest.raises(RecipeError, match="values twice"):
        sweep(file, "gguf.quantize=[Q4_0]")


def test_the_digest_knows_the_grid_but_not_the_pace(pico_recipe: Path) -> None:
    asked = sweep(pico_recipe, "heal.rank=2,4")
    assert asked.name == asked.model_copy(update={"at_once": 9}).name
    assert asked.name != sweep(pico_recipe, "heal.rank=2,8").name
    assert asked.headline == "sweep pico: heal.rank"


# -- plan ---------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("toolchain")
def test_a_dry_run_tells_what_is_shared(pico_recipe: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["sweep", str(pico_recipe), "--set", "gguf.quantize=[Q8_0],[Q4_0]", "--dry-run", "--json"]
    app(arguments, standalone_mode=False)
    found = json.loads(capsys.readouterr().out)
    shared = {step["label"] for step in found["steps"] if step["shared"]}
    assert {"merge", "heal healed", "convert merged", "convert a"} <= shared
    assert not [label for label in shared if label.startswith(("quantize", "perplexity", "benchmark"))]
    assert found["disk"]["needed_bytes"] > 0
    assert [(point["values"], point["finished"]) for point in found["points"]] == [
        ({"gguf.quantize": "[Q8_0]"}, False),
        ({"gguf.quantize": "[Q4_0]"}, False),
    ]


# -- comparison ---------------------------------------------------------------------------------------------------


def point(number: int, arm: ArmData | None, **update: Any) -> tuple[SweepRow, ArmData | None]:
    row = SweepRow(point=number, values=(str(number),), recipe=f"pico-{number}")
    if arm is None:
        return row, None
    arm = arm.model_copy(update=update)
    facts = {"arm": arm.name, "perplexity": arm.perplexity, "passed": arm.passed, "total": arm.total}
    return row.model_copy(update=facts), arm


def harder(arm: ArmData, nats: float, wiggle: float = 0.0) -> dict[str, Any]:
    """Return an arm's measurements so much worse on each chunk, give or take."""
    chunks = {
        text: tuple(loss + nats + wiggle * (-1) ** place for place, loss in enumerate(losses))
        for text, losses in arm.chunks.items()
    }
    assert arm.perplexity is not None
    return {
        "chunks": chunks,
        "perplexity": Estimate(value=arm.perplexity.value * (1 + nats), error=arm.perplexity.error),
    }


def test_only_what_is_more_than_noise_is_called_a_difference(store: Store) -> None:
    arm = next(arm for arm in gather(store, demo_run(store)).arms if arm.role == "healed")
    rows = judge(
        [
            point(1, arm, **harder(arm, 0.0)),
            point(2, arm, **harder(arm, 0.001, wiggle=0.1)),
            point(3, arm, **harder(arm, 0.2, wiggle=0.01)),
            point(4, None),
        ]
    )
    assert [row.verdict for row in rows] == [
        "lowest perplexity",
        "no detectable difference",
        "higher perplexity",
        "not finished",
    ]
    alone = {"perplexities": {}, "tests": ()}
    others = judge([point(1, arm), point(2, arm, **alone), point(3, arm, **alone, perplexity=None)])
    assert [row.verdict for row in others] == ["lowest perplexity", "perplexity not compared", "not compared"]
    in_tests = [point(number, arm, perplexity=None) for number in (1, 2)]
    assert {row.verdict for row in judge(in_tests)} == {"no detectable difference"}
    assert rows[0].difference is None
    assert rows[2].difference
    assert rows[2].difference.value == pytest.approx(0.2, abs=0.01)
    assert rows[1].adjusted
    assert rows[1].adjusted > 0.05
    assert rows[1].tests
    assert not rows[1].tests.is_detectable

    data = SweepData(
        name="pico-12345678",
        recipe="pico",
        axes=(AxisData(field="heal.rank", values=("1", "2", "3", "4")),),
        rows=rows,
    )
    assert [row["heal.rank"] for row in table_rows(data)] == ["1", "2", "3", "4"]
    files = write_sweep(store, data)
    assert SweepData.model_validate_json(files.json.read_bytes()) == data
    page = files.html.read_text()
    assert "no detectable difference" in page
    assert page.count("<svg") == 1
    assert "script" not in page


def test_a_single_axis_of_numbers_is_the_plot_s_axis(store: Store) -> None:
    from suture.report.plots import PALETTE
    from suture.sweep.plot import sweep_plot

    def plotted(rows: Sequence[SweepRow], *values: str) -> str:
        valued = tuple(row.model_copy(update={"values": (value,)}) for row, value in zip(rows, values, strict=True))
        axis = AxisData(field="merge.t", values=values)
        return sweep_plot(SweepData(name="s", recipe="s", axes=(axis,), rows=valued)) or ""

    arm = next(arm for arm in gather(store, demo_run(store)).arms if arm.role == "healed")
    rows = judge([point(1, arm), point(2, arm, **harder(arm, 0.1))])
    assert "merge.t" in plotted(rows, "1", "2")
    assert "merge.t" in plotted(rows, "1", "1.0"), "both at one place"
    assert "2: y" in plotted(rows, "x", "y")
    assert plotted(judge([point(1, None)]), "1") == ""

    other_texts = judge([point(1, arm), point(2, arm, perplexities={})])
    greens = [
        plotted(each, "1", "2").count(PALETTE["healed"]) for each in (rows, other_texts, judge([point(1, arm)] * 2))
    ]
    assert greens[0] == greens[1] < greens[2], "green is what was compared, and is as good"


def test_axis_needs_values() -> None:
    with pytest.raises(ValueError, match="values"):
        Axis(field="merge.t", values=())
