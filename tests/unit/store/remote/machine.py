"""One machine that wants the test's artifact, in a process of its own: python machine.py STORE REMOTE TALLY OPTION...

Options:
    size=BYTES       of each file
    files=COUNT
    die=BYTES        kill this process (SIGKILL) when so much of a transfer is done; with 0 in the middle of the step
    lease=SECONDS
    slow=SECONDS     of the step
    part=BYTES       of what is sent and fetched at once
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from suture import steps
from suture.progress import Lines, Progress
from suture.steps import Facts
from suture.store import Artifact, Store, Workspace
from suture.store.remote import Remote, bucket, folder, mirror, open_remote
from tests.unit.store import builder

OPTIONS = {name: float(value) for name, _, value in (argument.partition("=") for argument in sys.argv[4:])}


class Mortal(Lines):
    """Says what it is told, and dies as it was asked to."""

    def update(self, done: float, total: float, unit: str, note: str = "") -> None:
        if "remote" in note and done >= OPTIONS.get("die", float("inf")):
            os.kill(os.getpid(), signal.SIGKILL)
        super().update(done, total, unit, note)


def make(spec: builder.BuildSpec, parents: Sequence[Artifact], work: Workspace, progress: Progress) -> Facts:
    """Be slow, or die in the middle, and build."""
    if OPTIONS.get("die") == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(OPTIONS.get("slow", 0))
    return builder.make(spec, parents, work, progress)


if __name__ == "__main__":
    root, address, tally = sys.argv[1:4]
    steps.STEPS[builder.STEP] = steps.Step(1, f"{__name__}:make", "shared")
    bucket._PART = folder._CHUNK = mirror._CHUNK = int(OPTIONS.get("part", 8 * 2**20))
    bucket._AT_ONCE = 1
    remote = Remote(open_remote(address).place, OPTIONS.get("lease", 60.0))
    spec = builder.BuildSpec(
        files=int(OPTIONS.get("files", 3)), size=int(OPTIONS.get("size", 2000)), tally=Path(tally)
    )
    outcome = steps.build(builder.planned(spec), Store(Path(root), remote), Mortal("machine", 0.0))
    sys.stdout.write("cached" if outcome.cached else "built")
