"""Short logs: an error that Suture raised on purpose says all by itself; its traceback stays out of the log."""

from __future__ import annotations

import logging

from suture.errors import SutureError

_LOGGERS = ("prefect.flow_runs", "prefect.task_runs")

_AGAIN = "Engine execution exited"
"""How Prefect's engine begins when it tells a second time what the flow has told."""

_NOT_TRIED = "Finished in state NotReady"
"""How each step ends that needs one that failed: the first failure is what one looks for."""


def shorten_logs() -> None:
    """Keep from the logs of runs what would only bury the rest."""
    for name in _LOGGERS:
        logging.getLogger(name).addFilter(_shorten)


def _shorten(record: logging.LogRecord) -> bool:
    """Write an error's own words in place of its traceback; return whether the record says anything new."""
    said = record.getMessage()
    if said.startswith(_NOT_TRIED):
        return False
    error = record.exc_info[1] if record.exc_info else None
    if not isinstance(error, SutureError):
        return True
    record.msg, record.args = "\n".join([str(error), *getattr(error, "__notes__", ())]), ()
    record.exc_info = record.exc_text = None
    return not said.startswith(_AGAIN)
