"""Training data from the hub, and in the words of a merge: planned, fetched, tokenised, shown."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from safetensors.numpy import load_file
from tokenizers import Tokenizer

from suture.direct_heal import preview_data
from suture.errors import DataError, SourceError
from suture.plan import Plan, judge_plan, resolve
from suture.progress import Silent
from suture.recipe import Recipe, parse_recipe
from suture.settings import settings
from suture.steps import PlannedStep, build_all, store_of_this_machine
from tests.unit.hub import local_hub
from tests.unit.hub.local_hub import LocalHub

REPO = "someone/talks"
TEMPLATE = """\
{%- for m in messages -%}{{ '[' + m.role + ']\\n' + m.content + '\\n' }}{%- endfor -%}
{%- if add_generation_prompt -%}{{ '[assistant]\\n' }}{%- endif -%}"""


@pytest.fixture(autouse=True)
def _own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("store", "cache"):
        monkeypatch.setenv(f"SUTURE_{name.upper()}", str(tmp_path / name))
    monkeypatch.setattr("suture.plan.arms.expected_version", lambda: "llama.cpp of this test")
    settings.cache_clear()


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalHub]:
    with local_hub.serve() as server:
        monkeypatch.setenv("HF_ENDPOINT", server.endpoint)
        yield server


def lines(*talks: str) -> bytes:
    turns = [[("human", f"What is {talk}?"), ("gpt", f"It is {talk}.")] for talk in talks]
    rows = [{"conversation": [{"from": who, "value": said} for who, said in each], "id": 1} for each in turns]
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def recipe_of(tmp_path: Path, pico: Path, template: str | None = TEMPLATE, **merge: Any) -> Recipe:
    for name in "ab":
        (tmp_path / name).mkdir()
        for file in pico.iterdir():
            (tmp_path / name / file.name).write_bytes(file.read_bytes())
        if template:
            (tmp_path / name / "chat_template.jinja").write_text(template)
    other = Tokenizer.from_file(str(pico / "tokenizer.json"))
    other.add_special_tokens(["<|seam|>"])
    other.save(str(tmp_path / "b" / "tokenizer.json"))
    slices = [{"source": "a", "layers": [0, 2]}, {"source": "b", "layers": [1, 3]}]
    content = {
        "name": "stack",
        "sources": [{"name": name, "model": str(tmp_path / name)} for name in "ab"],
        "merge": {"method": "passthrough", "base": "a", "slices": slices, **merge},
        "heal": {
            "data": [{"text": f"hub:{REPO}"}],
            "steps": 2,
            "batch_size": 2,
            "gradient_accumulation": 1,
            "sequence_length": 64,
        },
        "benchmark": {"perplexity": {"texts": [{"text": "builtin:code"}]}},
    }
    return parse_recipe(content, where="recipe", folder=tmp_path)


def step(plan: Plan, label: str) -> PlannedStep:
    return next(step for step in plan.steps if step.label == label)


def test_a_data_set_is_read_as_it_is_pinned(tmp_path: Path, pico: Path, hub: LocalHub) -> None:
    files = {"data/train-1.jsonl": lines("a seam", "a layer"), "data/train-2.jsonl": lines("a seam", "a model")}
    sha = hub.commit(f"datasets/{REPO}", files | {"data/test.jsonl": b"not looked at"})
    hub.repos[f"datasets/{REPO}"].card = {"license": "cc-by-4.0"}
    recipe = recipe_of(tmp_path, pico)
    plan = resolve(recipe)
    assert [(one.repo, one.commit) for one in plan.datasets] == [(REPO, sha)]
    assert "cc-by-4.0" in {name for asked in judge_plan(plan).requirements for name in asked.licences}
    assert plan.recipe == recipe
    data = step(plan, "dataset heal")
    assert [parent.step for parent in data.parents] == ["fetch", "fetch_dataset"]
    assert not hub.asked("hub", "/resolve/"), "planning reads no row"
    preview = preview_data(recipe, 4, Silent())
    texts = {"".join(piece.text for piece in row) for row in preview.rows}
    assert texts == {
        f"[user]\nWhat is {talk}?\n[assistant]\nIt is {talk}.\n" for talk in ("a seam", "a layer", "a model")
    }
    (part,) = preview.parts
    assert (part.name, part.epochs) == (REPO, round(4 / 3, 4)), "equal conversations of two files are one"


def test_a_malformed_line_is_named_with_its_file(tmp_path: Path, pico: Path, hub: LocalHub) -> None:
    files = {"train-1.jsonl": lines("a seam"), "train-2.jsonl": lines("a layer", "a model") + b"{broken\n"}
    hub.commit(f"datasets/{REPO}", files)
    with pytest.raises(DataError, match="not JSON") as caught:
        preview_data(recipe_of(tmp_path, pico), 1, Silent())
    assert caught.value.where == f"{REPO}: train-2.jsonl, line 3"


@pytest.mark.parametrize(("template", "problem"), [(None, "no chat template"), ("{{ 'a' * 10**10 }}", "takes more")])
def test_a_model_without_a_template_that_can_be_used_is_explained(
    tmp_path: Path, pico: Path, hub: LocalHub, template: str | None, problem: str
) -> None:
    hub.commit(f"datasets/{REPO}", {"train.jsonl": lines("a seam")})
    with pytest.raises(SourceError, match=problem):
        preview_data(recipe_of(tmp_path, pico, template), 1, Silent())


def test_a_merge_with_a_template_of_its_own_is_healed_in_it(tmp_path: Path, pico: Path, hub: LocalHub) -> None:
    hub.commit(f"datasets/{REPO}", {"train.jsonl": lines("a seam")})
    recipe = recipe_of(tmp_path, pico, chat_template={"jinja": TEMPLATE.replace("[", "<").replace("]", ">")})
    plan = resolve(recipe)
    data = step(plan, "dataset heal")
    assert data.parents[0].label == "merge"
    assert data in step(plan, "finetune control").parents, "the tokens are the same"
    (row,) = preview_data(recipe, 1, Silent()).rows
    assert row[0].text == "<user>\nWhat is a seam?\n<assistant>\n"


def test_a_control_with_other_tokens_reads_its_own(tmp_path: Path, pico: Path, hub: LocalHub) -> None:
    hub.commit(f"datasets/{REPO}", {"train.jsonl": lines("a <|seam|>")})
    plan = resolve(recipe_of(tmp_path, pico, vocabulary={"union": True}))
    healed, control = step(plan, "dataset heal"), step(plan, "dataset control")
    assert healed in step(plan, "heal healed").parents
    assert control in step(plan, "finetune control").parents
    assert [made.parents[0].step for made in (healed, control)] == ["merge", "fetch"]
    of_merge, of_base = (
        load_file(build_all(made, store_of_this_machine(), Silent()).artifact.path / "train.safetensors")["input_ids"]
        for made in (healed, control)
    )
    base = Tokenizer.from_file(str(pico / "tokenizer.json"))
    assert of_base.max() < base.get_vocab_size() <= of_merge.max()
    assert "What is a <|seam|>?" in base.decode(of_base.tolist())
