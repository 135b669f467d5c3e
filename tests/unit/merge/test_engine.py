from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from suture.checkpoint.layout import read_layout
from suture.errors import CheckpointError, SourceError, SutureError
from suture.merge import stream

Tensors = dict[str, torch.Tensor]
RunMerge = Callable[..., tuple[Path, dict[str, Any]]]
WriteModel = Callable[..., Path]
LAYERS = {"a": 4, "b": 3}


def plain_stack(slices: list[tuple[str, int, int]], models: dict[str, Tensors], base: str) -> Tensors:
    """A stack, written as plainly as it can be."""
    stacked = {name: tensor for name, tensor in models[base].items() if not name.startswith("model.layers.")}
    number = 0
    for source, start, end in slices:
        for layer in range(start, end):
            for name, tensor in models[source].items():
                if name.startswith(f"model.layers.{layer}."):
                    stacked[name.replace(f"layers.{layer}.", f"layers.{number}.")] = tensor
            number += 1
    return stacked


def assert_same(found: Tensors, expected: Tensors) -> None:
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        assert found[name].dtype == tensor.dtype
        assert torch.equal(found[name].view(torch.uint8), tensor.view(torch.uint8)), name


def passthrough(slices: list[tuple[str, int, int]], base: str = "a") -> dict[str, Any]:
    parts = [{"source": source, "layers": [start, end]} for source, start, end in slices]
    return {"method": "passthrough", "base": base, "slices": parts}


@pytest.fixture
def models(random_tensors: Callable[..., Tensors]) -> dict[str, Tensors]:
    return {name: random_tensors(layers, seed) for seed, (name, layers) in enumerate(LAYERS.items())}


@pytest.fixture
def folders(models: dict[str, Tensors], config: Callable[..., Any], write_model: WriteModel) -> dict[str, Path]:
    kinds = {"a": ["lin", "lin", "lin", "full"], "b": ["full", "lin", "full"]}
    return {name: write_model(name, models[name], config(LAYERS[name], layer_types=kinds[name])) for name in LAYERS}


@pytest.mark.parametrize(
    "slices",
    [
        [("a", 0, 3), ("b", 1, 3)],
        [("a", 0, 4), ("b", 0, 3)],
        [("b", 0, 3), ("a", 0, 4)],
        [("a", 0, 1), ("b", 0, 1), ("a", 1, 2), ("b", 1, 2), ("a", 2, 3), ("b", 2, 3)],
        [("a", 2, 3), ("a", 2, 3), ("a", 0, 4), ("b", 1, 2)],
        [("a", 3, 4)],
    ],
    ids=["overlap", "end to end", "base last", "interleaved", "repeats", "one layer"],
)
def test_a_stack_is_what_the_plain_one_is(
    run_merge: RunMerge,
    folders: dict[str, Path],
    models: dict[str, Tensors],
    load_all: Callable[[Path], Tensors],
    slices: list[tuple[str, int, int]],
) -> None:
    sources = dict.fromkeys(["a", *(source for source, _, _ in slices)])
    out, facts = run_merge(passthrough(slices), *(folders[source] for source in sources))
    expected = plain_stack(slices, models, "a")
    assert_same(load_all(out), expected)
    kinds = {name: json.loads((folders[name] / "config.json").read_text())["layer_types"] for name in LAYERS}
    config = json.loads((out / "config.json").read_text())
    assert config["layer_types"] == [
        kinds[source][layer] for source, start, end in slices for layer in range(start, end)
    ]
    assert config["num_hidden_layers"] == len(config["layer_types"]) == facts["layers"]
    assert (facts["tensors_out"], facts["copied"], facts["merged"]) == (len(expected), len(expected), 0)
    assert facts["tensors_in"] == sum(len(models[source]) for source in sources)
    assert facts["bytes"] == sum(tensor.nbytes for tensor in expected.values())
    assert facts["parameters"] == sum(tensor.numel() for tensor in expected.values())


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_stack_is_what_the_plain_one_is(
    data: st.DataObject,
    run_merge: RunMerge,
    folders: dict[str, Path],
    models: dict[str, Tensors],
    load_all: Callable[[Path], Tensors],
) -> None:
    slices: list[tuple[str, int, int]] = []
    for _ in range(data.draw(st.integers(1, 5))):
        source = data.draw(st.sampled_from("ab"))
        start = data.draw(st.integers(0, LAYERS[source] - 1))
        slices.append((source, start, data.draw(st.integers(start + 1, LAYERS[source]))))
    base = data.draw(st.sampled_from("ab"))
    names = dict.fromkeys([base, *(source for source, _, _ in slices)])
    shard_bytes = data.draw(st.sampled_from([1, 100, 10**9]))
    out, facts = run_merge(passthrough(slices, base), *(folders[name] for name in names), shard_bytes=shard_bytes)
    found = load_all(out)
    assert_same(found, plain_stack(slices, models, base))
    assert read_layout(out).tensors.keys() == found.keys()
    dropped = {(row["source"], row["tensor"]) for row in facts["dropped"]}
    used = {(base, name) for name in models[base] if "layers" not in name}
    for source, start, end in slices:
        layers = tuple(f"model.layers.{layer}." for layer in range(start, end))
        used |= {(source, name) for name in models[source] if name.startswith(layers)}
    assert dropped == {(source, name) for source in names for name in models[source]} - used


