"""A small Hugging Face hub on two loopback ports: commits, LFS, byte ranges, redirects, and knobs for its faults.

The first port answers the hub's API and serves small files; large files (LFS) are redirected to the second port, as
the real hub redirects to its storage, which must never see the user's token.
"""

from __future__ import annotations

import hashlib
import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, cast
from urllib.parse import unquote, urlsplit

from tests.unit.hub import hub_uploads


@dataclass
class Request:
    """What a server was asked."""

    server: str  # "hub" or "storage"
    method: str
    path: str
    range: str | None
    authorization: str | None
    encoding: str | None
    sent: int = 0  # bytes of the answer's body that were handed to the network


@dataclass
class Repo:
    """A repository: its commits, and where its branches stand. The name of a data set's begins with `datasets/`."""

    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)
    card: dict[str, Any] = field(default_factory=dict)
    gated: bool = False
    private: bool = False  # as if it were not there, for those without a token


@dataclass
class Faults:
    """What the storage does wrong."""

    corrupt: bool = False  # flips a bit of every answer
    truncate: int | None = None  # serves this much of each file as if it were all
    drop_after: list[int] = field(default_factory=list)  # one dropped connection each, after so many bytes
    statuses: list[int] = field(default_factory=list)  # answered first, one each
    upload_statuses: list[int] = field(default_factory=list)  # of uploads to the storage, one each
    api_status: int = 200  # of the API, whatever it is asked
    ignore_range: bool = False
    pause: float = 0.0  # seconds between two blocks
    block: int = 1 << 16  # bytes


class LocalHub:
    """The state that both servers share."""

    def __init__(self) -> None:
        self.repos: dict[str, Repo] = {}
        self.requests: list[Request] = []
        self.uploaded: dict[str, bytes] = {}  # sha256 -> large files that no commit need hold
        self.faults = Faults()
        self.waits: dict[str, str] = {}  # headers of busy answers: Retry_After="17"
        self.endpoint = ""
        self.storage = ""

    def commit(self, repo: str, files: dict[str, bytes], *, branch: str = "main") -> str:
        """Add a commit and return its id."""
        entry = self.repos.setdefault(repo, Repo())
        parent = entry.branches.get(branch, "")
        content = "".join(f"{name}{hashlib.sha256(data).hexdigest()}" for name, data in sorted(files.items()))
        sha = hashlib.sha1((parent + content).encode()).hexdigest()  # noqa: S324 -- as git does
        entry.commits[sha] = dict(files)
        entry.branches[branch] = sha
        return sha

    def files(self, repo: str, revision: str) -> tuple[str, dict[str, bytes]] | None:
        """Return a revision's commit and its files."""
        entry = self.repos[repo]
        sha = entry.branches.get(revision, revision)
        return (sha, entry.commits[sha]) if sha in entry.commits else None

    def blob(self, sha256: str) -> bytes:
        """Return the content of a large file."""
        contents = (
            data for repo in self.repos.values() for files in repo.commits.values() for data in files.values()
        )
        if sha256 in self.uploaded:
            return self.uploaded[sha256]
        return next(data for data in contents if hashlib.sha256(data).hexdigest() == sha256)

    def has(self, sha256: str) -> bool:
        """Return whether the storage has a large file."""
        try:
            return bool(self.blob(sha256))
        except StopIteration:
            return False

    def asked(self, server: str, containing: str = "") -> list[Request]:
        """Return what a server was asked for, in order."""
        return [request for request in self.requests if request.server == server and containing in request.path]


def is_lfs(name: str) -> bool:
    return name.endswith((".safetensors", "tokenizer.json", ".bin", ".gguf", ".parquet"))


