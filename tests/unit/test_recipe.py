from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError
from syrupy.assertion import SnapshotAssertion
from syrupy.extensions.json import JSONSnapshotExtension

from suture import recipe as recipe_module
from suture.errors import RecipeError
from suture.recipe import Heal, Part, Passthrough, Recipe, is_path, load_recipe, parse_recipe
from suture.recipe.merge import BlendMethod
from suture.store import canonical_json

RECIPES = Path(__file__).parents[2] / "recipes"

SMALL: dict[str, Any] = {
    "name": "small",
    "sources": [{"name": "a", "model": "owner/a"}, {"name": "b", "model": "./b"}],
    "merge": {
        "method": "passthrough",
        "base": "a",
        "slices": [{"source": "a", "layers": [0, 2]}, {"source": "b", "layers": [1, 3]}],
    },
}


def changed(path: str, value: object) -> dict[str, Any]:
    """SMALL with one value replaced or added: `merge.slices.0.layers`."""
    content = copy.deepcopy(SMALL)
    replace(content, path, value)
    return content


def replace(content: dict[str, Any], path: str, value: object) -> None:
    *parents, last = path.split(".")
    place: Any = content
    for name in parents:
        place = place[int(name)] if isinstance(place, list) else place.setdefault(name, {})
    place[int(last) if isinstance(place, list) else last] = value


def parse(content: object) -> Recipe:
    return parse_recipe(content, where="test", folder=Path("/recipes"))


def load(folder: Path, text: str | bytes) -> Recipe:
    path = folder / "recipe.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return load_recipe(path)


# -- what is accepted ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", sorted(RECIPES.glob("*.yaml")), ids=lambda path: path.stem)
def test_the_recipes_in_the_checkout_can_be_read(path: Path) -> None:
    assert load_recipe(path).name == path.stem


def test_yaml_and_its_dump_are_one_recipe(tmp_path: Path) -> None:
    """What Prefect stores as JSON, and what the manifest holds, is the recipe again."""
    recipe = load_recipe(RECIPES / "demo-stack.yaml")
    assert Recipe.model_validate_json(recipe.model_dump_json()) == recipe
    assert load(tmp_path, json.dumps(recipe.model_dump(mode="json"))) == recipe


def test_relative_paths_start_at_the_recipes_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/someone")
    content = changed("heal", {"data": [{"text": "texts/mine.txt"}, {"text": "builtin:code"}]})
    content["sources"].append({"name": "c", "model": "~/c"})
    content["benchmark"] = {"references": [{"name": "known", "gguf": "../known.gguf"}]}
    recipe = load(tmp_path, json.dumps(content))
    assert [source.model for source in recipe.sources] == ["owner/a", str(tmp_path / "b"), "/home/someone/c"]
    assert recipe.heal is not None
    assert [text.text for text in recipe.heal.data] == [str(tmp_path / "texts/mine.txt"), "builtin:code"]
    assert recipe.benchmark.references[0].gguf == str(tmp_path.parent / "known.gguf")


@pytest.mark.parametrize(
    ("model", "expected"),
    [("owner/name", False), ("builtin:x", False), ("./x", True), ("../x", True), ("/x", True), ("~/x", True)],
)
def test_what_is_a_path(model: str, expected: bool) -> None:
    assert is_path(model) is expected


def test_sources_in_use_come_base_first_and_once() -> None:
    content = changed("merge.slices", [{"source": name, "layers": [0, 1]} for name in "bab"])
    assert parse(content).merge.sources == ("a", "b")
    linear = {"method": "linear", "base": "b", "models": [{"source": "a"}, {"source": "b"}]}
    assert parse(changed("merge", linear)).merge.sources == ("b", "a")


def test_training_defaults_are_those_of_the_published_heal() -> None:
    heal = Heal(data=({"text": "builtin:code"},))  # pyright: ignore[reportArgumentType]
    assert (heal.method, heal.rank, heal.alpha, heal.learning_rate, heal.steps) == ("qlora", 64, 32.0, 2e-5, 1000)
    assert (heal.batch_size, heal.gradient_accumulation, heal.sequence_length) == (2, 4, 4096)
    assert heal.control


