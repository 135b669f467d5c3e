"""mergekit files become recipes: `mergekit/NAME.yml` is one, `mergekit/NAME.recipe.yml` the recipe it stands for."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from suture.errors import RecipeError
from suture.recipe import Blend, Passthrough, Recipe, load_recipe
from suture.recipe.load import from_mergekit, parse_recipe
from suture.recipe.mergekit import Translation, is_mergekit, translate
from suture.recipe.mergekit.methods import METHODS
from suture.recipe.mergekit.models import fit_name, free_name
from suture.store import canonical_json

EXAMPLES = Path(__file__).parent / "mergekit"
NAMES = sorted(path.stem for path in EXAMPLES.glob("*.yml") if not path.stem.endswith(".recipe"))


def read(text: str, folder: Path = EXAMPLES) -> Translation:
    return translate(list(yaml.safe_load_all(text)), name="Test file", folder=folder, where="config.yml")


def merge_of(text: str, folder: Path = EXAMPLES) -> dict[str, Any]:
    return read(text, folder).recipe["merge"]


def refusal(text: str) -> str:
    with pytest.raises(RecipeError) as caught:
        read(text)
    return str(caught.value)


# -- the examples ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_an_example_is_the_recipe_beside_it(name: str) -> None:
    assert from_mergekit(EXAMPLES / f"{name}.yml") == (EXAMPLES / f"{name}.recipe.yml").read_text()


@pytest.mark.parametrize("name", NAMES)
def test_a_mergekit_file_and_its_translation_are_the_same_recipe(name: str) -> None:
    direct, translated = load_recipe(EXAMPLES / f"{name}.yml"), load_recipe(EXAMPLES / f"{name}.recipe.yml")
    assert direct.model_copy(update={"description": ""}) == translated


def test_what_has_no_effect_is_in_the_description() -> None:
    recipe = load_recipe(EXAMPLES / "dare_ties.yml")
    assert recipe.description.startswith("From dare_ties.yml, a mergekit file.")
    assert "random_seed: no field that mergekit reads" in recipe.description


def test_what_is_no_mergekit_file_is_not_translated(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text("name: x\nmerge: {method: linear}\n")
    assert not is_mergekit([yaml.safe_load(path.read_text())])
    with pytest.raises(RecipeError, match="not a mergekit file"):
        from_mergekit(path)


# -- which value counts ---------------------------------------------------------------------------------------------

SLICED = """
merge_method: linear
slices:
  - sources:
      - {model: x/a, layer_range: [0, 2], parameters: {weight: 1}}
      - {model: x/b, layer_range: [0, 2]}
    parameters: {weight: 2}
  - sources:
      - {model: x/a, layer_range: [2, 4]}
      - {model: x/b, layer_range: [2, 4], parameters: {weight: [{filter: mlp, value: 3}]}}
