"""`suture sweep`: the points of a grid, on the pool of `suture up` where that is up, else one by one here."""

from __future__ import annotations

import contextlib
import signal
import sys
from collections.abc import Callable, Generator, Sequence
from pathlib import Path

from rich.console import Console
from rich.live import Live

from deployments.run import join_server, run_flow
from deployments.server import Server
from deployments.state import POOL, post, state_of_this_machine
from suture.show.sweep import plan_lines, points_table, result_table
from suture.steps import store_of_this_machine
from suture.store import Store
from suture.sweep import PlannedPoint, Point, SweepPlan, compare_points, plan_sweep, read_sweep, write_sweep

_SHOWN_MESSAGE = 300
"""Characters of why a point failed; its run has the whole of it."""

Tell = Callable[[Point, str, str], None]


def run_sweep(path: Path, sets: Sequence[str], at_once: int | None) -> int:
    """Run the points that are not finished, and compare all of them; returns 1 when some did not finish.

    Ctrl-C cancels the runs that this command has started, and no others.

    Args:
        path: A recipe, or a file that holds a sweep.
        sets: Fields with their values.
        at_once: Runs under way; as many as the pool takes when None.

    Raises:
        SutureError: When the sweep cannot be run: nothing has been started or written then.
    """
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    plan, store = plan_sweep(read_sweep(path, sets)), store_of_this_machine()
    plan.check_disk(store)
    sys.stderr.write("\n".join([*plan_lines(plan, store), ""]))
    finished = plan.finished(store)
    todo = [planned for planned in plan.points if planned.point.number not in finished]
    board = _Board(plan, dict.fromkeys(finished, "cached"))
    if todo:
        if _pool_is_served(join_server()):
            with board.shown():
                _on_pool(plan, todo, at_once, board.tell)
        else:
            _in_this_process(todo, board.tell)
    _print_comparison(plan, store)
    lacking = [number for number, state in board.states.items() if state not in ("cached", "completed")]
    if lacking:
        sys.stderr.write(f"{len(lacking)} of {len(plan.points)} points did not finish; the same command goes on.\n")
    return 1 if lacking else 0


def _on_pool(plan: SweepPlan, todo: Sequence[PlannedPoint], at_once: int | None, tell: Tell) -> None:
    from tasks.sweep import run_points

    run_points(todo, plan.sweep.name, at_once or len(todo), tell)


def _in_this_process(todo: Sequence[PlannedPoint], tell: Tell) -> None:
    """Run points as `suture run` does; one that fails does not stop the others."""
    for planned in todo:
        tell(planned.point, "Running", "")
        try:
            run_flow(planned.point.recipe)
        except Exception as error:  # noqa: BLE001 -- whatever its tools have raised
            tell(planned.point, "Failed", str(error))
        else:
            tell(planned.point, "Completed", "")


def _pool_is_served(server: Server) -> bool:
    """Return whether the server is that of a `suture up` that is up, with a worker that takes runs."""
    state = state_of_this_machine()
    if state.read_holder() is None or not state.is_managed(server.api):
        return False
    (pool,) = post(server.api, "/work_pools/filter", {"work_pools": {"name": {"any_": [POOL]}}}) or [{}]
    return pool.get("status") == "READY"


def _print_comparison(plan: SweepPlan, store: Store) -> None:
    data = compare_points(plan, store, plan.finished(store))
    files = write_sweep(store, data)
    Console(width=None if sys.stdout.isatty() else 200).print(result_table(data))
    sys.stdout.write(f"Comparison: {files.html}\n")


class _Board:
    """What has become of each point: a table on a terminal, lines elsewhere."""

    def __init__(self, plan: SweepPlan, states: dict[int, str]) -> None:
        self._plan = plan
        self._live: Live | None = None
        self.states = {planned.point.number: states.get(planned.point.number, "") for planned in plan.points}

    @contextlib.contextmanager
    def shown(self) -> Generator[None]:
        """Show the table while the block runs."""
        console = Console(stderr=True)
        if not console.is_terminal:
            yield
            return
        with Live(points_table(self._plan, self.states), console=console, transient=True) as self._live:
            yield
        self._live = None

    def tell(self, point: Point, state: str, message: str) -> None:
        """Show a point's new state, and why where it did not end well."""
        self.states[point.number] = state.lower()
        if self._live is not None:
            self._live.update(points_table(self._plan, self.states))
        bad = state in ("Failed", "Crashed", "Cancelled", "Unknown", "Deleted")
        if self._live is None or bad:
            why = f": {message[:_SHOWN_MESSAGE]}" if bad and message else ""
            self._say(f"point {point.number} ({', '.join(point.values)}): {state.lower()}{why}")

    def _say(self, line: str) -> None:
        if self._live is None:
            sys.stderr.write(f"{line}\n")
        else:
            self._live.console.print(line, markup=False, highlight=False)
