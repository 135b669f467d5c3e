"""What the worker starts for a flow run: Prefect's engine, which the kernel ends when the worker dies."""

import runpy

from deployments.logs import shorten_logs
from suture.launcher import die_with_parent

if __name__ == "__main__":
    die_with_parent()
    shorten_logs()
    runpy.run_module("prefect.engine", run_name="__main__")
