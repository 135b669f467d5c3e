"""Watching sources on the local hub: what is a change, when it is built, and that it is built once."""

from __future__ import annotations

import json
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml

from suture.cli import app
from suture.errors import RecipeError
from suture.hub.watch import QUIET, Due, Look, accept_licences, look_at, start_once
from suture.recipe import Recipe, load_recipe, parse_recipe
from suture.store import RunRecord, Store
from suture.store.runs import write_run
from tests.unit.hub.checkpoint_files import checkpoint_files
from tests.unit.hub.local_hub import LocalHub

NOON = datetime(2026, 11, 29, 12, tzinfo=UTC)
CARD = b"---\nlicense: mit\n---\n# A model\n"

Files = dict[str, bytes]


@pytest.fixture
def files() -> Files:
    return checkpoint_files(rows=64) | {"README.md": CARD, "LICENSE": b"MIT License\n"}


@pytest.fixture
def recipe(hub: LocalHub, files: Files, tmp_path: Path) -> Recipe:
    """A recipe of two models on the hub."""
    hub.commit("somebody/a", files)
    hub.commit("somebody/b", files)
    content = {
        "name": "pair",
        "sources": [{"name": name, "model": f"somebody/{name}"} for name in "ab"],
        "merge": {"method": "linear", "base": "a", "models": [{"source": "a"}, {"source": "b"}]},
    }
    return parse_recipe(content, where="test", folder=tmp_path)


def at(minutes: float) -> datetime:
    return NOON + timedelta(minutes=minutes)


def verdicts(look: Look) -> dict[str, str]:
    return {source.name: source.verdict for source in look.sources} | {"overall": look.verdict}


def completed(store: Store, due: Due, run: str = "20261129-130000-pair-0000") -> None:
    """Write the record of a completed run of what was due."""
    recipe = due.recipe.model_dump(mode="json")
    write_run(store, RunRecord(run=run, recipe=recipe, started=NOON, state="completed", keys=()))


def weights(files: Files, last: bytes) -> Files:
    name = "model-00002-of-00002.safetensors"
    return {**files, name: files[name][:-4] + last}


