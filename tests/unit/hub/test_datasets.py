"""Data sets of the hub: which files are taken, what pins them, and what is fetched."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from suture.errors import DataError, SourceError
from suture.hub.dataset_files import choose_files, subsets_of
from suture.hub.datasets import fetch_dataset, pin_dataset
from suture.progress import Silent
from suture.recipe import Data
from suture.steps import build_all, plan_step
from suture.store import Store, Workspace, durable
from tests.unit.hub.local_hub import LocalHub

REPO = "someone/talks"
LINES = b'{"messages": []}\n'


def rows_as_parquet(*texts: str) -> bytes:
    content = BytesIO()
    parquet.write_table(pa.Table.from_pylist([{"text": text} for text in texts]), content)
    return content.getvalue()


def data(**fields: Any) -> Data:
    return Data(text=f"hub:{REPO}", **fields)


# -- which files ----------------------------------------------------------------------------------------------------

SHARDS = [
    "data/train-00000-of-00002.parquet",
    "data/train-00001-of-00002.parquet",
    "data/test-00000-of-00001.parquet",
]
CONFIGS = {
    "configs": [
        {"config_name": "chat", "data_files": [{"split": "train", "path": ["chat/*.jsonl"]}], "default": True},
        {"config_name": "code", "data_dir": "code"},
        {"config_name": "odd", "data_files": "odd/**"},
        "nonsense",
    ]
}
NO_DATA = ["dataset_infos.json", ".x/y.json", "../z.json", "q\\..\\r.json"]
FOLDERS = ["chat/one.jsonl", "chat/deep/two.jsonl", "code/train.jsonl", "code/dev.jsonl", "odd/a/b.json"]


@pytest.mark.parametrize(
    ("names", "card", "fields", "expected"),
    [
        (["clean.jsonl", "README.md"], {}, {}, ["clean.jsonl"]),
        (["b.json", "a.jsonl", *NO_DATA], {}, {}, ["a.jsonl", "b.json"]),
        (SHARDS, {}, {}, SHARDS[:2]),
        (SHARDS, {}, {"split": "test"}, SHARDS[2:]),
        (["train.jsonl", "constrained.jsonl", "x/training/a.jsonl"], {}, {}, ["train.jsonl", "x/training/a.jsonl"]),
        (["dev.jsonl", "train.jsonl"], {}, {"split": "validation"}, ["dev.jsonl"]),
        (["sft/a.jsonl", "rl/a.jsonl"], {}, {"split": "sft"}, ["sft/a.jsonl"]),
        (["train.jsonl", "train-1.parquet", "train-2.parquet"], {}, {}, ["train-1.parquet", "train-2.parquet"]),
        (["a/1.jsonl", "a/b/2.jsonl", "3.jsonl"], {}, {"files": "a/*.jsonl"}, ["a/1.jsonl"]),
        (["a/1.jsonl", "a/b/2.jsonl", "3.json"], {}, {"files": "**/*.jsonl"}, ["a/1.jsonl", "a/b/2.jsonl"]),
        (FOLDERS, CONFIGS, {}, ["chat/one.jsonl"]),
        (FOLDERS, CONFIGS, {"subset": "code"}, ["code/train.jsonl"]),
        (FOLDERS, CONFIGS, {"subset": "code", "split": "validation"}, ["code/dev.jsonl"]),
        (FOLDERS, CONFIGS, {"subset": "odd"}, ["odd/a/b.json"]),
    ],
)  # fmt: skip
def test_files_are_chosen_as_the_library_datasets_does(
    names: list[str], card: dict[str, Any], fields: dict[str, Any], expected: list[str]
) -> None:
    assert list(choose_files(data(**fields), names, subsets_of(card), "here")) == expected


@pytest.mark.parametrize(
    ("names", "card", "fields", "problem", "found"),
    [
        (["test.jsonl", "clean.jsonl"], {}, {}, "no such files", "clean.jsonl, test.jsonl"),
        (["clean.jsonl"], {}, {"split": "test"}, "no such files", "clean.jsonl"),
        (["train.csv"], {}, {}, "no such files", "none"),
        (["a.jsonl"], {}, {"files": "*.parquet"}, "no such files", "a.jsonl"),
        (FOLDERS, CONFIGS, {"subset": "prose"}, "no such subset", "chat, code, odd"),
        (FOLDERS, {"configs": CONFIGS["configs"][1:]}, {}, "several subsets", "code, odd"),
        (FOLDERS, CONFIGS, {"split": "test"}, "no such files", "chat/deep/two.jsonl"),
    ],
)
def test_files_that_are_not_there_are_explained(
    names: list[str], card: dict[str, Any], fields: dict[str, Any], problem: str, found: str
) -> None:
    with pytest.raises(DataError, match=problem) as caught:
        choose_files(data(**fields), names, subsets_of(card), "here")
    assert found in str(caught.value.found)


# -- pinning and fetching -------------------------------------------------------------------------------------------


def test_a_data_set_is_fetched_once_whatever_its_card_says(hub: LocalHub, store: Store) -> None:
    files = {"data/train-00000-of-00001.parquet": rows_as_parquet("one"), "data/train.jsonl": LINES}
    first = hub.commit(f"datasets/{REPO}", files | {"data/test.jsonl": LINES, "README.md": b"#"})
    hub.repos[f"datasets/{REPO}"].card = {"license": ["apache-2.0", "mit"]}
    pinned = pin_dataset(data(files="data/train*"))
    assert (pinned.name, pinned.listing.commit) == (f"{REPO}/data/train*", first)
    assert not hub.asked("storage"), "planning reads no row"
    taken = {"data/train-00000-of-00001.parquet": files["data/train-00000-of-00001.parquet"]}
    assert pinned.size == sum(map(len, taken.values()))
    step = plan_step("fetch", "fetch_dataset", pinned.spec)
    made = build_all(step, store, Silent()).artifact
    assert {
        str(path.relative_to(made.path)): path.read_bytes() for path in durable.walk_files(made.path / "data")
    } == taken
    assert made.facts == {
        "dataset": REPO, "commit": first, "licence": "apache-2.0, mit", "files": 1, "bytes": pinned.size,
    }  # fmt: skip
    second = hub.commit(f"datasets/{REPO}", files | {"README.md": b"# Talks"})
    again = pin_dataset(data(files="data/train*"))
    assert (again.listing.commit, plan_step("fetch", "fetch_dataset", again.spec).key) == (second, step.key)
    hub.commit(f"datasets/{REPO}", {"data/train.parquet": rows_as_parquet("two")})
    assert plan_step("fetch", "fetch_dataset", pin_dataset(data()).spec).key != step.key


def test_other_bytes_than_pinned_are_refused(hub: LocalHub, work: Workspace) -> None:
    hub.commit(f"datasets/{REPO}", {"train.parquet": rows_as_parquet("one")})
    hub.faults.corrupt = True
    with pytest.raises(SourceError, match="other bytes"):
        fetch_dataset(pin_dataset(data()).spec, [], work, Silent())
    assert not list(work.out.iterdir())


def test_offline_a_data_set_is_what_it_was(hub: LocalHub, offline: Callable[[], None]) -> None:
    sha = hub.commit(f"datasets/{REPO}", {"train.jsonl": LINES})
    pin_dataset(data())
    asked = len(hub.requests)
    offline()
    assert pin_dataset(data()).listing.commit == sha
    assert pin_dataset(Data(text=f"hub:{REPO}@{sha}")).listing.commit == sha
    assert len(hub.requests) == asked
    with pytest.raises(SourceError, match="forbids to ask"):
        pin_dataset(Data(text="hub:someone/else"))


def test_data_sets_that_cannot_be_had_are_explained(hub: LocalHub, work: Workspace) -> None:
    with pytest.raises(SourceError, match="no such repository"):
        pin_dataset(data())
    hub.commit(f"datasets/{REPO}", {"train.jsonl": LINES})
    with pytest.raises(SourceError, match="no such revision"):
        pin_dataset(Data(text=f"hub:{REPO}@v2"))
    hub.repos[f"datasets/{REPO}"].gated = True
    with pytest.raises(SourceError, match="gated") as caught:
        fetch_dataset(pin_dataset(data()).spec, [], work, Silent())
    assert str(caught.value.where) == f"hub:{REPO}"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"text": "hub:talks"}, "expected hub:owner/name"),
        ({"text": "hub:a/b@"}, "expected hub:owner/name"),
        ({"text": "talks.jsonl", "split": "test"}, "split: expected a data set on the hub"),
        ({"text": "hub:a/b", "files": "*", "split": "test"}, "either files, or subset and split"),
    ],
)
def test_a_recipe_names_data_sets_in_one_way(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Data(**fields)
