"""Runs a program, confined by the best that this machine has."""

from __future__ import annotations

from suture.bench.sandbox.backend import backend
from suture.bench.sandbox.form import Execution, Program
from suture.bench.sandbox.languages import runner
from suture.bench.sandbox.launch import launch


def run_program(program: Program) -> Execution:
    """Run a program, confined; refuse where nothing here can confine it.

    May be called by several threads at once. Nothing of the program is left when it returns, nor when this process
    is killed meanwhile.

    Raises:
        HostError: When a sandbox was chosen (SUTURE_SANDBOX) that does not work here.
        ProcessError: When the run was ended from outside.
    """
    command = runner(program)
    if command is None:
        return Execution("no_runner")
    here = backend()
    if here.confinement is None:
        return Execution("no_sandbox", errors="\n".join(f"{name}: {why}" for name, why in here.refused.items()))
    return launch(program, command, here.confinement)
