"""Handing a training over to the worker that has a GPU: as a run of the deployment `heal/heal`, shown as a subflow.

    build_model (pool cpu)                    heal (pool gpu, one at a time)
      task heal --order, JSON-----------------> flow heal: build, commit
           |<-state: running, failed, ended---------|
           +-- finds the artifact in the store that both share, or in the remote that both have

With a remote the parents are there before the order is given: the worker's machine needs the addresses of the server
and of the remote, and nothing else.

Whoever wants an artifact joins the run that is making it.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass

import httpx
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import FlowRun, State, WorkPoolStatus
from prefect.client.schemas.responses import DeploymentResponse
from prefect.exceptions import ObjectNotFound, PrefectHTTPStatusError
from prefect.runtime import flow_run as this_run
from prefect.states import Cancelling
from prefect.utilities.urls import url_for

from suture.errors import HostError, SutureError, TransientError
from suture.order import TrainingOrder, read_failure
from suture.process import stopping
from suture.steps import Outcome, PlannedStep, build, find, store_of_this_machine
from suture.store import Artifact, Store
from tasks.progress import StepView, Stopped, shown
from tasks.wanted import Wanted

DEPLOYMENT = "heal/heal"

_POLL_SECONDS = 1.0

_PATIENCE_SECONDS = 300.0
"""How long a run that has not begun waits for a worker that went away, such as one whose machine starts again."""

_SHARED_FOLDER_SECONDS = 90.0
"""NFS may answer for a minute that a folder is not there, if it was asked before it was."""

_AGAIN = "Run the same command again: it goes on from the last checkpoint."


def build_on_gpu(planned: PlannedStep) -> Outcome:
    """Return a training's artifact: from the store, from the GPU worker, or made here where there is no such worker.

    Raises:
        SutureError: What the training raised, here or on the worker.
        TransientError: When the worker's process ended before its time.
        Stopped: When this run is to end; the worker's is cancelled with it.
    """
    store = store_of_this_machine()
    with shown(planned.label) as view:
        made = None if find(planned.key, store, view) else _ask_worker(planned, store, view)
        if made is None:
            outcome = build(planned, store, view)
        else:
            outcome = Outcome(made, cached=False, seconds=made.manifest.seconds)
        view.finish(cached=outcome.cached, seconds=outcome.seconds)
    return outcome


def _ask_worker(planned: PlannedStep, store: Store, view: StepView) -> Artifact | None:
    """Return what the GPU worker made; None when there is no worker to ask."""
    with get_client(sync_client=True) as client:
        waiting = _handed_over(client, planned, store, view)
        state = waiting and waiting.for_end()
        if waiting is None or state is None:
            return None
        waiting.require_completed(state)
    return _collected(planned, store, view)


def _handed_over(client: SyncPrefectClient, planned: PlannedStep, store: Store, view: StepView) -> _Waiting | None:
    """Give the order, unless somebody has; None when there is no worker to give it to."""
    with _answering(planned):
        deployment = _deployment(client)
        if deployment is None or not _has_worker(client, deployment):
            lacking = f"no deployment {DEPLOYMENT}" if deployment is None else "no worker is online for it"
            view.say(f"training here: {lacking}")
            return None
        wanted = Wanted.look(client, planned.key, f"heal-{planned.key[:16]}")
    if wanted.running is None:
        _push_parents(planned, store, view)
    with _answering(planned):
        run = wanted.running or _start(wanted, planned)
    joined = not wanted.is_own(run)
    said = "the GPU worker has this already" if joined else "handed over to the GPU worker"
    view.say(f"{said}: {_address(run)}")
    return _Waiting(client, deployment, run, view, joined=joined)


@contextlib.contextmanager
def _answering(planned: PlannedStep) -> Generator[None]:
    """Let the step be tried again when the server is away; an order that it took all the same is found then."""
    try:
        yield
    except httpx.TransportError as error:
        raise TransientError(
            "The Prefect server does not answer.",
            where=planned.label,
            found=repr(error),
            way_out="Run the same command again once it does.",
        ) from error


def _push_parents(planned: PlannedStep, store: Store, view: StepView) -> None:
    """See to it that the worker finds what it is to train on; what this store remembers of the remote may be old."""
    if store.remote is None:
        return
    for parent in planned.parents:
        artifact = find(parent.key, store, view)
        if artifact is not None:
            store.remote.push(artifact, store, view)


def _deployment(client: SyncPrefectClient) -> DeploymentResponse | None:
    try:
        return client.read_deployment_by_name(DEPLOYMENT)
    except ObjectNotFound:
        return None


def _has_worker(client: SyncPrefectClient, deployment: DeploymentResponse) -> bool:
    """Return whether a worker of the deployment's pool was heard of lately."""
    if deployment.paused or deployment.work_pool_name is None:
        return False
    return client.read_work_pool(deployment.work_pool_name).status == WorkPoolStatus.READY


