"""Many runs submitted at once, through `suture up`: all complete, and what they have in common is built once.

SUTURE_TEST_RUNS says how many; 20 took 13 minutes on two cores that others used as well.
"""

from __future__ import annotations

import os
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from deployments.state import post
from suture.store import Store
from suture.store.runs import list_runs
from tests.flows.serving import Up, serving, wait_until

RUNS = int(os.environ.get("SUTURE_TEST_RUNS", "5"))
VARIANTS = 2 if RUNS < 10 else 4
PATIENCE = 300 + 120 * RUNS

pytestmark = [pytest.mark.usefixtures("toolchain"), pytest.mark.timeout(PATIENCE + 600)]


def recipe(number: int, a: Path, b: Path) -> dict[str, Any]:
    """Return one of a few recipes, which have sources and benchmark in common."""
    variant = number % VARIANTS
    return {
        "name": f"pico-{variant}",
        "sources": [{"name": "a", "model": str(a)}, {"name": "b", "model": str(b)}],
        "merge": {
            "method": "slerp",
            "base": "a",
            "models": [{"source": "a"}, {"source": "b"}],
            "t": 0.2 * (1 + variant),
        },
        "gguf": {"quantize": ["Q8_0"]},
        "benchmark": {
            "perplexity": {"texts": [{"text": "builtin:code"}], "chunks": 2, "context": 32},
            "capability": {"tests": ["exact-instruction"], "context": 512, "max_tokens": 16},
        },
    }


def states(up: Up, runs: list[str]) -> Counter[str]:
    found = post(up.api, "/flow_runs/filter", {"flow_runs": {"id": {"any_": runs}}})
    return Counter(run["state"]["type"] for run in found)


def test_many_at_once(tmp_path: Path, store: Store, pico_checkpoints: tuple[Path, Path]) -> None:
    with serving(tmp_path / "up.log") as up:
        (deployment,) = post(up.api, "/deployments/filter", {"flows": {"name": {"any_": ["build_model"]}}})
        address = f"/deployments/{deployment['id']}/create_flow_run"

        def ask(number: int) -> str:
            parameters = {"recipe": recipe(number, *pico_checkpoints)}
            return post(up.api, address, {"parameters": parameters, "state": {"type": "SCHEDULED"}})["id"]

        with ThreadPoolExecutor(RUNS) as pool:
            runs = list(pool.map(ask, range(RUNS)))
        wait_until(lambda: sum(states(up, runs)[name] for name in ("SCHEDULED", "PENDING", "RUNNING")) == 0, PATIENCE)
        assert states(up, runs) == {"COMPLETED": RUNS}

    records = list_runs(store)
    assert [record.state for record in records] == ["completed"] * RUNS
    built = Counter(step.key for record in records for step in record.steps if not step.cached)
    wanted = {key for record in records for key in record.keys}
    assert built == dict.fromkeys(wanted, 1)
    assert set(store.list_keys()) == wanted
    assert not [*store.locks.glob("claims-*/*.claim")]
