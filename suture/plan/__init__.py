"""Plan: a recipe with everything pinned, as a graph of steps whose keys are known before any of them runs.

        sources -+-> merge -+---------------> convert -> quantize -> measure -+
                 |          +-> heal -> fuse -> convert -> quantize -> measure -+-> report
                 +-> (control) ------------> convert -> quantize -> measure -+

Healing trains on the 16-bit merge, so it is a second child of the merge and not of the quantized file.
"""

from suture.plan.form import Arm, Model, Plan, Role
from suture.plan.models import plan_source
from suture.plan.reported import report_input
from suture.plan.resolve import resolve
from suture.plan.room import check_disk, needed_bytes
from suture.plan.terms import judge_plan

__all__ = [
    "Arm",
    "Model",
    "Plan",
    "Role",
    "check_disk",
    "judge_plan",
    "needed_bytes",
    "plan_source",
    "report_input",
    "resolve",
]
