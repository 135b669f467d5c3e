"""How a heal should start, and which layers it should train: the demo's stack of 48 layers, several seeds.

    python benchmarks/heal.py [--seeds 0 1 2] [--store FOLDER]

Two children of SmolLM2-135M are stacked raw (24 layers of A, then 24 of B) and healed in each way on the same rows,
one of 512 tokens per step; the control is the unstacked base source, trained alike. llama-perplexity measures on
held-out text, 8 chunks of 512 tokens, of Q8_0 files. Recovered is the part of the gap between raw stack and better
source that is closed, in perplexity and in brackets in its logarithm; more than 100 % means better than both sources,
which the control shows to be more training. The published start and the best one are healed with every seed, the
others with the first. The times of training all layers and those near the seam are taken in the same run, in turns.
What is done is kept in the store: a second call goes on from there. Writes benchmarks/results/heal.{json,md}.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import statistics
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import yaml

RESULTS = Path(__file__).parent / "results"
RECIPE = Path(__file__).parents[1] / "recipes" / "demo-stack.yaml"
TEXTS = ("builtin:code", "builtin:prose")

ROWS = {"sequence_length": 512, "batch_size": 1}
"""As long as the chunks that are measured: a heal on rows of 128 tokens leaves the later positions to themselves."""

WAYS: dict[str, dict[str, Any]] = {
    "raw, 60 steps": {"steps": 60, "control": False},
    "raw, 30 steps": {"steps": 30},
    "damped 0.25, 30 steps": {"steps": 30, "start": "damped", "control": False},
    "gated 0.25, 30 steps": {"steps": 30, "start": "gated", "control": False},
    "raw, 6 layers either side of the seam, 60 steps": {
        "steps": 60, "layers": "seam", "seam_layers": 6, "control": False
    },
    "raw, 4 layers either side of the seam, 60 steps": {
        "steps": 60, "layers": "seam", "seam_layers": 4, "control": False
    },
}  # fmt: skip
EVERY_SEED = ("raw, 60 steps", "gated 0.25, 30 steps")
TIMED = tuple(way for way in WAYS if way.startswith("raw") and way.endswith("60 steps"))
TIMED_STEPS, ROUNDS = 8, 3


def recipe_of(way: str, seed: int) -> dict[str, Any]:
    """Return the demo's recipe, healed in one way."""
    content = yaml.safe_load(RECIPE.read_text())
    content["heal"] |= {"start": "raw", "control": True, **ROWS, **WAYS[way], "seed": seed}
    content["gguf"]["quantize"] = ["Q8_0"]
    content["benchmark"]["perplexity"] = {"chunks": 8}
    return content


def measure(way: str, seed: int) -> dict[str, dict[str, float]]:
    """Return arm -> text -> perplexity, building what is not in the store yet."""
    from suture.plan import resolve
    from suture.progress import Lines
    from suture.recipe import parse_recipe
    from suture.steps import build_all, store_of_this_machine

    found: dict[str, dict[str, float]] = {}
    for arm in resolve(parse_recipe(recipe_of(way, seed), where=str(RECIPE), folder=RECIPE.parent)).arms:
        facts = build_all(
            arm.perplexity, store_of_this_machine(), Lines(f"{way}, seed {seed}: {arm.name}")
        ).artifact.facts
        found[arm.name] = {name: text["value"] for name, text in facts["texts"].items()}
    return found


def recovered(arms: dict[str, dict[str, float]], arm: str, text: str) -> tuple[float, float]:
    """Return the part of the gap between raw stack and better source that is closed, in perplexity and in its log."""
    raw, best, healed = arms["merged"][text], min(arms["a"][text], arms["b"][text]), arms[arm][text]
    return (raw - healed) / (raw - best), math.log(raw / healed) / math.log(raw / best)


