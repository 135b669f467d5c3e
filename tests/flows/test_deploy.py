"""`suture deploy`: a server that `suture up` has not started gets all that `suture up` gives its own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

import deployments
from deployments.deploy import deploy_to
from deployments.server import Server


def test_a_server_gets_pools_deployments_and_automations(server: Server, ask: Callable[..., Any]) -> None:
    deploy_to(server.ui, runs=3)
    file = yaml.safe_load((Path(deployments.__file__).parent / "prefect.yaml").read_text())
    wanted = {(each["entrypoint"].rpartition(".")[2], each["work_pool"]["name"]) for each in file["deployments"]}
    flows = {flow["id"]: flow["name"] for flow in ask("/flows/filter")}
    found = {(flows[each["flow_id"]], each["work_pool_name"]) for each in ask("/deployments/filter")}
    assert wanted <= found, "the server is other tests' too"
    pools = {pool["name"]: pool["concurrency_limit"] for pool in ask("/work_pools/filter")}
    assert pools["gpu"] == 1
    assert ask("/automations/filter")
    queues = {queue["name"]: queue["concurrency_limit"] for queue in ask("/work_pools/cpu/queues/filter")}
    assert (queues["default"], queues["light"]) == (3, None)


def test_health_check(server: Server) -> None:
    def asks(address: str) -> int:
        return subprocess.run([sys.executable, "-m", "deployments.health", address], check=False).returncode

    assert asks(server.api) == 0
    assert asks("http://127.0.0.1:9") == 1
