"""Looks whether this machine can do what Suture wants of it, and says how to mend what it cannot.

form.py       what a check finds
examine.py    runs checks side by side; none can raise, or keep the others waiting
python.py     the interpreter and its packages
gpu.py        GPU, driver, torch; what QLoRA needs
tools.py      llama.cpp, the sandbox, the browser, node
machine.py    folders, disk, memory
network.py    the hub, and the remote that machines share

What concerns the server is `deployments/doctor.py`'s: this library knows nothing of Prefect.
"""

from __future__ import annotations

from collections.abc import Mapping

from suture.doctor.examine import LIMIT_SECONDS, examine
from suture.doctor.form import Check, Finding
from suture.doctor.gpu import check_gpu, check_trainers
from suture.doctor.machine import check_cache, check_memory, check_state, check_store
from suture.doctor.network import check_hub, check_remote
from suture.doctor.python import check_packages, check_python
from suture.doctor.tools import check_browser, check_llama_cpp, check_node, check_sandbox

CHECKS: Mapping[str, Check] = {
    "Python": check_python,
    "packages": check_packages,
    "GPU": check_gpu,
    "trainers": check_trainers,
    "llama.cpp": check_llama_cpp,
    "store": check_store,
    "cache": check_cache,
    "state": check_state,
    "memory": check_memory,
    "sandbox": check_sandbox,
    "browser": check_browser,
    "node": check_node,
    "hub": check_hub,
    "remote": check_remote,
}
"""Name -> the check."""

__all__ = ["CHECKS", "LIMIT_SECONDS", "Check", "Finding", "examine"]
