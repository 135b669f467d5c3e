"""`python -m deployments.health [URL]`: whether a worker, or a server, is well; the images' health check."""

from __future__ import annotations

import os
import sys

from deployments.hosts import HOST
from deployments.state import answers


def main() -> int:
    """Return 0 when what the URL names, a worker of this machine if left out, says so within a few seconds."""
    port = os.environ.get("PREFECT_WORKER_WEBSERVER_PORT", "8080")
    return 0 if answers(sys.argv[1] if sys.argv[1:] else f"http://{HOST}:{port}") else 1


if __name__ == "__main__":
    sys.exit(main())
