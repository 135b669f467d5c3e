"""Execute blocks of Python, evaluate calls of what they define, and report each as a line of JSON on stdout.

The blocks run one after the other in one module that is not `__main__`; one that fails leaves what it had defined.
What they print goes to stderr. There is nothing here that would tell them what a right result is.
"""

# What comes back from the code of a model may be of any type, hence:
# pyright: basic

from __future__ import annotations

import json
import math
import os
import sys
import traceback
import types
from collections import deque
from pathlib import Path
from typing import Any

_VIEWS = (deque, range, type({}.keys()), type({}.values()), type({}.items()))
_JSON_INTEGERS = 2**63


def encode(value: Any) -> Any:  # noqa: ANN401
    """Return a value as JSON that keeps Python's types; objects of other types are only named."""
    if isinstance(value, int) and abs(value) >= _JSON_INTEGERS:
        return {"int": hex(value)}
    if isinstance(value, float) and not math.isfinite(value):
        return {"float": repr(value)}
    if value is None or isinstance(value, int | float | str):
        return value
    return _encode_collection(value)


def _encode_collection(value: Any) -> Any:  # noqa: ANN401
    if isinstance(value, list):
        return [encode(each) for each in value]
    if isinstance(value, dict):
        return {"dict": [[encode(key), encode(each)] for key, each in value.items()]}
    for name, kinds in (("tuple", tuple), ("set", (set, frozenset)), ("view", _VIEWS)):
        if isinstance(value, kinds):
            return {name: [encode(each) for each in value]}
    return {"object": type(value).__name__}


def describe(error: BaseException, harness_frames: int) -> dict[str, Any]:
    """Return an error as JSON; `at_call` says that no line of the blocks had begun to run."""
    frames = list(traceback.walk_tb(error.__traceback__))[harness_frames:]
    return {
        "kind": type(error).__name__,
        "text": str(error)[:500],
        "at_call": all(frame.f_code.co_filename == "<call>" for frame, _ in frames),
    }


def main() -> None:
    """Do the job that lies beside this file."""
    channel = os.dup(1)  # before anything of the model runs, which then has stderr for its stdout
    os.dup2(2, 1)
    folder = Path(__file__).resolve().parent
    job = json.loads((folder / "job.json").read_text(encoding="utf-8"))

    def report(line: dict[str, Any]) -> None:
        rest = f"\n{json.dumps(line)}\n".encode()
        while rest:
            rest = rest[os.write(channel, rest) :]

    module = types.ModuleType("answer")
    sys.modules["answer"] = module
    for number, name in enumerate(job["blocks"]):
        try:
            code = compile((folder / name).read_text(encoding="utf-8"), name, "exec", dont_inherit=True)
            exec(code, module.__dict__)  # noqa: S102 -- what this file is for
        except BaseException as error:  # noqa: BLE001 -- SystemExit too: what was defined before it is there
            report({"block": number, "error": describe(error, 1)})
    for number, call in enumerate(job["calls"]):
        try:
            value = eval(compile(call, "<call>", "eval", dont_inherit=True), module.__dict__)  # noqa: S307
            line = {"call": number, "value": encode(value)}
        except BaseException as error:  # noqa: BLE001
            line = {"call": number, "error": describe(error, 1)}
        report(line)
    os._exit(0)  # threads that the code may have left do not keep us


if __name__ == "__main__":
    main()