def blend(method: str, **settings: Any) -> dict[str, Any]:
    own = {name: settings.pop(name) for name in ("weight", "density") if name in settings}
    return {"method": method, "base": "a", "models": [{"source": "a", **own}, {"source": "b"}], **settings}


def test_interleaving_is_written_out() -> None:
    content = changed("merge.slices", [{"interleave": ["a", "b"], "layers": [1, 4], "block": 2}])
    merge = parse(content).merge
    assert isinstance(merge, Passthrough)
    assert [(part.source, part.layers) for part in merge.plain_slices] == [
        ("a", (1, 3)), ("b", (1, 3)), ("a", (3, 4)), ("b", (3, 4)),
    ]  # fmt: skip


def test_a_stage_may_be_used_by_what_comes_after_it() -> None:
    content = changed("stages", [{"name": "early", "merge": blend("slerp", t=0.3)}])
    content["merge"] = blend("linear") | {"models": [{"source": "early"}, {"source": "b"}]}
    assert parse(content).merge.sources == ("a", "early", "b")


def test_what_is_written_down_of_a_blend_reads_back() -> None:
    settings = {"lambda": [{"filter": "mlp", "value": [0, 1]}, {"filter": "*", "value": 1}], "density": 0.5}
    recipe = parse(changed("merge", blend("ties", **settings)))
    assert Recipe.model_validate(recipe.model_dump(mode="json")) == recipe
    assert recipe.model_dump(mode="json")["merge"]["lambda"][0] == {"filter": "mlp", "value": [0.0, 1.0]}


# -- what is refused ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("heel", {}, "heel: Extra inputs are not permitted"),
        ("sources.0.modle", "x", "sources.0.modle: Extra inputs"),
        ("name", "Has Spaces", "name: String should match"),
        ("sources", [], "sources: Tuple should have at least 1 item"),
        ("sources.0.model", "", "sources.0.model: String should have at least 1 character"),
        ("sources.1.name", "a", "found a more than once"),
        ("merge.base", "c", "merge: expected names of sources or earlier stages (a, b), found c"),
        ("merge.slices.1.source", "c", "merge: expected names of sources or earlier stages (a, b), found c"),
        ("merge.slices.0.layers", [3, 3], "expected the first layer before the end, found [3, 3]"),
        ("merge.slices.0.layers", [-1, 3], "greater than or equal to 0"),
        ("merge.slices.0.layers", [0, 1, 2], "at most 2 items"),
        ("merge.method", "slurp", "'passthrough', 'linear'"),
        ("gguf.quantize", ["Q4_K_M", "Q4_K_M"], "quantize: expected each type once"),
        ("gguf.quantize", ["Q4"], "gguf.quantize.0"),
        ("heal", {"data": [{"text": "builtin:code"}], "learning_rate": 0}, "heal.learning_rate"),
        ("heal", {"data": [{"text": "builtin:code", "weight": float("inf")}]}, "finite"),
        ("heal", {"data": [{"text": "builtin:code"}], "alpha": float("nan")}, "heal.alpha"),
        ("heal", {"data": [{"text": "builtin:code"}], "patience": 3}, "patience: expected evaluate_every"),
        ("merge", blend("linear", weight=float("nan")), "finite"),
        ("merge", blend("linear", weight=[1, "x"]), "merge.linear.models.0.weight.gradient.1"),
        ("merge", blend("linear", density=0.5), "linear takes normalize, weight; found also density"),
        ("merge", blend("slerp", t=[0, 1]) | {"models": [{"source": "b"}]}, "slerp: expected two models"),
        ("merge", blend("ties") | {"models": [{"source": "a"}]}, "expected a model beside the base (a), found none"),
        ("merge", blend("linear") | {"slices": []} | {"models": []}, "expected models, or slices"),
        ("stages", [{"name": "early", "merge": blend("linear") | {"base": "late"}}], "stage early: expected names"),
        ("stages", [{"name": "a", "merge": blend("linear")}], "found a more than once"),
        ("benchmark.perplexity.chunks", 1, "benchmark.perplexity.chunks"),
    ],
)
def test_a_mistake_is_named(path: str, value: object, words: str) -> None:
    with pytest.raises(RecipeError) as caught:
        parse(changed(path, value))
    assert words in str(caught.value)
    assert "suture schema" in str(caught.value)
    assert caught.value.where == "test"


