"""Data sets of the hub: pinned to a commit, their files chosen, then fetched and checked. Planning reads no row.

What is told of a commit is kept in the cache, below `hub/datasets--<owner--name>/<commit>/listing.json`.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from pydantic import Field, JsonValue

from suture.errors import DataError
from suture.hub.client import endpoint, headers, is_offline, speaking_of, token, translating
from suture.hub.dataset_files import Subset, choose_files, is_data, subsets_of
from suture.hub.download import RemoteFile, download, is_complete
from suture.hub.licences import licence_of_head
from suture.hub.transfer import receive_all
from suture.progress import Progress
from suture.recipe import Data, Part, hub_dataset
from suture.settings import settings
from suture.store import Artifact, Workspace, canonical_json, durable

_COMMIT = re.compile(r"[0-9a-f]{40}")
_API_TIMEOUT = 30.0  # seconds


class DatasetListing(Part):
    """What a data set's repository holds at one commit, of the files that can be read."""

    repo: str
    commit: str
    licence: str
    """What its card names; `unknown` else."""
    subsets: tuple[Subset, ...]
    files: tuple[RemoteFile, ...]

    @property
    def where(self) -> str:
        """What errors call it."""
        return f"hub:{self.repo} at {self.commit[:12]}"


class DatasetFetch(Part):
    """Files of a data set, known by their digests: a later commit with the same ones is the same data."""

    repo: str
    files: dict[str, str]
    """Path in the repository -> digest, as the hub lists it."""
    commit: str = Field(exclude=True)
    """Where, not what."""

    @property
    def digest(self) -> str:
        """One digest of all files."""
        return hashlib.sha256(canonical_json(dict(self.files)).encode()).hexdigest()


@dataclass(frozen=True)
class HubDataset:
    """A data set that a recipe names, pinned.

    Attributes:
        name: What blends and errors call it: the repository, and what is taken of it.
        listing: What the repository holds.
        spec: How to fetch it.
        size: Bytes of the files.
    """

    name: str
    listing: DatasetListing
    spec: DatasetFetch
    size: int


def pin_dataset(data: Data) -> HubDataset:
    """Pin a data set of the hub, and choose its files.

    Raises:
        SourceError: When there is no such data set or revision, it may not be read, or the network is forbidden.
        DataError: When it has no such files.
        TransientError: When the hub cannot be reached.
    """
    listing = look_up_dataset(*hub_dataset(data))
    files = {file.name: file for file in listing.files}
    chosen = choose_files(data, files, listing.subsets, listing.where)
    asked = [data.files] if data.files else [data.subset, data.split if data.split != "train" else None]
    return HubDataset(
        name="/".join([listing.repo, *filter(None, asked)]),
        listing=listing,
        spec=DatasetFetch(
            repo=listing.repo, files={name: files[name].digest for name in chosen}, commit=listing.commit
        ),
        size=sum(files[name].size for name in chosen),
    )


def look_up_dataset(repo: str, revision: str) -> DatasetListing:
    """Return what a data set holds at a revision; of a commit that is in the cache, without asking the hub.

    Raises:
        SourceError: When there is no such data set or revision, it may not be read, or the network is forbidden.
        TransientError: When the hub cannot be reached.
    """
    folder = settings().cache / "hub" / f"datasets--{repo.replace('/', '--')}"
    ref = folder / "refs" / quote(revision, safe="")
    commit = ref.read_text() if is_offline() and ref.is_file() else revision
    if _COMMIT.fullmatch(commit) and (known := folder / commit / "listing.json").exists():
        return DatasetListing.model_validate_json(known.read_bytes())
    with speaking_of(f"hub:{repo}", revision):
        listing = _ask(repo, revision)
    for file, text in ((folder / listing.commit / "listing.json", listing.model_dump_json()), (ref, listing.commit)):
        file.parent.mkdir(parents=True, exist_ok=True)
        durable.write_atomically(file, text.encode())
    return listing


def fetch_dataset(
    spec: DatasetFetch,
    parents: Sequence[Artifact],  # noqa: ARG001 -- every step has this form
    work: Workspace,
    progress: Progress,
) -> Mapping[str, JsonValue]:
    """Fetch the files of a data set, each verified against the digest that it was pinned by.

    Args:
        spec: What to fetch.
        parents: None.
        work: Receives the files, under their paths in the repository.
        progress: Is told the bytes of all files.

    Returns:
        `dataset`, `commit`, `licence`, `files`, `bytes`.

    Raises:
        SourceError: When a file is not what was pinned.
        TransientError: When the hub cannot be reached.
    """
    listing = look_up_dataset(spec.repo, spec.commit)
    files = [file for file in listing.files if spec.files.get(file.name) == file.digest]
    if len(files) < len(spec.files):
        raise DataError(
            "The data set does not hold what was pinned.", where=listing.where, expected=", ".join(spec.files)
        )
    folder = work.scratch / "files"

    def receive(file: RemoteFile, on_bytes: Callable[[int], None], on_wait: Callable[[int], None]) -> None:
        target = folder / file.name
        if is_complete(file, target):
            on_bytes(file.size)
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            download(file, _url_of(listing, file.name), headers(), target, on_bytes, on_wait)

    with translating(f"hub:{listing.repo}", listing.commit):
        receive_all(files, receive, settings().parallel_downloads, progress)
    for file in files:
        _move(folder / file.name, work.out / file.name)
    return {
        "dataset": listing.repo,
        "commit": listing.commit,
        "licence": listing.licence,
        "files": len(files),
        "bytes": sum(file.size for file in files),
    }


def _move(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    source.rename(target)


def _url_of(listing: DatasetListing, name: str) -> str:
    from huggingface_hub import hf_hub_url

    return hf_hub_url(listing.repo, name, repo_type="dataset", revision=listing.commit, endpoint=endpoint())


def _ask(repo: str, revision: str) -> DatasetListing:
    from huggingface_hub import HfApi

    api = HfApi(endpoint=endpoint(), token=token() or False, library_name="suture")
    info = api.dataset_info(repo, revision=revision, files_metadata=True, timeout=_API_TIMEOUT)
    head = info.card_data.to_dict() if info.card_data else {}
    files = tuple(
        RemoteFile(
            name=sibling.rfilename,
            size=sibling.size or 0,
            digest=sibling.lfs.sha256 if sibling.lfs else sibling.blob_id or "",
            is_lfs=sibling.lfs is not None,
        )
        for sibling in info.siblings or []
        if is_data(sibling.rfilename)
    )
    return DatasetListing(
        repo=repo, commit=str(info.sha), licence=licence_of_head(head), subsets=subsets_of(head), files=files
    )
