"""kill -9 in mid-file, 20 times: the fetch completes, little is fetched twice, and the token is left nowhere."""

from __future__ import annotations

import hashlib
import os
import random
import secrets
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save

from suture.hub.download import part_of
from suture.hub.pins import pin
from suture.progress import Silent
from suture.recipe import Source
from suture.steps import PlannedStep, build_all, plan_step
from suture.store import Store
from tests.unit.hub.checkpoint_files import REPO, checkpoint_files
from tests.unit.hub.local_hub import LocalHub, Request

KILLS = 20
SHARDS = [f"model-0000{number}-of-00003.safetensors" for number in (1, 2, 3)]
CANARY = f"hf_{secrets.token_hex(16)}"  # nobody else speaks of it

ZYGOTE = """
import logging, os, sys
from huggingface_hub import HfApi, hf_hub_url
from suture.hub.fetch import HubFetch
from suture.progress import Lines
from suture.steps import build_all, plan_step, store_of_this_machine
import suture.hub.fetch
suture.hub.fetch.check_model = lambda _: None  # half a second each time; the model is good
logging.basicConfig(level=logging.DEBUG)
for line in sys.stdin:
    child = os.fork()
    if child == 0:
        step = plan_step("fetch a", "fetch", HubFetch.model_validate_json(line))
        build_all(step, store_of_this_machine(), Lines("fetch", 0))
        os._exit(0)
    print(child, flush=True)
    os.waitpid(child, 0)
"""
"""Starts fetching processes without the second that Python takes for its imports."""


@contextmanager
def fetching(log: Path) -> Generator[subprocess.Popen[str]]:
    with log.open("w") as sink:
        zygote = subprocess.Popen(
            [sys.executable, "-c", ZYGOTE],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=sink,
            text=True,
            env=os.environ | {"HF_TOKEN": CANARY},
        )
        with zygote:
            yield zygote


def start(zygote: subprocess.Popen[str], spec: str) -> int:
    assert zygote.stdin is not None
    assert zygote.stdout is not None
    zygote.stdin.write(f"{spec}\n")
    zygote.stdin.flush()
    return int(zygote.stdout.readline())


def large_model() -> dict[str, bytes]:
    """Three shards of 3 MB."""
    files = {name: data for name, data in checkpoint_files(rows=1).items() if not name.startswith("model")}
    numbers = np.random.default_rng(0).normal(size=(3, 750_000)).astype(np.float32)
    names = [f"model.layers.0.{number}.weight" for number in range(3)]
    table = ", ".join(f'"{name}": "{shard}"' for name, shard in zip(names, SHARDS, strict=True))
    shards = {shard: save({names[i]: numbers[i]}) for i, shard in enumerate(SHARDS)}
    return files | shards | {"model.safetensors.index.json": b'{"weight_map": {%s}}' % table.encode()}


def there(folder: Path, name: str) -> int:
    """How many bytes of a file are on the disk."""
    for path in (folder / name, part_of(folder / name), folder / name):  # it may be renamed meanwhile
        if path.exists():
            return path.stat().st_size
    return 0


def begin_of(request: Request) -> int:
    return int(str(request.range).removeprefix("bytes=").rstrip("-"))


def shards_asked(hub: LocalHub, digests: dict[str, str]) -> list[tuple[str, Request]]:
    """What the storage was asked for: shard and request, in order."""
    names = {digest: name for name, digest in digests.items()}
    found = [(names.get(request.path.lstrip("/"), ""), request) for request in hub.asked("storage")]
    return [(name, request) for name, request in found if name]


def planned_fetch(hub: LocalHub, monkeypatch: pytest.MonkeyPatch) -> PlannedStep:
    hub.repos[REPO].gated = True
    with monkeypatch.context() as patch:
        patch.setenv("HF_TOKEN", CANARY)
        return plan_step("fetch a", "fetch", pin(Source(name="a", model=REPO)).spec)


def command_lines() -> str:
    texts: list[str] = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            texts.append(path.read_text(errors="replace"))
        except OSError:  # it ended meanwhile
            continue
    return "\n".join(texts)


def test_killed_twenty_times(hub: LocalHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files, seed = large_model(), random.randrange(2**32)
    hub.commit(REPO, files)
    planned, store = planned_fetch(hub, monkeypatch), Store(tmp_path / "store")
    folder = store.partial / planned.key / "scratch" / "checkpoint"
    listed = {name: hashlib.sha256(files[name]).hexdigest() for name in SHARDS}
    total = sum(len(files[name]) for name in SHARDS)
    moments = [total * (number + random.Random(seed + number).random()) / (KILLS + 2) for number in range(KILLS)]
    hub.requests.clear()
    hub.faults.block, hub.faults.pause = 1 << 13, 0.01  # 0.8 MB a second for each file
    kept: list[dict[str, int]] = []
    with fetching(tmp_path / "log") as zygote:
        for moment in moments:
            # not before what the last attempt lost is there: who is killed sooner loses the same bytes again
            ends = {name: begin_of(request) + request.sent for name, request in shards_asked(hub, listed)}
            child = start(zygote, planned.spec.model_dump_json())
            while sum(there(folder, name) for name in SHARDS) < moment or any(
                there(folder, name) < min(end + 1, len(files[name])) for name, end in ends.items()
            ):
                assert not store.has(planned.key), f"it ended before it was killed, seed {seed}"
                time.sleep(0.01)
            os.kill(child, signal.SIGKILL)
            assert CANARY not in command_lines()
            while Path(f"/proc/{child}").exists():
                time.sleep(0.001)
            kept.append({name: there(folder, name) for name in SHARDS})
        hub.faults.pause = 0.0
        start(zygote, planned.spec.model_dump_json())
        assert zygote.stdin is not None
        zygote.stdin.close()
        assert zygote.wait() == 0, (tmp_path / "log").read_text()[-3000:]
    made = build_all(planned, store, Silent())
    assert made.cached, "the last process made it"
    assert {name: (made.artifact.path / name).read_bytes() for name in files} == files
    check_ranges(shards_asked(hub, listed), kept)
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and CANARY.encode() in path.read_bytes()]
    assert {request.authorization for request in hub.asked("hub")} == {f"Bearer {CANARY}"}
    assert {request.authorization for request in hub.asked("storage")} == {None}


def check_ranges(asked: list[tuple[str, Request]], kept: list[dict[str, int]]) -> None:
    """Each attempt began where one before it was killed, and no byte was sent more than twice."""
    assert len(asked) > KILLS
    for name in SHARDS:
        requests = [request for shard, request in asked if shard == name]
        starts = [begin_of(request) for request in requests]
        sizes = [attempt[name] for attempt in kept]
        assert starts == sorted(starts)
        assert {*starts} <= {0, *sizes}  # some attempts are killed before they ask for the file
        edges: Counter[int] = Counter()
        for request in requests:
            edges[begin_of(request)] += 1
            edges[begin_of(request) + request.sent] -= 1
        times, most = 0, 0
        for edge in sorted(edges):
            times += edges[edge]
            most = max(most, times)
        assert most <= 2, f"{name}: some byte was sent {most} times"
