"""Keys: what a step's result is called before it exists."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from pydantic import JsonValue

from suture.errors import HostError

_MIN_PREFIX = 4


def canonical_json(value: JsonValue) -> str:
    """Return the one JSON text of a value: sorted names, no spaces, no NaN."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def artifact_key(step: str, version: int, spec: JsonValue, parents: Sequence[str], tool: str) -> str:
    """Return the key of a step's artifact: 64 hexadecimal digits.

    Args:
        step: Name of the step.
        version: Version of its code; raised when the same spec would give other bytes.
        spec: What is asked of it.
        parents: Keys of the artifacts it reads, in order.
        tool: Version of the outside tool that makes the bytes; empty when there is none.
    """
    identity: JsonValue = {
        "step": step,
        "version": version,
        "spec": spec,
        "parents": list(parents),
        "tool": tool,
    }
    return hashlib.sha256(canonical_json(identity).encode()).hexdigest()


def resolve_prefix(prefix: str, keys: Iterable[str], where: str | Path) -> str:
    """Return the one key that begins with `prefix`.

    Raises:
        HostError: When there is none, or more than one.
    """
    matches = [key for key in keys if key.startswith(prefix)]
    if len(matches) != 1 or len(prefix) < _MIN_PREFIX:
        raise HostError(
            "No single artifact has this key.",
            where=where,
            expected=f"{_MIN_PREFIX} or more leading digits of one key",
            found=f"{prefix!r}, which fits {len(matches)} artifacts",
            way_out="List the keys with `suture store ls`.",
        )
    return matches[0]