def _start(wanted: Wanted, planned: PlannedStep) -> FlowRun:
    recipe = (this_run.name or "").partition(":")[0]  # `Recipe.headline`
    parameters = {"order": TrainingOrder.of(planned).model_dump(mode="json")}
    try:
        return wanted.start(DEPLOYMENT, parameters, [f"recipe:{recipe}"], name=f"{recipe}: {planned.label}")
    except PrefectHTTPStatusError as error:
        raise HostError(
            f"The deployment {DEPLOYMENT} does not take the training.",
            where=planned.label,
            found=error.response.text,
            way_out="Run the same version of Suture on all machines, and deploy again: `suture up`.",
        ) from error


def _address(run: FlowRun) -> str:
    return url_for(run) or run.name


@dataclass
class _Waiting:
    """Waits for a run on the worker; holds nothing that it may need."""

    client: SyncPrefectClient
    deployment: DeploymentResponse
    run: FlowRun
    view: StepView
    joined: bool

    @property
    def address(self) -> str:
        """Where the run is shown."""
        return _address(self.run)

    def for_end(self) -> State | None:
        """Return how the run ended; None when no worker took it and it was withdrawn."""
        try:
            return self._follow()
        except BaseException:
            self._cancel()
            raise

    def _follow(self) -> State | None:
        said, worker_seen = "", time.monotonic()
        while True:
            if stopping.wait(_POLL_SECONDS):
                raise Stopped
            state, has_worker = self._look()
            if state is None:
                continue
            if state.is_final():
                return state
            if state.name != said:
                said = state.name or ""
                self.view.say(f"the GPU worker's run is {said.lower()}")
            if has_worker or not state.is_scheduled():
                worker_seen = time.monotonic()
            elif time.monotonic() - worker_seen > _PATIENCE_SECONDS:
                self.view.say("training here: the GPU worker went away before it began")
                self._cancel()
                return None

    def _look(self) -> tuple[State | None, bool]:
        """Return the run's state, None while the server is away; and whether there is a worker."""
        try:
            state = self.client.read_flow_run(self.run.id).state
            return state, state is None or not state.is_scheduled() or _has_worker(self.client, self.deployment)
        except ObjectNotFound as error:
            raise TransientError("The GPU worker's run was deleted.", where=self.address) from error
        except httpx.HTTPError:
            return None, True

    def require_completed(self, state: State) -> None:
        """Raise the error of a run that made nothing."""
        if state.is_completed():
            return
        if state.is_failed():
            raise read_failure(state.message or "", self.address)
        if state.is_cancelled() and not self.joined:
            raise SutureError("The training was cancelled.", where=self.address, way_out=_AGAIN)
        # cancelled by the run that had started it, or crashed: neither says that this one cannot have it
        raise TransientError(
            "The training ended on the GPU worker before its time.",
            where=self.address,
            found=state.message,
            way_out=_AGAIN,
        )

    def _cancel(self) -> None:
        """Cancel the run, unless the one that started it still wants it."""
        try:
            if self.joined and self._is_wanted():
                return
            self.client.set_flow_run_state(self.run.id, Cancelling(message="What it is for has ended."))
        except (httpx.HTTPError, ObjectNotFound):
            self.view.say(f"the GPU worker's run could not be cancelled: {self.address}")

    def _is_wanted(self) -> bool:
        if self.run.parent_task_run_id is None:
            return False
        task = self.client.read_task_run(self.run.parent_task_run_id)
        if task.flow_run_id is None:
            return False
        starter = self.client.read_flow_run(task.flow_run_id)
        return str(starter.id) != this_run.id and starter.state is not None and not starter.state.is_final()


def _collected(planned: PlannedStep, store: Store, view: StepView) -> Artifact:
    """Return what the worker has put into the store, or into its remote."""
    made = _within(_SHARED_FOLDER_SECONDS, lambda: find(planned.key, store, view))
    if made is None:
        remote = f", with the remote {store.remote.address}" if store.remote else ""
        raise HostError(
            "The GPU worker trained, but what it made is not in this machine's store.",
            where=f"{store.root}{remote}",
            expected=planned.key,
            way_out="Give both machines one remote (SUTURE_REMOTE or `worker --remote`: a bucket or a shared folder) "
            "or one store (SUTURE_STORE or `worker --store`: a shared folder). Then run the same command again.",
        )
    return made


def _within(seconds: float, look: Callable[[], Artifact | None]) -> Artifact | None:
    deadline = time.monotonic() + seconds
    while (found := look()) is None and time.monotonic() < deadline:
        if stopping.wait(_POLL_SECONDS):
            raise Stopped
    return found