parameters: {weight: 4}
"""


def test_source_before_slice_before_file() -> None:
    weights = [[model["weight"] for model in part["models"]] for part in merge_of(SLICED)["slices"]]
    assert weights == [[1, 2], [4, [{"filter": "mlp", "value": 3}, {"filter": "*", "value": 4}]]]


def test_module_before_file() -> None:
    text = (
        "merge_method: slerp\nbase_model: x/a\nmodules: {default: {models: [{model: x/b}], parameters: {t: 0.2}}}\n"
    )
    assert merge_of(text + "parameters: {t: 0.8}")["t"] == 0.2


def test_model_before_file() -> None:
    text = (
        "merge_method: linear\nmodels: [{model: x/a, parameters: {weight: 1}}, {model: x/b}]\nparameters: {weight: 2}"
    )
    assert [model["weight"] for model in merge_of(text)["models"]] == [1, 2]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("0.5", 0.5),
        ("1e-4", 1e-4),  # a text to YAML 1.1
        ("true", 1),
        ("[0.7]", 0.7),
        ("[0, 1]", [0, 1]),
        ("{value: 0.3}", 0.3),
        ("{filter: mlp, value: 0.3}", [{"filter": "mlp", "value": 0.3}]),
        ("[{value: 0.3}, {filter: mlp, value: 0.4}]", 0.3),  # never reached
        ("[{filter: '*', value: [1, 2]}]", [1, 2]),
    ],
)
def test_forms_of_a_parameter(value: str, expected: object) -> None:
    text = f"merge_method: slerp\nbase_model: x/a\nmodels: [{{model: x/b}}]\nparameters: {{t: {value}}}"
    assert merge_of(text)["t"] == expected


# -- models ---------------------------------------------------------------------------------------------------------


def models(*names: str) -> str:
    return yaml.safe_dump({"merge_method": "karcher", "models": [{"model": name} for name in names]})


def test_folders_are_looked_for_beside_the_file_then_in_the_current_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    beside, current = tmp_path / "beside", tmp_path / "current"
    for folder in (beside / "models/one", current / "models/one", current / "two", beside / "x+y@z"):
        folder.mkdir(parents=True)
    monkeypatch.chdir(current)
    sources = read(models("models/one", "two", "../current/two", "x+y@z", "./none", "models/none"), beside)
    assert sources.recipe["sources"] == [
        {"name": "one", "model": "./models/one"},
        {"name": "two", "model": str(current / "two")},
        {"name": "current-two", "model": "../current/two"},
        {"name": "x-y-z", "model": "./x+y@z"},
        {"name": "none", "model": "./none"},
        {"name": "models-none", "model": "models/none"},
    ]
    recipe = parse_recipe(sources.recipe, where="", folder=beside)
    assert [source.model for source in recipe.sources] == [
        str(beside / "models/one"), str(current / "two"), str(current / "two"), str(beside / "x+y@z"),
        str(beside / "none"), "models/none",
    ]  # fmt: skip


def test_an_adapters_folder_is_found_too(tmp_path: Path) -> None:
    (tmp_path / "lora").mkdir()
    translation = read(models("x/a+lora", "x/b"), tmp_path)
    assert translation.recipe["sources"][0] == {"name": "a-lora", "model": "x/a", "adapter": "./lora"}
    source = parse_recipe(translation.recipe, where="", folder=tmp_path).sources[0]
    assert source.adapter == str(tmp_path / "lora")


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("x/a+x/lora@v2", {"name": "a-lora", "model": "x/a", "adapter": "x/lora@v2"}),
        ("x/a@v1+x/lora", {"name": "a-lora", "model": "x/a", "revision": "v1", "adapter": "x/lora"}),
        ({"model": {"path": "x/a"}, "lora": {"path": "x/lora", "revision": "refs/pr/1"}},
         {"name": "a-lora", "model": "x/a", "adapter": "x/lora@refs/pr/1"}),
        ("x/a+/gone/models--x--lora/snapshots/" + 40 * "b",
         {"name": "a-lora", "model": "x/a", "adapter": "x/lora@" + 40 * "b"}),
    ],
)  # fmt: skip
def test_an_adapter_may_have_a_revision(model: object, expected: dict[str, str]) -> None:
    text = yaml.safe_dump({"merge_method": "karcher", "models": [{"model": model}, {"model": "x/b"}]})
    recipe = read(text).recipe
    assert recipe["sources"][0] == expected
    assert Recipe.model_validate(recipe).sources[0].adapter == expected["adapter"]


def test_two_revisions_of_an_adapter_are_two_sources() -> None:
    rows = read(models("x/a+x/lora@v1", "x/a+x/lora@v2")).recipe["sources"]
    assert [row["name"] for row in rows] == ["a-lora", "x-a-lora"]


def test_names_are_fit_and_free() -> None:
    names = [
        row["name"] for row in read(models("x/Merged", "x/A B".replace(" ", "_"), "y/a_b", "y/A_B")).recipe["sources"]
    ]
    assert names == ["x-merged", "a_b", "y-a_b", "y-a_b-2"]
    assert fit_name("-._") == "model"
    assert fit_name("Ü" + "x" * 100) == "x" * 64
    assert free_name(["a" * 64], {"a" * 64, "a" * 58 + "-2"}) == "a" * 58 + "-3"


@pytest.mark.parametrize(
    "model", ["C:\\models\\a", "x/y/z", "a b/c", "x/weights.safetensors", "x/a+b+c", "x/a+", "+b"]
)
def test_what_is_no_model(model: str) -> None:
    with pytest.raises(RecipeError, match="models\\.1\\.model"):
        read(models("x/a", model))


# -- several merges -------------------------------------------------------------------------------------------------


def named(name: str, *uses: str) -> str:
    head = f"name: {name}\n" if name else ""
    return head + models(*uses)


def several(*documents: str) -> str:
    return "---\n".join(documents)


def test_stages_come_in_the_order_of_need() -> None:
    text = several(named("late", "early", "x/a"), named("", "late", "early"), named("early", "x/a", "x/b"))
    recipe = read(text).recipe
    assert [stage["name"] for stage in recipe["stages"]] == ["early", "late"]
    assert [model["source"] for model in recipe["merge"]["models"]] == ["late", "early"]
    assert recipe["name"] == "test-file"


def test_if_all_are_named_the_last_that_no_other_needs_is_the_result() -> None:
    text = several(named("one", "x/a", "x/b"), named("Result", "one", "two"), named("two", "one", "x/b"))
    recipe = read(text).recipe
    assert recipe["name"] == "result"
    assert [stage["name"] for stage in recipe["stages"]] == ["one", "two"]


def test_a_stage_and_a_source_have_names_of_their_own() -> None:
    recipe = read(several(named("a", "x/a", "x/b"), named("", "a", "x/a"))).recipe
    assert [row["name"] for row in recipe["sources"]] == ["x-a", "b"]
    assert Recipe.model_validate(recipe).merge.sources == ("a", "x-a")


@pytest.mark.parametrize(
    ("documents", "words"),
    [
        ([named("", "x/a", "x/b"), named("", "x/a", "x/c")], "More than one merge has no name"),
        ([named("n", "x/a", "x/b"), named("n", "x/a", "x/c")], "Two merges are called n"),
        ([named("n", "m", "x/b"), named("m", "n", "x/c")], "need each other in a circle"),
        ([named("n", "n", "x/b"), named("", "x/a", "x/c")], "need each other in a circle"),
        ([named("n", "x/a", "x/b"), named("", "n+x/lora", "x/c")], "An adapter cannot be fused"),
    ],
)
def test_merges_that_do_not_fit_together(documents: list[str], words: str) -> None:
    assert words in refusal(several(*documents))


# -- what is refused ------------------------------------------------------------------------------------------------

TIES: dict[str, Any] = {
    "merge_method": "ties",
    "base_model": "x/base",
    "models": [{"model": "x/a", "parameters": {"weight": 0.5}}, {"model": "x/b", "parameters": {"weight": 0.5}}],
    "parameters": {"density": 0.5},
}


def ties(**changes: object) -> str:
    content = {**copy.deepcopy(TIES), **changes}
    return yaml.safe_dump({key: value for key, value in content.items() if value != "gone"})


def tokens(choice: object) -> str:
    return ties(tokenizer={"source": "union", "tokens": {"<x>": choice}})


def linear(layer_range: object) -> str:
    sources = [{"model": "x/a", "layer_range": layer_range}]
    return ties(merge_method="linear", models="gone", slices=[{"sources": sources}])


SLICES = [
    {"sources": [{"model": "x/a", "layer_range": [0, 2]}]},
    {"sources": [{"model": "x/b", "layer_range": [2, 4]}]},
]


@pytest.mark.parametrize(
    ("text", "field", "words"),
    [
        (ties(merge_method="slurp"), "merge_method", "no merge method of this name"),
        (ties(merge_method=["ties"]), "merge_method", "A text is missing"),
        (ties(base_model="gone"), "merge_method", "ties needs a base"),
        (ties(models="gone"), "merge_method", "One of `models`, `slices` and `modules`"),
        (ties(slices=SLICES), "merge_method", "One of `models`, `slices` and `modules`"),
        (ties(modules={"default": {"models": []}}), "merge_method", "One of `models`, `slices` and `modules`"),
        (ties(models=[]), "models", "A list is missing"),
        (ties(models=[{"model": "x/a", "weight": 1}]), "models.0", "`weight` is missing"),
        (ties(models=[{"parameters": {"weight": 1}}]), "models.0", "A model is missing"),
        (ties(merge_method="linear"), "base_model", "`weight` is missing"),  # the base is one of the models
        (ties(merge_method="slerp"), "models", "`t` is missing"),
        (ties(models="gone", slices=[{"parameters": {}}]), "slices.0", "A slice has no `sources`"),
        (ties(models=[{"model": "x/a"}]), "models.0", "`weight` is missing"),
        (ties(parameters={"density": "much"}), "parameters.density", "A parameter is none"),
        (ties(parameters={"density": [0.5, "x"]}), "parameters.density.1", "A number is missing"),
        (ties(parameters={"density": float("nan")}), "parameters.density", "A parameter is none"),
        (ties(parameters={"density": [{"filter": "mlp"}]}), "parameters.density.0", "A filter has no value"),
        (ties(parameters={"density": [{"filtre": "mlp"}]}), "parameters.density.0.filtre", "no field here"),
        (ties(parameters={"normalize": 2}), "parameters.normalize", "A yes or no is missing"),
        (ties(parameters={"normalize": [1, 0]}), "parameters.normalize", "A yes or no is missing"),
        (ties(dtype="int8"), "dtype", "No such dtype"),
        (ties(out_dtype="float64"), "out_dtype", "No such dtype"),
        (tokens({"force": True}), "tokenizer.tokens.<x>", "has no `source`"),
        (tokens({"source": {"kind": "mean"}}), "tokenizer.tokens.<x>.source.kind", "No such kind"),
        (tokens({"source": {"kind": "zero", "model": "x/a"}}), "tokenizer.tokens.<x>.source.model", "no field here"),
        (tokens({"source": {"kind": "model_token", "token": "y"}}), "tokenizer.tokens.<x>.source", "A model is miss"),
        (tokens({"source": {"kind": "model_token", "model": "x/a"}}), "tokenizer.tokens.<x>.source", "Which token"),
        (tokens({"source": "x/a", "force": "often"}), "tokenizer.tokens.<x>.force", "A yes or no is missing"),
        (ties(tokenizer={"sauce": "union"}), "tokenizer.sauce", "no field here"),
        (ties(tokenizer={"source": "base"}, tokenizer_source="base"), "tokenizer_source", "given twice"),
        (ties(chat_template="vicuna"), "chat_template", "No such chat template"),
        (ties(chat_template="{% for message in messages %}"), "chat_template", "a mistake in line 1"),
        (ties(chat_template="{{ message }}"), "chat_template", "never looks at `messages`"),
        (ties(experts=[]), "experts", "mergekit-moe builds a mixture of experts"),
        (yaml.safe_dump({"genome": {"models": ["x/a"]}, "tasks": []}), "genome", "mergekit-evolve searches"),
        (ties(merge_method="gone"), "config.yml", "no `merge_method`"),
        (ties(models={"a": 1}), "models", "A list is missing"),
        (ties(merge_method="passthrough"), "models", "one model at a time"),
        (ties(merge_method="passthrough", models=[{"model": "x/a"}]), "base_model", "one model at a time"),
        (ties(merge_method="linear", models="gone", slices=[{"sources": [{"model": "x/a"}]}, SLICES[1]]),
         "slices.0.sources.0", "no `layer_range`"),
        (linear("0-2"), "slices.0.sources.0.layer_range", "A list is missing"),
        (linear([0, 1.5]), "slices.0.sources.0.layer_range", "A layer_range is none"),
        (linear([0, 1, 2]), "slices.0.sources.0.layer_range", "A layer_range is none"),
        (ties(modules={"text": {"models": []}, "vision": {"slices": []}}, models="gone"), "modules", "its own way"),
        (ties(merge_method="multislerp", parameters={"normalize_weights": False}), "parameters.normalize_weights",
         "cannot be chosen"),
        (ties(models=[{"model": {"model": {"revision": "x"}}}]), "models.0.model.model", "A path is missing"),
        (ties(models=[{"model": {"model": {"path": "x/a"}, "override_architecture": "Llama"}}]),
         "models.0.model.override_architecture", "finds the layers by itself"),
    ],
)  # fmt: skip
def test_what_is_not_supported_is_named(text: str, field: str, words: str) -> None:
    message = refusal(text)
    where = next(line for line in message.splitlines() if line.startswith("  where:"))
    assert where.endswith(f" {field}")
    assert words in message


@pytest.mark.parametrize(
    ("method", "normalize"),
    [("linear", True), ("task_arithmetic", False), ("ties", True), ("dare_linear", False), ("dare_ties", False),
     ("della", True), ("della_linear", False), ("breadcrumbs", False), ("breadcrumbs_ties", False)],
)  # fmt: skip
def test_weights_are_divided_by_their_sum_where_mergekit_was_seen_to_do_so(method: str, normalize: bool) -> None:
    base = {"base_model": "gone"} if method == "linear" else {}
    merge = Recipe.model_validate(read(ties(merge_method=method, **base)).recipe).merge
    assert isinstance(merge, Blend)
    assert merge.is_normalized is normalize


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({"nuslerp_flatten": False}, {"flatten": False, "row_wise": True}),
        ({"nuslerp_flatten": False, "nuslerp_row_wise": True}, {"flatten": False}),
        ({"nuslerp_flatten": True, "nuslerp_row_wise": True}, {"flatten": True}),
        ({"nuslerp_row_wise": True}, {}),
    ],
)
def test_mergekits_rows_are_columns(parameters: dict[str, bool], expected: dict[str, bool]) -> None:
    merge = merge_of(ties(merge_method="nuslerp", base_model="gone", parameters=parameters))
    assert {name: merge[name] for name in ("flatten", "row_wise") if name in merge} == expected


def test_filters_that_leave_tensors_out_are_told_of() -> None:
    notes = read(ties(parameters={"density": [{"filter": "mlp", "value": 0.5}]})).notes
    assert not any("density" in note for note in notes)  # mergekit has a default for it
    notes = read(ties(models=[{"model": "x/a", "parameters": {"weight": [{"filter": "mlp", "value": 0.5}]}}])).notes
    assert any(note.startswith("weight: tensors that no filter fits") for note in notes)


def scaled(first: object, last: object) -> str:
    parts = [
        {"sources": [{"model": "x/a", "layer_range": [0, 2], "parameters": {"scale": scale}}]}
        for scale in (first, last)
    ]
    return yaml.safe_dump({"merge_method": "passthrough", "slices": parts})


def test_a_scale_that_reaches_beyond_the_layers_is_refused() -> None:
    assert "would scale model.embed_tokens.weight" in refusal(scaled(0.5, 1))
    assert "would scale model.norm.weight and lm_head.weight" in refusal(scaled(1, [0.5, 1]))
    assert merge_of(scaled([1, 0.5], [1, 0.5]))["slices"][1]["scale"] == [1, 0.5]
    assert "would scale model.norm.weight" in refusal(scaled(1, [{"filter": "norm", "value": 0.5}]))
    layers = [{"filter": "o_proj", "value": 0.5}]
    assert merge_of(scaled(layers, [{"filter": "embed", "value": 0.5}, *layers]))["slices"][0]["scale"] == layers


def test_a_setting_of_the_whole_merge_cannot_differ_between_slices() -> None:
    part = {"sources": [{"model": f"x/{name}", "layer_range": [0, 2]} for name in "ab"]}
    slices = [{**part, "parameters": {"lambda": value}} for value in (1, 2)]
    content = {"merge_method": "task_arithmetic", "base_model": "x/a", "slices": slices, "parameters": {"weight": 1}}
    assert "slices.0.parameters.lambda" in refusal(yaml.safe_dump(content))
    slices[1]["parameters"] = slices[0]["parameters"]
    assert merge_of(yaml.safe_dump(content))["lambda"] == 1


def test_mistakes_of_the_merge_itself_are_told_of_the_translation(tmp_path: Path) -> None:
    path = tmp_path / "config.yml"
    path.write_text(ties(merge_method="slerp", parameters={"t": 0.5}))
    with pytest.raises(RecipeError, match="slerp: expected two models, the base") as caught:
        load_recipe(path)
    assert "translated from mergekit" in str(caught.value.where)


# -- tokens and chat template ---------------------------------------------------------------------------------------


def test_rows_of_single_tokens() -> None:
    listed = {
        "<a>": {"source": "x/a"},
        "<b>": {"source": "x/c", "force": True},
        "<c>": {"source": {"kind": "model_token", "model": "x/a", "token": "<old>"}},
        "<d>": {
            "source": {"kind": "model_token", "model": {"model": {"path": "x/a"}}, "token_id": 7},
            "force": False,
        },
        "<e>": {"source": {"kind": "zero"}, "force": 1},
    }
    translation = read(ties(tokenizer={"source": "base", "tokens": listed, "pad_to_multiple_of": 8}))
    vocabulary = translation.recipe["merge"]["vocabulary"]
    assert vocabulary == {
        "source": "base",
        "pad_to_multiple_of": 8,
        "tokens": [
            {"token": "<a>", "source": "a"},
            {"token": "<b>", "source": "c", "force": True},
            {"token": "<c>", "source": "a", "like": "<old>"},
            {"token": "<d>", "source": "a", "row": 7},
            {"token": "<e>", "zero": True, "force": True},
        ],
    }
    assert {"name": "c", "model": "x/c"} in translation.recipe["sources"]
    assert Recipe.model_validate(translation.recipe).merge.sources == ("base", "a", "b", "c")


def test_the_mean_that_mergekit_takes_is_told_of_where_it_can_be() -> None:
    def is_told(text: str) -> bool:
        return any("takes the mean of all" in note for note in read(text).notes)

    assert is_told(ties(tokenizer_source="union"))
    assert is_told(ties(tokenizer_source="x/a"))
    assert not is_told(ties(tokenizer_source="base"))
    assert not is_told(ties())
    assert not is_told(ties(tokenizer_source="union", models=TIES["models"][:1]))


@pytest.mark.parametrize("name", ["auto", "chatml", "llama3", "alpaca", "mistral", "exaone"])
def test_a_chat_template_by_name(name: str) -> None:
    translation = read(ties(chat_template=name))
    assert translation.recipe["merge"]["chat_template"] == {"format": name}
    assert any(note.startswith(f"chat_template {name}: Suture's own") for note in translation.notes) is (
        name != "auto"
    )
    Recipe.model_validate(translation.recipe)


def test_a_chat_template_of_ones_own_is_taken_as_it_is() -> None:
    text = "{% for message in messages %}\n{{ message.content }}{% endfor %}\n\n"
    assert merge_of(ties(chat_template=text))["chat_template"] == {"jinja": text}


# -- arbitrary input ------------------------------------------------------------------------------------------------

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda children: st.lists(children, max_size=4) | st.dictionaries(st.text(max_size=8), children, max_size=4),
    max_leaves=10,
)
FULL: dict[str, Any] = {
    "merge_method": "della",
    "base_model": "x/base",
    "slices": [
        {
            "sources": [
                {"model": "x/a@v1", "layer_range": [0, 2], "parameters": {"weight": [{"filter": "mlp", "value": 1}]}},
                {"model": {"model": {"path": "x/b"}, "lora": {"path": "x/c"}}, "layer_range": [0, 2]},
            ],
            "parameters": {"density": [0.1, 0.9]},
        }
    ],
    "parameters": {"weight": 1, "lambda": 1.0, "normalize": 1.0, "int8_mask": True},
    "dtype": "bfloat16",
    "out_dtype": "float32",
    "tokenizer": {
        "source": "union",
        "pad_to_multiple_of": 8,
        "tokens": {"<x>": {"source": {"kind": "model_token", "model": "x/b", "token_id": 1}, "force": True}},
    },
    "chat_template": "auto",
    "name": "full",
}


def places(value: object, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """Every place in a JSON value."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(inner for key, item in items for inner in places(item, (*path, key)))]