def test_every_mistake_is_named_at_once() -> None:
    content = changed("heel", 1)
    content["name"] = "Bad Name"
    content["merge"]["slices"][0]["layers"] = [5, 2]
    content["gguf"] = {"quantize": ["Q4"]}
    with pytest.raises(RecipeError) as caught:
        parse(content)
    message = str(caught.value)
    assert "4 mistake(s)" in message
    for field in ("heel", "name", "merge.passthrough.slices.0.slice", "gguf.quantize.0"):
        assert f"    {field}: " in message


@pytest.mark.parametrize(
    "text",
    [
        "name: [unclosed",
        "a: b: c",
        "\tname: x",
        "name: 2026-13-45",
        "? [a, b]\n: 1",
        b"name: \xff\xfe",
        "!!python/object/apply:os.getcwd []",
        "[" * 100_000,
        "name: *nowhere",
        "",
        "just words",
        "- a\n- list",
        "1: one\n2: two",
        "a: &loop [*loop]",
    ],
    ids=lambda text: repr(text[:20]),
)
def test_what_is_no_recipe_is_refused_in_one_screen(tmp_path: Path, text: str | bytes) -> None:
    with pytest.raises(RecipeError) as caught:
        load(tmp_path, text)
    assert str(tmp_path / "recipe.yaml") in str(caught.value)
    assert len(str(caught.value)) < 4000


def test_a_recipe_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="cannot be read"):
        load_recipe(tmp_path / "none.yaml")


@pytest.mark.parametrize("path", ["~nobody-of-this-name/model", "./with\0nul"])
def test_a_path_that_cannot_be_is_a_mistake_in_the_recipe(path: str) -> None:
    with pytest.raises(RecipeError, match="leads nowhere"):
        parse(changed("sources.0.model", path))


def test_a_huge_value_does_not_fill_the_screen() -> None:
    with pytest.raises(RecipeError) as caught:
        parse(changed("name", "X" * 100_000))
    assert len(str(caught.value)) < 1000


def test_very_many_mistakes_do_not_fill_the_screen() -> None:
    with pytest.raises(RecipeError) as caught:
        parse(SMALL | {f"field{number}": 1 for number in range(1000)})
    lines = str(caught.value).splitlines()
    assert len(lines) < 25
    assert "1000 mistake(s)" in lines[0]
    assert "and 984 more" in lines[-2]


@pytest.mark.parametrize("part", [{"source": "a"}, {"interleave": ["a", "b"]}], ids=lambda part: next(iter(part)))
def test_more_layers_than_any_model_has_are_refused_before_they_are_written_out(part: dict[str, Any]) -> None:
    with pytest.raises(RecipeError, match="an end of at most"):
        parse(changed("merge.slices.0", part | {"layers": [0, 10**12]}))


def test_a_recipe_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        parse(SMALL).name = "other"  # pyright: ignore[reportAttributeAccessIssue]