def test_from_a_commit_to_one_build(hub: LocalHub, recipe: Recipe, files: Files, store: Store) -> None:
    look, due = look_at(recipe, store, now=at(0))
    assert (verdicts(look), due) == ({"a": "new", "b": "new", "overall": "new"}, None)
    look, due = look_at(recipe, store, now=at(1))
    assert (look.verdict, due) == ("unchanged", None)

    hub.commit("somebody/a", {**files, "README.md": CARD + b"More words.\n", "picture.png": b"\x89PNG"})
    look, due = look_at(recipe, store, now=at(2))
    assert verdicts(look) == {"a": "cosmetic", "b": "unchanged", "overall": "cosmetic"}
    look, due = look_at(recipe, store, now=at(60))
    assert (look.verdict, due) == ("unchanged", None)

    first = hub.commit("somebody/a", weights(files, b"aaaa"))
    look, due = look_at(recipe, store, now=at(61))
    assert verdicts(look) == {"a": "material", "b": "unchanged", "overall": "material"}
    assert look.sources[0].changed == ("model-00002-of-00002.safetensors",)
    assert (look.due, look.due_at, due) == (False, at(61) + QUIET, None)
    second = hub.commit("somebody/a", {**weights(files, b"bbbb"), "chat_template.jinja": b"{{ messages }}"})
    assert first != second
    look, due = look_at(recipe, store, now=at(77))  # 16 minutes after the first commit, but it is not quiet
    assert due is None
    look, due = look_at(recipe, store, now=at(92))
    assert due is not None
    assert {source.revision for source in due.recipe.sources} == {second, hub.repos["somebody/b"].branches["main"]}

    started: list[str] = []

    def start(due: Due) -> str:
        started.append(due.combination)
        return f"run {len(started)}"

    barrier = threading.Barrier(4)

    def watcher() -> None:
        barrier.wait()
        start_once(store, due, start)

    threads = [threading.Thread(target=watcher) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert started == [due.combination]
    assert start_once(Store(store.root), due, start) == "run 1"
    look, again = look_at(recipe, Store(store.root), now=at(300))
    assert (look.verdict, look.started, again) == ("material", "run 1", None)

    completed(store, due)
    look, again = look_at(recipe, store, now=at(301))
    assert (look.verdict, again) == ("unchanged", None)
    hub.commit("somebody/a", {**weights(files, b"bbbb"), "chat_template.jinja": b"{{ messages }}", "x.md": b"x"})
    look, again = look_at(recipe, store, now=at(400))
    assert (look.verdict, again) == ("cosmetic", None)
    assert not any(request.server == "storage" and request.method == "GET" for request in hub.requests)


def test_a_watcher_that_died_while_starting_starts_the_same_again(
    hub: LocalHub, recipe: Recipe, files: Files, store: Store
) -> None:
    look_at(recipe, store, now=at(0))
    hub.commit("somebody/b", weights(files, b"cccc"))
    look_at(recipe, store, now=at(1))
    _, due = look_at(recipe, store, now=at(20))
    assert due is not None

    def die(_: Due) -> str:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        start_once(store, due, die)
    hub.commit("somebody/b", {**weights(files, b"cccc"), "README.md": CARD + b"Only words."})
    _, later = look_at(recipe, store, now=at(40))
    assert later is not None
    assert later.combination == due.combination
    assert later.recipe != due.recipe
    asked: list[Due] = []
    start_once(store, later, lambda due: asked.append(due) or "run")
    assert asked == [due]  # with the commits of the first time, so that a server finds what it has


@pytest.mark.parametrize(
    ("fault", "verdict"),
    [
        ("gone", "gone"),
        ("private", "gone"),
        ("gated", "gated"),
        ("429", "rate_limited"),
        ("500", "unreachable"),
        ("down", "unreachable"),
        ("emptied", "gone"),
    ],
)
def test_a_hub_that_fails_starts_nothing(
    hub: LocalHub,
    recipe: Recipe,
    files: Files,
    store: Store,
    monkeypatch: pytest.MonkeyPatch,
    fault: str,
    verdict: str,
) -> None:
    look_at(recipe, store, now=at(0))
    hub.commit("somebody/b", weights(files, b"dddd"))
    look_at(recipe, store, now=at(1))
    repo = hub.repos["somebody/a"]
    match fault:
        case "gone":
            del hub.repos["somebody/a"]
        case "private":
            repo.private = True
        case "gated":
            repo.gated = True
        case "emptied":
            hub.commit("somebody/a", {"README.md": CARD})
        case "down":
            monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
        case status:
            hub.faults.api_status = int(status)
            hub.waits = {"Retry_After": "600"} if status == "429" else {}
    look, due = look_at(recipe, store, now=at(30))
    assert verdicts(look)["a"] == verdict
    assert (look.verdict, look.due, due) == (verdict, False, None)
    if fault == "429":
        asked = len(hub.requests)
        look, _ = look_at(recipe, store, now=at(39))
        assert (look.verdict, len(hub.requests)) == ("rate_limited", asked)
        hub.faults.api_status = 200
        look, due = look_at(recipe, store, now=at(41))
        assert (look.verdict, due is None) == ("material", False)


def test_a_hub_that_flaps_starts_nothing(hub: LocalHub, recipe: Recipe, files: Files, store: Store) -> None:
    look_at(recipe, store, now=at(0))
    for minute in range(1, 120, 10):
        hub.commit("somebody/a", weights(files, b"eeee") if minute % 20 == 1 else files)
        look, due = look_at(recipe, store, now=at(minute))
        assert due is None
    assert look.verdict == "cosmetic"  # another commit, with the content of the first


def test_a_changed_licence_holds_back(hub: LocalHub, recipe: Recipe, files: Files, store: Store) -> None:
    look_at(recipe, store, now=at(0))
    hub.commit("somebody/a", {**weights(files, b"ffff"), "README.md": b"---\nlicense: cc-by-nc-4.0\n---\n"})
    look_at(recipe, store, now=at(1))
    look, due = look_at(recipe, store, now=at(60))
    assert (look.verdict, due) == ("licence_changed", None)
    assert "mit" in look.sources[0].why
    assert "cc-by-nc-4.0" in look.sources[0].why
    accept_licences(recipe, store)
    look, due = look_at(recipe, store, now=at(61))
    assert look.verdict == "material"
    assert due is not None


def test_the_command(
    hub: LocalHub, recipe: Recipe, files: Files, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ours = tmp_path / "ours.yaml"
    ours.write_text(yaml.safe_dump(recipe.model_dump(mode="json", exclude_defaults=True)))
    theirs = tmp_path / "theirs.yml"
    parts = [{"model": f"somebody/{name}", "parameters": {"weight": 0.5}} for name in "ab"]
    theirs.write_text(yaml.safe_dump({"merge_method": "linear", "models": parts, "dtype": "bfloat16"}))
    for path, changes in ((ours, (b"1111", b"2222")), (theirs, (b"3333", b"4444"))):
        found = []
        for change in changes:
            app(["watch", str(path), "--once", "--json"], standalone_mode=False)
            found.append(json.loads(capsys.readouterr().out)["verdict"])
            hub.commit("somebody/b", weights(files, change))
        app(["watch", str(path), "--once"], standalone_mode=False)
        assert found == ["new", "material"]
        assert "material" in capsys.readouterr().out
    local = load_recipe(ours).model_copy(update={"sources": (recipe.sources[0].model_copy(update={"model": "/a"}),)})
    with pytest.raises(RecipeError, match="nothing to watch"):
        look_at(local, Store(tmp_path / "other"))


def test_adapters_and_data_sets_are_watched_too(hub: LocalHub, recipe: Recipe, store: Store, tmp_path: Path) -> None:
    hub.commit("datasets/someone/talks", {"train.jsonl": b'{"text": "a"}\n'})
    adapter = {"adapter_config.json": b"{}", "adapter_model.safetensors": b"one"}
    hub.commit("somebody/lora", adapter)
    content = recipe.model_dump(mode="json", exclude_defaults=True)
    content["sources"][0]["adapter"] = "somebody/lora"
    content["heal"] = {"data": [{"text": "hub:someone/talks"}], "steps": 1}
    whole = parse_recipe(content, where="test", folder=tmp_path)
    look_at(whole, store, now=at(0))
    talks = hub.commit("datasets/someone/talks", {"train.jsonl": b'{"text": "b"}\n'})
    lora = hub.commit("somebody/lora", {**adapter, "adapter_model.safetensors": b"two"})
    look, due = look_at(whole, store, quiet=timedelta(0), now=at(1))
    assert verdicts(look) == {
        "a": "unchanged",
        "b": "unchanged",
        "a-adapter": "material",
        "hub:someone/talks": "material",
        "overall": "material",
    }
    assert due is not None
    assert due.recipe.heal is not None
    assert due.recipe.heal.data[0].text == f"hub:someone/talks@{talks}"
    assert due.recipe.sources[0].adapter == f"somebody/lora@{lora}"