def only_recipe_errors(documents: list[object]) -> None:
    """Translate and parse; what is accepted must be fit for a key."""
    try:
        content = translate(documents, name="fuzz", folder=Path("/recipes"), where="fuzz").recipe
        recipe = parse_recipe(content, where="fuzz", folder=Path("/recipes"))
    except RecipeError:
        return
    assert isinstance(recipe.merge, Blend | Passthrough)
    canonical_json(recipe.model_dump(mode="json")).encode()


FIELDS = [
    "models",
    "slices",
    "modules",
    "base_model",
    "parameters",
    "dtype",
    "tokenizer",
    "chat_template",
    "name",
    "x",
]
DOCUMENTS = st.fixed_dictionaries({"merge_method": st.sampled_from(["passthrough", *METHODS])}).flatmap(
    lambda head: st.dictionaries(st.sampled_from(FIELDS), JSON).map(lambda rest: {**rest, **head})
)


@given(st.lists(DOCUMENTS, min_size=1, max_size=3))
def test_any_json_in_any_field_is_a_recipe_or_a_recipe_error(documents: list[object]) -> None:
    assert is_mergekit(documents)
    only_recipe_errors(documents)


@settings(max_examples=300)
@given(st.sampled_from(places(FULL)[1:]), JSON, st.booleans())
def test_any_json_in_any_place_is_a_recipe_or_a_recipe_error(
    path: tuple[str | int, ...], value: object, several: bool
) -> None:
    holder: Any = [copy.deepcopy(FULL)]
    place: Any = holder
    for key in (0, *path)[:-1]:
        place = place[key]
    place[(0, *path)[-1]] = value
    only_recipe_errors([*holder, {**FULL, "name": "other"}] if several else holder)


@given(st.text())
def test_any_text_is_a_model_or_a_recipe_error(text: str) -> None:
    for model in (text, f"./{text}", f"x/a+{text}", f"x/a@{text}"):
        only_recipe_errors([{"merge_method": "karcher", "models": [{"model": "x/b"}, {"model": model}]}])
