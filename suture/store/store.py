"""The artifact store: look, lock, build, commit; verify before use; quarantine what is damaged."""

from __future__ import annotations

import contextlib
import itertools
import json
from collections.abc import Callable, Generator
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from suture.errors import CorruptArtifactError, HostError, ProcessError
from suture.store import durable, locks
from suture.store.artifact import MANIFEST, Artifact, FileEntry, Manifest
from suture.store.disk import free_bytes, out_of_room
from suture.store.host import machine_id
from suture.store.keys import resolve_prefix
from suture.store.verification import Stamps, check_files, stamps_of
from suture.store.workspace import Workspace

if TYPE_CHECKING:
    from suture.store.remote import Remote


class Store:
    """A folder of artifacts; any number of processes may use it at once.

    Args:
        root: The store's folder; made on the first write.
        remote: What mirrors it, and the stores of other machines; `suture.steps.build` looks there too.
    """

    def __init__(self, root: Path, remote: Remote | None = None) -> None:
        self.root = root.absolute()
        self.remote = remote
        self.artifacts = self.root / "artifacts"
        self.partial = self.root / "partial"
        self.locks = self.root / "locks"
        self.verified = self.root / "verified"
        self.quarantine = self.root / "quarantine"
        self.mirrored = self.root / "mirrored"
        self.runs = self.root / "runs"

    @property
    def machine_lock(self) -> Path:
        """Lock file of this machine: who holds it alone has all of its cores; other machines have their own."""
        return self.locks / f"machine-{machine_id()}.lock"

    # -- reading ------------------------------------------------------------------------------------------

    def list_keys(self) -> list[str]:
        """Return the keys of all artifacts, oldest first."""
        if not self.artifacts.exists():
            return []
        folders = [path for path in self.artifacts.iterdir() if (path / MANIFEST).is_file()]
        return [path.name for path in sorted(folders, key=lambda path: path.stat().st_mtime)]

    def has(self, key: str) -> bool:
        """Return whether a complete artifact stands under this key, without reading its content."""
        return (self.artifacts / key / MANIFEST).is_file()

    def inode(self, key: str) -> int | None:
        """Return what tells this artifact's folder from an earlier or later one under the same key."""
        try:
            return (self.artifacts / key).stat().st_ino
        except FileNotFoundError:
            return None

    def find(self, key: str) -> Artifact | None:
        """Return the artifact if it is there and is what its manifest says; a damaged one is quarantined.

        A file is hashed again only if its inode, size or times changed since it was last hashed.
        """
        if self.inode(key) is None:
            return None
        try:
            return self.verify_or_set_aside(key)
        except CorruptArtifactError:
            return None

    def verify_or_set_aside(self, key: str, *, fully: bool = False) -> Artifact:
        """Check an artifact as `verify` does; quarantine it if it is damaged, so that it is rebuilt and never served.

        Raises:
            CorruptArtifactError: When it is damaged.
        """
        folder = self.inode(key)
        try:
            return self.verify(key, fully=fully)
        except CorruptArtifactError:
            self._set_aside(key, folder)
            raise

    def load(self, key: str) -> Artifact:
        """Return an artifact without checking its content.

        Raises:
            CorruptArtifactError: When its manifest cannot be read, or is not this key's.
        """
        path = self.artifacts / key
        try:
            manifest = Manifest.model_validate_json((path / MANIFEST).read_bytes())
        except (OSError, ValidationError) as error:
            raise CorruptArtifactError(
                "An artifact's manifest cannot be read.",
                where=path / MANIFEST,
                found=str(error).splitlines()[0],
                way_out="Run the recipe again: the artifact is set aside and rebuilt.",
            ) from error
        if manifest.key != key:
            raise CorruptArtifactError(
                "A manifest lies under another key.",
                where=path / MANIFEST,
                expected=key,
                found=manifest.key,
                way_out="Run the recipe again: the artifact is set aside and rebuilt.",
            )
        return Artifact(path, manifest)

    def verify(self, key: str, *, fully: bool = False) -> Artifact:
        """Check an artifact's files against its manifest.

        Args:
            key: Which artifact.
            fully: Hash every file, even where nothing about it changed since the last time.

        Raises:
            CorruptArtifactError: When a file is missing, surplus, or of another size or digest.
        """
        artifact = self.load(key)
        hashed = {} if fully else self._remembered(key)
        stamps = check_files(artifact, hashed)
        if stamps != hashed:
            self._remember(key, stamps)
        return artifact

    def resolve_prefix(self, prefix: str) -> str:
        """Return the one key that begins with `prefix`.

        Raises:
            HostError: When there is none, or more than one.
        """
        return resolve_prefix(prefix, self.list_keys(), where=self.root)

    # -- writing ------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def lock(
        self, key: str, on_wait: Callable[[], None] | None = None, still: Callable[[float], None] | None = None
    ) -> Generator[None]:
        """Hold a key's lock: of several processes that want the same artifact, one builds and the rest wait."""
        self._make_folders()
        with locks.locked(self.locks / f"{key}.lock", on_wait=on_wait, still=still):
            yield

    @contextlib.contextmanager
    def in_use(self) -> Generator[None]:
        """Hold off collection while the block runs."""
        self._make_folders()
        with locks.locked(self.locks / "collection.lock", shared=True):
            yield

    @contextlib.contextmanager
    def workspace(self, key: str) -> Generator[Workspace]:
        """Give the holder of a key's lock a place to write; a failed attempt leaves only its scratch.

        Raises:
            HostError: When the disk is full.
        """
        folder = self.partial / key
        work = Workspace(key, folder / "out", folder / "scratch")
        try:
            self._make_folders()
            durable.remove_tree(work.out)
            work.out.mkdir(parents=True)
            work.scratch.mkdir(exist_ok=True)
            yield work
        except (OSError, ProcessError) as error:
            explained = out_of_room(error, self.root)
            self._drop(work)
            if explained is None:
                raise
            raise explained from error
        except BaseException:
            self._drop(work)
            raise

    def commit(self, work: Workspace, head: Manifest) -> Artifact:
        """Turn a workspace into an artifact: hash, manifest, sync, rename, sync.

        Args:
            work: Where the step wrote.
            head: The manifest but for its files, which are filled in here.
        """
        files = tuple(
            FileEntry(
                path=path.relative_to(work.out).as_posix(),
                size=path.stat().st_size,
                sha256=durable.sha256_file(path),
            )
            for path in durable.walk_files(work.out)
        )
        return self.admit(work, head.model_copy(update={"files": files}))

    def admit(self, work: Workspace, manifest: Manifest) -> Artifact:
        """Turn a workspace whose files are known to be those of a manifest into an artifact."""
        (work.out / MANIFEST).write_text(manifest.model_dump_json(indent=1))
        durable.seal(work.out)
        target = self.artifacts / work.key
        work.out.rename(target)
        target.chmod(durable.READ_ONLY_FOLDER)
        durable.sync_folder(self.artifacts)
        durable.remove_tree(work.out.parent)
        artifact = Artifact(target, manifest)
        self._remember(work.key, stamps_of(artifact))
        return artifact

    def remove(self, key: str) -> None:
        """Remove an artifact: first out of sight by a rename, then its files."""
        source = self.artifacts / key
        source.chmod(0o755)
        doomed = self.partial / f"{key}.removed"
        durable.remove_tree(doomed)
        source.rename(doomed)
        durable.sync_folder(self.artifacts)
        durable.remove_tree(doomed)
        (self.verified / f"{key}.json").unlink(missing_ok=True)

    def free_bytes(self) -> int:
        """Return the free bytes of the disk that holds, or will hold, the store."""
        return free_bytes(self.root)

    def _make_folders(self) -> None:
        for folder in (self.artifacts, self.partial, self.locks, self.verified, self.quarantine, self.runs):
            try:
                folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise HostError(
                    "The store's folder cannot be made.",
                    where=folder,
                    found=error.strerror,
                    way_out="Set SUTURE_STORE to a folder you can write to, on a disk with room.",
                ) from error

    def _set_aside(self, key: str, folder: int | None) -> None:
        """Move the folder with this inode to the quarantine, unless another process did, and maybe rebuilt it."""
        self._make_folders()
        with locks.locked(self.locks / "quarantine.lock"):
            if folder is None or self.inode(key) != folder:
                return
            places = (self.quarantine / f"{key}.{number}" for number in itertools.count(1))
            source = self.artifacts / key
            source.chmod(0o755)
            source.rename(next(place for place in places if not place.exists()))
            durable.sync_folder(self.artifacts)
            (self.verified / f"{key}.json").unlink(missing_ok=True)

    def _drop(self, work: Workspace) -> None:
        durable.remove_tree(work.out)
        with contextlib.suppress(OSError):  # scratch with content stays: the next attempt resumes from it
            work.scratch.rmdir()
            work.scratch.parent.rmdir()

    def _remembered(self, key: str) -> Stamps:
        try:
            return json.loads((self.verified / f"{key}.json").read_bytes())
        except (OSError, ValueError):
            return {}

    def _remember(self, key: str, stamps: Stamps) -> None:
        with contextlib.suppress(OSError):  # only a memory: without it the files are hashed again
            durable.write_atomically(self.verified / f"{key}.json", json.dumps(stamps).encode())
