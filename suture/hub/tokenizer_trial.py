"""A process that loads a tokenizer and cuts a page of text with it, and can do little else. Run with Python's -I.

    python -I tokenizer_trial.py TOKENIZER CPU MEMORY

TOKENIZER is a tokenizer.json, CPU the seconds that it may take, MEMORY the bytes of address space. A tokenizer holds
regular expressions and rules that rewrite a text: either can be made to take all the time or memory there is.
"""

from __future__ import annotations

import os
import resource
import sys

PAGE = (
    "The seam between two layers heals, if the model sees enough text: 3.14159 of 1,000,000 tokens.\n\n"
    "def heal(layer):\n\treturn {'w': layer[0] ** 2}  # don't\n"
    "Ünïcödé, 你好世界, こんにちは, Привет, مرحبا, नमस्ते, 🙂👩‍👩‍👧\n"
) * 10 + " ".join(("a" * 1000, " " * 500, "1" * 200, "." * 200, "\n" * 100, "aB" * 200, "x!" * 100))
"""Prose, code, many scripts, and long runs of one thing, which a bad expression is slow with."""


def main() -> None:
    """Try the tokenizer."""
    path, cpu, memory = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    for limit, most in (
        (resource.RLIMIT_CPU, cpu),
        (resource.RLIMIT_AS, memory),
        (resource.RLIMIT_FSIZE, 1 << 16),
        (resource.RLIMIT_CORE, 0),
    ):
        hard = resource.getrlimit(limit)[1]
        wanted = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(limit, (wanted, wanted))
    from tokenizers import Tokenizer

    try:
        Tokenizer.from_file(path).encode(PAGE)
    except BaseException as error:  # noqa: BLE001 -- a panic of the library is no Exception
        sys.stderr.write(f"{type(error).__name__}: {error}"[:500])
        sys.stderr.flush()
        os._exit(1)


if __name__ == "__main__":
    main()
