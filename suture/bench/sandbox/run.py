"""Chooses what confines a program on this machine, and runs it."""

from __future__ import annotations

from suture.bench.sandbox.form import Execution, Program


def run_program(program: Program) -> Execution:
    """Run a program, confined; refuse where nothing here can confine it."""
    return Execution("no_sandbox")
