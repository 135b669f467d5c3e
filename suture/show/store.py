"""What a store looks like in a terminal: its artifacts, and what a check of it found."""

from __future__ import annotations

from rich.markup import escape
from rich.table import Table

from suture.errors import CorruptArtifactError
from suture.progress import human_bytes
from suture.store import Store
from suture.store.fsck import Finding

KEY_DIGITS = 12
"""Enough of a key to tell artifacts apart, and to type."""


def artifacts_table(store: Store) -> Table:
    """Return every artifact: key, step, size, when it was made and how long that took."""
    table = Table(title=escape(str(store.root)), title_justify="left")
    for column in ("key", "step", "size", "files", "made", "took"):
        table.add_column(column, justify="right" if column in ("size", "files", "took") else "left")
    total = 0
    for key in store.list_keys():
        try:
            manifest = store.load(key).manifest
        except CorruptArtifactError:
            table.add_row(key[:KEY_DIGITS], "[red]damaged: suture store fsck[/red]")
            continue
        total += manifest.size
        table.add_row(
            key[:KEY_DIGITS],
            manifest.step,
            human_bytes(manifest.size),
            str(len(manifest.files)),
            f"{manifest.created:%Y-%m-%d %H:%M}",
            f"{manifest.seconds:.1f} s",
        )
    table.caption = f"{table.row_count} artifacts, {human_bytes(total)}"
    return table


def findings_table(findings: list[Finding]) -> Table:
    """Return what a check of the store found."""
    table = Table(title="Check of the store", title_justify="left")
    table.add_column("key")
    table.add_column("finding")
    for finding in findings:
        table.add_row(finding.key[:KEY_DIGITS], escape(finding.problem))
    return table
