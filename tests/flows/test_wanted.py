"""Several who want the same thing, at a managed server."""

from __future__ import annotations

from typing import Any

import pytest
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import FlowRun
from prefect.exceptions import ObjectNotFound
from prefect.states import Cancelled

from flows.maintain import maintain
from tasks.wanted import Wanted

NAME = "maintain/wanted"


def start(wanted: Wanted) -> FlowRun:
    return wanted.start(NAME, {"maintenance": {}}, ["more"])


@pytest.mark.usefixtures("server")
def test_one_run_for_all_who_ask_and_another_once_it_has_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    def look(client: SyncPrefectClient) -> Wanted:
        return Wanted.look(client, "key", "made:key")

    deployment: Any = maintain.to_deployment(name="wanted")
    deployment.apply()
    with get_client(sync_client=True) as client:
        one = look(client)
        monkeypatch.setenv("PREFECT__RUNTIME__FLOW_RUN__ID", "another")
        other = look(client)
        monkeypatch.undo()
        first, same = start(one), start(other)
        assert same.id == first.id, "both saw none, and got one"
        assert (one.is_own(first), other.is_own(same)) == (True, False)
        assert set(first.tags) >= {"made:key", "more"}
        running = look(client).running
        assert running is not None
        assert running.id == first.id
        assert (look(client).is_own(running), other.is_own(running)) == (True, False)

        client.set_flow_run_state(first.id, Cancelled(), force=True)
        again = look(client)
        assert again.running is None
        second = start(again)
        client.set_flow_run_state(second.id, Cancelled(), force=True)
        client.delete_flow_run(first.id)
        third = start(look(client))
        assert third.id != second.id, "one that somebody deleted is still counted"
        client.set_flow_run_state(third.id, Cancelled(), force=True)

        with pytest.raises(ObjectNotFound):
            look(client).start("maintain/unknown", {}, [])
