"""What the hub tells of a repository: its commit, its files with their digests, its headers. No weights.

What is told of a commit never changes, so it is kept in the cache, below `hub/<owner--name>/<commit>/`:

    listing.json   the files with size and digest
    skeleton/      the checkpoint's small files, and each shard with its header and a hole where its numbers would be
    adapter/       the same two of the adapter that the repository holds, if it was asked for one
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Generator
from pathlib import Path
from typing import Literal

import httpx
from huggingface_hub import errors

from suture.checkpoint.adapter import ADAPTER, require_adapter
from suture.checkpoint.header import LENGTH_BYTES
from suture.checkpoint.shards import INDEX, find_weights, parse_weight_map
from suture.checkpoint.strict_json import MAX_BYTES, read_json_object
from suture.errors import InputError, SourceError, TransientError
from suture.hub.download import RemoteFile, download, read_range
from suture.hub.files import is_beside_weights, is_of_adapter, is_weights
from suture.recipe import Part
from suture.settings import settings
from suture.store import durable, locks

_COMMIT = re.compile(r"[0-9a-f]{40}")
_FIRST_READ = 256 * 1024  # bytes; most headers are smaller
_API_TIMEOUT = 30.0  # seconds

Content = Literal["checkpoint", "adapter"]
"""What is wanted of a repository; some hold both."""


class Listing(Part):
    """What a repository holds at one commit, of the files that may be fetched."""

    repo: str
    commit: str
    files: tuple[RemoteFile, ...]
    content: Content = "checkpoint"

    def file(self, name: str) -> RemoteFile:
        """Return the file of that name."""
        return next(file for file in self.files if file.name == name)

    @property
    def where(self) -> str:
        """What errors call it."""
        return f"{self.repo} at {self.commit[:12]}"


def endpoint() -> str:
    """Return the hub's address: HF_ENDPOINT, or the public hub."""
    from huggingface_hub import constants

    return (os.environ.get("HF_ENDPOINT") or constants.ENDPOINT).rstrip("/")


def headers() -> dict[str, str]:
    """Return the headers of a request, with the token in HF_TOKEN and no other."""
    from huggingface_hub.utils import build_hf_headers  # pyright: ignore[reportUnknownVariableType]

    return build_hf_headers(token=_token() or False, library_name="suture")


def url_of(listing: Listing, name: str) -> str:
    """Return the address of a file."""
    from huggingface_hub import hf_hub_url

    return hf_hub_url(listing.repo, name, revision=listing.commit, endpoint=endpoint())


def look_up(repo: str, revision: str, content: Content = "checkpoint") -> Listing:
    """Return what a repository holds at a revision; of a commit that is in the cache, without asking the hub.

    Raises:
        SourceError: When there is no such repository or revision, it does not hold such content, it may not be read,
            or the network is forbidden.
        TransientError: When the hub cannot be reached.
    """
    if _COMMIT.fullmatch(revision) and (known := _folder(repo, revision, content) / "listing.json").exists():
        return Listing.model_validate_json(known.read_bytes())
    with speaking_of(repo, revision):
        listing = _ask(repo, revision, content)
    folder = _folder(repo, listing.commit, content)
    folder.mkdir(parents=True, exist_ok=True)
    durable.write_atomically(folder / "listing.json", listing.model_dump_json().encode())
    return listing


def skeleton(listing: Listing) -> Path:
    """Return a folder that reads like the checkpoint or adapter, but holds no weights.

    Raises:
        SourceError: When a file is not what the hub lists, or the network is forbidden.
        CheckpointError: When the index is malformed.
        TransientError: When the hub cannot be reached.
    """
    folder = _folder(listing.repo, listing.commit, listing.content)
    target = folder / "skeleton"
    with locks.locked(folder / "skeleton.lock"):
        if not target.exists():
            part = folder / "skeleton.part"
            durable.remove_tree(part)
            part.mkdir()
            with speaking_of(listing.repo, listing.commit), naming(listing, part):
                _make_skeleton(listing, part)
            part.rename(target)
    return target


@contextlib.contextmanager
def naming(listing: Listing, folder: Path) -> Generator[None]:
    """Let errors about files in `folder` name the repository instead."""
    try:
        yield
    except InputError as error:
        where = str(error.where or "").replace(str(folder), listing.where)
        raise type(error)(
            error.problem, where=where, expected=error.expected, found=error.found, way_out=error.way_out
        ) from error


