"""Making a run's report, and reading an old one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from suture.errors import HostError
from suture.report.data import ReportData
from suture.report.gather import gather
from suture.report.html import html_page
from suture.report.inputs import ReportInput
from suture.report.markdown import markdown_page
from suture.report.pages import pictures_of
from suture.store import Store
from suture.store.durable import write_atomically


@dataclass(frozen=True)
class ReportFiles:
    """A report in the store, beside the record of its run."""

    html: Path
    markdown: Path
    json: Path
    data: ReportData


def build_report(store: Store, asked: ReportInput) -> ReportFiles:
    """Make a run's report from what the store holds, and write it as HTML, Markdown and JSON.

    Works for a run that failed as well: what it did not make is shown as missing.
    """
    data = gather(store, asked)
    folder = store.runs / data.run
    folder.mkdir(parents=True, exist_ok=True)
    files = ReportFiles(folder / "report.html", folder / "report.md", folder / "report.json", data)
    write_atomically(files.html, html_page(data, pictures_of(store, asked)).encode())
    write_atomically(files.markdown, markdown_page(data).encode())
    write_atomically(files.json, data.model_dump_json(indent=1).encode())
    return files


def load_report(store: Store, run: str) -> ReportFiles:
    """Return a run's report as it was written, whatever has become of the artifacts since.

    Raises:
        HostError: When the run has none, or one of another format.
    """
    folder = store.runs / run
    path = folder / "report.json"
    try:
        data = ReportData.model_validate_json(path.read_bytes())
    except FileNotFoundError as error:
        raise HostError("This run has no report.", where=path, way_out="Run its recipe again.") from error
    except ValidationError as error:
        raise HostError(
            "This report is of another version of Suture.",
            where=path,
            way_out="Run its recipe again: it is rewritten.",
        ) from error
    return ReportFiles(folder / "report.html", folder / "report.md", path, data)
