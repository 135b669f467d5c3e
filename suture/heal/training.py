"""The training process: `python -m suture.heal.training JOB.json`.

Answers with a result or a failure file beside the job.
"""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path

from suture.errors import SutureError
from suture.heal.train import FAILURE, RESULT, Failure, TrainJob

_FAILED = 3  # exit status: the reason is in the failure file


def main() -> None:
    """Run the job named on the command line."""
    job = TrainJob.model_validate_json(Path(sys.argv[1]).read_bytes())
    mute_libraries()
    from suture.heal.trainer import run_job

    try:
        result = run_job(job)
    except SutureError as error:
        (job.scratch / FAILURE).write_text(_describe(error).model_dump_json())
        sys.exit(_FAILED)
    (job.scratch / RESULT).write_text(json.dumps(result))


def mute_libraries() -> None:
    """Keep bitsandbytes from warning, whenever peft is imported, that an optional package is not installed."""
    logging.getLogger("bitsandbytes.backends.cpu.ops").setLevel(logging.ERROR)


def _describe(error: SutureError) -> Failure:
    details = {name: getattr(error, name) for name in ("where", "expected", "found", "way_out")}
    return Failure(
        kind=type(error).__name__,
        problem=error.problem,
        **{name: None if value is None else str(value) for name, value in details.items()},
    )


if __name__ == "__main__":
    main()
