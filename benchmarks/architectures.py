"""Every causal LM and multimodal model that transformers knows: tiny random pairs, stacked and averaged, then judged.

    python -m benchmarks.architectures [--only TYPE ...] [--jobs 2] [--out FILE.json]

A model type is *exact* when the stacks and the mean load into transformers without a missing or unexpected key and
do what their sources do; *refused* when a merge says why it cannot be; *WRONG* when something else is written.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import shutil
import tempfile
import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

os.environ["HF_HUB_OFFLINE"] = "1"

import torch
from transformers.models.auto import modeling_auto as auto

from suture.errors import InputError
from suture.merge.verify import StackedFrom, verify
from tests.integration.loaded_models import behaviour, differences, not_the_mean
from tests.integration.run_merge import run_merge
from tests.integration.tiny_models import LAYERS, load_model, tiny_config, write_model

SECONDS = 120
STACKS = {
    "[A 0..n][B 0..n]": [("a", 0, LAYERS), ("b", 0, LAYERS)],
    "[A 0..n-1][B 1..n]": [("a", 0, LAYERS - 1), ("b", 1, LAYERS)],
    "[A 0..n/2][B 1..n]": [("a", 0, LAYERS // 2), ("b", 1, LAYERS)],
}


def architectures() -> dict[str, str]:
    """Return `model type or model type (multimodal)` -> class."""
    causal = {f"{kind}": name for kind, name in auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES.items()}
    wrappers = {**auto.MODEL_FOR_MULTIMODAL_LM_MAPPING_NAMES, **auto.MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES}
    return causal | {f"{kind}@{name}": name for kind, name in wrappers.items() if causal.get(kind) != name}


def judge(label: str, architecture: str, folder: Path) -> dict[str, Any]:
    """Return what came of one model type: for each merge `exact`, `refused: ...` or `WRONG: ...`."""
    kind, _, _ = label.partition("@")
    try:
        for seed, name in enumerate("ab"):
            write_model(folder / name, tiny_config(kind), architecture, seed)
        loaded = {name: load_model(folder / name, architecture) for name in "ab"}
        if any(problems for _, problems in loaded.values()):
            return {"unbuildable": f"the source itself loads with {loaded['a'][1][:3]}"}
    except Exception as error:  # noqa: BLE001 -- of 260 families some will not be built this way
        return {"unbuildable": f"{type(error).__name__}: {str(error)[:300]}"}
    sources = {name: model for name, (model, _) in loaded.items()}
    results = {}
    for title, slices in STACKS.items():
        parts = [{"source": source, "layers": [start, end]} for source, start, end in slices]
        results[title] = _stack(
            {"method": "passthrough", "base": "a", "slices": parts}, slices, sources, architecture, folder
        )
    results["mean"] = _mean(sources, architecture, folder)
    return results


def _stack(
    recipe: dict[str, Any],
    slices: list[tuple[str, int, int]],
    sources: dict[str, Any],
    architecture: str,
    folder: Path,
) -> str:
    out = folder / "merged"
    shutil.rmtree(out, ignore_errors=True)
    try:
        run_merge(recipe, {name: folder / name for name in "ab"}, out)
    except InputError as error:
        return "refused: " + " | ".join(str(error).split("\n")[:4])
    origins = [(source, layer) for source, start, end in slices for layer in range(start, end)]
    try:
        stacked, problems = load_model(out, architecture)
        problems += differences(sources, "a", stacked, origins)
        said = verify(out, StackedFrom({name: folder / name for name in "ab"}, "a", origins))
        if said.is_exact == bool(problems):
            problems.append(f"verify says otherwise: {said}")
        if not problems:
            try:
                problems += behaviour(sources, "a", stacked, origins)
            except Exception as error:  # noqa: BLE001
                return f"exact, not run: {type(error).__name__} {str(error)[:100]}"
    except Exception as error:  # noqa: BLE001
        problems = [f"{type(error).__name__}: {str(error)[:300]}"]
    return "WRONG: " + "; ".join(problems[:6]) + f" ({len(problems)})" if problems else "exact"


def _mean(sources: dict[str, Any], architecture: str, folder: Path) -> str:
    out = folder / "mean"
    try:
        run_merge(
            {"method": "linear", "base": "a", "models": [{"source": "a"}, {"source": "b"}]},
            {name: folder / name for name in "ab"},
            out,
        )
    except InputError as error:
        return "refused: " + " | ".join(str(error).split("\n")[:4])
    try:
        mean, problems = load_model(out, architecture)
        problems += not_the_mean(list(sources.values()), mean)
    except Exception as error:  # noqa: BLE001
        problems = [f"{type(error).__name__}: {str(error)[:300]}"]
    return "WRONG: " + "; ".join(problems[:6]) if problems else "exact"


def _child(label: str, architecture: str, pipe: Connection) -> None:
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        try:
            pipe.send(judge(label, architecture, Path(folder)))
        except Exception:  # noqa: BLE001
            pipe.send({"unbuildable": traceback.format_exc()[-400:]})


def _one(label: str, architecture: str) -> dict[str, Any]:
    """Judge in a process of its own, with a limit of time."""
    context = multiprocessing.get_context("forkserver")
    ours, theirs = context.Pipe()
    child = context.Process(target=_child, args=(label, architecture, theirs))
    began = time.monotonic()
    child.start()
    theirs.close()
    try:
        result = ours.recv() if ours.poll(SECONDS) else {"unbuildable": f"no end within {SECONDS} s"}
    except EOFError:
        result = {"unbuildable": "the process died"}
    child.join(5)
    child.kill()
    print(f"{label}: {json.dumps(result)} {time.monotonic() - began:.1f} s", flush=True)
    return result


def main() -> None:
    """Judge the architectures asked for and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="*")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    chosen = {
        label: name
        for label, name in architectures().items()
        if not arguments.only or label.partition("@")[0] in arguments.only
    }
    multiprocessing.get_context("forkserver").set_forkserver_preload([__spec__.name])  # imports torch once
    with ThreadPoolExecutor(arguments.jobs) as pool:
        results = dict(zip(chosen, pool.map(_one, chosen, chosen.values()), strict=True))
    if arguments.out:
        arguments.out.write_text(json.dumps(results, indent=1))
    flat = {
        label: " / ".join(f"{t}: {v.split(':')[0]}" for t, v in result.items()) for label, result in results.items()
    }
    counts: dict[str, int] = {}
    for result in results.values():
        kinds = (
            {value.split(":")[0].split(",")[0] for value in result.values()}
            if "unbuildable" not in result
            else {"unbuildable"}
        )
        worst = next(kind for kind in ("unbuildable", "WRONG", "refused", "exact") if kind in kinds)
        counts[worst] = counts.get(worst, 0) + 1
    print(counts, len(flat))


if __name__ == "__main__":
    main()
