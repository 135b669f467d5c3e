"""Publishing through huggingface_hub's own client to the local hub, and fetching it back."""

from __future__ import annotations

import json
from pathlib import Path

import httpx
import pytest
import yaml

from suture.cli import app
from suture.errors import HostError, SourceError, TransientError
from suture.hub.fetch import HubFetch, fetch
from suture.hub.licences import licence_of_card
from suture.hub.provenance import verify
from suture.plan import Plan
from suture.progress import Silent
from suture.publish import draft, pick, plan_upload, publish
from suture.recipe import load_recipe
from suture.store import Store, Workspace
from tests.unit.hub.local_hub import LocalHub
from tests.unit.publish.conftest import RUN, make_run

REPO = "me/pico"

pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")  # in huggingface_hub's own upload


def suture(*arguments: str) -> int:
    return app(arguments, standalone_mode=False) or 0


def download(hub: LocalHub, folder: Path) -> Path:
    """Fetch all of a repository, whatever it holds."""
    authorization = {"Authorization": "Bearer hf_canary"}
    listed = httpx.get(f"{hub.endpoint}/api/models/{REPO}", headers=authorization).json()["siblings"]
    for name in (row["rfilename"] for row in listed):
        answer = httpx.get(f"{hub.endpoint}/{REPO}/resolve/main/{name}", headers=authorization, follow_redirects=True)
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(answer.raise_for_status().content)
    return folder


def puts(hub: LocalHub) -> int:
    return sum(request.method == "PUT" for request in hub.requests)


