"""What the worker starts for a flow run: Prefect's engine, which the kernel ends when the worker dies."""

import os
import runpy
import sys

from deployments.logs import shorten_logs
from suture.launcher import die_with_parent
from suture.orphans import is_orphan

if __name__ == "__main__":
    die_with_parent()
    if is_orphan(os.getpid()):  # the worker died before the kernel knew
        sys.exit(1)
    shorten_logs()
    runpy.run_module("prefect.engine", run_name="__main__")
