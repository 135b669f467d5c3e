"""Running the points of a sweep as runs of the deployment `build_model/build-model`, and watching them.

Whoever wants a point joins the run that is making it, whichever sweep has started that.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID

import httpx
from prefect.artifacts import create_markdown_artifact, create_table_artifact
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
from prefect.client.schemas.objects import FlowRun
from prefect.exceptions import ObjectNotFound
from prefect.states import Cancelling

from suture.errors import HostError
from suture.process import stopping
from suture.report.plots import data_uri
from suture.store import canonical_json
from suture.sweep import NOTE, PlannedPoint, Point, SweepData, table_rows
from suture.sweep.plot import sweep_plot
from tasks.artifacts import if_server_answers, own_slug
from tasks.progress import Stopped
from tasks.wanted import Wanted

DEPLOYMENT = "build_model/build-model"

_POLL_SECONDS = 1.0

Tell = Callable[[Point, str, str], None]
"""Is told a point, the name of its run's state, and what that says."""


def run_points(todo: Sequence[PlannedPoint], name: str, at_once: int, tell: Tell) -> None:
    """Run points on the pool until all have ended, well or not; when interrupted, cancel those that were started.

    Args:
        todo: The points.
        name: Of the sweep, for the tags.
        at_once: How many runs may be under way.
        tell: Is told whenever a run's state changes.

    Raises:
        HostError: When there is no such deployment.
    """
    with get_client(sync_client=True) as client:
        fleet = _Fleet(client, todo, name, tell)
        try:
            fleet.run(at_once)
        except BaseException:
            fleet.cancel()
            raise


class _Fleet:
    """The runs of a sweep's points."""

    def __init__(self, client: SyncPrefectClient, todo: Sequence[PlannedPoint], name: str, tell: Tell) -> None:
        self._client = client
        self._waiting = deque(todo)
        self._name = name
        self._tell = tell
        self._under_way: dict[UUID, Point] = {}
        self._ours: set[UUID] = set()
        self._told: dict[UUID, str] = {}

    def run(self, at_once: int) -> None:
        """Keep so many runs under way until all have ended."""
        while self._waiting or self._under_way:
            with contextlib.suppress(httpx.TransportError):  # while the server is away, none is started
                while self._waiting and len(self._under_way) < at_once:
                    self._launch(self._waiting[0].point)
                    self._waiting.popleft()
            if stopping.wait(_POLL_SECONDS):
                raise Stopped
            self._look()

    def cancel(self) -> None:
        """Cancel the runs that were started here and have not ended."""
        for run in self._ours & self._under_way.keys():
            try:
                self._client.set_flow_run_state(run, Cancelling(message="Its sweep was stopped."))
            except (httpx.HTTPError, ObjectNotFound) as error:
                self._tell(self._under_way[run], "Unknown", f"its run could not be cancelled: {error}")

    def _launch(self, point: Point) -> None:
        """Join the run that makes a point, or start one."""
        identity = _identity(point)
        wanted = Wanted.look(self._client, f"sweep-{identity}", f"point:{identity}")
        run = wanted.running or self._start(wanted, point)
        if wanted.is_own(run):
            self._ours.add(run.id)
        self._under_way[run.id] = point

    def _start(self, wanted: Wanted, point: Point) -> FlowRun:
        parameters = {"recipe": point.recipe.model_dump(mode="json")}
        try:
            return wanted.start(DEPLOYMENT, parameters, [f"sweep:{self._name}"])
        except ObjectNotFound as error:
            raise HostError(
                "There is no such deployment to run the points with.",
                where=DEPLOYMENT,
                way_out="Deploy it: `suture up` does so.",
            ) from error

    def _look(self) -> None:
        """See what has become of the runs; while the server is away, of none."""
        ids = FlowRunFilterId(any_=list(self._under_way))
        try:
            found = {run.id: run for run in self._client.read_flow_runs(flow_run_filter=FlowRunFilter(id=ids))}
        except httpx.HTTPError:
            return
        for id_, point in list(self._under_way.items()):
            run = found.get(id_)
            state = run.state if run else None
            name = (state.name or "") if state else "" if run else "Deleted"
            if name and self._told.get(id_) != name:
                self._told[id_] = name
                self._tell(point, name, (state.message or "") if state else "")
            if run is None or (state is not None and state.is_final()):
                del self._under_way[id_]


def _identity(point: Point) -> str:
    content = canonical_json(point.recipe.model_dump(mode="json"))
    return hashlib.sha256(content.encode()).hexdigest()[:16]


@if_server_answers()
def show_sweep(data: SweepData) -> None:
    """Show the points side by side on the run's page."""
    rows: list[dict[str, Any]] = [dict(row) for row in table_rows(data)]
    create_table_artifact(rows, key=f"sweep-{own_slug(data.recipe)}", description=NOTE)
    svg = sweep_plot(data)
    if svg is not None:
        create_markdown_artifact(
            f"![Perplexity]({data_uri(svg)})",
            key=f"sweep-plot-{own_slug(data.recipe)}",
            description=f"Perplexities of the sweep `{data.name}` with 95 % intervals.",
        )
