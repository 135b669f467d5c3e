"""What `suture run` shows while it works: a bar per running step on a terminal, plain lines elsewhere."""

from __future__ import annotations

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Column

from suture.progress import Lines, Pace


class LineDisplay:
    """Plain lines, for logs and pipes."""

    def start(self, label: str) -> Lines:
        """Return where the step's progress goes; a step that is found in the store shows only its end."""
        return Lines(label)

    def finish(self, label: str, outcome: str) -> None:
        """Write how a step ended."""
        Lines(label).say(outcome)


class BarDisplay:
    """A bar per running step; what has ended scrolls up as a line."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            # cut where it is long
            TextColumn("{task.fields[said]}", markup=False, table_column=Column(no_wrap=True, ratio=1)),
            TimeElapsedColumn(),
            console=console,
            expand=True,
            transient=True,
        )
        self._bars: dict[str, TaskID] = {}

    def __enter__(self) -> BarDisplay:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def start(self, label: str) -> Bar:
        """Show a bar."""
        self._bars[label] = self._progress.add_task(label, total=None, said="")
        return Bar(self._progress, self._bars[label])

    def finish(self, label: str, outcome: str) -> None:
        """Replace the bar by a line."""
        self._progress.remove_task(self._bars.pop(label))
        style = {"cached": "dim", "failed": "bold red"}.get(outcome.partition(":")[0], "")
        self._console.print(f"{label:<32} {outcome}", style=style, markup=False, highlight=False)


class Bar:
    """One step's bar."""

    def __init__(self, progress: Progress, bar: TaskID) -> None:
        self._progress = progress
        self._bar = bar
        self._pace = Pace()

    def update(self, done: float, total: float, unit: str, note: str = "") -> None:
        """Move the bar."""
        said = self._pace.describe(done, total, unit, note)
        self._progress.update(self._bar, completed=done, total=total or None, said=said)

    def say(self, message: str) -> None:
        """Show a line beside the bar."""
        self._progress.update(self._bar, said=message)
