"""`suture bench` as a user types it, against a scripted endpoint."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from suture.bench.target import folder_of
from suture.cli import app
from suture.errors import InputError, RecipeError
from tests.unit.bench.scripted import Scripted, says

TIMINGS = {"prompt_per_second": 300.0, "predicted_per_second": 100.0}


def bench(*arguments: str) -> None:
    app(["bench", *arguments], standalone_mode=False)


@pytest.fixture
def knowing(llama: Scripted) -> Scripted:
    """An endpoint that says Mars whatever it is asked."""
    llama.default = says("Mars", timings=TIMINGS)
    return llama


def test_the_list_names_every_test_and_check(capsys: pytest.CaptureFixture[str]) -> None:
    bench("--list", "--json")
    listed: Any = json.loads(capsys.readouterr().out)
    assert len(listed["capability"]) == 44
    assert {"id", "category"} <= listed["capability"][0].keys()
    assert len(listed["frontend"]) == 6
    assert sum(len(task["checks"]) for task in listed["frontend"]) == 71
    counts = [len(task["checks"]) for task in listed["frontend"]]
    assert counts == [9, 12, 13, 13, 12, 12]
    assert len(listed["human_eval"]) == 164
    assert len(listed["multi_turn"]) >= 8


def test_a_run_ends_with_a_table_and_goes_on_in_its_folder(
    knowing: Scripted, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = ("--out", str(tmp_path / "run"), "--only", "basic")
    bench(knowing.url, *out)
    text = capsys.readouterr().out
    assert "factual-answer" not in text  # it passed
    assert "exact-instruction" in text
    assert "4 of 6" in text
    assert (tmp_path / "run" / "samples.jsonl").read_text().count("\n") == 6
    knowing.bodies.clear()
    bench(knowing.url, *out)
    speed = {body["max_tokens"] for body in knowing.bodies}
    assert speed == {64}  # no test was asked again, only the speed is taken
    assert "4 of 6" in capsys.readouterr().out


def test_what_is_asked_for_reaches_the_endpoint(knowing: Scripted, tmp_path: Path) -> None:
    bench(
        *(knowing.url, "--suite", "smoke", "--only", "factual-answer", "--k", "2", "--temperature", "0.5"),
        *("--top-p", "0.9", "--seed", "7", "--max-tokens", "99", "--thinking", "off", "--out", str(tmp_path / "run")),
    )
    asked = [body for body in knowing.bodies if body["max_tokens"] == 99]
    assert [(body["temperature"], body["top_p"], body["seed"]) for body in asked] == [(0.5, 0.9, 7), (0.5, 0.9, 8)]
    assert all(body["chat_template_kwargs"] == {"enable_thinking": False} for body in asked)


def test_other_questions_into_the_same_folder_are_refused(knowing: Scripted, tmp_path: Path) -> None:
    bench(knowing.url, "--only", "factual-answer", "--out", str(tmp_path))
    with pytest.raises(InputError, match="another run"):
        bench(knowing.url, "--only", "factual-answer", "--seed", "3", "--out", str(tmp_path))


def test_unknown_names_and_missing_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="juggling"):
        bench("http://127.0.0.1:9", "--only", "juggling")
    with pytest.raises(InputError, match="no such file"):
        bench(str(tmp_path / "missing.gguf"))


def test_the_key_is_sent_and_not_written(
    knowing: Scripted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from suture.settings import settings

    monkeypatch.setenv("SUTURE_API_KEY", "canary-key")
    settings.cache_clear()
    bench(knowing.url, "--only", "factual-answer", "--out", str(tmp_path))
    settings.cache_clear()
    assert {headers["Authorization"] for headers in knowing.headers} == {"Bearer canary-key"}
    assert "canary-key" not in capsys.readouterr().out
    assert not any(b"canary-key" in path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())


@pytest.mark.parametrize(
    ("target", "folder"),
    [
        ("models/a b.Q4_K_M.gguf", "bench/a-b.Q4_K_M-capability"),
        ("http://127.0.0.1:8080/v1", "bench/127.0.0.1-8080-v1-capability"),
    ],
)
def test_a_folder_is_named_after_the_model_and_the_suite(target: str, folder: str) -> None:
    assert folder_of(target, ["capability"]) == Path(folder)
