"""Tables hold the words of others, such as a chat template's `[/INST]`: they are shown, and are no markup."""

from __future__ import annotations

import io
import json
from pathlib import Path

from rich.console import Console
from rich.table import Table

from suture.gguf.metadata import SOURCES, Summary, TypeShare
from suture.show.gguf import gguf_tables
from suture.show.merge import account_tables
from suture.show.store import artifacts_table, findings_table
from suture.store import Store
from suture.store.fsck import Finding

WORDS = "[INST] [bold]a[/] [/INST]"


def text_of(*tables: Table) -> str:
    file = io.StringIO()
    Console(file=file, width=400).print(*tables)
    return file.getvalue()


def test_gguf() -> None:
    source = dict.fromkeys(("name", "model", "commit", "licence"), WORDS)
    metadata = {"tokenizer.chat_template": WORDS, f"general.{WORDS}": 1, "suture.version": "1"}
    summary = Summary(2, "F16", metadata | {SOURCES: json.dumps([source])}, (TypeShare("F16", 1, 1, 2),))
    assert text_of(*gguf_tables(summary)).count(WORDS) == 2 + len(source)


def test_merge() -> None:
    dropped = [{"source": "a", "reason": WORDS}]
    counts = dict.fromkeys(("layers", "parameters", "bytes", "tensors_in", "tensors_out", "copied", "merged"), 1)
    account = counts | {"seams": [], "notes": [WORDS], "dropped": dropped, "nan_in": {}, "nan_out": 0, "inf_out": 0}
    assert text_of(*account_tables(account)).count(WORDS) == 2


def test_store(tmp_path: Path) -> None:
    folder = tmp_path / "[bold]store[" / "bold]"
    assert str(folder) in text_of(artifacts_table(Store(folder))).replace("\n", "")  # a long title is broken
    assert WORDS in text_of(findings_table([Finding("a" * 64, WORDS)]))
