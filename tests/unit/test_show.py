"""What the terminal shows of checkpoints: numbers, tables, data, plots; and the commands that show them."""

from __future__ import annotations

import io
import json
import math
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console
from rich.table import Table
from safetensors.torch import save_file

from suture.checkpoint.inspection import inspect_checkpoint
from suture.checkpoint.inspection.compare import Comparison, compare
from suture.cli import app
from suture.errors import HostError
from suture.progress import Silent
from suture.show.checkpoint import checkpoint_data, checkpoint_tables
from suture.show.difference import Order, difference_data, difference_tables, headline
from suture.show.heatmap import check_format, grid_of, kinds_of, write_heatmap
from suture.show.numbers import cosine_text, human_count, percent, share_text

LAYERS = 6
SCALES = [0.0, 0.3, 0.1, 0.2, 0.5, 0.4]
"""How far apart a's and b's projections are, by layer."""


def suture(*arguments: str) -> int:
    return app(arguments, standalone_mode=False) or 0


def text_of(tables: list[Table], width: int = 140) -> str:
    file = io.StringIO()
    for table in tables:
        Console(file=file, width=width).print(table)
    return file.getvalue()


def model(seed: int) -> dict[str, torch.Tensor]:
    base, noise = (torch.Generator().manual_seed(number) for number in (0, seed))
    tensors = {"model.embed_tokens.weight": torch.randn(8, 4, generator=base)}
    for layer, scale in enumerate(SCALES):
        mixer = "self_attn.q_proj" if layer % 3 == 2 else "linear_attn.in_proj"
        for name in (mixer, "mlp.up_proj"):
            weight = torch.randn(16, 16, generator=base)
            change = torch.randn(16, 16, generator=noise)
            tensors[f"model.layers.{layer}.{name}.weight"] = weight + (scale * change if seed else 0)
        tensors[f"model.layers.{layer}.input_layernorm.weight"] = torch.ones(4)
    return tensors


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path, Path]:
    """Two children and the base they were made of."""
    paths = tmp_path / "a", tmp_path / "b", tmp_path / "base"
    types = ["linear_attention", "linear_attention", "full_attention"] * 2
    config = {"model_type": "x", "architectures": ["X"], "num_hidden_layers": LAYERS, "layer_types": types}
    for path, seed in zip(paths, (1, 2, 0), strict=True):
        path.mkdir()
        save_file(model(seed), path / "model.safetensors")
        (path / "config.json").write_text(json.dumps(config | {"seed": seed}))
    return paths


@pytest.fixture
def pair(folders: tuple[Path, Path, Path]) -> Comparison:
    return compare(folders[0], folders[1], None, 2, Silent())


@pytest.fixture
def trio(folders: tuple[Path, Path, Path]) -> Comparison:
    return compare(*folders, 2, Silent())


# -- numbers ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("distance", "text"),
    [
        (0.0, "0"),
        (0.031234, "3.12 %"),
        (1.5, "150 %"),
        (0.00001234, "0.00123 %"),
        (1e-12, "0.000000 %"),
        (math.inf, "inf"),
    ],
)
def test_percent(distance: float, text: str) -> None:
    assert percent(distance) == text


@pytest.mark.parametrize(
    ("share", "text"), [(0.0, "0 %"), (1e-6, "< 0.1 %"), (0.5, "50.0 %"), (0.99999, "> 99.9 %"), (1.0, "100 %")]
)
def test_share(share: float, text: str) -> None:
    assert share_text(share) == text


@pytest.mark.parametrize(
    ("cosine", "text"),
    [
        (1.0, "1"),
        (math.nan, "-"),
        (0.12345, "0.1235"),
        (-0.5, "-0.5000"),
        (0.99995, "0.99995000"),
        (0.995, "0.995000"),
    ],
)
def test_cosines_near_1_keep_the_digits_that_differ(cosine: float, text: str) -> None:
    assert cosine_text(cosine) == text


@pytest.mark.parametrize(
    ("number", "text"), [(12, "12"), (134_515_008, "135 M"), (9_653_104_368, "9.65 B"), (1e12, "1 T")]
)
def test_counts(number: int, text: str) -> None:
    assert human_count(number) == text


# -- an inspected checkpoint --------------------------------------------------------------------------------------


def test_tables_of_a_checkpoint_name_kinds_tensors_and_problems(folders: tuple[Path, Path, Path]) -> None:
    shown = text_of(checkpoint_tables(inspect_checkpoint(folders[0], Silent(), weights=True)))
    assert re.search(r"0-1, 3-4 +│ linear_attention +│ linear_attn, mlp +│ +4 │ +3 │", shown)
    assert re.search(r"2, 5 +│ full_attention +│ self_attn, mlp +│ +2 │", shown)
    assert re.search(r"linear_attn\.in_proj\.weight +│ 16 x 16 +│ F32 +│ +256 │ +49\.6 %", shown)
    assert re.search(r"error +│ tokenizer\.json is missing", shown)
    assert re.search(r"NaN, infinities +│ 0, 0", shown)


def test_data_of_a_checkpoint_adds_up(folders: tuple[Path, Path, Path]) -> None:
    data = json.loads(json.dumps(checkpoint_data(inspect_checkpoint(folders[0], Silent()))))
    in_layers = sum(len(kind["layers"]) * kind["parameters"] for kind in data["kinds"])
    outside = sum(alike["parameters"] for alikes in data["outside"].values() for alike in alikes)
    assert in_layers + outside == data["parameters"] == sum(tensor.numel() for tensor in model(1).values())
    assert sorted(layer for kind in data["kinds"] for layer in kind["layers"]) == list(range(LAYERS))


