"""Which files of an interrupted piece of work are finished."""

from __future__ import annotations

import json
import threading
from pathlib import Path

_BOOT = Path("/proc/sys/kernel/random/boot_id")


class Journal:
    """Remembers finished files by inode, size and times, so that only untouched ones are taken over.

    It outlives the process and not the machine's run: a file is not flushed to the disk when it is noted down, and
    after a power cut it may hold anything. Flushing each would make copying several times as slow.

    Args:
        path: The journal's own file; a missing or unreadable one is empty.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()  # files are finished by several threads
        self._boot = _BOOT.read_text().strip() if _BOOT.exists() else ""
        self._stamps: dict[str, list[int]] = self._read()

    @property
    def is_empty(self) -> bool:
        """Whether no file was finished yet."""
        return not self._stamps

    def has(self, file: Path) -> bool:
        """Return whether a file was finished, and not touched since."""
        try:
            return self._stamps.get(file.name) == _stamp(file)
        except FileNotFoundError:
            return False

    def add(self, file: Path) -> None:
        """Note a file down as finished."""
        with self._lock:
            self._stamps[file.name] = _stamp(file)
            draft = self._path.with_name(f"{self._path.name}.part")
            draft.write_text(json.dumps({"boot": self._boot, "files": self._stamps}))
            draft.replace(self._path)

    def _read(self) -> dict[str, list[int]]:
        try:
            content = json.loads(self._path.read_text())
            return content["files"] if content["boot"] == self._boot else {}
        except (OSError, ValueError, LookupError, TypeError):
            return {}


def _stamp(file: Path) -> list[int]:
    status = file.stat()
    return [status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns]
