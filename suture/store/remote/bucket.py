"""A place in a bucket of an S3-compatible server.

Which server it is and who asks, the standard variables say: AWS_ENDPOINT_URL, AWS_ACCESS_KEY_ID,
AWS_SECRET_ACCESS_KEY, AWS_REGION, or a profile of AWS_PROFILE.
"""

from __future__ import annotations

import asyncio
import hashlib
from base64 import b64encode
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from suture.errors import CorruptArtifactError, TransientError
from suture.store.artifact import FileEntry
from suture.store.remote.ahead import ahead
from suture.store.remote.answers import Nothing, call
from suture.store.remote.place import Blob, Listed

_PART = 32 * 2**20  # bytes; a server takes no more than _MOST_PARTS of them
_MOST_PARTS = 10_000
_AT_ONCE = 4
"""Parts on their way at once, each of them in memory."""

_DIGEST = "sha256"
"""Metadata of an object. Only what came whole appears, so that its content is known without reading it."""


class Bucket:
    """A bucket, or what lies below a prefix of it.

    Conditional writes are If-None-Match and If-Match. What is sent carries its MD5, which every server compares with
    what it received.

    Args:
        filesystem: An s3fs.S3FileSystem.
        path: `bucket/prefix`.
    """

    def __init__(self, filesystem: Any, path: str) -> None:  # noqa: ANN401 -- s3fs has no types
        self._files = filesystem
        self._bucket, _, prefix = path.strip("/").partition("/")
        self._prefix = f"{prefix}/" if prefix else ""
        self.address = f"s3://{path.strip('/')}"

    def read(self, name: str) -> Blob | None:
        """Return a small object."""

        async def get() -> Blob:
            answer = await self._files._call_s3("get_object", Bucket=self._bucket, Key=self._prefix + name)  # noqa: SLF001
            async with answer["Body"] as body:
                return Blob(await body.read(), answer["ETag"])

        found = call(lambda: asyncio.run_coroutine_threadsafe(get(), self._files.loop).result(), self.address)
        return found if isinstance(found, Blob) else None

    def create(self, name: str, content: bytes) -> bool:
        """Write a small object, unless there is one."""
        return not isinstance(self._try("put_object", name, **_carrying(content), IfNoneMatch="*"), Nothing)

    def replace(self, name: str, content: bytes, version: str) -> bool:
        """Write a small object if it is still of this version."""
        return not isinstance(self._try("put_object", name, **_carrying(content), IfMatch=version), Nothing)

    def remove(self, name: str, version: str | None = None) -> None:
        """Remove an object."""
        self._try("delete_object", name, **({"IfMatch": version} if version else {}))

    def move(self, name: str, other: str) -> None:
        """Give an object another name: the server copies it."""
        source, target = (f"{self._bucket}/{self._prefix}{it}" for it in (name, other))
        if not isinstance(call(lambda: self._files.cp_file(source, target), self.address), Nothing):
            self.remove(name)

    def list(self, prefix: str) -> Iterator[Listed]:
        """Yield all objects whose names begin so."""
        further: dict[str, str] = {}
        while True:
            answer = self._call("list_objects_v2", Prefix=self._prefix + prefix, **further)
            for row in answer.get("Contents", ()):
                yield Listed(row["Key"].removeprefix(self._prefix), row["Size"], row["LastModified"])
            if not answer["IsTruncated"]:
                return
            further = {"ContinuationToken": answer["NextContinuationToken"]}

    def give_up_uploads(self, before: datetime, *, dry_run: bool) -> int:
        """Remove what was sent of files whose upload began before then and was never finished."""
        old = [upload for upload in self._unfinished("") if upload["Initiated"] < before]
        for upload in () if dry_run else old:
            name = upload["Key"].removeprefix(self._prefix)
            self._try("abort_multipart_upload", name, UploadId=upload["UploadId"])
        return len(old)

    def holds(self, name: str, entry: FileEntry) -> bool:
        """Return whether a file is there with this content."""
        answer = self._try("head_object", name)
        if isinstance(answer, Nothing):
            return False
        return answer["ContentLength"] == entry.size and answer["Metadata"].get(_DIGEST) == entry.sha256

    def send(self, source: Path, name: str, entry: FileEntry) -> Iterator[int]:
        """Write a file, in parts if it is large; parts that a killed process has sent are not sent again."""
        size = max(_PART, -(-entry.size // _MOST_PARTS))
        if entry.size > size:
            yield from self._send_parts(source, name, entry, size)
            return
        content = source.read_bytes()
        _check(source, entry, hashlib.sha256(content).hexdigest())
        self._call("put_object", name, **_carrying(content), Metadata={_DIGEST: entry.sha256})
        yield len(content)

    def fetch(self, name: str, start: int, stop: int) -> Iterator[bytes]:
        """Yield the bytes of a file from `start` to before `stop`."""
        path = f"{self._bucket}/{self._prefix}{name}"
        ranges = ((at, min(at + _PART, stop)) for at in range(start, stop, _PART))

        def get(part: tuple[int, int]) -> bytes:
            content = call(lambda: self._files.cat_file(path, start=part[0], end=part[1]), self.address)
            return content if isinstance(content, bytes) else b""

        yield from ahead(get, ranges, _AT_ONCE)

    def _send_parts(self, source: Path, name: str, entry: FileEntry, size: int) -> Iterator[int]:
        upload, sent = self._begun(source, name, size) or (self._begin(name, entry), {})
        digest = hashlib.sha256()

        def chunks() -> Iterator[tuple[int, bytes]]:
            with source.open("rb") as file:
                number = 0
                while chunk := file.read(size):
                    digest.update(chunk)
                    yield (number := number + 1), chunk

        def put(numbered: tuple[int, bytes]) -> tuple[int, str, int]:
            number, chunk = numbered
            digest = hashlib.md5(chunk, usedforsecurity=False).hexdigest()
            if sent.get(number) == digest:
                return number, digest, len(chunk)
            answer = self._call("upload_part", name, **_carrying(chunk), UploadId=upload, PartNumber=number)
            return number, answer["ETag"], len(chunk)

        tags: list[dict[str, int | str]] = []
        for number, tag, length in ahead(put, chunks(), _AT_ONCE):
            tags.append({"PartNumber": number, "ETag": tag})
            yield length
        if digest.hexdigest() != entry.sha256:
            self._call("abort_multipart_upload", name, UploadId=upload)
        _check(source, entry, digest.hexdigest())
        self._call("complete_multipart_upload", name, UploadId=upload, MultipartUpload={"Parts": tags})

    def _begin(self, name: str, entry: FileEntry) -> str:
        return self._call("create_multipart_upload", name, Metadata={_DIGEST: entry.sha256})["UploadId"]

    def _begun(self, source: Path, name: str, size: int) -> tuple[str, dict[int, str]] | None:
        """Return the upload of this file that a killed process had begun, and the MD5s of its parts.

        An upload of other bytes is not taken: it appears under the digest that it was begun with.
        """
        for upload in self._unfinished(name):
            if upload["Key"] == self._prefix + name:
                sent = self._parts(name, upload["UploadId"])
                if sent and _are_of(source, sent, size):
                    return upload["UploadId"], sent
        return None

    def _unfinished(self, prefix: str) -> Iterator[Any]:
        """Yield the uploads of names that begin so, as the server tells them."""
        further: dict[str, str] = {}
        while True:
            answer = self._call("list_multipart_uploads", Prefix=self._prefix + prefix, **further)
            yield from answer.get("Uploads", ())
            if not answer.get("IsTruncated"):
                return
            further = {"KeyMarker": answer["NextKeyMarker"], "UploadIdMarker": answer["NextUploadIdMarker"]}

    def _parts(self, name: str, upload: str) -> dict[int, str]:
        """Return the MD5s of the parts that an upload has."""
        sent: dict[int, str] = {}
        marker = 0
        while True:
            answer = self._try("list_parts", name, UploadId=upload, PartNumberMarker=marker)
            if isinstance(answer, Nothing):  # it was finished, or given up, a moment ago
                return {}
            sent |= {part["PartNumber"]: part["ETag"].strip('"') for part in answer.get("Parts", ())}
            if not answer.get("IsTruncated"):
                return sent
            marker = answer["NextPartNumberMarker"]

    def _call(self, method: str, name: str | None = None, **asked: Any) -> Any:  # noqa: ANN401 -- boto's answers
        """Return the answer to what always has one."""
        answer = self._try(method, name, **asked)
        if isinstance(answer, Nothing):
            raise TransientError(
                "An object of the remote went while it was used.", where=f"{self.address}/{name}", found=method
            )
        return answer

    def _try(self, method: str, name: str | None, **asked: Any) -> Any:  # noqa: ANN401 -- boto's answers
        key = {} if name is None else {"Key": self._prefix + name}
        return call(lambda: self._files.call_s3(method, Bucket=self._bucket, **key, **asked), self.address)


def _carrying(content: bytes) -> dict[str, Any]:
    digest = hashlib.md5(content, usedforsecurity=False).digest()
    return {"Body": content, "ContentMD5": b64encode(digest).decode()}


def _are_of(source: Path, sent: Mapping[int, str], size: int) -> bool:
    """Return whether parts that were sent, of this size each, are those of a file."""
    with source.open("rb") as file:
        for number, tag in sent.items():
            file.seek((number - 1) * size)
            if hashlib.md5(file.read(size), usedforsecurity=False).hexdigest() != tag:
                return False
    return True


def _check(source: Path, entry: FileEntry, digest: str) -> None:
    if digest != entry.sha256:
        raise CorruptArtifactError(
            "A file in the store has other content.", where=source, expected=entry.sha256, found=digest
        )
