"""The way from the library's command line to the flows, which the library itself knows nothing of."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import NoReturn

from suture.errors import HostError


def become_flows(*arguments: str) -> NoReturn:
    """Become `python -m deployments ...`.

    Raises:
        HostError: When this package lies in no checkout or image.
    """
    command, environment = flows_command(*arguments)
    os.execve(command[0], command, environment)  # noqa: S606


def flows_command(*arguments: str) -> tuple[list[str], dict[str, str]]:
    """Return `python -m deployments ...` and its environment, of the checkout or image that this package lies in.

    Raises:
        HostError: When this package lies in neither.
    """
    root = Path(__file__).resolve().parents[2]
    if not (root / "deployments" / "__main__.py").is_file():
        raise HostError(
            "This command needs the flows, which the wheel does not carry.",
            where=root,
            expected="a checkout of Suture with flows/, tasks/ and deployments/",
            way_out="Clone the repository and run `make setup`, or use the image.",
        )
    # -P, and no empty entry: the user's working directory may hold a `tasks` or `flows` of its own
    python_path = [str(root), *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(python_path)}
    return [sys.executable, "-P", "-m", "deployments", *arguments], environment
