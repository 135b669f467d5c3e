"""What the hub tells of a repository: its commit, its files with their digests, its headers. No weights.

What is told of a commit never changes, so it is kept in the cache, below `hub/<owner--name>/<commit>/`:

    listing.json   the files with size and digest
    skeleton/      the checkpoint's small files, and each shard with its header and a hole where its numbers would be
    adapter/       the same two of the adapter that the repository holds, if it was asked for one

Beside the commits, `refs/` remembers which commit a branch was when the hub was last asked: offline, it is that.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Literal
from urllib.parse import quote

from suture.checkpoint.adapter import ADAPTER, require_adapter
from suture.checkpoint.header import LENGTH_BYTES
from suture.checkpoint.shards import INDEX, find_weights, parse_weight_map
from suture.checkpoint.strict_json import MAX_BYTES, read_json_object
from suture.errors import InputError
from suture.hub.client import endpoint, headers, is_offline, speaking_of, token, translating
from suture.hub.download import RemoteFile, download, is_complete, read_range
from suture.hub.files import is_beside_weights, is_of_adapter, is_weights
from suture.hub.hf_cache import seed_part
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
    ref = settings().cache / "hub" / repo.replace("/", "--") / "refs" / quote(revision, safe="")
    commit = ref.read_text() if is_offline() and ref.is_file() else revision
    if _COMMIT.fullmatch(commit) and (known := _folder(repo, commit, content) / "listing.json").exists():
        return Listing.model_validate_json(known.read_bytes())
    with speaking_of(repo, revision):
        listing = _ask(repo, revision, content)
    for file, text in (
        (_folder(repo, listing.commit, content) / "listing.json", listing.model_dump_json()),
        (ref, listing.commit),
    ):
        file.parent.mkdir(parents=True, exist_ok=True)
        durable.write_atomically(file, text.encode())
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
            with translating(listing.repo, listing.commit), naming(listing, part):
                _make_skeleton(listing, part)
            part.rename(target)
    return target


def obtain(
    listing: Listing,
    file: RemoteFile,
    folder: Path,
    on_bytes: Callable[[int], None],
    on_wait: Callable[[int], None],
) -> None:
    """Put a file of a repository into a folder: what is there already, or in the hub's own cache, is not fetched.

    Args:
        listing: The repository.
        file: The file.
        folder: Receives it, under its name, once it is verified.
        on_bytes: As `download` calls it.
        on_wait: As `download` calls it.

    Raises:
        Exception: As `download` does; `translating` turns it into Suture's.
    """
    target = folder / file.name
    if is_complete(file, target):
        on_bytes(file.size)
        return
    seed_part(listing.repo, file, target)
    download(file, url_of(listing, file.name), headers(), target, on_bytes, on_wait)


def naming(listing: Listing, folder: Path) -> contextlib.AbstractContextManager[None]:
    """Let errors about files in `folder` name the repository instead."""
    return naming_instead(listing.where, folder)


@contextlib.contextmanager
def naming_instead(place: str | Path, folder: Path) -> Generator[None]:
    """Let errors about files in `folder` name another place, which the user knows."""
    try:
        yield
    except InputError as error:
        where = str(error.where or "").replace(str(folder), str(place))
        raise type(error)(
            error.problem, where=where, expected=error.expected, found=error.found, way_out=error.way_out
        ) from error


def _folder(repo: str, commit: str, content: Content) -> Path:
    folder = settings().cache / "hub" / repo.replace("/", "--") / commit
    return folder / "adapter" if content == "adapter" else folder


def _ask(repo: str, revision: str, content: Content) -> Listing:
    from huggingface_hub import HfApi

    api = HfApi(endpoint=endpoint(), token=token() or False, library_name="suture")
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
            obtain(listing, file, folder, lambda _: None, lambda _: None)
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
