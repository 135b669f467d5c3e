"""Runs checks side by side, none of which can raise, or keep the others waiting."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping

from suture.doctor.form import Check, Finding, broken, warning
from suture.errors import SutureError

LIMIT_SECONDS = 12.0
"""For all checks together."""


def examine(checks: Mapping[str, Check], seconds: float = LIMIT_SECONDS) -> dict[str, Finding]:
    """Return what each check finds, in the order of the checks.

    Args:
        checks: What to look at, by name.
        seconds: Until a check that has not ended is given up.
    """
    found: dict[str, Finding] = {}

    def look(name: str, check: Check) -> None:
        found[name] = _safely(check)

    # Daemons: a check that hangs (a network disk that does not answer) must not keep the command from ending.
    threads = {
        name: threading.Thread(target=look, args=(name, check), daemon=True, name=f"check {name}")
        for name, check in checks.items()
    }
    deadline = time.monotonic() + seconds
    for thread in threads.values():
        thread.start()
    for thread in threads.values():
        thread.join(max(0.0, deadline - time.monotonic()))
    late = warning(f"no answer within {seconds:g} s: the machine is busy, or something hangs", "suture doctor")
    ended = dict(found)
    return {name: ended.get(name, late) for name in checks}


def _safely(check: Check) -> Finding:
    try:
        return check()
    except SutureError as error:
        details = f" ({error.found})" if error.found else ""
        return broken(_line(f"{error.problem}{details}"), f"# {_line(error.way_out)}" if error.way_out else "")
    except Exception as error:  # noqa: BLE001 -- one check that fails must not hide the others
        return broken(_line(f"the check itself failed: {type(error).__name__}: {error}"), "")


def _line(text: str) -> str:
    words = " ".join(text.split())
    return words if len(words) <= 300 else f"{words[:300]} ..."
