"""The machine and the packages that made an artifact: facts beside it, never part of its key."""

from __future__ import annotations

import contextlib
import os
import platform
from functools import cache
from importlib import metadata
from pathlib import Path

_RECORDED_PACKAGES = ("suture", "torch", "transformers", "peft", "safetensors", "gguf", "tokenizers")


@cache
def machine_id() -> str:
    """Return what tells this machine from others that share its store; the same in all of its containers."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return platform.node()


@cache
def host_facts() -> dict[str, str]:
    """Return this machine's system and processors, and the versions of the packages that make bytes."""
    versions: dict[str, str] = {}
    for package in _RECORDED_PACKAGES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            versions[package] = metadata.version(package)
    return {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "processors": str(os.cpu_count()),
        **versions,
    }
