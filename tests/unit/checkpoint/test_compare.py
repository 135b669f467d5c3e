"""Checked against a second implementation: whole tensors in torch, fp64."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from suture.checkpoint.inspection import compare as compare_module
from suture.checkpoint.inspection.compare import Comparison, Sums, add_up, compare, rank, sums_of
from suture.errors import CheckpointError, SourceError
from suture.progress import Silent

Tensors = dict[str, torch.Tensor]
CONFIG = {"model_type": "x", "num_hidden_layers": 2}


def draw(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def model(seed: int, dtype: torch.dtype = torch.bfloat16) -> Tensors:
    shapes = {"self_attn.q_proj.weight": (5, 7), "mlp.experts.0.up.weight": (3, 5), "mlp.experts.1.up.weight": (3, 5)}
    tensors = {
        f"model.layers.{layer}.{name}": draw(100 * seed + layer, *shape)
        for layer in range(2)
        for name, shape in shapes.items()
    }
    tensors |= {"model.embed_tokens.weight": draw(seed, 11, 4), "model.norm.weight": draw(seed, 4)}
    return {name: tensor.to(dtype) for name, tensor in tensors.items()}


def write(folder: Path, tensors: Tensors, config: dict[str, object] = CONFIG) -> Path:
    folder.mkdir()
    save_file({name: tensor.clone() for name, tensor in tensors.items()}, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def compared(tmp_path: Path, a: Tensors, b: Tensors, c: Tensors | None = None, threads: int = 2) -> Comparison:
    base = None if c is None else write(tmp_path / "c", c)
    return compare(write(tmp_path / "a", a), write(tmp_path / "b", b), base, threads, Silent())


def together(tensors: list[torch.Tensor]) -> torch.Tensor:
    return torch.cat([tensor.double().flatten() for tensor in tensors])


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that pico tensors take several chunks and spans, the last ones not full."""
    monkeypatch.setattr(compare_module, "_CHUNK", 4)
    monkeypatch.setattr(compare_module, "_SPAN", 8)


@pytest.mark.usefixtures("small_chunks")
@pytest.mark.parametrize("dtypes", [(torch.bfloat16, torch.bfloat16), (torch.float16, torch.float32)])
@pytest.mark.parametrize("threads", [1, 3])
def test_layers_and_tensors_as_torch_measures_them(
    tmp_path: Path, dtypes: tuple[torch.dtype, torch.dtype], threads: int
) -> None:
    a, b = model(1, dtypes[0]), model(2, dtypes[1])
    found = compared(tmp_path, a, b, threads=threads)
    measured = {each.tensor.name: each.sums for each in found.differences}
    measured |= {f"model.layers.{layer}.": add_up(tensors) for layer, tensors in found.by_layer.items()}
    measured[""] = found.total
    for prefix, sums in measured.items():
        first, second = (
            together([t for name, t in sorted(each.items()) if name.startswith(prefix)]) for each in (a, b)
        )
        assert sums.distance == pytest.approx(float((first - second).norm() / second.norm()), rel=1e-12)
        assert sums.cosine == pytest.approx(float(torch.cosine_similarity(first, second, dim=0)), rel=1e-12)
        assert (sums.count, sums.changed) == (len(first), int((first != second).sum()))
    assert found.unpaired == ()


@pytest.mark.usefixtures("small_chunks")
def test_task_vectors_as_torch_measures_them(tmp_path: Path) -> None:
    a, b, c = model(1), model(2), model(3)
    total = compared(tmp_path, a, b, c).total
    first, second, base = (together([tensor for _, tensor in sorted(each.items())]) for each in (a, b, c))
    first_change, second_change = first - base, second - base
    assert total.first_length == pytest.approx(float(first_change.norm() / base.norm()), rel=1e-12)
    assert total.second_length == pytest.approx(float(second_change.norm() / base.norm()), rel=1e-12)
    assert total.distance == pytest.approx(float((first - second).norm() / base.norm()), rel=1e-12)
    assert total.cosine == pytest.approx(
        float(torch.cosine_similarity(first_change, second_change, dim=0)), rel=1e-12
    )
    assert total.opposed == int((first_change.sign() * second_change.sign() < 0).sum())


@pytest.mark.usefixtures("small_chunks")
def test_sums_do_not_depend_on_the_number_of_threads(tmp_path: Path) -> None:
    a, b = write(tmp_path / "a", model(1)), write(tmp_path / "b", model(2))
    one, many = (compare(a, b, None, threads, Silent()) for threads in (1, 7))
    assert one == many


def test_what_is_identical_is_exactly_so(tmp_path: Path) -> None:
    total = compared(tmp_path, model(1), model(1)).total
    assert (total.distance, total.cosine, total.changed, total.changed_share) == (0.0, 1.0, 0, 0.0)


def test_a_distance_from_zeros_is_infinite_and_has_no_angle() -> None:
    ones, zeros = np.ones(3, np.float32), np.zeros(3, np.float32)
    assert sums_of(ones, zeros).distance == math.inf
    assert math.isnan(sums_of(ones, zeros).cosine)
    assert sums_of(zeros, ones).distance == 1.0
    assert sums_of(zeros, zeros).distance == 0.0


def test_numbers_that_are_none_are_left_out_and_counted() -> None:
    a = np.array([1, np.nan, 2, np.inf, 3], np.float32)
    b = np.array([1, 5, np.inf, np.inf, 4], np.float32)
    assert sums_of(a, b) == Sums(5, 1, 0, 3, first=10.0, second=17.0, product=13.0, difference=1.0, reference=17.0)
    assert sums_of(b, b, a).nonfinite == 3


