"""Fusing: the bytes of peft's own merge, in fp32 and rounded once; every factor used, nothing else touched."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from suture.checkpoint.floats import to_float32
from suture.checkpoint.reader import open_checkpoint, read_chunks
from suture.checkpoint.tensors import TensorInfo
from suture.checkpoint.writer import OutputTensor, write_checkpoint
from suture.errors import CheckpointError
from suture.heal.fuse import FuseSpec, Update, fuse, match_updates, read_updates
from suture.progress import Silent
from tests.unit.heal.steps_by_hand import as_artifact, make_workspace

RANK, ALPHA = 4, 8.0
TARGETS = ("q_proj", "v_proj", "down_proj")
Factors = dict[str, np.ndarray]


def write_adapter(folder: Path, factors: Factors) -> Path:
    from safetensors.numpy import save_file

    folder.mkdir()
    save_file(factors, folder / "adapter_model.safetensors")
    config = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "r": RANK,
        "lora_alpha": ALPHA,
        "target_modules": list(TARGETS),
    }
    (folder / "adapter_config.json").write_text(json.dumps(config))
    return folder


def factors_for(model: Path, size: float = 0.05) -> Factors:
    random = np.random.default_rng(1)
    factors: Factors = {}
    for name, info in open_checkpoint(model).layout.tensors.items():
        module = name.removesuffix(".weight")
        if module.endswith(TARGETS):
            rows, columns = info.shape
            a, b = random.standard_normal((RANK, columns)), size * random.standard_normal((rows, RANK))
            factors[f"base_model.model.{module}.lora_A.weight"] = a.astype(np.float32)
            factors[f"base_model.model.{module}.lora_B.weight"] = b.astype(np.float32)
    return factors


def fused(tmp_path: Path, model: Path, adapter: Path) -> tuple[Path, dict]:
    work = make_workspace(tmp_path / "work")
    return work.out, dict(fuse(FuseSpec(), [as_artifact(model), as_artifact(adapter)], work, Silent()))


def tensor_bytes(folder: Path) -> dict[str, bytes]:
    return {name: b"".join(read_chunks(extent, 2**20)) for name, extent in open_checkpoint(folder).extents.items()}


def test_bytes_are_those_of_peft_in_fp32_cast_once(tmp_path: Path, pico: Path) -> None:
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    adapter = write_adapter(tmp_path / "adapter", factors_for(pico))
    out, facts = fused(tmp_path, pico, adapter)
    model = AutoModelForCausalLM.from_pretrained(pico, dtype=torch.float32)
    merged = PeftModel.from_pretrained(model, adapter).merge_and_unload().state_dict()
    written, before = tensor_bytes(out), tensor_bytes(pico)
    assert {n: merged[n].bfloat16().view(torch.int16).numpy().tobytes() for n in written} == written
    changed = {name for name in written if written[name] != before[name]}
    assert changed == {name for name in written if name.removesuffix(".weight").endswith(TARGETS)}
    assert facts["tensors_changed"] == len(changed) == 9
    assert facts["tensors_copied"] == len(written) - 9
    assert facts["bytes"] == sum(map(len, written.values()))


def test_chunks_of_rows_give_the_same_bytes(tmp_path: Path, pico: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    adapter = write_adapter(tmp_path / "adapter", factors_for(pico))
    whole, _ = fused(tmp_path / "whole", pico, adapter)
    monkeypatch.setattr("suture.heal.fuse._CHUNK_ELEMENTS", 64 * 5)  # 5 rows of q_proj, 3 of down_proj
    parts, _ = fused(tmp_path / "parts", pico, adapter)
    assert tensor_bytes(parts) == tensor_bytes(whole)


def test_survival_is_what_a_plain_sum_over_all_tensors_gives(tmp_path: Path, pico: Path) -> None:
    factors = factors_for(pico, size=1e-4)
    out, facts = fused(tmp_path, pico, write_adapter(tmp_path / "adapter", factors))
    before, after = tensor_bytes(pico), tensor_bytes(out)
    weights = wanted = kept = 0.0
    for name in factors:
        if "lora_A" in name:
            a, b = factors[name].astype(np.float64), factors[name.replace("lora_A", "lora_B")].astype(np.float64)
            delta = (ALPHA / RANK * b @ a).reshape(-1)
            tensor = name.removeprefix("base_model.model.").replace("lora_A.", "")
            old, new = (to_float32(data[tensor], "BF16").astype(np.float64) for data in (before, after))
            weights, wanted, kept = weights + old @ old, wanted + delta @ delta, kept + delta @ (new - old)
    assert facts["relative_delta"] == pytest.approx((wanted / weights) ** 0.5, rel=1e-4)
    assert facts["share_survived"] == pytest.approx(kept / wanted, rel=1e-4)
    assert 0 < facts["share_survived"] < 1


def test_companions_come_along(tmp_path: Path, pico: Path) -> None:
    out, _ = fused(tmp_path, pico, write_adapter(tmp_path / "adapter", factors_for(pico)))
    assert {path.name for path in out.iterdir()} == {path.name for path in pico.iterdir()}
    assert (out / "tokenizer.json").read_bytes() == (pico / "tokenizer.json").read_bytes()
    assert json.loads((out / "config.json").read_text()) == json.loads((pico / "config.json").read_text())


@pytest.mark.parametrize("size", [0.0, 1e-12])
def test_an_adapter_that_changes_nothing_is_refused(tmp_path: Path, pico: Path, size: float) -> None:
    adapter = write_adapter(tmp_path / "adapter", factors_for(pico, size))
    with pytest.raises(CheckpointError, match="changes nothing"):
        fused(tmp_path, pico, adapter)


def test_an_adapter_of_another_model_is_refused(tmp_path: Path, pico: Path) -> None:
    factors = {name.replace("layers.2", "layers.3"): array for name, array in factors_for(pico).items()}
    with pytest.raises(CheckpointError, match="cannot be told among"):
        fused(tmp_path, pico, write_adapter(tmp_path / "adapter", factors))


def test_an_adapter_of_another_shape_is_refused(tmp_path: Path, pico: Path) -> None:
    factors = {name: array[:, :-1] if "lora_A" in name else array for name, array in factors_for(pico).items()}
    with pytest.raises(CheckpointError, match="does not fit"):
        fused(tmp_path, pico, write_adapter(tmp_path / "adapter", {n: a.copy() for n, a in factors.items()}))


def test_a_factor_without_its_partner_is_refused(tmp_path: Path, pico: Path) -> None:
    factors = factors_for(pico)
    lonely = next(name for name in factors if "lora_B" in name)
    del factors[lonely]
    adapter = write_adapter(tmp_path / "adapter", factors)
    with pytest.raises(CheckpointError, match="pairs") as caught:
        read_updates(adapter)
    assert caught.value.found == lonely


def test_a_tensor_that_is_no_factor_is_refused(tmp_path: Path, pico: Path) -> None:
    factors = factors_for(pico) | {"base_model.model.lm_head.weight": np.ones((2, 2), np.float32)}
    adapter = write_adapter(tmp_path / "adapter", factors)
    with pytest.raises(CheckpointError, match="pairs"):
        read_updates(adapter)


# -- names --------------------------------------------------------------------------------------------------------

UPDATE = Update(np.ones((2, 3), np.float32), np.ones((4, 2), np.float32), np.float32(1))
PARTS = ("self_attn.q_proj", "mlp.down_proj")


def tensors_under(*stacks: tuple[str, int]) -> dict[str, TensorInfo]:
    """Return the tensors of stacks of layers, (prefix, layers) each."""
    return {
        f"{prefix}.{layer}.{part}.weight": TensorInfo("BF16", (4, 3))
        for prefix, layers in stacks
        for layer in range(layers)
        for part in PARTS
    }


def modules_under(prefix: str, layers: int) -> dict[str, Update]:
    return {f"{prefix}.{layer}.{part}": UPDATE for layer in range(layers) for part in PARTS}


@pytest.mark.parametrize(
    ("trained", "stored"),
    [
        ("model.layers", "model.layers"),
        ("model.layers", "model.language_model.layers"),
        ("model.language_model.layers", "model.layers"),
        ("model.language_model.layers", "language_model.model.layers"),
        ("model.layers", "layers"),
    ],
)
def test_names_of_text_and_multimodal_classes_match(trained: str, stored: str) -> None:
    tensors = tensors_under((stored, 3), ("mtp.layers", 1), ("vision.blocks", 2))
    matched = match_updates(modules_under(trained, 3), tensors)
    assert set(matched) == set(tensors_under((stored, 3)))


@given(st.sets(st.integers(0, 9), min_size=1), st.sampled_from(["model.layers", "model.language_model.layers"]))
def test_each_update_keeps_its_layer(layers: set[int], stored: str) -> None:
    updates = {f"model.layers.{layer}.{PARTS[0]}": Update(UPDATE.a, UPDATE.b, np.float32(layer)) for layer in layers}
    matched = match_updates(updates, tensors_under((stored, 10)))
    assert {int(name.split(".")[-4]): int(update.scale) for name, update in matched.items()} == {
        layer: layer for layer in layers
    }


def test_names_that_fit_twice_are_refused() -> None:
    tensors = tensors_under(("encoder.layers", 2), ("decoder.layers", 2))
    with pytest.raises(CheckpointError, match="cannot be told among") as caught:
        match_updates(modules_under("model.layers", 2), tensors)
    assert "['decoder.', 'encoder.']" in str(caught.value.found)


def test_integers_are_refused() -> None:
    tensors = {name: TensorInfo("I8", info.shape) for name, info in tensors_under(("model.layers", 1)).items()}
    with pytest.raises(CheckpointError, match="does not fit"):
        match_updates(modules_under("model.layers", 1), tensors)


def test_shards_of_a_larger_checkpoint_are_read(tmp_path: Path, pico: Path) -> None:
    adapter = write_adapter(tmp_path / "adapter", factors_for(pico))
    whole, _ = fused(tmp_path / "whole", pico, adapter)
    folder = shutil.copytree(pico, tmp_path / "sharded", ignore=shutil.ignore_patterns("model.safetensors"))
    source = open_checkpoint(pico)
    tensors = [
        OutputTensor(name, info.dtype, info.shape, source.extents[name])
        for name, info in source.layout.tensors.items()
    ]
    assert len(write_checkpoint(folder, tensors, 50_000, Silent())) > 3
    out, _ = fused(tmp_path / "from-shards", folder, adapter)
    assert tensor_bytes(out) == tensor_bytes(whole)
