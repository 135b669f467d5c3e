"""A source with an adapter: planned with its licence, and merged with the adapter in its weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from suture.direct import merge_into
from suture.errors import CheckpointError, SourceError
from suture.gguf.convert import ConvertSpec
from suture.hub.fetch import AdapterFetch
from suture.plan import Plan, plan_source, resolve
from suture.progress import Silent
from suture.recipe import Recipe, load_recipe
from suture.steps import build_all
from suture.store import Store
from tests.unit.heal.adapters import change_config, make_adapter, merged_by_peft, tensor_bytes, tensors_of


@pytest.fixture
def adapter(tmp_path: Path, pico: Path) -> Path:
    """An adapter of the pico model, with a card."""
    folder = make_adapter(tmp_path / "adapter", pico, use_dora=True)
    (folder / "README.md").write_text("---\nlicense: cc-by-nc-4.0\n---\n")
    return folder


def recipe_of(pico: Path, adapter: Path, **more: Any) -> Recipe:
    sources = [{"name": "plain", "model": str(pico)}, {"name": "tuned", "model": str(pico), "adapter": str(adapter)}]
    merge = {"method": "linear", "base": "plain", "models": [{"source": "plain"}, {"source": "tuned"}]}
    benchmark = {"capability": {"tests": ["exact-instruction"]}, "perplexity": {"texts": [{"text": "builtin:code"}]}}
    return Recipe.model_validate({"name": "x", "sources": sources, "merge": merge, "benchmark": benchmark} | more)


def steps_of(plan: Plan) -> dict[str, Any]:
    return {step.label: step for step in plan.steps}


def test_a_plan_fetches_the_adapter_and_fuses_it_before_all_else(pico: Path, adapter: Path) -> None:
    plan = resolve(recipe_of(pico, adapter))
    steps = steps_of(plan)
    fuse = steps["fuse adapter tuned"]
    assert [parent.label for parent in fuse.parents] == [f"fetch {pico.name}", "fetch adapter"]
    assert isinstance(fuse.parents[1].spec, AdapterFetch)
    assert fuse in steps["merge"].parents
    assert steps["convert tuned"].parents == (fuse,)


def test_the_adapters_licence_goes_wherever_its_numbers_go(pico: Path, adapter: Path) -> None:
    plan = resolve(recipe_of(pico, adapter))
    for name, credited in {"plain": 1, "tuned": 2, "merged": 3}.items():
        spec = steps_of(plan)[f"convert {name}"].spec
        assert isinstance(spec, ConvertSpec)
        credits_ = {credit.name: credit.licence for credit in spec.provenance.sources}
        assert len(credits_) == credited
        assert credits_.get("tuned-adapter") == (None if name == "plain" else "cc-by-nc-4.0")
        assert spec.provenance.recipe == ("" if name == "plain" else "x")
    pinned = {source.name: source.adapter for source in plan.sources}
    assert pinned["plain"] is None
    assert pinned["tuned"] is not None
    assert pinned["tuned"].commit


def test_another_adapter_is_another_model(pico: Path, adapter: Path) -> None:
    before = steps_of(resolve(recipe_of(pico, adapter)))["merge"].key
    assert steps_of(resolve(recipe_of(pico, adapter)))["merge"].key == before
    change_config(adapter, lora_alpha=1)
    assert steps_of(resolve(recipe_of(pico, adapter)))["merge"].key != before


def test_what_cannot_be_fused_is_refused_by_the_plan(tmp_path: Path, pico: Path, adapter: Path) -> None:
    change_config(adapter, trainable_token_indices=[1])
    with pytest.raises(SourceError, match="trainable_token_indices"):
        resolve(recipe_of(pico, adapter))
    change_config(adapter, trainable_token_indices=None, r=8)
    with pytest.raises(CheckpointError, match="another rank"):
        merge_into(recipe_of(pico, adapter), tmp_path / "out", 10**9, Silent())
    assert not (tmp_path / "out").exists()


def test_the_source_is_peft_s_merge(pico: Path, adapter: Path, store: Store) -> None:
    recipe = recipe_of(pico, adapter)
    made = build_all(plan_source(recipe.sources[1], recipe), store, Silent()).artifact.path
    merged = merged_by_peft(pico, adapter)
    for name, tensor in tensors_of(made).items():
        np.testing.assert_allclose(tensor, merged[name], rtol=2**-8)


def test_a_merge_in_a_folder_takes_the_fused_model(tmp_path: Path, pico: Path, adapter: Path) -> None:
    merge_into(recipe_of(pico, adapter), tmp_path / "out", 10**9, Silent())
    plain, merged = tensors_of(pico), merged_by_peft(pico, adapter)
    for name, tensor in tensors_of(tmp_path / "out").items():
        np.testing.assert_allclose(tensor, (plain[name] + merged[name]) / 2, rtol=2**-7, atol=1e-3)


def test_mergekit_s_model_plus_adapter_is_the_same_merge(tmp_path: Path, pico: Path, adapter: Path) -> None:
    content = {
        "merge_method": "linear",
        "models": [{"model": str(pico)}, {"model": f"{pico}+{adapter}"}],
        "parameters": {"weight": 1.0},
        "dtype": "bfloat16",
    }
    (tmp_path / "mergekit.yml").write_text(yaml.safe_dump(content))
    merge_into(load_recipe(tmp_path / "mergekit.yml"), tmp_path / "theirs", 10**9, Silent())
    merge_into(recipe_of(pico, adapter), tmp_path / "ours", 10**9, Silent())
    assert tensor_bytes(tmp_path / "theirs") == tensor_bytes(tmp_path / "ours")