def test_the_largest_fp32_numbers_do_not_overflow() -> None:
    huge = np.full(4, 3e38, np.float32)
    assert sums_of(huge, -huge).distance == pytest.approx(2.0)


def test_experts_are_one_kind_and_layers_have_groups(tmp_path: Path) -> None:
    found = compared(tmp_path, model(1), model(2))
    assert [(each.tensor.kind, each.tensor.group) for each in found.by_layer[1]] == [
        ("mlp.experts.*.up", "mlp"),
        ("mlp.experts.*.up", "mlp"),
        ("self_attn.q_proj", "attention"),
    ]
    assert [each.tensor.name for each in found.outside] == ["model.embed_tokens.weight", "model.norm.weight"]


def test_tensors_that_cannot_be_compared_are_named_with_the_reason(tmp_path: Path) -> None:
    a, b = model(1), model(1)
    a["model.rotary.weight"] = torch.ones(2)
    b["model.extra.weight"] = torch.ones(2)
    b["model.layers.0.self_attn.q_proj.weight"] = torch.ones(6, 7)
    b["model.norm.weight"] = torch.ones(4, dtype=torch.int8)
    assert {each.name: each.reason for each in compared(tmp_path, a, b).unpaired} == {
        "model.rotary.weight": "only in A",
        "model.extra.weight": "only in B",
        "model.layers.0.self_attn.q_proj.weight": "shapes [5, 7] and [6, 7]",
        "model.norm.weight": "BF16, I8: no plain numbers",
    }


def test_vocabularies_of_different_length_are_compared_as_far_as_both_go(tmp_path: Path) -> None:
    a, b = model(1), model(2)
    longer = torch.cat([b["model.embed_tokens.weight"], torch.ones(3, 4).bfloat16()])
    found = compared(tmp_path, a, b | {"model.embed_tokens.weight": longer})
    (embedding,) = [each for each in found.differences if "embed" in each.tensor.name]
    first, second = (each["model.embed_tokens.weight"].double() for each in (a, b))
    assert embedding.sums.distance == pytest.approx(float((first - second).norm() / second.norm()), rel=1e-12)
    assert embedding.sums.count == 44


def test_a_text_model_is_compared_with_its_multimodal_wrapper(tmp_path: Path) -> None:
    wrapped = {name.replace("model.", "model.language_model.", 1): tensor for name, tensor in model(1).items()}
    wrapped["model.visual.patch.weight"] = torch.ones(3)
    found = compared(tmp_path, model(1), wrapped)
    assert (len(found.differences), found.total.difference) == (8, 0.0)
    assert [each.name for each in found.unpaired] == ["model.visual.patch.weight"]


def test_a_stack_is_compared_with_its_source_as_far_as_that_goes(tmp_path: Path) -> None:
    a = model(1)
    longer = a | {name.replace("layers.1", "layers.2"): tensor for name, tensor in a.items() if "layers.1" in name}
    first = write(tmp_path / "a", a)
    found = compare(first, write(tmp_path / "b", longer, CONFIG | {"num_hidden_layers": 3}), None, 2, Silent())
    assert (sorted(found.by_layer), found.total.difference) == ([0, 1], 0.0)
    assert {each.reason for each in found.unpaired} == {"only in B"}
    assert [(each.field, each.first, each.second) for each in found.fields] == [("num_hidden_layers", 2, 3)]


def test_farthest_tensors_come_first(tmp_path: Path) -> None:
    b = model(1)
    for factor, name in enumerate(sorted(b)):
        b[name] = b[name] * 2**factor
    far = rank(compared(tmp_path, model(1), b).differences, 3)
    assert [each.sums.distance for each in far] == sorted((each.sums.distance for each in far), reverse=True)
    assert far[0].tensor.name == max(sorted(b)[1:], key=lambda name: abs(1 - 2.0 ** -sorted(b).index(name)))


def test_models_with_nothing_in_common_are_refused(tmp_path: Path) -> None:
    other = {f"decoder.h.{layer}.w": torch.ones(2) for layer in range(2)}
    with pytest.raises(SourceError, match="no tensor in common"):
        compared(tmp_path, model(1), other)


def test_a_file_that_is_cut_short_meanwhile_ends_the_comparison(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b = write(tmp_path / "a", model(1)), write(tmp_path / "b", model(2))
    whole = compare_module.pair_up

    def cut(*arguments: object) -> object:
        found = whole(*arguments)
        with (b / "model.safetensors").open("r+b") as file:
            file.truncate(900)
        return found

    monkeypatch.setattr(compare_module, "pair_up", cut)
    with pytest.raises(CheckpointError, match="became shorter"):
        compare(a, b, None, 2, Silent())


def test_progress_is_told_every_byte_of_both(tmp_path: Path) -> None:
    told: list[tuple[float, float, str]] = []

    class Recorder(Silent):
        def update(self, done: float, total: float, unit: str) -> None:
            told.append((done, total, unit))

    a, b = write(tmp_path / "a", model(1, torch.float32)), write(tmp_path / "b", model(2))
    compare(a, b, None, 2, Recorder())
    numbers = sum(tensor.numel() for tensor in model(1).values())
    assert told[-1] == (6 * numbers, 6 * numbers, "bytes")
    assert [done for done, _, _ in told] == sorted(done for done, _, _ in told)
