"""Is a merge better than both of its parents? Several methods, two held-out texts, several trainings.

    python benchmarks/blend.py [--recipe recipes/demo-blend.yaml] [--runs 3] [--chunks 32] [--store DIR] [--out DIR]

Makes the recipe's models several times, through the same steps as `suture run` (what is in the store is found there),
each time with other seeds in every fine-tuning: they draw the adapter's start and the order of the data. The first
run has the recipe's own. Each merge is compared with the parents of its own run, chunk by chunk. The intervals hold
for other seeds and other chunks of the same texts, not only for those at hand (`suture.statistics.crossed`). A merge
wins when it is better than each parent on each text; the p-values of that claim are corrected for the number of
merges that were tried (Holm).
"""

from __future__ import annotations

import argparse
import json
import math
import platform
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from suture.plan import Plan, resolve
from suture.progress import Silent
from suture.recipe import Recipe, load_recipe
from suture.report.comparison import as_difference
from suture.report.data import Difference, Estimate, Standing
from suture.report.inputs import Role
from suture.report.merges import lineage
from suture.report.numbers import change, change_interval
from suture.report.plots import SOURCE_COLOURS, forest_plot
from suture.report.standings import verdict
from suture.settings import settings
from suture.statistics import CONFIDENCE, crossed, holm, mean
from suture.steps import build_all
from suture.store import Store

Losses = dict[str, dict[str, list[float]]]
"""Model -> text -> mean negative log-likelihood per token of each chunk."""

VERDICTS = {
    "better": "better than both",
    "even": "no detectable difference",
    "between": "worse than one",
    "worse": "worse than both",
}


class Row(NamedTuple):
    """One model on one text, pooled over the runs."""

    model: str
    method: str
    role: Role
    text: str
    perplexities: list[float]
    """One per run."""
    to_parents: dict[str, Difference]
    """Parent -> how far the model's log-perplexity lies above it."""
    wins: int
    """Runs whose chunks alone show that it is better than each parent."""

    @property
    def verdict(self) -> str:
        """What the differences say together."""
        return verdict(list(self.to_parents.values()))

    @property
    def p(self) -> float:
        """Of the claim that it is better than each parent."""
        return max(each.p if each.value < 0 else 1.0 for each in self.to_parents.values())