def git_blob_id(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()  # noqa: S324 -- as git does


def describe(repo: str, sha: str, entry: Repo) -> dict[str, Any]:
    """Return the API's answer on a model, with its files' digests."""
    siblings: list[dict[str, Any]] = []
    for name, data in entry.commits[sha].items():
        row: dict[str, Any] = {"rfilename": name, "size": len(data), "blobId": git_blob_id(data)}
        if is_lfs(name):
            row["lfs"] = {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 134}
        siblings.append(row)
    return {
        "_id": "0",
        "id": repo.removeprefix("datasets/"),
        "sha": sha,
        "private": entry.private,
        "gated": "auto" if entry.gated else False,
        "tags": [],
        "cardData": entry.card,
        "siblings": siblings,
    }


class Handler(BaseHTTPRequestHandler):
    hub: LocalHub
    name: str
    protocol_version = "HTTP/1.1"
    request_log: Request

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 -- the base class's name for it
        pass

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        told = (self.headers.get(name) for name in ("Range", "Authorization", "Accept-Encoding"))
        self.request_log = Request(self.name, self.command, self.path, *told)
        self.hub.requests.append(self.request_log)
        self.answer(unquote(urlsplit(self.path).path))

    def answer(self, path: str) -> None:
        raise NotImplementedError

    def send(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for key, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(key.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def send_content(self, data: bytes, *, ignore_range: bool = False, **headers: str) -> int:
        """Send the start of an answer for a range of `data`; return where the range begins."""
        wanted = self.headers.get("Range")
        if not wanted or ignore_range:
            start, end, status = 0, len(data), 200
        else:
            first, _, last = wanted.removeprefix("bytes=").partition("-")
            start, end, status = int(first), min(int(last) + 1 if last else len(data), len(data)), 206
            if start >= len(data):
                self.send(416)
                return -1
            headers["Content_Range"] = f"bytes {start}-{end - 1}/{len(data)}"
        self.send_response(status)
        for key, value in {**headers, "Content-Length": str(end - start)}.items():
            self.send_header(key.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.send_body(data[start:end])
        return start

    def send_body(self, data: bytes) -> None:
        self.wfile.write(data)


class _Hub(Handler):
    name = "hub"

    def do_POST(self) -> None:
        hub_uploads.answer_post(self)

    def answer(self, path: str) -> None:
        if path.startswith(("/api/models/", "/api/datasets/")):
            repo, _, revision = path.removeprefix("/api/").removeprefix("models/").partition("/revision/")
            self.describe(repo, revision or "main")
        else:
            repo, _, rest = path.lstrip("/").partition("/resolve/")
            revision, _, file = rest.partition("/")
            self.serve(repo, revision, file)

    def describe(self, repo: str, revision: str) -> None:
        if self.hub.faults.api_status != 200:
            return self.send(self.hub.faults.api_status, b"", **self.hub.waits)
        if repo not in self.hub.repos or (self.hub.repos[repo].private and not self.headers.get("Authorization")):
            return self.send(404, X_Error_Code="RepoNotFound")
        found = self.hub.files(repo, revision)
        if found is None:
            return self.send(404, X_Error_Code="RevisionNotFound")
        body = json.dumps(describe(repo, found[0], self.hub.repos[repo])).encode()
        return self.send(200, body, Content_Type="application/json")

    def serve(self, repo: str, revision: str, file: str) -> None:
        entry = self.hub.repos[repo]
        if entry.gated and not self.headers.get("Authorization"):
            return self.send(401, X_Error_Code="GatedRepo")
        found = self.hub.files(repo, revision)
        assert found is not None, revision
        sha, files = found
        if file not in files:
            return self.send(404, X_Error_Code="EntryNotFound")
        if is_lfs(file):
            digest = hashlib.sha256(files[file]).hexdigest()
            return self.send(302, Location=f"{self.hub.storage}/{digest}", X_Repo_Commit=sha)
        self.send_content(files[file], X_Repo_Commit=sha)
        return None


class _Storage(Handler):
    name = "storage"

    def do_PUT(self) -> None:
        hub_uploads.answer_put(self)

    def answer(self, path: str) -> None:
        faults = self.hub.faults
        if faults.statuses:
            return self.send(faults.statuses.pop(0), b"", **self.hub.waits)
        data = self.hub.blob(path.lstrip("/"))[: faults.truncate]
        if faults.corrupt:
            data = data[:-1] + bytes([data[-1] ^ 1])
        self.send_content(data, ignore_range=faults.ignore_range)
        return None

    def send_body(self, data: bytes) -> None:
        faults = self.hub.faults
        limit = faults.drop_after.pop(0) if faults.drop_after else None
        for start in range(0, len(data[:limit]), faults.block):
            self.wfile.write(data[:limit][start : start + faults.block])
            self.request_log.sent += len(data[:limit][start : start + faults.block])
            time.sleep(faults.pause)
        if limit is not None:
            self.wfile.flush()
            self.connection.shutdown(socket.SHUT_RDWR)
            self.close_connection = True


@contextmanager
def serve() -> Iterator[LocalHub]:
    """Run a hub while the block runs."""
    hub = LocalHub()
    handlers = [cast("type[Handler]", type(kind.__name__, (kind,), {"hub": hub})) for kind in (_Hub, _Storage)]
    servers = [ThreadingHTTPServer(("127.0.0.1", 0), handler) for handler in handlers]
    hub.endpoint, hub.storage = (f"http://127.0.0.1:{server.server_port}" for server in servers)
    threads = [threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True) for server in servers]
    for thread in threads:
        thread.start()
    try:
        yield hub
    finally:
        for server in servers:
            server.shutdown()
            server.server_close()
