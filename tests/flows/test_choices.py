"""What users chose for a deployment outlives the next `suture up`, with the managed server."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from deployments.choices import deploy_and_keep
from deployments.server import Server
from deployments.state import StateFolder
from flows.maintain import maintain


def deploy(*, seconds: int, remove: bool) -> None:
    deployment: Any = maintain.to_deployment(
        name="chosen", interval=seconds, parameters={"maintenance": {"remove": remove}}, tags=["suture"], paused=True
    )
    deployment.apply()


def test_schedules_and_parameters_are_given_back(
    server: Server, ask: Callable[..., Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def chosen() -> tuple[float, bool]:
        (found,) = ask("/deployments/filter", deployments={"name": {"any_": ["chosen"]}})
        (schedule,) = found["schedules"]
        return schedule["schedule"]["interval"], found["parameters"]["maintenance"]["remove"]

    state = StateFolder(tmp_path)
    deploy(seconds=3600, remove=True)
    (before,) = ask("/deployments/filter", deployments={"name": {"any_": ["chosen"]}})

    def interrupted() -> None:
        deploy(seconds=1800, remove=False)
        assert chosen() == (1800, False)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        deploy_and_keep(server.api, state, interrupted)
    assert chosen() == (3600, True)

    deploy(seconds=1800, remove=False)  # by one that was killed before it could give anything back
    kept = {name: before[name] for name in ("parameters", "paused", "schedules")}
    schedule = {name: kept["schedules"][0][name] for name in ("schedule", "active", "parameters", "slug")}
    state.choices.write_text(json.dumps({before["id"]: kept | {"schedules": [schedule]}}))
    deploy_and_keep(server.api, state, lambda: deploy(seconds=900, remove=False))
    assert chosen() == (3600, True)
    assert not state.choices.exists()

    gone, unfit = str(uuid4()), {"maintenance": {"remove": "a word"}}
    state.choices.write_text(
        json.dumps({gone: kept, before["id"]: kept | {"parameters": unfit, "schedules": [schedule]}})
    )
    deploy_and_keep(server.api, state, lambda: deploy(seconds=900, remove=False))
    assert chosen() == (3600, False), "the schedule is kept where the form is another"
    assert not state.choices.exists(), "what is refused once must not stop the next `suture up`"
    said = capsys.readouterr().err
    assert f"{gone} has lost the schedules and parameters" in said
    assert f"{before['id']} has lost the parameters" in said