@contextlib.contextmanager
def speaking_of(repo: str, revision: str) -> Generator[None]:
    """Turn the hub client's errors into Suture's."""
    if settings().offline:
        raise _offline(repo, revision)
    try:
        yield
    except errors.OfflineModeIsEnabled as error:
        raise _offline(repo, revision) from error
    except errors.HFValidationError as error:
        raise SourceError(
            "This is not the name of a repository.",
            where=repo,
            expected="owner/name; a folder begins with /, ./, ../ or ~",
            way_out="Check the source's model in the recipe.",
        ) from error
    except errors.HfHubHTTPError as error:
        raise _refusal(repo, revision, error) from error
    except httpx.TransportError as error:
        raise TransientError(
            "The hub cannot be reached, or the connection broke off.",
            where=repo,
            found=f"{type(error).__name__}: {error}",
            way_out="Check the network, then run the same command again: what was fetched is kept.",
        ) from error


def _refusal(repo: str, revision: str, error: errors.HfHubHTTPError) -> SourceError | TransientError:
    """Return Suture's error for an answer of the hub that is not what was asked for."""
    status = error.response.status_code
    match error:
        case errors.GatedRepoError():
            return SourceError(
                "The repository is gated: its owner decides who may read it.",
                where=repo,
                found="no access with the token in HF_TOKEN" if _token() else "HF_TOKEN is not set",
                way_out="Ask for access on the repository's page, then set HF_TOKEN to a token of that account.",
            )
        case errors.RevisionNotFoundError():
            return SourceError(
                "The repository has no such revision.",
                where=repo,
                expected="a branch, a tag or a commit",
                found=revision,
                way_out="Look at the repository's history on the hub.",
            )
        case errors.RepositoryNotFoundError():
            return SourceError(
                "There is no such repository, or it is private.",
                where=repo,
                way_out="Check its name; for a private one set HF_TOKEN. A folder begins with /, ./, ../ or ~.",
            )
        case _ if status in (408, 429) or status >= 500:
            return TransientError(
                "The hub is busy or out of order.", where=repo, found=f"status {status}", way_out="Try again later."
            )
        case _:
            return SourceError(
                "The hub refuses to hand out a file.",
                where=repo,
                found=f"status {status} at revision {revision}",
                way_out="Look at the repository on the hub; if it is restricted, set HF_TOKEN.",
            )


def _offline(repo: str, revision: str) -> SourceError:
    return SourceError(
        "The hub is needed, but SUTURE_OFFLINE or HF_HUB_OFFLINE forbids to ask it.",
        where=f"{repo} at {revision}",
        way_out="Give the commit of an earlier run as revision, or allow the network.",
    )


def _token() -> str | None:
    return os.environ.get("HF_TOKEN", "").strip() or None


def _folder(repo: str, commit: str, content: Content) -> Path:
    folder = settings().cache / "hub" / repo.replace("/", "--") / commit
    return folder / "adapter" if content == "adapter" else folder


def _ask(repo: str, revision: str, content: Content) -> Listing:
    from huggingface_hub import HfApi

    api = HfApi(endpoint=endpoint(), token=_token() or False, library_name="suture")
    info = api.model_info(repo, revision=revision, files_metadata=True, timeout=_API_TIMEOUT)
    siblings = info.siblings or []
    (require_adapter if content == "adapter" else find_weights)([sibling.rfilename for sibling in siblings], repo)
    files = tuple(
        RemoteFile(
            name=sibling.rfilename,
            size=sibling.size or 0,
            digest=sibling.lfs.sha256 if sibling.lfs else sibling.blob_id or "",
            is_lfs=sibling.lfs is not None,
        )
        for sibling in siblings
        if _is_wanted(sibling.rfilename, content)
    )
    return Listing(repo=repo, commit=str(info.sha), files=files, content=content)


def _is_wanted(name: str, content: Content) -> bool:
    return is_of_adapter(name) if content == "adapter" else is_weights(name) or is_beside_weights(name)


def _make_skeleton(listing: Listing, folder: Path) -> None:
    for file in listing.files:
        if not is_weights(file.name):
            download(file, url_of(listing, file.name), headers(), folder / file.name, lambda _: None)
    for name in sorted(_shards(listing, folder)):
        with (folder / name).open("wb") as shard:
            shard.write(_read_header(listing.file(name), url_of(listing, name)))
            shard.truncate(listing.file(name).size)  # a hole: it takes no room


def _shards(listing: Listing, folder: Path) -> set[str]:
    """Return the names of the files with tensors that belong to what is wanted; reads the index in `folder`."""
    if listing.content == "adapter":
        return {ADAPTER}
    names = [file.name for file in listing.files]
    first = find_weights(names, listing.where)
    if first == INDEX:
        return set(parse_weight_map(read_json_object(folder / INDEX), names, listing.where).values())
    return {first}


def _read_header(file: RemoteFile, url: str) -> bytes:
    """Return a shard's first bytes, up to the end of its header; fewer if the header claims more than may be."""
    start = read_range(url, headers(), 0, _FIRST_READ)
    length = min(int.from_bytes(start[:LENGTH_BYTES], "little"), MAX_BYTES)
    end = min(LENGTH_BYTES + length, file.size)
    if end > len(start):
        start += read_range(url, headers(), len(start), end)
    return start[:end]
