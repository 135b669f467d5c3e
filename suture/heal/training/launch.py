"""How a training is started: as one process, or as several that share it, one per GPU.

Several are started by `accelerate launch`, which torch's FSDP2 makes one training of: each holds a share of every
parameter, gradient and moment, and they put a layer together only while it computes.
"""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

_MODULE = "suture.heal.training"
_SHARDED = (
    "--num_machines=1",
    "--mixed_precision=no",  # the training sees to it itself, as it does for one process
    "--dynamo_backend=no",
    "--use_fsdp",
    "--fsdp_version=2",
    "--fsdp_auto_wrap_policy=TRANSFORMER_BASED_WRAP",
    "--fsdp_reshard_after_forward=true",
    "--fsdp_state_dict_type=SHARDED_STATE_DICT",  # each process writes its own share of a checkpoint
    "--fsdp_cpu_ram_efficient_loading=true",  # the first process reads the weights and hands them out
    "--main_process_port=0",  # any that is free
)
_VISIBLE = "CUDA_VISIBLE_DEVICES"
_DIED = "(SIGKILL)"
"""What the launcher says of a process that was killed."""


def command(job: Path, processes: int, threads: int) -> list[str]:
    """Return the command that runs a training.

    Args:
        job: What it is told.
        processes: How many share it.
        threads: Threads of each for arithmetic.
    """
    module = ["-m", _MODULE, str(job)]
    if processes == 1:
        return [sys.executable, *module]
    shared = [f"--num_processes={processes}", f"--num_cpu_threads_per_process={threads}", *_SHARDED]
    return [sys.executable, "-m", "accelerate.commands.launch", *shared, *module]


def visible_gpus(processes: int) -> dict[str, str]:
    """Return what lets one process alone see a single GPU: of several, the Trainer would read a batch on each."""
    if processes > 1:
        return {}
    return {_VISIBLE: os.environ.get(_VISIBLE, "0").split(",")[0]}


def threads_each(threads: int, processes: int) -> int:
    """Return each process's share of the threads, at least one."""
    return max(1, threads // processes)


def was_killed(status: int | None, tail: str) -> bool:
    """Return whether a training was killed: it, or one of the processes that its launcher started."""
    return status == -9 or _DIED in tail


def written_out(argv: Sequence[str]) -> str:
    """Return a command as one line that a shell would take."""
    return shlex.join(argv)
