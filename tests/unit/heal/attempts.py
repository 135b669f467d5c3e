"""Runs training processes one after the other and kills them where a test says: `python attempts.py ATTEMPTS.json`.

Each attempt is a fork of this process, so that torch and transformers are imported once and not ten times. Each is
the whole of `suture.heal.training`, and a kill is a real SIGKILL from within, at an exact place. Writes the wait
statuses to ATTEMPTS.json.out.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
import traceback
from pathlib import Path
from typing import Any

from suture.heal import child
from suture.heal.training import checkpoints
from suture.heal.training.__main__ import main as train
from suture.heal.training.launch import command

child.mute_libraries()

from accelerate.commands.launch import _validate_launch_command, launch_command_parser  # noqa: E402
from accelerate.utils.launch import prepare_multi_gpu_env  # noqa: E402

from suture.heal.training import trainer  # noqa: E402, F401 -- imported here once, for all attempts
from suture.heal.training.recorder import Recorder  # noqa: E402


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


def run_out_of_memory(spare: int) -> None:
    """Leave `spare` bytes of memory above what is taken already."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + spare
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


HINDRANCES = {"after row": kill_after_row, "before seal": kill_before_seal, "memory": run_out_of_memory}


def run_attempt(job: str, kill: list[Any] | None) -> int:
    """Return the exit status of one attempt; negative for a signal.

    Where several processes share the training, all are started, and ended when one has failed, as accelerate's
    launcher does; the status is that of the first to fail.
    """
    children = [start(job, kill, environment) for environment in environments(Path(job))]
    failed = 0
    while children:
        child, status = os.wait()
        children.remove(child)
        failed = failed or os.waitstatus_to_exitcode(status)
        for other in children if failed else ():
            os.kill(other, signal.SIGKILL)
    return failed


def start(job: str, kill: list[Any] | None, environment: dict[str, str]) -> int:
    """Return the id of a process that runs an attempt."""
    child = os.fork()
    if child:
        return child
    os.environ |= environment
    if kill is not None:
        HINDRANCES[kill[0]](kill[1])
    sys.argv = ["training", job]
    try:
        train()
    except SystemExit as error:
        os._exit(error.code if isinstance(error.code, int) else 1)
    except Exception:  # noqa: BLE001 -- as the interpreter would end
        traceback.print_exc()
        os._exit(1)
    sys.stdout.flush()
    os._exit(0)


def environments(job: Path) -> list[dict[str, str]]:
    """Return what the launcher would set for each process of a training."""
    count = json.loads(job.read_text())["spec"].get("processes", 1)
    if count == 1:
        return [{}]
    asked = launch_command_parser().parse_args(command(job, count, 1)[3:])
    common = prepare_multi_gpu_env(_validate_launch_command(asked)[0])
    common |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": asked.master_port, "WORLD_SIZE": str(count)}
    return [common | {"RANK": str(rank), "LOCAL_RANK": str(rank)} for rank in range(count)]


if __name__ == "__main__":
    attempts = Path(sys.argv[1])
    statuses = [run_attempt(job, kill) for job, kill in json.loads(attempts.read_text())]
    Path(f"{attempts}.out").write_text(json.dumps(statuses))
