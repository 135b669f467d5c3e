"""Runs training processes one after the other and kills them where a test says: `python attempts.py ATTEMPTS.json`.

Each attempt is a fork of this process, so that torch and transformers are imported once and not ten times. Each is
the whole of `suture.heal.training`, and a kill is a real SIGKILL from within, at an exact place. Writes the wait
statuses to ATTEMPTS.json.out.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

from suture.heal import checkpoints, training

training.mute_libraries()

from suture.heal import trainer  # noqa: E402, F401 -- imported here once, for all attempts
from suture.heal.recorder import Recorder  # noqa: E402


def kill_after_row(step: int) -> None:
    """Die when the row of `step` has been written, and the weights are ahead of the last checkpoint."""
    original = Recorder.on_log

    def on_log(self: Recorder, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        original(self, args, state, control, **kwargs)
        if state.global_step == step:
            os.kill(os.getpid(), signal.SIGKILL)

    Recorder.on_log = on_log  # type: ignore[method-assign]


def kill_before_seal(step: int) -> None:
    """Die when the Trainer has written the checkpoint of `step`, and it is not sealed yet."""
    original = checkpoints.seal

    def seal(folder: Path) -> None:
        if checkpoints.step_of(folder) == step:
            os.kill(os.getpid(), signal.SIGKILL)
        original(folder)

    checkpoints.seal = seal


def run_attempt(job: str, kill: list[Any] | None) -> int:
    """Return the exit status of one attempt; negative for a signal."""
    child = os.fork()
    if child == 0:
        if kill is not None:
            {"after row": kill_after_row, "before seal": kill_before_seal}[kill[0]](kill[1])
        sys.argv = ["training", job]
        try:
            training.main()
        except SystemExit as error:
            os._exit(error.code if isinstance(error.code, int) else 1)
        sys.stdout.flush()
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


if __name__ == "__main__":
    attempts = Path(sys.argv[1])
    statuses = [run_attempt(job, kill) for job, kill in json.loads(attempts.read_text())]
    Path(f"{attempts}.out").write_text(json.dumps(statuses))
