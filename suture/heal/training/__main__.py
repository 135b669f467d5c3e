"""The training process: `python -m suture.heal.training JOB.json`.

Answers with a result or a failure file beside the job. Where several processes share a training, the first writes
the result, and whichever fails first tells why.
"""

from __future__ import annotations

import contextlib
import json
import sys
import traceback
from pathlib import Path

from suture.errors import SutureError
from suture.heal.child import FAILED, FAILURE, RESULT, describe, mute_libraries
from suture.heal.train import TRACEBACK, TrainJob
from suture.launcher import die_with_parent


def main() -> None:
    """Run the job named on the command line."""
    job = TrainJob.model_validate_json(Path(sys.argv[1]).read_bytes())
    if job.spec.processes > 1:
        die_with_parent()  # accelerate's launcher, which would leave its children behind
    mute_libraries()
    try:
        _run(job)
    except SutureError as error:
        _write_once(job.scratch / FAILURE, describe(error).model_dump_json())
        sys.exit(FAILED)
    except Exception:
        _write_once(job.scratch / TRACEBACK, traceback.format_exc())
        raise


def _run(job: TrainJob) -> None:
    if job.spec.backend == "unsloth":
        from suture.heal.training.unsloth_backend import import_unsloth

        import_unsloth()
    from suture.heal.training import ranks
    from suture.heal.training.trainer import run_job

    result = run_job(job)
    if ranks.is_first():
        (job.scratch / RESULT).write_text(json.dumps(result))
    ranks.leave()


def _write_once(path: Path, text: str) -> None:
    """Write a file, unless another process has: those that failed later only lost their companion."""
    with contextlib.suppress(FileExistsError), path.open("x") as file:
        file.write(text)


if __name__ == "__main__":
    main()