# -- arbitrary input ----------------------------------------------------------------------------------------------

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda children: st.lists(children, max_size=4) | st.dictionaries(st.text(max_size=8), children, max_size=4),
    max_leaves=10,
)
FIELDS = [
    "name", "description", "sources", "sources.0", "sources.0.name", "sources.0.model", "sources.0.revision",
    "sources.0.finetune", "merge", "merge.method", "merge.base", "merge.slices", "merge.slices.0.layers",
    "merge.slices.0.layers.1", "merge.slices.0.scale", "heal", "heal.data", "heal.data.0", "heal.alpha", "heal.seed",
    "heal.targets", "gguf", "gguf.quantize", "benchmark", "benchmark.perplexity.texts", "benchmark.references",
    "merge.slices.0", "merge.slices.0.interleave", "merge.slices.0.block", "merge.head", "merge.dtype",
    "merge.vocabulary", "merge.vocabulary.source", "merge.chat_template", "stages", "stages.0", "sources.0.adapter",
    "merge.vocabulary.tokens", "merge.chat_template.jinja", "merge.chat_template.format",
]  # fmt: skip
BLEND_FIELDS = [
    "merge.method", "merge.models", "merge.models.0", "merge.models.0.source", "merge.models.0.weight",
    "merge.models.0.density", "merge.models.0.epsilon", "merge.models.0.layers", "merge.t", "merge.lambda",
    "merge.slices", "merge.normalize", "merge.seed", "merge.select_topk", "merge.tol", "merge.dialect",
]  # fmt: skip


def only_recipe_errors(content: object) -> None:
    """Parse; what is accepted must be fit for a key."""
    try:
        recipe = parse(content)
    except RecipeError:
        return
    canonical_json(recipe.model_dump(mode="json")).encode()


@given(JSON)
def test_any_json_is_a_recipe_or_a_recipe_error(content: object) -> None:
    only_recipe_errors(content)


@settings(max_examples=400)
@given(st.sampled_from(FIELDS), JSON)
def test_any_json_in_any_field_is_a_recipe_or_a_recipe_error(field: str, value: object) -> None:
    content = changed("heal", {"data": [{"text": "builtin:code"}]})
    content["stages"] = [{"name": "first", "merge": SMALL["merge"]}]
    replace(content, field, value)
    only_recipe_errors(content)


@settings(max_examples=400)
@given(
    st.sampled_from(BLEND_FIELDS),
    JSON | st.lists(st.floats(), max_size=3) | st.lists(st.fixed_dictionaries({"filter": st.text(), "value": JSON})),
    st.sampled_from(get_args(BlendMethod)),
)
def test_any_json_in_any_field_of_a_blend(field: str, value: object, method: str) -> None:
    models = [{"source": "a"}, {"source": "b"}]
    content = changed("merge", {"method": method, "base": "a", "models": models})
    replace(content, field, value)
    only_recipe_errors(content)


@given(st.text(), st.sampled_from(["sources.0.model", "description", "merge.base"]))
def test_any_text_in_a_text_field(text: str, field: str) -> None:
    only_recipe_errors(changed(field, text))
    only_recipe_errors(changed(field, f"./{text}"))


# -- the outer surface --------------------------------------------------------------------------------------------


def test_schema(snapshot: SnapshotAssertion) -> None:
    assert Recipe.model_json_schema() == snapshot(extension_class=JSONSnapshotExtension)


def test_every_field_is_described() -> None:
    """The descriptions are the form's help texts."""
    parts = [part for part in vars(recipe_module).values() if isinstance(part, type) and issubclass(part, Part)]
    undescribed = [
        f"{part.__name__}.{name}"
        for part in parts
        for name, field in part.model_fields.items()
        if not field.description
    ]
    assert undescribed == []
    assert all(issubclass(part, BaseModel) and part.model_config.get("frozen") for part in parts)


def test_a_field_given_twice_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "twice.yaml"
    path.write_text("name: one\nname: two\n")
    with pytest.raises(RecipeError, match="name: given more than once"):
        load_recipe(path)


def test_an_anchor_may_be_overridden(tmp_path: Path) -> None:
    path = tmp_path / "anchor.yaml"
    path.write_text("base: &base {name: one}\nother:\n  <<: *base\n  name: two\n")
    with pytest.raises(RecipeError, match="mistake") as caught:  # read, and refused for its fields alone
        load_recipe(path)
    assert "more than once" not in str(caught.value)
