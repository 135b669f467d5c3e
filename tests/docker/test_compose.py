"""docker/compose.yaml: what an engine would refuse, and what no engine would say."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

DOCKER = Path(__file__).parents[2] / "docker"
COMPOSE = DOCKER / "compose.yaml"
SECRETS = {
    "SUTURE_LOGIN": "suture:of-the-server",
    "POSTGRES_PASSWORD": "of-the-database",
    "AWS_ACCESS_KEY_ID": "of-the-store",
    "AWS_SECRET_ACCESS_KEY": "of-the-store-too",
    "HF_TOKEN": "of-the-hub",
}
OURS = {"server", "deploy", "bucket", "worker-cpu", "worker-gpu"}
ONE_SHOTS = {"deploy", "bucket"}


def config(file: Path, tmp_path: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run `docker-compose config`, which needs no engine."""
    environment = tmp_path / "environment"
    environment.write_text("".join(f"{name}={value}\n" for name, value in variables.items()))
    program = Path(sys.executable).with_name("docker-compose")
    command = [program, "--env-file", environment, "--file", file, "--profile", "gpu", "config", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, env={"HOME": str(tmp_path)})


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    done = config(COMPOSE, tmp_path_factory.mktemp("compose"), "--format", "json", **SECRETS)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)["services"]


def test_nothing_starts_without_the_secrets(tmp_path: Path) -> None:
    done = config(COMPOSE, tmp_path, "--quiet")
    assert done.returncode != 0
    assert {name for name in SECRETS if f"variable {name} is missing" in done.stderr} == SECRETS.keys() - {"HF_TOKEN"}


@pytest.mark.parametrize(
    ("right", "wrong", "said"),
    [
        ("{ condition: service_healthy }", "{ condition: healthy }", "depends_on"),
        ("depends_on: &made", "depends_upon: &made", "depends_upon"),
        ('["database:/var/lib/postgresql"]', '["databse:/var/lib/postgresql"]', "databse"),
        ("networks: [database, runs]", "networks: [database, run]", "run"),
        ("capabilities: [gpu]", "capability: [gpu]", "capability"),
    ],
)
def test_a_planted_fault_is_found(right: str, wrong: str, said: str, tmp_path: Path) -> None:
    text = COMPOSE.read_text()
    assert right in text
    (tmp_path / "docker").mkdir()
    broken = tmp_path / "docker" / "compose.yaml"
    broken.write_text(text.replace(right, wrong, 1))
    done = config(broken, tmp_path, "--quiet", **SECRETS)
    assert done.returncode != 0
    assert said in done.stderr


def test_every_image_is_pinned(services: dict[str, Any]) -> None:
    for name, service in services.items():
        tag = service["image"].rpartition("/")[2].partition(":")[2]
        assert re.match(r"\d+\.\d+", tag), f"{name}: {service['image']}"
        if name in OURS:
            assert re.search(r":\d+\.\d+\.\d+", service["build"]["args"]["BASE_IMAGE"])


def test_only_this_machine_reaches_the_ports(services: dict[str, Any]) -> None:
    ports = [port for service in services.values() for port in service.get("ports", [])]
    assert {port["host_ip"] for port in ports} == {"127.0.0.1"}
    assert {port["target"] for port in ports} == {4200, 8333}


def test_a_container_may_do_little(services: dict[str, Any]) -> None:
    for name, service in services.items():
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert "privileged" not in service, name
        assert "network_mode" not in service, name
        assert not [volume for volume in service.get("volumes", []) if volume["type"] != "volume"], name
        if name in OURS | {"database"}:
            assert service["read_only"], name
            assert "cap_add" not in service, name
    assert "cap_add" in services["objects"]  # its entrypoint becomes another user


def test_whatever_stays_up_says_how_it_is(services: dict[str, Any]) -> None:
    for name, service in services.items():
        own = service.get("healthcheck", {})
        if name in ONE_SHOTS:
            assert own["disable"], name
            assert service["restart"].startswith("on-failure"), name
        else:
            assert own.get("test") or name.startswith("worker-"), name  # a worker's is the image's
            assert service["restart"] == "unless-stopped", name
    awaited = {name: row["condition"] for name, row in services["worker-cpu"]["depends_on"].items()}
    assert awaited == dict.fromkeys(ONE_SHOTS, "service_completed_successfully")
    assert services["server"]["depends_on"]["database"]["condition"] == "service_healthy"
    assert services["deploy"]["depends_on"]["server"]["condition"] == "service_healthy"


def test_a_secret_reaches_only_who_needs_it(services: dict[str, Any]) -> None:
    holders = {
        name: {service for service, what in services.items() if value in json.dumps(what)}
        for name, value in SECRETS.items()
    }
    workers = {"worker-cpu", "worker-gpu"}
    assert holders == {
        "SUTURE_LOGIN": {"server", "deploy"} | workers,
        "POSTGRES_PASSWORD": {"database", "server"},
        "AWS_ACCESS_KEY_ID": {"objects", "bucket"} | workers,
        "AWS_SECRET_ACCESS_KEY": {"objects", "bucket"} | workers,
        "HF_TOKEN": workers,
    }
    for service in services.values():
        assert not [value for value in SECRETS.values() if value in json.dumps(service.get("build", {}))]


def test_no_file_holds_a_secret() -> None:
    written = yaml.safe_load(COMPOSE.read_text())["services"]
    private = re.compile(r"PASSWORD|SECRET|TOKEN|AUTH_STRING|ACCESS_KEY")
    for service in written.values():
        for name, value in service.get("environment", {}).items():
            assert not private.search(name) or value.startswith("${"), name
    example = dict(re.findall(r"^#?([A-Z_0-9]+)=(.*)$", (DOCKER / ".env.example").read_text(), re.MULTILINE))
    assert {name for name, value in example.items() if not value} == SECRETS.keys()
    taken = set(re.findall(r"\$\{([A-Z_0-9]+)", COMPOSE.read_text()))
    assert example.keys() == taken - {"SUTURE_CPU_IMAGE", "SUTURE_GPU_IMAGE"}  # those are docker/verify's


def test_only_training_takes_a_gpu(services: dict[str, Any]) -> None:
    reserved = {name: service["deploy"] for name, service in services.items() if "deploy" in service}
    assert reserved.keys() == {"worker-gpu"}
    (device,) = reserved["worker-gpu"]["resources"]["reservations"]["devices"]
    assert device == {"driver": "nvidia", "count": 1, "capabilities": ["gpu"]}
    assert services["worker-gpu"]["profiles"] == ["gpu"]
    assert services["worker-gpu"]["build"]["target"] == "gpu"
