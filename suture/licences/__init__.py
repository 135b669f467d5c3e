"""What the licences of models and data sets ask for, and whether they go together. Reading aid, no legal advice.

table.py   the common licences, by the names that the hub uses
judge.py   what they mean for a model that was made of several
"""

from suture.licences.judge import Judgement, Licensed, Requirement, Verdict, judge
from suture.licences.table import LICENCES, Licence, known, of_builtin_text

__all__ = [
    "LICENCES",
    "Judgement",
    "Licence",
    "Licensed",
    "Requirement",
    "Verdict",
    "judge",
    "known",
    "of_builtin_text",
]
