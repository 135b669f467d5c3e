"""What a process of its own with torch in it is told and answers: for training, and for probing.

It is started with the path of JOB, and leaves RESULT or FAILURE beside it.
"""

from __future__ import annotations

import logging
import os
import warnings

from pydantic import BaseModel, ConfigDict

from suture import errors

JOB = "job.json"
RESULT = "result.json"
FAILURE = "failure.json"

FAILED = 3
"""Exit status: the reason is in the failure file."""


class Failure(BaseModel):
    """An error that the process raised on purpose."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: str
    """Name of a class in `suture.errors`."""
    problem: str
    where: str | None
    expected: str | None
    found: str | None
    way_out: str | None


def describe(error: errors.SutureError) -> Failure:
    """Return an error in a form that crosses to another process."""
    details = {name: getattr(error, name) for name in ("where", "expected", "found", "way_out")}
    return Failure(
        kind=type(error).__name__,
        problem=error.problem,
        **{name: None if value is None else str(value) for name, value in details.items()},
    )


def rebuild(failure: Failure) -> errors.SutureError:
    """Return the error that a process described."""
    kind: type[errors.SutureError] = getattr(errors, failure.kind)
    return kind(
        failure.problem,
        where=failure.where,
        expected=failure.expected,
        found=failure.found,
        way_out=failure.way_out,
    )


def environment(threads: int) -> dict[str, str]:
    """Return the environment of a process with torch: no network, fixed threads, repeatable arithmetic."""
    count = str(threads)
    return os.environ | {
        "HF_HUB_OFFLINE": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "OMP_NUM_THREADS": count,
        "MKL_NUM_THREADS": count,
        # Waiting threads sleep instead of spinning: beside other work a step took 1.7 s and not 27 s.
        "OMP_WAIT_POLICY": "PASSIVE",
        "OMP_DYNAMIC": "FALSE",
        "MKL_DYNAMIC": "FALSE",
        "CUBLAS_WORKSPACE_CONFIG": ":4096:8",
        "TOKENIZERS_PARALLELISM": "false",
        "PYTHONHASHSEED": "0",
        "PYTHONUNBUFFERED": "1",
    }


def mute_libraries() -> None:
    """Keep bitsandbytes from warning that an optional package is missing, and that nothing is paged on a CPU."""
    warnings.filterwarnings("ignore", "Paged optimizers are not supported on CPU")
    logging.getLogger("bitsandbytes.backends.cpu.ops").setLevel(logging.ERROR)
