"""Runs what a model wrote, so that it can harm nothing."""

from suture.bench.sandbox.form import Execution, Language, Limits, Outcome, Program
from suture.bench.sandbox.run import run_program

__all__ = ["Execution", "Language", "Limits", "Outcome", "Program", "run_program"]
