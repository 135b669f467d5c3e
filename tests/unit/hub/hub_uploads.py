"""The local hub's other direction: making repositories, uploading large files to the storage, and commits."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

if TYPE_CHECKING:
    from tests.unit.hub.local_hub import Handler, LocalHub

GIT_ATTRIBUTES = b"*.safetensors filter=lfs diff=lfs merge=lfs -text\n"


def answer_post(handler: Handler) -> None:
    """Answer what `create_repo` and `create_commit` of huggingface_hub ask."""
    from tests.unit.hub.local_hub import Request

    hub, path = handler.hub, unquote(urlsplit(handler.path).path)
    body = read_body(handler)
    told = (handler.headers.get(name) for name in ("Range", "Authorization", "Accept-Encoding"))
    hub.requests.append(Request(handler.name, "POST", handler.path, *told))
    if not handler.headers.get("Authorization"):
        handler.send(401)
    elif path == "/api/repos/create":
        create(handler, json.loads(body))
    elif path == "/api/validate-yaml":
        reply(handler, {"errors": [], "warnings": []})
    elif path.endswith(".git/info/lfs/objects/batch"):
        reply(handler, {"objects": [batched(hub, each) for each in json.loads(body)["objects"]]})
    elif "/preupload/" in path:
        repo, _, revision = path.removeprefix("/api/models/").partition("/preupload/")
        reply(handler, {"files": [mode(hub, repo, revision, each) for each in json.loads(body)["files"]]})
    else:
        repo, _, branch = path.removeprefix("/api/models/").partition("/commit/")
        commit(handler, repo, branch, [json.loads(line) for line in body.splitlines()])


def answer_put(handler: Handler) -> None:
    """Take a large file."""
    from tests.unit.hub.local_hub import Request

    hub, content = handler.hub, read_body(handler)
    hub.requests.append(Request(handler.name, "PUT", handler.path, None, handler.headers.get("Authorization"), None))
    if hub.faults.upload_statuses and (status := hub.faults.upload_statuses.pop(0)) != 200:
        return handler.send(status)
    digest = hashlib.sha256(content).hexdigest()
    assert handler.path == f"/upload/{digest}", handler.path
    hub.uploaded[digest] = content
    return handler.send(200)


def create(handler: Handler, asked: dict[str, Any]) -> None:
    hub, repo = handler.hub, f"{asked['organization']}/{asked['name']}"
    if repo in hub.repos:
        return handler.send(409)
    hub.commit(repo, {".gitattributes": GIT_ATTRIBUTES})
    hub.repos[repo].private = asked.get("visibility") == "private" or bool(asked.get("private"))
    return reply(handler, {"url": f"{hub.endpoint}/{repo}"})


def mode(hub: LocalHub, repo: str, revision: str, file: dict[str, Any]) -> dict[str, Any]:
    from tests.unit.hub.local_hub import git_blob_id, is_lfs

    found = hub.files(repo, revision)
    assert found is not None
    there = found[1].get(file["path"])
    oid = None if there is None else hashlib.sha256(there).hexdigest() if is_lfs(file["path"]) else git_blob_id(there)
    kind = "lfs" if is_lfs(file["path"]) else "regular"
    return {"path": file["path"], "uploadMode": kind, "shouldIgnore": False, "oid": oid}


def batched(hub: LocalHub, asked: dict[str, Any]) -> dict[str, Any]:
    row = {"oid": asked["oid"], "size": asked["size"]}
    if hub.has(asked["oid"]):
        return row
    return {**row, "actions": {"upload": {"href": f"{hub.storage}/upload/{asked['oid']}"}}}


def commit(handler: Handler, repo: str, branch: str, lines: list[dict[str, Any]]) -> None:
    hub, head = handler.hub, lines[0]["value"]
    found = hub.files(repo, branch)
    assert found is not None
    parent, before = found
    if head.get("parentCommit") not in (None, parent):
        return handler.send(412)
    files = dict(before)
    for line in lines[1:]:
        value = line["value"]
        match line["key"]:
            case "file":
                files[value["path"]] = base64.b64decode(value["content"])
            case "lfsFile":
                files[value["path"]] = hub.blob(value["oid"])
            case "deletedFile":
                del files[value["path"]]
            case other:
                raise AssertionError(other)
    sha = hub.commit(repo, files, branch=branch)
    return reply(handler, {"commitUrl": f"{hub.endpoint}/{repo}/commit/{sha}", "commitOid": sha})


def reply(handler: Handler, content: Any) -> None:
    handler.send(200, json.dumps(content).encode(), Content_Type="application/json")


def read_body(handler: Handler) -> bytes:
    if handler.headers.get("Transfer-Encoding", "").lower() != "chunked":
        return handler.rfile.read(int(handler.headers.get("Content-Length", "0")))
    content = bytearray()
    while size := int(handler.rfile.readline().strip(), 16):
        content += handler.rfile.read(size)
        handler.rfile.readline()
    handler.rfile.readline()
    return bytes(content)