def main() -> None:
    """Run, print the table, write it down."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", type=Path, default=Path("recipes/demo-blend.yaml"))
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--chunks", type=int, default=32, help="of each text")
    parser.add_argument("--store", type=Path, help="another store than that of the settings")
    parser.add_argument("--out", type=Path, help="folder that receives blend.md, blend.json and blend.svg")
    asked = parser.parse_args()
    recipe = load_recipe(asked.recipe)
    store = Store(asked.store or settings().store)
    runs = [measure(resolve(varied(recipe, run, asked.chunks)), store, run) for run in range(asked.runs)]
    rows = compare(recipe, runs)
    text = page(recipe, rows, runs)
    print(text)
    if asked.out:
        asked.out.mkdir(parents=True, exist_ok=True)
        (asked.out / "blend.md").write_text(text)
        (asked.out / "blend.json").write_text(json.dumps(as_json(rows, runs), indent=1) + "\n")
        (asked.out / "blend.svg").write_text(plot(recipe, rows))


def varied(recipe: Recipe, run: int, chunks: int) -> Recipe:
    """Return the recipe with the seeds of one run, all of them different, measured on so many chunks of each text."""
    sources = tuple(
        source.model_copy(
            update={"finetune": source.finetune.model_copy(update={"seed": source.finetune.seed + 1000 * run})}
        )
        if source.finetune
        else source
        for source in recipe.sources
    )
    perplexity = recipe.benchmark.perplexity.model_copy(update={"chunks": chunks})
    benchmark = recipe.benchmark.model_copy(update={"perplexity": perplexity})
    return recipe.model_copy(update={"sources": sources, "benchmark": benchmark})


def measure(plan: Plan, store: Store, run: int) -> Losses:
    """Build and measure every arm of a plan that no heal made."""
    losses: Losses = {}
    for arm in plan.arms:
        if arm.role not in ("source", "merged"):
            continue
        started = time.monotonic()
        facts: dict[str, Any] = build_all(arm.perplexity, store, Silent()).artifact.facts
        losses[arm.name] = {text: found["chunks"] for text, found in facts["texts"].items()}
        values = ", ".join(f"{text} {perplexity(chunks):.3f}" for text, chunks in losses[arm.name].items())
        print(
            f"run {run + 1}, {arm.name}: {values} ({time.monotonic() - started:.0f} s)", file=sys.stderr, flush=True
        )
    return losses


def perplexity(chunks: Sequence[float]) -> float:
    """Return the perplexity over chunks of one length."""
    return math.exp(math.fsum(chunks) / len(chunks))


# -- comparing ------------------------------------------------------------------------------------------------


def compare(recipe: Recipe, runs: Sequence[Losses]) -> list[Row]:
    """Return each merge, and each source that no merge uses, against the parents, text by text."""
    parents = lineage(recipe)
    methods = {"merged": recipe.merge.method} | {stage.name: stage.merge.method for stage in recipe.stages}
    used = {source for _, merge in recipe.merges for source in merge.sources}
    apart = [source.name for source in recipe.sources if source.name not in used]
    rows: list[Row] = []
    for model in [*(name for name in runs[0] if name in methods), *apart]:
        for text in runs[0][model]:
            against = parents.get(model, parents["merged"])
            rows.append(
                Row(
                    model=model,
                    method=methods.get(model, ""),
                    role="merged" if model in methods else "source",
                    text=text,
                    perplexities=[perplexity(losses[model][text]) for losses in runs],
                    to_parents={parent: pooled(runs, model, parent, text) for parent in against},
                    wins=sum(
                        verdict([pooled([losses], model, parent, text) for parent in against]) == "better"
                        for losses in runs
                    ),
                )
            )
    return rows


def pooled(runs: Sequence[Losses], model: str, parent: str, text: str) -> Difference:
    """Return the difference of two models, for other seeds and other chunks if there are several runs."""
    table = [
        [first - second for first, second in zip(losses[model][text], losses[parent][text], strict=True)]
        for losses in runs
    ]
    return as_difference(crossed(table) if len(table) > 1 else mean(table[0]), len(table[0]))


def winners(rows: Sequence[Row]) -> dict[str, float]:
    """Return the merges that are better than each parent on each text, with the corrected p-value of that claim."""
    claims = {
        merge: max(row.p for row in rows if row.model == merge)
        for merge in dict.fromkeys(row.model for row in rows if row.role == "merged")
    }
    corrected = zip(claims, holm(list(claims.values())), strict=True)
    return {merge: p for merge, p in corrected if p < 1 - CONFIDENCE}


# -- showing --------------------------------------------------------------------------------------------------


def page(recipe: Recipe, rows: Sequence[Row], runs: Sequence[Losses]) -> str:
    """Return what was found, as Markdown."""
    won = winners(rows)
    merges = len({row.model for row in rows if row.role == "merged"})
    if won:
        names = ", ".join(f"{name} (p = {p:.2g})" for name, p in won.items())
        claim = f"{len(won)} of {merges} merges are better than both parents on every text: {names}."
    else:
        claim = f"None of {merges} merges is detectably better than both parents on every text."
    chunks = len(next(iter(runs[0]["merged"].values())))
    how = (
        f"Perplexity of {', '.join(recipe.gguf.quantize)} files on {chunks} chunks of "
        f"{recipe.benchmark.perplexity.context} tokens of each held-out text; {len(runs)} runs with other training "
        f"seeds. Changes of perplexity are paired chunk by chunk with the parents of the same run; 95 % intervals "
        f"over seeds and chunks. `runs won`: in how many runs the chunks of that run alone show it better than both. "
        f"p-values are corrected for {merges} merges (Holm)."
    )
    return "\n\n".join(
        [f"# {recipe.name}", claim, how, table(rows, runs), sources(recipe, runs), f"On {machine()}.", ""]
    )


def table(rows: Sequence[Row], runs: Sequence[Losses]) -> str:
    """Return one line per merge and text."""
    parents = list(dict.fromkeys(parent for row in rows for parent in row.to_parents))
    heads = [
        "model",
        "text",
        *(f"run {run}" for run in range(1, len(runs) + 1)),
        *(f"to {parent}" for parent in parents),
    ]
    lines: list[list[str]] = [[*heads, "runs won", "verdict"]]
    for row in rows:
        name = f"{row.model} ({row.method})" if row.method not in ("", row.model) else row.model
        lines.append(
            [
                name if row.role == "merged" else f"*{name}, no merge*",
                row.text,
                *(f"{value:.3f}" for value in row.perplexities),
                *(said(row.to_parents.get(parent)) for parent in parents),
                f"{row.wins} of {len(runs)}",
                VERDICTS[row.verdict],
            ]
        )
    return as_table(lines)


def sources(recipe: Recipe, runs: Sequence[Losses]) -> str:
    """Return the perplexities of the sources."""
    texts = list(runs[0]["merged"])
    lines = [["source", "text", *(f"run {run}" for run in range(1, len(runs) + 1))]]
    lines += [
        [source.name, text, *(f"{perplexity(losses[source.name][text]):.3f}" for losses in runs)]
        for source in recipe.sources
        for text in texts
    ]
    return as_table(lines)


def as_table(lines: Sequence[Sequence[str]]) -> str:
    """Return lines as a Markdown table, the first of them its head."""
    ruled = [lines[0], ["---"] * len(lines[0]), *lines[1:]]
    return "\n".join(f"| {' | '.join(line)} |" for line in ruled)


def said(difference: Difference | None) -> str:
    """Return `-1.2 % (-1.8 to -0.6 %)`."""
    return "" if difference is None else f"{change(difference)} ({change_interval(difference)})"


def plot(recipe: Recipe, rows: Sequence[Row]) -> str:
    """Return every model's difference to the parent that is best on the text, as SVG."""
    standings: list[Standing] = []
    for row in rows:
        best = max(row.to_parents, key=lambda parent: row.to_parents[parent].value)
        standings.append(
            Standing(
                model=row.model,
                role=row.role,
                method=row.method,
                text=row.text,
                perplexity=Estimate(value=math.prod(row.perplexities) ** (1 / len(row.perplexities)), error=0),
                parent=best,
                difference=row.to_parents[best],
                verdict=verdict(list(row.to_parents.values())),
                p=row.p,
            )
        )
    names = [source.name for source in recipe.sources]
    return forest_plot(
        standings,
        lambda row: "merged" if row.role == "merged" else f"source-{names.index(row.model) % SOURCE_COLOURS + 1}",
    )


def as_json(rows: Sequence[Row], runs: Sequence[Losses]) -> dict[str, Any]:
    """Return the table and what it was computed from."""
    return {
        "machine": machine(),
        "winners": winners(rows),
        "rows": [
            {
                **row._asdict(),
                "to_parents": {parent: found.model_dump() for parent, found in row.to_parents.items()},
                "verdict": row.verdict,
                "p": row.p,
            }
            for row in rows
        ],
        "losses": runs,
    }


def machine() -> str:
    """Return what it ran on."""
    return f"{platform.system()} {platform.machine()}, Python {platform.python_version()}"


if __name__ == "__main__":
    main()