def test_a_run_is_published_fetched_back_and_verified(
    hub: LocalHub, run: Plan, store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert suture("publish", RUN, REPO, "--dry-run") == 0
    shown = capsys.readouterr().out
    assert REPO not in hub.repos
    assert "pico-Q8_0.gguf" in shown
    assert "# pico" in shown

    assert suture("publish", RUN, REPO) == 0
    assert hub.repos[REPO].private
    head = hub.repos[REPO].branches["main"]

    folder = download(hub, tmp_path / "copy")
    statement, problems = verify(folder)
    assert problems == []
    assert suture("provenance", "verify", str(folder)) == 0
    assert statement is not None
    commits = {name: hub.repos[f"somebody/{name}"].branches["main"] for name in "ab"}
    sources = {each.name: each.digest for each in statement.predicate.build_definition.resolved_dependencies}
    assert sources == {f"somebody/{name}": {"gitCommit": commit} for name, commit in commits.items()}
    merged = store.load(next(step.key for step in run.steps if step.label == "merge"))
    assert (folder / "model.safetensors").read_bytes() == (merged.path / "model.safetensors").read_bytes()

    card = yaml.safe_load((folder / "README.md").read_text().split("---\n")[1])
    assert card["base_model"] == ["somebody/a", "somebody/b"]
    assert card["base_model_relation"] == "merge"
    assert card["license"] == "apache-2.0"
    assert {"merge", "suture", "linear", "gguf"} <= set(card["tags"])
    assert card["model-index"][0]["results"][0]["metrics"][0]["value"] == 12.5
    assert {source.revision for source in load_recipe(folder / "recipe.yaml").sources} == set(commits.values())
    assert (folder / "licences" / "somebody--a" / "LICENSE").read_text().startswith("Apache License")

    everything = b"".join(path.read_bytes() for path in folder.rglob("*.*") if path.suffix != ".safetensors")
    assert b"hf_canary" not in everything
    assert str(tmp_path).encode() not in everything

    asked = len(hub.requests)
    assert suture("publish", RUN, REPO) == 0
    assert "Nothing changed" in capsys.readouterr().out
    assert hub.repos[REPO].branches["main"] == head
    assert {request.method for request in hub.requests[asked:]} == {"GET"}


@pytest.mark.usefixtures("run")
def test_what_was_published_can_be_merged_again(hub: LocalHub, store: Store, tmp_path: Path) -> None:
    """The published checkpoint is one that `fetch` takes."""
    done = publish(draft(pick(store, RUN, "checkpoint"), REPO), store, Silent(), public=True)
    assert not hub.repos[REPO].private
    work = Workspace("0" * 64, tmp_path / "out", tmp_path / "scratch")
    work.out.mkdir()
    work.scratch.mkdir()
    facts = fetch(HubFetch(repo=REPO, commit=done.commit), (), work, Silent())
    assert facts["licence"] == "apache-2.0"
    assert not any(name.endswith(".gguf") for name in hub.repos[REPO].commits[done.commit])


@pytest.mark.usefixtures("run")
def test_a_broken_upload_goes_on_where_it_was(hub: LocalHub, store: Store) -> None:
    drafted = draft(pick(store, RUN), REPO)
    hub.faults.upload_statuses = [200, 400]
    with pytest.raises(TransientError, match="same command again"):
        publish(drafted, store, Silent(), public=False)
    large, sent = len(hub.uploaded), puts(hub)
    assert large == 1
    publish(drafted, store, Silent(), public=False)
    assert (
        puts(hub) - sent == 1
    )  # of weights and GGUF, one had arrived; the tokenizer is another repository's as well
    assert plan_upload(drafted).is_empty


@pytest.mark.usefixtures("run")
def test_a_commit_of_somebody_else_is_not_overwritten(
    hub: LocalHub, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    from suture.publish import upload

    drafted, send = draft(pick(store, RUN), REPO), upload.send

    def late(*arguments: object) -> tuple[str, str]:
        hub.commit(REPO, {"README.md": b"mine"})
        return send(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(upload, "send", late)
    with pytest.raises(SourceError, match="Somebody else committed"):
        publish(drafted, store, Silent(), public=False)
    assert hub.files(REPO, "main") is not None
    assert hub.repos[REPO].commits[hub.repos[REPO].branches["main"]] == {"README.md": b"mine"}


@pytest.mark.usefixtures("run")
def test_a_smaller_checkpoint_leaves_no_stale_shard(hub: LocalHub, store: Store) -> None:
    hub.commit(
        REPO, {"model-00001-of-00002.safetensors": b"old", "model.safetensors.index.json": b"{}", "x": b"kept"}
    )
    hub.repos[REPO].private = True
    done = publish(draft(pick(store, RUN), REPO), store, Silent(), public=False)
    left = hub.repos[REPO].commits[done.commit]
    assert "x" in left
    assert not {"model-00001-of-00002.safetensors", "model.safetensors.index.json"} & left.keys()


def test_licences_stop_it_unless_a_reason_is_given(
    hub: LocalHub, store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    files = hub.files("somebody/b", "main")
    assert files is not None
    hub.commit("somebody/b", {**files[1], "README.md": b"---\nlicense: cc-by-nd-4.0\n---\n"})
    make_run(store)
    with pytest.raises(SourceError, match="do not go together"):
        suture("publish", RUN, REPO)
    assert REPO not in hub.repos
    suture("publish", RUN, REPO, "--dry-run")
    assert "cc-by-nd-4.0 does not allow" in capsys.readouterr().out
    suture("publish", RUN, REPO, "--override-licence", "its author allowed it by letter")
    card = hub.repos[REPO].commits[hub.repos[REPO].branches["main"]]["README.md"].decode()
    assert "its author allowed it by letter" in card
    assert licence_of_card(card) == "cc-by-nd-4.0"


@pytest.mark.usefixtures("hub")
def test_what_is_refused(run: Plan, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    fetched = next(step.key for step in run.steps if step.step == "fetch")
    with pytest.raises(HostError, match="nothing to publish"):
        pick(store, fetched[:12])
    drafted = draft(pick(store, RUN), "somebody/a")
    with pytest.raises(HostError, match="is public"):
        publish(drafted, store, Silent(), public=False)
    monkeypatch.delenv("HF_TOKEN")
    with pytest.raises(HostError, match="needs a token"):
        publish(drafted, store, Silent(), public=True)


@pytest.mark.usefixtures("run")
def test_a_damaged_file_is_never_published(hub: LocalHub, store: Store) -> None:
    drafted = draft(pick(store, RUN), REPO)
    damaged = drafted.release.artifacts[0].path / "model.safetensors"
    damaged.chmod(0o644)
    content = bytearray(damaged.read_bytes())
    content[-1] ^= 1
    damaged.write_bytes(content)
    with pytest.raises(Exception, match="other content"):
        publish(drafted, store, Silent(), public=False)
    assert REPO not in hub.repos


@pytest.mark.usefixtures("run")
def test_verify_says_what_does_not_fit(hub: LocalHub, store: Store, tmp_path: Path) -> None:
    publish(draft(pick(store, RUN), REPO), store, Silent(), public=False)
    folder = download(hub, tmp_path / "copy")
    (folder / "recipe.yaml").write_text("name: other\n")
    (folder / "LICENSE").unlink()
    (folder / "pytorch_model.bin").write_bytes(b"a pickle")
    _, problems = verify(folder)
    assert {problem.file: problem.text.split(":")[0] for problem in problems} == {
        "recipe.yaml": "other content",
        "LICENSE": "missing",
        "pytorch_model.bin": "not stated",
    }
    statement = json.loads((folder / "provenance.json").read_text())
    statement["subject"][0]["name"] = "../outside"
    statement["predicateType"] = "https://example.org/other"
    (folder / "provenance.json").write_text(json.dumps(statement))
    nothing, mistakes = verify(folder)
    assert nothing is None
    assert {mistake.file for mistake in mistakes} == {
        "provenance.json: subject.0.name",
        "provenance.json: predicateType",
    }
