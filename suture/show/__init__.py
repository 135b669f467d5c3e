"""What the terminal shows: plans, stores, inspected files and compared checkpoints as tables, data and plots.

    plan.py         the steps of a recipe
    store.py        artifacts
    merge.py        the account of a merge
    gguf.py         an inspected GGUF
    checkpoint.py   an inspected checkpoint
    difference.py   two compared checkpoints
    heatmap.py      the same as a plot
    numbers.py      counts, shares, distances, cosines

Nothing is computed or printed here.
"""

from suture.show.checkpoint import checkpoint_data, checkpoint_tables
from suture.show.difference import difference_data, difference_tables
from suture.show.gguf import gguf_data, gguf_tables
from suture.show.merge import account_tables
from suture.show.plan import disk_line, plan_data, sources_table, steps_table
from suture.show.store import KEY_DIGITS, artifacts_table, findings_table

__all__ = [
    "KEY_DIGITS",
    "account_tables",
    "artifacts_table",
    "checkpoint_data",
    "checkpoint_tables",
    "difference_data",
    "difference_tables",
    "disk_line",
    "findings_table",
    "gguf_data",
    "gguf_tables",
    "plan_data",
    "sources_table",
    "steps_table",
]