def seconds_per_step() -> dict[str, list[float]]:
    """Return the median step times of each round, of both ways in turns; the trainings are thrown away."""
    import tempfile

    from suture.heal.train import TrainJob, _run
    from suture.plan import resolve
    from suture.progress import Silent
    from suture.recipe import parse_recipe
    from suture.settings import settings
    from suture.steps import store_of_this_machine

    store, times = store_of_this_machine(), {way: [] for way in TIMED}
    jobs: dict[str, tuple[Any, Path, Path]] = {}
    for way in TIMED:
        step = next(
            step
            for step in resolve(parse_recipe(recipe_of(way, 0), where=str(RECIPE), folder=RECIPE.parent)).steps
            if step.step == "heal"
        )
        model, data = (store.find(parent.key) for parent in step.parents)
        jobs[way] = (step.spec.model_copy(update={"steps": TIMED_STEPS}), model.path, data.path / "train.safetensors")
    for _ in range(ROUNDS):
        for way, (spec, model, rows) in jobs.items():
            with tempfile.TemporaryDirectory() as folder:
                place = Path(folder)
                out = place / "out"
                out.mkdir()
                job = TrainJob(spec=spec, model=model, rows=rows, out=out, scratch=place, threads=settings().threads)
                (place / "job.json").write_text(job.model_dump_json())
                _run(job, Silent())
                lines = [json.loads(line) for line in (out / "losses.jsonl").read_text().splitlines()]
                tokens = ROWS["sequence_length"]
                times[way].append(statistics.median(tokens / row["tokens_per_second"] for row in lines[1:]))
    return times


def percent(part: tuple[float, float]) -> str:
    """Return both parts in words."""
    return f"{100 * part[0]:.0f} % ({100 * part[1]:.0f})"


def rows(results: dict[str, dict[str, Any]]) -> Iterator[str]:
    """Yield the lines of the table."""
    yield "| way | seeds | code | prose | code recovered | prose recovered |"
    yield "|---|---|---|---|---|---|"
    for way, by_seed in results.items():
        for arm in ("healed", "control"):
            runs = [arms for arms in by_seed.values() if arm in arms]
            if not runs:
                continue
            name = way if arm == "healed" else f"control: the source, {way.partition(', ')[2]}"
            ppl = [" / ".join(f"{arms[arm][text]:.2f}" for arms in runs) for text in TEXTS]
            part = [" / ".join(percent(recovered(arms, arm, text)) for arms in runs) for text in TEXTS]
            yield f"| {name} | {len(runs)} | {' | '.join([*ppl, *part])} |"


def report(results: dict[str, dict[str, Any]], times: dict[str, list[float]]) -> str:
    """Return the page."""
    arms = next(iter(results[next(iter(results))].values()))
    sources = ", ".join(
        f"{name} {arms[name][TEXTS[0]]:.2f} / {arms[name][TEXTS[1]]:.2f}" for name in ("a", "b", "merged")
    )
    whole = TIMED[0]
    ratios = {way: [s / a for a, s in zip(times[whole], times[way], strict=True)] for way in TIMED}
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in ("torch", "transformers", "peft"))
    return "\n".join(
        [
            "# How to start a heal, and which layers to train",
            "",
            (__doc__ or "").partition("\n\n")[2].partition("\n\n")[2].strip(),
            "",
            f"{platform.machine()}, {os.cpu_count()} cores, {versions}.",
            "",
            f"Untrained, code / prose: {sources} (merged: the raw stack).",
            "",
            *rows(results),
            "",
            "| time of a step, in turns | median | of that of all layers, in each round |",
            "|---|---|---|",
            *(
                f"| {way} | {statistics.median(times[way]):.2f} s | {', '.join(f'{r:.2f}' for r in ratios[way])} |"
                for way in TIMED
            ),
            "",
        ]
    )


def main() -> None:
    """Measure and write down."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--store", type=Path, help="keeps what was built; the usual store when left out")
    arguments = parser.parse_args()
    if arguments.store:
        os.environ["SUTURE_STORE"] = str(arguments.store)
    results: dict[str, dict[str, Any]] = {way: {} for way in WAYS}
    times: dict[str, list[float]] = {}
    for seed in arguments.seeds:
        for way in WAYS:
            if way in EVERY_SEED or seed == arguments.seeds[0]:
                results[way][str(seed)] = measure(way, seed)
        RESULTS.joinpath("heal.json").write_text(
            json.dumps({"perplexity": results, "seconds": times}, indent=1) + "\n"
        )
    times = seconds_per_step()
    RESULTS.joinpath("heal.json").write_text(json.dumps({"perplexity": results, "seconds": times}, indent=1) + "\n")
    RESULTS.joinpath("heal.md").write_text(report(results, times))
    print(report(results, times))


if __name__ == "__main__":
    main()
