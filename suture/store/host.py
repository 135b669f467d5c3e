"""The machine and the packages that made an artifact: facts beside it, never part of its key."""

from __future__ import annotations

import contextlib
import os
import platform
from functools import cache
from importlib import metadata

_RECORDED_PACKAGES = ("suture", "torch", "transformers", "peft", "safetensors", "gguf", "tokenizers")


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