def test_nothing_wrong_is_said(folders: tuple[Path, Path, Path]) -> None:
    for file in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        (folders[0] / file).write_text("{}")
    assert "none found" in text_of(checkpoint_tables(inspect_checkpoint(folders[0], Silent())))


def test_inspect_prints_data_on_request(folders: tuple[Path, Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    suture("inspect", str(folders[0]), "--json", "--weights")
    assert json.loads(capsys.readouterr().out)["nonfinite"] == {"nan": 0, "inf": 0}


# -- two compared checkpoints -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("sort", "order"), [("layer", [0, 1, 2, 3, 4, 5]), ("distance", [4, 5, 1, 3, 2, 0])])
def test_layers_come_in_the_order_asked_for(pair: Comparison, sort: Order, order: list[int]) -> None:
    layers, *_ = difference_tables(pair, sort=sort, top=3)
    shown = text_of([layers])
    assert [int(number) for number in re.findall(r"^│ +(\d+) │", shown, re.MULTILINE)] == order
    bars = re.findall(r"█+", shown)
    assert max(len(bar) for bar in bars) == 16


def test_tables_of_a_difference_name_what_stands_out(pair: Comparison) -> None:
    shown = text_of(difference_tables(pair, sort="layer", top=2))
    assert re.search(r"model\.embed_tokens\.weight +│ 8 x 4 +│ +0 │ +1 │ +0 % │", shown)
    assert shown.count("model.layers.4.") == 2
    assert re.search(r"seed +│ 1 +│ 2 +│", shown)
    assert "tensors: 9 of 19 are identical" in shown
    assert "0 (0) is closest, 4 (" in shown


def test_with_a_base_changes_are_compared(trio: Comparison) -> None:
    shown = text_of(difference_tables(trio, sort="layer", top=0))
    assert re.search(r"A - base +┃ +B - base +┃ +cosine +┃ +opposed", shown)
    assert headline(trio).startswith("A is ")


def test_identical_checkpoints_are_called_so(folders: tuple[Path, Path, Path]) -> None:
    found = compare(folders[0], folders[0], None, 1, Silent())
    assert headline(found) == "All 19 tensors compared are identical."
    assert "Farthest apart" not in text_of(difference_tables(found, sort="layer", top=5))


def test_data_of_a_difference_holds_every_tensor(pair: Comparison, trio: Comparison) -> None:
    data = json.loads(json.dumps(difference_data(pair)))
    assert [each["name"] for each in data["tensors"]] == [each.tensor.name for each in pair.differences]
    assert data["total"]["distance"] == pair.total.distance
    assert {layer["layer"] for layer in data["layers"]} == set(range(LAYERS))
    assert set(data["layers"][0]["groups"]) == {"attention", "mlp", "norm"}
    assert difference_data(trio)["total"].keys() - data["total"].keys() == {"first_from_base", "second_from_base"}


def test_diff_prints_and_draws(
    folders: tuple[Path, Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    a, b, base = map(str, folders)
    suture("diff", a, b, "--base", base, "--json", "--plot", str(tmp_path / "plot.png"))
    assert json.loads(capsys.readouterr().out)["folders"] == [a, b, base]
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")


# -- the plot -----------------------------------------------------------------------------------------------------


def test_colours_are_distances_and_blank_where_a_layer_has_no_such_tensor(pair: Comparison) -> None:
    kinds = kinds_of(pair)
    grid = grid_of(pair, kinds)
    assert [kind for _, kind in kinds] == [
        "linear_attn.in_proj",
        "self_attn.q_proj",
        "mlp.up_proj",
        "input_layernorm",
    ]
    assert np.isnan(grid).tolist()[:2] == [[False, False, True] * 2, [True, True, False] * 2]
    a, b = model(1), model(2)
    first, second = (each["model.layers.4.mlp.up_proj.weight"].double() for each in (a, b))
    assert grid[2, 4] == pytest.approx(100 * float((first - second).norm() / second.norm()))


def test_with_a_base_colours_are_cosines(trio: Comparison) -> None:
    grid = grid_of(trio, kinds_of(trio))
    assert np.nanmax(np.abs(grid)) <= 1
    assert np.isnan(grid[:, 0]).all()  # layer 0 is as it was in both


@pytest.mark.parametrize("name", ["plot.svg", "plot.png"])
def test_the_same_comparison_gives_the_same_plot(trio: Comparison, tmp_path: Path, name: str) -> None:
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        write_heatmap(trio, tmp_path / folder / name)
    assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_an_svg_holds_its_text(pair: Comparison, tmp_path: Path) -> None:
    write_heatmap(pair, tmp_path / "plot.svg")
    svg = (tmp_path / "plot.svg").read_text()
    assert all(f">{text}<" in svg for text in ("linear_attn.in_proj", "mlp.up_proj", headline(pair)))


@pytest.mark.parametrize("name", ["plot.txt", "plot", "missing/plot.svg"])
def test_a_plot_that_cannot_be_written_is_refused_first(name: str, tmp_path: Path) -> None:
    with pytest.raises(HostError):
        check_format(tmp_path / name)
