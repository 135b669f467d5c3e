"""The hub's token, where it is kept in Prefect: read inside the process that needs it, never passed on or logged."""

from __future__ import annotations

import os

from prefect.blocks.system import Secret

BLOCK = "hf-token"
"""Name of the Secret block that may hold it."""


def take_hub_token() -> None:
    """Let this process use the token of the Secret block, unless HF_TOKEN is set or there is no such block."""
    if os.environ.get("HF_TOKEN", "").strip():
        return
    try:
        secret: Secret[str] = Secret.load(BLOCK)  # pyright: ignore[reportAssignmentType]
    except ValueError:  # there is none
        return
    os.environ["HF_TOKEN"] = secret.get()