def test_the_same_merge_gives_the_same_bytes(run_merge: RunMerge, folders: dict[str, Path]) -> None:
    recipe = passthrough([("a", 0, 3), ("b", 1, 3)])
    first, second = (run_merge(recipe, folders["a"], folders["b"])[0] for _ in range(2))
    assert {path.name: path.read_bytes() for path in first.iterdir()} == {
        path.name: path.read_bytes() for path in second.iterdir()
    }


def test_what_lies_beside_the_weights_comes_from_the_base(run_merge: RunMerge, folders: dict[str, Path]) -> None:
    out, _ = run_merge(passthrough([("a", 0, 4), ("b", 0, 3)], base="b"), folders["b"], folders["a"])
    beside = {path.name for path in out.iterdir() if not path.name.startswith(("model", "config"))}
    assert beside == {"tokenizer.json", "tokenizer_config.json", "generation_config.json", "chat_template.jinja"}
    for name in beside:
        assert (out / name).read_bytes() == (folders["b"] / name).read_bytes()


def linear(weights: dict[str, float], base: str = "a") -> dict[str, Any]:
    models = [{"source": source, "weight": weight} for source, weight in weights.items()]
    return {"method": "linear", "base": base, "models": models}


@pytest.fixture
def siblings(
    random_tensors: Callable[..., Tensors], config: Callable[..., Any], write_model: WriteModel
) -> dict[str, Path]:
    folders: dict[str, Path] = {}
    for seed, name in enumerate("abc"):
        tensors = random_tensors(2, seed)
        tensors["model.norm.weight"] = tensors["model.norm.weight"].half()
        folders[name] = write_model(name, tensors, config(2))
    return folders


@pytest.mark.parametrize(
    "weights", [{"a": 1, "b": 1}, {"a": 0.3, "b": 0.7}, {"a": 2, "b": -1, "c": 0.5}, {"b": 1, "c": 1}]
)
@pytest.mark.parametrize("chunk", [1, 5, 2**19])
def test_a_mean_is_what_torch_gives_in_double_precision(
    run_merge: RunMerge,
    siblings: dict[str, Path],
    load_all: Callable[[Path], Tensors],
    monkeypatch: pytest.MonkeyPatch,
    weights: dict[str, float],
    chunk: int,
) -> None:
    monkeypatch.setattr(stream, "CHUNK", chunk)
    names = dict.fromkeys(["a", *weights])
    out, facts = run_merge(linear(weights), *(siblings[name] for name in names))
    models = {name: load_all(siblings[name]) for name in names}
    found = load_all(out)
    assert found.keys() == models["a"].keys()
    for name, tensor in found.items():
        terms = torch.stack([weight * models[source][name].double() for source, weight in weights.items()])
        exact = terms.sum(0) / sum(weights.values())
        assert tensor.dtype == models["a"][name].dtype
        half_ulp = exact.abs() * torch.finfo(tensor.dtype).eps / 2
        assert ((tensor.double() - exact).abs() <= half_ulp + 1e-6 * terms.abs().max()).all()
    assert (facts["merged"], facts["copied"]) == (len(found), 0)
    assert json.loads((out / "config.json").read_text()) == json.loads((siblings["a"] / "config.json").read_text())


