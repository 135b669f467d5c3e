"""The probing process: `python -m suture.heal.probing JOB.json`.

Answers with a result or a failure file beside the job.
"""

from __future__ import annotations

import sys
from pathlib import Path

from suture.errors import SutureError
from suture.heal.child import FAILED, FAILURE, RESULT, describe, mute_libraries
from suture.heal.probing.probe import ProbeJob


def main() -> None:
    """Run the job named on the command line."""
    job = ProbeJob.model_validate_json(Path(sys.argv[1]).read_bytes())
    mute_libraries()
    from suture.heal.probing.prober import run_job

    try:
        readings = run_job(job)
    except SutureError as error:
        (job.scratch / FAILURE).write_text(describe(error).model_dump_json())
        sys.exit(FAILED)
    (job.scratch / RESULT).write_text(readings.model_dump_json())


if __name__ == "__main__":
    main()
