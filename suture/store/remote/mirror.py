"""Artifacts in a remote: found by key, pushed files first, pulled into the store and verified on the way."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Generator
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from suture.errors import CorruptArtifactError, HostError, TransientError
from suture.progress import Progress, human_bytes
from suture.store import durable, locks
from suture.store.artifact import MANIFEST, Artifact, FileEntry, Manifest
from suture.store.keys import resolve_prefix
from suture.store.remote.folder import Folder
from suture.store.remote.lease import LEASE_SECONDS, leased
from suture.store.remote.manifests import read_manifest
from suture.store.remote.place import Place
from suture.store.store import Store

ARTIFACTS = "artifacts"
DAMAGED = "damaged"
_CHUNK = 8 * 2**20  # bytes


class Remote:
    """A mirror of stores.

    Args:
        place: Where its objects lie.
        lease_seconds: How long others wait for a builder that was killed.
    """

    def __init__(self, place: Place, lease_seconds: float = LEASE_SECONDS) -> None:
        self.place = place
        self._lease_seconds = lease_seconds

    @property
    def address(self) -> str:
        """How people call it."""
        return self.place.address

    def has(self, key: str) -> bool:
        """Return whether a complete artifact stands under this key, without reading its files."""
        return self.place.read(_name(key, MANIFEST)) is not None

    def find(self, key: str) -> Manifest | None:
        """Return an artifact's manifest.

        Raises:
            CorruptArtifactError: When it cannot be read, is not this key's, or names files outside of its folder.
        """
        blob = self.place.read(_name(key, MANIFEST))
        return None if blob is None else read_manifest(blob.content, key, f"{self.address}/{_name(key, MANIFEST)}")

    def keep(self, artifact: Artifact, store: Store, progress: Progress) -> None:
        """Push an artifact, unless the store remembers that it is there; asks nobody then.

        Several that want this at once, of one store, push once.

        Raises:
            TransientError: When the remote does not answer.
        """
        if not self._mark(store, artifact.key).exists():
            self.push(artifact, store, progress)

    def push(self, artifact: Artifact, store: Store, progress: Progress) -> None:
        """Bring an artifact into the remote: each file verified, the manifest last. What is there is not sent again.

        Raises:
            TransientError: When the remote does not answer; the next call goes on from there.
            CorruptArtifactError: When the artifact is not what its manifest says.
        """
        waits = locks.still_waits(progress, "waiting for another process, which pushes this")
        with store.lock(f"{artifact.key}.push", still=waits):
            if self._find_or_set_aside(artifact.key, store, progress) is None:
                self._push_files(artifact, progress)
                self.place.create(_name(artifact.key, MANIFEST), (artifact.path / MANIFEST).read_bytes())
            self._remember(store, artifact.key)

    def forget(self, key: str, store: Store) -> None:
        """Let the store forget that this remote has a key: the next `keep` asks."""
        self._mark(store, key).unlink(missing_ok=True)

    def pull(self, key: str, store: Store, progress: Progress) -> Artifact | None:
        """Bring an artifact into the store, whose lock of this key the caller holds.

        What an earlier attempt has brought is not fetched again. A damaged artifact is set aside in the remote.

        Returns:
            The artifact; None when the remote has none that is sound.

        Raises:
            TransientError: When the remote does not answer.
            HostError: When the disk is full, or the remote refuses.
        """
        manifest = self._find_or_set_aside(key, store, progress)
        if manifest is None:
            return None
        progress.say(f"found in {self.address}; fetching {human_bytes(manifest.size)}")
        try:
            with store.workspace(key) as work:
                folder = work.scratch / "pull"
                self._fetch_all(manifest, folder, progress)
                work.out.rmdir()
                folder.rename(work.out)
                artifact = store.admit(work, manifest)
        except CorruptArtifactError as error:
            self._set_aside(key, store, error, progress)
            return None
        self._remember(store, key)
        return artifact

    @contextlib.contextmanager
    def leased(self, key: str, store: Store, progress: Progress) -> Generator[None]:
        """Hold off all other machines that want to build a key while the block runs, or wait until one has built it.

        The caller holds the store's lock of the key.
        """
        with leased(self.place, key, store.root, progress, lambda: self.has(key), self._lease_seconds):
            yield

    def list_keys(self) -> list[str]:
        """Return the keys of all artifacts."""
        names = [listed.name.split("/") for listed in self.place.list(f"{ARTIFACTS}/")]
        return [parts[1] for parts in names if parts[2:] == [MANIFEST]]

    def resolve_prefix(self, prefix: str) -> str:
        """Return the one key of an artifact that begins so.

        Raises:
            HostError: When there is none, or more than one.
        """
        return resolve_prefix(prefix, self.list_keys(), where=self.address)

    def _push_files(self, artifact: Artifact, progress: Progress) -> None:
        total, done = artifact.manifest.size, 0
        if total:
            progress.say(f"pushing {human_bytes(total)} to {self.address}")
        for entry in artifact.manifest.files:
            for size in self._send(artifact, entry):
                done += size
                progress.update(done, total, "bytes", "to the remote")

    def _send(self, artifact: Artifact, entry: FileEntry) -> Generator[int]:
        name = _name(artifact.key, entry.path)
        if self.place.holds(name, entry):
            yield entry.size
            return
        yield from self.place.send(artifact.path / entry.path, name, entry)
        if not self.place.holds(name, entry):
            raise TransientError(
                "A file is not in the remote as it was sent.",
                where=f"{self.address}/{name}",
                expected=f"{entry.size} bytes, sha256 {entry.sha256}",
                way_out="Run the same command again. Two who make something else of one key must not push at once.",
            )

    def _fetch_all(self, manifest: Manifest, folder: Path, progress: Progress) -> None:
        done = 0

        def told(size: int) -> None:
            nonlocal done
            done += size
            progress.update(done, manifest.size, "bytes", "from the remote")

        folder.mkdir(exist_ok=True)
        for entry in manifest.files:
            path = folder / entry.path
            path.parent.mkdir(parents=True, exist_ok=True)
            resumed = path.exists()
            # What lies there may be of another try at another manifest: only what is wrong afresh is wrong remotely.
            if not self._fetched(manifest.key, entry, path, told) and not (
                resumed and self._fetched(manifest.key, entry, path, told)
            ):
                raise CorruptArtifactError(
                    "A file in the remote is missing, or has other content.",
                    where=f"{self.address}/{_name(manifest.key, entry.path)}",
                    expected=f"{entry.size} bytes, sha256 {entry.sha256}",
                )
        expected = {folder / entry.path for entry in manifest.files}
        for path in set(durable.walk_files(folder)) - expected:
            path.unlink()

    def _fetched(self, key: str, entry: FileEntry, path: Path, told: Callable[[int], None]) -> bool:
        """Bring a file, or what is missing of it; returns whether it is right, and removes it if not."""
        digest = hashlib.sha256()
        with path.open("a+b") as file:
            file.seek(0)
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
                told(len(chunk))
            for chunk in self.place.fetch(_name(key, entry.path), file.tell(), entry.size):
                file.write(chunk)
                digest.update(chunk)
                told(len(chunk))
            size = file.tell()
        if right := digest.hexdigest() == entry.sha256 and size == entry.size:
            return right
        told(-size)
        path.unlink()
        return False

    def _find_or_set_aside(self, key: str, store: Store, progress: Progress) -> Manifest | None:
        try:
            return self.find(key)
        except CorruptArtifactError as error:
            self._set_aside(key, store, error, progress)
            return None

    def _set_aside(self, key: str, store: Store, error: CorruptArtifactError, progress: Progress) -> None:
        """Move what is damaged away, the manifest first: then it is built and pushed again, and never served."""
        aside = f"{DAMAGED}/{key}.{datetime.now(UTC):%Y%m%d-%H%M%S}"
        self.place.move(_name(key, MANIFEST), f"{aside}/{MANIFEST}")
        damaged = str(error.where).removeprefix(f"{self.address}/{_name(key, '')}")
        if damaged != MANIFEST:
            self.place.move(_name(key, damaged), f"{aside}/{damaged}")
        self.forget(key, store)
        progress.say(f"{error}\n  set aside in {self.address}/{aside}; it is built and pushed again")

    def _mark(self, store: Store, key: str) -> Path:
        """Return the file that remembers that the remote has this key."""
        return store.mirrored / hashlib.sha256(self.address.encode()).hexdigest()[:16] / key

    def _remember(self, store: Store, key: str) -> None:
        mark = self._mark(store, key)
        mark.parent.mkdir(parents=True, exist_ok=True)
        mark.touch()


@cache
def open_remote(address: str) -> Remote:
    """Return the remote at an address.

    Args:
        address: `s3://bucket/prefix`, `file:///folder` or `/folder`.

    Raises:
        HostError: When it is none, or this machine lacks s3fs.
    """
    protocol, _, path = address.rpartition("://")
    if protocol in ("", "file"):
        return Remote(Folder(Path(path)))
    if protocol != "s3":
        raise HostError(
            "Suture keeps no remote there.",
            where=f"SUTURE_REMOTE={address}",
            expected="s3://bucket/prefix, file:///folder or /folder",
            way_out="Most object stores speak S3: name their server by AWS_ENDPOINT_URL.",
        )
    return Remote(_bucket(path))


def _bucket(path: str) -> Place:
    import fsspec  # pyright: ignore[reportMissingTypeStubs]

    from suture.store.remote.bucket import Bucket

    try:
        # Digests are ours to check: some servers answer a range with the checksum of the whole.
        checks = dict.fromkeys(("request_checksum_calculation", "response_checksum_validation"), "when_required")
        files: Any = fsspec.filesystem(  # pyright: ignore[reportUnknownMemberType]
            "s3", use_listings_cache=False, skip_instance_cache=True, config_kwargs=checks
        )
        return Bucket(files, path)
    except ImportError as error:
        raise HostError(
            "A remote in a bucket needs the package s3fs.",
            where=f"s3://{path}",
            way_out="Install it on this machine: pip install 'suture[remote]'.",
        ) from error


def _name(key: str, path: str) -> str:
    return f"{ARTIFACTS}/{key}/{path}"
