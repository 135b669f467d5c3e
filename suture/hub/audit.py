"""A look at a model before it is trusted: every gate it would have to pass, and what else a user should know."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from suture.checkpoint.adapter import ADAPTER_CONFIG, open_adapter
from suture.checkpoint.inspection.problems import find_problems
from suture.checkpoint.inspection.summary import summarize
from suture.checkpoint.layout import CONFIG
from suture.checkpoint.reader import Checkpoint, NonFinite, nonfinite_by_tensor, open_checkpoint
from suture.checkpoint.shards import PICKLES
from suture.errors import InputError, SourceError
from suture.hub.files import is_beside_weights, is_of_adapter, is_weights
from suture.hub.gates import LOOKS, TRIALS, Gate, check_files
from suture.progress import Progress

Severity = Literal["refused", "warning", "note"]
_ORDER: tuple[Severity, ...] = ("refused", "warning", "note")
_CODE = (".py", ".pyc", ".so", ".dll", ".dylib", ".exe", ".sh", ".bat", ".js", ".jar")
_MORE_PICKLES = (".pickle", ".joblib", ".npy", ".npz", ".pdparams", ".params")
_TENSORS_NAMED = 20
_LONGEST = 500  # characters: strangers choose what is found


@dataclass(frozen=True)
class Finding:
    """One thing that a user should know.

    Attributes:
        severity: `refused`: no run takes the model. `warning`: it may do harm, or comes out wrong. `note`: the rest.
        file: Where, below the folder; empty for the folder itself.
        problem: What is so.
        expected: What would have been right, if there is something to say.
        found: What was there instead.
        way_out: What to do.
    """

    severity: Severity
    file: str
    problem: str
    expected: str = ""
    found: str = ""
    way_out: str = ""


@dataclass(frozen=True)
class Audit:
    """What was found in a model's folder.

    Attributes:
        folder: The folder.
        findings: The worst first.
        checkpoint: What it holds, if its headers could be read.
        nonfinite: Tensor -> its NaN and infinities, for each that has any; None if the weights were not read.
    """

    folder: Path
    findings: tuple[Finding, ...]
    checkpoint: Checkpoint | None
    nonfinite: dict[str, NonFinite] | None

    @property
    def is_refused(self) -> bool:
        """Whether no run would take the model."""
        return any(finding.severity == "refused" for finding in self.findings)


def audit(folder: Path, progress: Progress) -> Audit:
    """Look at a folder with a checkpoint or an adapter. Nothing in it is run, but in a limited process.

    What takes time, the trials of tokenizer and templates and the reading of the weights, is left out if the folder
    is refused already.

    Args:
        folder: The folder.
        progress: Is told the bytes of the weights read.

    Raises:
        SourceError: When there is no such folder.
    """
    if not folder.is_dir():
        raise SourceError("There is no such folder.", where=folder, expected="a folder with a model")
    is_adapter = (folder / ADAPTER_CONFIG).is_file() and not (folder / CONFIG).exists()
    findings = _refusals(folder, (check_files, _look_at_adapter) if is_adapter else LOOKS)
    if not findings and not is_adapter:
        findings = _refusals(folder, TRIALS)
    checkpoint: Checkpoint | None = None
    nonfinite: dict[str, NonFinite] | None = None
    if not findings:
        checkpoint = open_adapter(folder) if is_adapter else open_checkpoint(folder)
        nonfinite = nonfinite_by_tensor(checkpoint, progress)
        findings += _broken(checkpoint, nonfinite, "refused" if is_adapter else "warning")
        if not is_adapter:
            findings += _problems(checkpoint)
    findings += _strangers(folder, is_adapter=is_adapter)
    order = sorted(dict.fromkeys(findings), key=lambda finding: _ORDER.index(finding.severity))
    return Audit(folder, tuple(order), checkpoint, nonfinite)


def _look_at_adapter(folder: Path) -> None:
    open_adapter(folder)


def _refusals(folder: Path, gates: tuple[Gate, ...]) -> list[Finding]:
    findings: list[Finding] = []
    for gate in gates:
        try:
            gate(folder)
        except InputError as error:
            where = str(error.where or "")
            findings.append(
                Finding(
                    "refused",
                    where.removeprefix(str(folder)).removeprefix("/"),
                    error.problem,
                    str(error.expected or "")[:_LONGEST],
                    str(error.found or "")[:_LONGEST],
                    error.way_out or "",
                )
            )
    return findings


def _broken(checkpoint: Checkpoint, nonfinite: dict[str, NonFinite], severity: Severity) -> Iterator[Finding]:
    """Yield a finding for each tensor with numbers that are none."""
    for name, found in [*nonfinite.items()][:_TENSORS_NAMED]:
        yield Finding(
            severity,
            checkpoint.extents[name].file.name,
            f"{name} holds numbers that are none.",
            "finite numbers",
            f"{found.nan:,} NaN, {found.inf:,} infinite, of {checkpoint.layout.tensors[name].parameters:,}",
            "They spread through every merge, and to every token: use another revision of the model.",
        )
    if len(nonfinite) > _TENSORS_NAMED:
        yield Finding(
            severity, "", f"{len(nonfinite):,} tensors hold numbers that are none; {_TENSORS_NAMED} are named."
        )


def _problems(checkpoint: Checkpoint) -> Iterator[Finding]:
    """Yield what a later tool would choke on."""
    for problem in find_problems(checkpoint, summarize(checkpoint.layout, str(checkpoint.folder))):
        severity: Severity = "note" if problem.severity == "note" else "warning"
        yield Finding(severity, "", problem.what, found=problem.consequence)


def _strangers(folder: Path, *, is_adapter: bool) -> Iterator[Finding]:
    """Yield what lies beside a model and is never fetched, nor opened."""
    others: list[str] = []
    for path in sorted(folder.iterdir(), key=os.fsencode):
        name = path.name
        if name.lower().endswith((*PICKLES, *_MORE_PICKLES)):
            yield Finding(
                "warning", name, "A pickle, which can run code when it is read: it is never fetched or opened."
            )
        elif name.lower().endswith(_CODE):
            yield Finding("warning", name, "Code: it is never fetched or run.")
        elif path.is_dir():
            others.append(f"{name}/")
        elif not (is_of_adapter(name) if is_adapter else is_weights(name) or is_beside_weights(name)):
            others.append(name)
    if others:
        yield Finding(
            "note", "", "Files and folders that are never fetched.", found=", ".join(map(ascii, others[:10]))
        )
