"""The step `fetch`: a pinned source becomes a checkpoint, or an adapter, in the store.

Everything is gathered and checked in the scratch folder, and moved to the artifact at the very end: what a killed
attempt leaves there is verified and used by the next one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Literal, assert_never

from pydantic import Field, JsonValue

from suture.checkpoint.adapter import open_adapter
from suture.checkpoint.layout import require_tokenizer
from suture.checkpoint.reader import Checkpoint, nonfinite_by_tensor, open_checkpoint
from suture.errors import SourceError
from suture.hub.builtin import find_builtin, write_builtin
from suture.hub.client import translating
from suture.hub.folder import copy_folder
from suture.hub.gates import check_model
from suture.hub.licences import licence_of_folder
from suture.hub.repository import Content, look_up, naming, naming_instead, obtain, skeleton
from suture.hub.transfer import receive_all
from suture.progress import Progress
from suture.recipe import Part
from suture.settings import settings
from suture.store import Artifact, Workspace, canonical_json, durable

_TENSORS_NAMED = 20


class HubFetch(Part):
    """A hub repository at one commit."""

    kind: Literal["hub"] = "hub"
    repo: str
    commit: str


class LocalFetch(Part):
    """A folder, known by its files' digests."""

    kind: Literal["local"] = "local"
    files: dict[str, str]
    """Name -> sha256."""
    path: Path = Field(exclude=True)
    """Where, not what."""

    @property
    def digest(self) -> str:
        """One digest of all files; it stands where other sources have their commit."""
        return hashlib.sha256(canonical_json(self.model_dump(mode="json")["files"]).encode()).hexdigest()


class BuiltinFetch(Part):
    """A model that a package carries."""

    kind: Literal["builtin"] = "builtin"
    name: str
    package_sha256: str


class AdapterFetch(Part):
    """A LoRA adapter."""

    kind: Literal["adapter"] = "adapter"
    files: HubFetch | LocalFetch


FetchSpec = HubFetch | LocalFetch | BuiltinFetch | AdapterFetch


def fetch(
    spec: FetchSpec,
    parents: Sequence[Artifact],  # noqa: ARG001 -- every step has this form
    work: Workspace,
    progress: Progress,
) -> Mapping[str, JsonValue]:
    """Fetch a source, check every file, and count what in it is no number.

    Args:
        spec: What to fetch.
        parents: None.
        work: Receives the checkpoint or adapter.
        progress: Is told the bytes of all files.

    Returns:
        `model`, `commit`, `licence`, `tensors`, `parameters`, `bytes`, `nan`, `inf`; `broken_tensors`, the first of
        those that hold NaN or infinities, if any do; `note` where a reader of results must know something.

    Raises:
        SourceError: When a file is not what was pinned, or an adapter holds a number that is none: it would spread
            over whole tensors.
        CheckpointError: When a file is malformed.
        TransientError: When the hub cannot be reached.
    """
    folder = work.scratch / "checkpoint"
    folder.mkdir(exist_ok=True)
    origin = _gather(spec, folder, work.scratch, progress)
    progress.say("checking the weights")
    checkpoint = open_adapter(folder) if isinstance(spec, AdapterFetch) else _open_model(folder)
    broken = nonfinite_by_tensor(checkpoint, progress)
    nan, inf = sum(each.nan for each in broken.values()), sum(each.inf for each in broken.values())
    if isinstance(spec, AdapterFetch) and broken:
        raise SourceError(
            "The adapter is broken: some of its numbers are none.",
            where=str(origin["model"]),
            found=f"{nan} NaN, {inf} infinite",
            way_out="Use an earlier checkpoint of the adapter's training.",
        )
    if broken:
        first = ", ".join(islice(broken, _TENSORS_NAMED))
        progress.say(f"{nan} NaN and {inf} infinities, in {len(broken)} tensors: {first}")
    facts: dict[str, JsonValue] = {
        **origin,
        "licence": licence_of_folder(folder),
        "tensors": len(checkpoint.layout.tensors),
        "parameters": checkpoint.layout.parameters,
        "bytes": checkpoint.layout.size,
        "nan": nan,
        "inf": inf,
    }
    if broken:
        facts["broken_tensors"] = [*islice(broken, _TENSORS_NAMED)]
    for path in durable.walk_files(folder):
        path.rename(work.out / path.name)
    return facts


def _open_model(folder: Path) -> Checkpoint:
    checkpoint = open_checkpoint(folder)
    require_tokenizer(checkpoint.layout, folder)
    return checkpoint


def _gather(
    spec: FetchSpec, folder: Path, scratch: Path, progress: Progress, content: Content = "checkpoint"
) -> dict[str, JsonValue]:
    match spec:
        case AdapterFetch():
            return _gather(spec.files, folder, scratch, progress, "adapter")
        case HubFetch():
            _download_repository(spec, content, folder, progress)
            return {"model": spec.repo, "commit": spec.commit}
        case LocalFetch():
            copy_folder(spec.path, spec.files, folder, lambda done, total: progress.update(done, total, "bytes"))
            if content == "checkpoint":
                with naming_instead(spec.path, folder):
                    check_model(folder)
            return {"model": spec.path.name, "commit": spec.digest}
        case BuiltinFetch():
            builtin = find_builtin(spec.name)
            progress.say("turning the package's 4-bit weights into 16-bit ones")
            write_builtin(builtin, folder, scratch)
            return {"model": spec.name, "commit": builtin.package.version, "note": builtin.note}
        case _:
            assert_never(spec)


def _download_repository(spec: HubFetch, content: Content, folder: Path, progress: Progress) -> None:
    listing = look_up(spec.repo, spec.commit, content)
    known = skeleton(listing)
    if content == "checkpoint":  # before gigabytes are fetched: all but the numbers is known
        with naming(listing, known):
            check_model(known)
    wanted = {path.name for path in known.iterdir()}
    files = [file for file in listing.files if file.name in wanted]
    with translating(spec.repo, spec.commit):
        receive_all(
            files,
            lambda file, on_bytes, on_wait: obtain(listing, file, folder, on_bytes, on_wait),
            settings().parallel_downloads,
            progress,
        )
