"""The capability suite: each test is data and a pure scorer.

A test is one `Test` in the literal tuple of its category's module (`basic.py`, `reasoning.py`); the tuple of
categories is in `table.py`. Adding a test touches its category's module and its tests. Whoever asks the questions
knows nothing of single tests: it fills a `Transcript` and calls `grade`.
"""

from suture.bench.suite.form import (
    Answer,
    CheckResult,
    ErrorClass,
    Failure,
    Message,
    Request,
    Score,
    Server,
    Talk,
    Test,
    Timing,
    Tool,
    ToolCall,
    Transcript,
    asks,
    flaw,
    grade,
    unfit,
)
from suture.bench.suite.table import MULTI_TURN, SUITE, select

__all__ = [
    "MULTI_TURN",
    "SUITE",
    "Answer",
    "CheckResult",
    "ErrorClass",
    "Failure",
    "Message",
    "Request",
    "Score",
    "Server",
    "Talk",
    "Test",
    "Timing",
    "Tool",
    "ToolCall",
    "Transcript",
    "asks",
    "flaw",
    "grade",
    "select",
    "unfit",
]