def test_sources_may_hold_a_tensor_in_different_dtypes(
    run_merge: RunMerge,
    random_tensors: Callable[..., Tensors],
    config: Callable[..., Any],
    write_model: WriteModel,
    load_all: Callable[[Path], Tensors],
) -> None:
    a = random_tensors(1, 0)
    wide = {name: tensor.float() for name, tensor in a.items()}
    folders = [write_model("a", a, config(1)), write_model("b", wide, config(1))]
    out, _ = run_merge(linear({"a": 0.25, "b": 0.75}), *folders)
    assert_same(load_all(out), a)
    out, _ = run_merge(linear({"a": 0.25, "b": 0.75}, base="b"), *folders[::-1])
    assert_same(load_all(out), wide)


def test_infinities_and_nan_do_not_disturb_their_neighbours(
    run_merge: RunMerge,
    random_tensors: Callable[..., Tensors],
    config: Callable[..., Any],
    write_model: WriteModel,
    load_all: Callable[[Path], Tensors],
) -> None:
    a, b = random_tensors(1, 0), random_tensors(1, 1)
    a["model.norm.weight"] = torch.tensor([1, float("inf"), float("nan"), float("inf")]).bfloat16()
    b["model.norm.weight"] = torch.tensor([3, 1, 1, -float("inf")]).bfloat16()
    out, _ = run_merge(linear({"a": 1, "b": 1}), write_model("a", a, config(1)), write_model("b", b, config(1)))
    mean = load_all(out)["model.norm.weight"].float()
    assert mean[:2].tolist() == [2, float("inf")]
    assert mean[2:].isnan().all()


def truncate(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1])


def double_a_name(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes().replace(b"model.layers.1.A_log", b"model.layers.0.A_log"))


def point_outside(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder.parent / "outside.safetensors")
    index = {"weight_map": {"lm_head.weight": "../outside.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


def lose_tokenizer(folder: Path) -> None:
    (folder / "tokenizer.json").unlink()


def change_shape(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"hidden_size": 5}))


def need_code(folder: Path) -> None:
    (folder / "config.json").write_text('{"auto_map": {"AutoConfig": "x.X"}}')


BAD = [
    (truncate, CheckpointError),
    (double_a_name, CheckpointError),
    (point_outside, CheckpointError),
    (lose_tokenizer, SourceError),
    (change_shape, SourceError),
    (need_code, SourceError),
]


@pytest.mark.parametrize(("spoil", "error"), BAD)
def test_bad_input_is_refused_and_nothing_is_written(
    run_merge: RunMerge,
    folders: dict[str, Path],
    spoil: Callable[[Path], None],
    error: type[SutureError],
    tmp_path: Path,
) -> None:
    spoil(folders["a"])
    with pytest.raises(error) as caught:
        run_merge(passthrough([("a", 0, 4), ("b", 0, 3)]), folders["a"], folders["b"])
    assert caught.value.exit_code == 2
    assert len(str(caught.value).splitlines()) < 20
    assert not any((tmp_path / "merged0").iterdir())


def test_a_range_past_the_end_writes_nothing(run_merge: RunMerge, folders: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(SutureError, match="which has 3 layers"):
        run_merge(passthrough([("a", 0, 4), ("b", 0, 4)]), folders["a"], folders["b"])
    assert not any((tmp_path / "merged0").iterdir())
