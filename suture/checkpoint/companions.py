"""The files beside the weights that belong to a model: tokenizer, chat template, generation config, licence."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from pydantic import JsonValue

from suture.checkpoint.layout import CONFIG, Layout

_NAMES = frozenset(
    {
        "tokenizer.json",
        "tokenizer_config.json",
        "special_tokens_map.json",
        "added_tokens.json",
        "vocab.json",
        "vocab.txt",
        "merges.txt",
        "chat_template.json",
        "generation_config.json",
        "preprocessor_config.json",
        "processor_config.json",
        "image_processor_config.json",
        "video_preprocessor_config.json",
        "feature_extractor_config.json",
    }
)
_SUFFIXES = (".model", ".tiktoken", ".jinja")  # SentencePiece and tiktoken vocabularies, chat templates
_PREFIXES = ("LICENSE", "LICENCE", "NOTICE")


def is_companion(file: str) -> bool:
    """Return whether a file of this name goes wherever the weights go; a README does not, nor does any code."""
    return file in _NAMES or file.endswith(_SUFFIXES) or file.startswith(_PREFIXES)


def copy_companions(source: Path, layout: Layout, target: Path) -> None:
    """Copy the files that belong to a checkpoint beside its weights and config.

    Args:
        source: The checkpoint's folder.
        layout: What it holds.
        target: The new checkpoint's folder.
    """
    for file in filter(is_companion, layout.files):
        shutil.copyfile(source / file, target / file)


def write_config(config: dict[str, JsonValue], target: Path) -> None:
    """Write config.json as transformers does: sorted, indented."""
    (target / CONFIG).write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
