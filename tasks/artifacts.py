"""What a person looks at on the pages of a run and of its steps.

Keys stay the same from run to run, so that Prefect shows what became of them over time. A step that was found in the
store shows nothing: the run that built it did, and the report shows all. Nothing fails because it cannot be shown.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import socket
from collections.abc import Generator
from typing import Any

import httpx
from prefect.artifacts import create_markdown_artifact, create_table_artifact
from prefect.logging import get_run_logger
from prefect.runtime import flow_run

from suture.progress import human_bytes
from suture.report.build import load_report
from suture.report.plots import data_uri, loss_plot, standings_plot
from suture.report.probe_plots import seam_plot
from suture.report.tables import scoreboard_rows, standing_rows
from suture.steps import Outcome, PlannedStep
from suture.store import Store

_LOSS_ROWS = 60
"""A table of a thousand steps is read by nobody; losses.jsonl in the artifact has them all."""


@contextlib.contextmanager
def if_server_answers() -> Generator[None]:
    """Leave out what the server does not take: a training of hours has not failed because it is away for a moment."""
    try:
        yield
    except httpx.HTTPError as error:
        get_run_logger().warning("the server did not take what was to be shown on this page: %r", error)


def artifact_key(*words: str) -> str:
    """Return a key that begins with the recipe's name, which is how the run's name begins, up to a colon."""
    recipe = (flow_run.name or "").partition(":")[0]
    return "-".join([own_slug(recipe), slug(" ".join(words))])


def slug(text: str) -> str:
    """Return a text as Prefect takes it in keys: lowercase letters, digits and dashes."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def own_slug(name: str) -> str:
    """Return the same for a name; with digits of its digest where another name could look alike (`a.b` and `a-b`)."""
    plain = slug(name)
    return plain if plain == name else f"{plain}-{hashlib.sha256(name.encode()).hexdigest()[:4]}"


@if_server_answers()
def show_report(store: Store, run: str) -> None:
    """Show a run's report: first of all where it lies, and how to see it in a terminal."""
    files = load_report(store, run)
    where = f"Run `{run}`: `suture show {run}`. Report: `{files.html}` on `{socket.gethostname()}`."
    create_table_artifact(scoreboard_rows(files.data), key=artifact_key("scoreboard"), description=where)
    curves = loss_plot(files.data)
    if curves is not None:
        create_markdown_artifact(
            f"![Training loss]({data_uri(curves)})",
            key=artifact_key("loss-curves"),
            description=f"Losses of all trainings. {where}",
        )
    against_parents = standings_plot(files.data)
    if against_parents is not None:
        create_table_artifact(
            standing_rows(files.data),
            key=artifact_key("merges-against-parents"),
            description=f"Merges against the best of their parents, text by text. {where}",
        )
        create_markdown_artifact(
            f"![Merges against their parents]({data_uri(against_parents)})",
            key=artifact_key("merges-against-parents-plot"),
            description=f"Change of perplexity to the best parent, with 95 % intervals. {where}",
        )
    seam = seam_plot(files.data)
    if seam is not None:
        create_markdown_artifact(
            f"![Residual stream by layer]({data_uri(seam)})",
            key=artifact_key("seam-plot"),
            description=f"Norm and cosine of the residual stream; seams are dotted. {where}",
        )
    create_markdown_artifact(files.markdown.read_text(), key=artifact_key("report"), description=where)


@if_server_answers()
def show_losses(planned: PlannedStep, outcome: Outcome) -> None:
    """Show how the loss of a training went."""
    if outcome.cached:
        return
    history = [json.loads(line) for line in (outcome.artifact.path / "losses.jsonl").read_text().splitlines()]
    stride = -(-len(history) // _LOSS_ROWS)
    rows = [*history[:-1:stride], history[-1]]
    measured = [row for row in history if "held_out_loss" in row]
    create_table_artifact(
        [
            {
                "step": row["step"],
                "loss": f"{row['loss']:.4f}",
                "learning rate": f"{row['learning_rate']:.2e}",
                "gradient norm": f"{row['grad_norm']:.3f}",
                "tokens/s": f"{row['tokens_per_second']:.0f}",
                "memory": human_bytes(row["memory_bytes"]),
            }
            for row in rows
        ],
        key=artifact_key("losses", _model(planned)),
        description=f"Losses of `{planned.label}`; every step is in the artifact `{planned.key[:12]}`.",
    )
    if measured:
        create_table_artifact(
            [{"step": row["step"], "held-out loss": f"{row['held_out_loss']:.4f}"} for row in measured],
            key=artifact_key("held-out-losses", _model(planned)),
            description=f"Losses of `{planned.label}` on sequences that it did not train on.",
        )


@if_server_answers()
def show_tests(planned: PlannedStep, outcome: Outcome) -> None:
    """Show how a model answered each test."""
    facts: dict[str, Any] = outcome.artifact.facts
    if outcome.cached or not facts["tests"]:
        return
    create_table_artifact(
        [
            {
                "test": test["id"],
                "category": test["category"],
                "passed": f"{test['passed']} of {test['asked']}",
                "why not": test["error_class"],
                "seconds": f"{test['seconds']:.1f}",
            }
            for test in facts["tests"]
        ],
        key=artifact_key("tests", _model(planned)),
        description=f"{facts['passed']} of {facts['total']} passed; the answers are in the artifact "
        f"`{planned.key[:12]}`.",
    )


def _model(planned: PlannedStep) -> str:
    """Return the model's part of a label: `merged Q4_K_M` of `benchmark merged Q4_K_M`."""
    return planned.label.partition(" ")[2]
