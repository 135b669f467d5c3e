"""What every model must pass before it is merged, wherever it comes from. Its weights are not read here.

The first gates look at the files. The last ones run what a stranger wrote, a tokenizer and chat templates, in
processes of little memory and little time.
"""

from __future__ import annotations

import contextlib
import os
import signal
import stat
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import cast

from pydantic import JsonValue

from suture.checkpoint.companions import is_companion
from suture.checkpoint.layers import COUNT_KEYS, PREDICTION_KEYS, text_section
from suture.checkpoint.layout import CONFIG, Layout, check_config, require_tokenizer
from suture.checkpoint.shards import list_files, read_shards
from suture.checkpoint.strict_json import read_json_object
from suture.checkpoint.tokenizer import TOKENIZER, TOKENIZER_CONFIG, read_tokenizer
from suture.errors import CheckpointError, DataError, ProcessError, SourceError
from suture.hub import tokenizer_trial
from suture.process import run
from suture.rendering import Limits, Message, render_limited

_LAYERS = 10_000
_MOST: Mapping[str, int] = {
    **dict.fromkeys((*COUNT_KEYS, *PREDICTION_KEYS), _LAYERS),
    "vocab_size": 2**24,
    "hidden_size": 2**20,
    "n_embd": 2**20,
    "d_model": 2**20,
    "intermediate_size": 2**24,
    "moe_intermediate_size": 2**24,
    "num_attention_heads": 2**16,
    "num_key_value_heads": 2**16,
    "head_dim": 2**16,
    "num_experts": 2**16,
    "num_local_experts": 2**16,
    "n_routed_experts": 2**16,
    "num_labels": 2**20,
}
"""Config field -> a number far beyond any model's. Tools build as much as it says before they look at a weight."""

_TEMPLATE_LENGTH = 1 << 20  # characters
_TEMPLATES = 32
_RENDERING = Limits(cpu=3, wall=300.0)
_CONVERSATION: tuple[Message, ...] = (
    {"role": "user", "content": "Good morning!"},
    {"role": "assistant", "content": "Good morning. What can I do?"},
    {"role": "user", "content": "Count to three."},
)
_TOKENS = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"}

_TRIAL_CPU = 20  # seconds of the processor; one of 262,144 tokens takes 1 or 2
_TRIAL_MEMORY = 2 << 30  # bytes of address space
_TRIAL_WALL = 300.0  # seconds
_OWN_COPY = "If transformers knows the model's type, remove auto_map from a local copy of the file."


def check_files(folder: Path) -> None:
    """Refuse a folder that holds more than files: pipes, devices, links that lead astray, names that are no text.

    Raises:
        SourceError: Naming the first of them.
    """
    list_files(folder)
    for path in sorted(folder.iterdir(), key=os.fsencode):
        if not path.name.isprintable():
            raise SourceError(
                "A file's name is not a printable text.", where=folder, found=ascii(path.name), way_out="Rename it."
            )
        with contextlib.suppress(FileNotFoundError):  # a link to nothing: like no file
            kind = stat.S_IFMT(path.stat().st_mode)
            if kind not in (stat.S_IFREG, stat.S_IFDIR):
                raise SourceError(
                    "This is no file, but a pipe, a socket or a device.",
                    where=path,
                    expected="files and folders",
                    found=stat.filemode(kind)[0],
                    way_out="Remove it.",
                )


def check_weights(folder: Path) -> None:
    """Refuse weights that are no safetensors, or whose headers and index are malformed; their numbers are not read.

    Raises:
        SourceError: When there are no weights in safetensors.
        CheckpointError: When a header or the index is malformed, or they do not agree.
    """
    read_shards(folder)


def check_model_config(folder: Path) -> None:
    """Refuse a config that needs code of its own, or that says what no model can be.

    Raises:
        SourceError: When there is no config, or it needs code.
        CheckpointError: When it is malformed, or a number in it is absurd.
    """
    if CONFIG not in list_files(folder):
        raise SourceError("The model has no config.json.", where=folder)
    config = read_json_object(folder / CONFIG)
    check_config(config, folder / CONFIG)
    _refuse_code(config, folder / CONFIG)
    check_limits(config, folder / CONFIG)


def check_limits(config: Mapping[str, JsonValue], where: str | Path) -> None:
    """Refuse a config with a number that no model can have.

    Raises:
        CheckpointError: Naming the field, its limit and the number.
    """
    sections = [config, *_objects(list(config.values()))]
    for section in sections:
        for field, most in _MOST.items():
            for number in _numbers(section.get(field)):
                if number > most:
                    raise _absurd(field, f"at most {most:,}", number, where)
    for section in (config, text_section(config)):
        size = section.get("vocab_size")
        if size is not None and (type(size) is not int or size < 1):
            raise _absurd("vocab_size", "a positive number", size, where)


def check_companions(folder: Path) -> None:
    """Refuse malformed JSON beside the weights, and such that names code.

    Raises:
        SourceError: When a file names code under `auto_map`.
        CheckpointError: When a file is malformed.
    """
    for file in list_files(folder):
        if is_companion(file) and file.endswith(".json") and file != TOKENIZER:
            _refuse_code(read_json_object(folder / file), folder / file)


def check_tokenizer(folder: Path) -> None:
    """Refuse a model whose tokenizer is missing or malformed; it is read, and not run.

    Raises:
        SourceError: When it is missing.
        CheckpointError: When it is malformed, or larger than any.
    """
    require_tokenizer(Layout({}, {}, list_files(folder)), folder)
    read_tokenizer(folder, folder.name)


def try_tokenizer(folder: Path) -> None:
    """Refuse a tokenizer that cannot be loaded, or that takes more time or memory for a text than one may.

    Raises:
        CheckpointError: With what happened.
    """
    with tempfile.TemporaryDirectory() as scratch:
        path = (folder / TOKENIZER).resolve()
        try:
            run(
                [sys.executable, "-I", tokenizer_trial.__file__, path, str(_TRIAL_CPU), str(_TRIAL_MEMORY)],
                log=Path(scratch, "log"),
                doing="trying the tokenizer",
                cwd=Path(scratch),
                env={"PATH": os.defpath, "LANG": "C.UTF-8", "RAYON_NUM_THREADS": "1"},
                timeout=_TRIAL_WALL,
            )
        except ProcessError as error:
            raise CheckpointError(
                "The tokenizer cannot be used.",
                where=folder / TOKENIZER,
                expected=f"it loads, and takes at most {_TRIAL_CPU} seconds and {_TRIAL_MEMORY >> 20} MB for a page",
                found=_ending(error),
            ) from error


def try_templates(folder: Path) -> None:
    """Refuse chat templates that are malformed, or that take more time or memory than one may.

    One that does not take the conversation it is tried with is not refused: some want a system message.

    Raises:
        SourceError: Naming the file, and what happened.
        CheckpointError: When a file is malformed.
    """
    templates = list(_templates(folder))
    if len(templates) > _TEMPLATES:
        raise CheckpointError(
            "The model has more chat templates than any.",
            where=folder,
            expected=f"at most {_TEMPLATES}",
            found=len(templates),
        )
    for where, template in templates:
        if len(template) > _TEMPLATE_LENGTH:
            raise CheckpointError(
                "A chat template is longer than any.", where=where, expected=f"at most {_TEMPLATE_LENGTH} characters"
            )
        with contextlib.suppress(DataError):
            render_limited(template, _CONVERSATION, where, tokens=_TOKENS, limits=_RENDERING)


Gate = Callable[[Path], None]
"""Looks at a model's folder; raises an InputError that says why it is refused."""

LOOKS: tuple[Gate, ...] = (check_files, check_weights, check_model_config, check_companions, check_tokenizer)
"""The gates that read."""

TRIALS: tuple[Gate, ...] = (try_tokenizer, try_templates)
"""The gates that run something, for models that passed the others. Together they take about a second."""


def check_model(folder: Path) -> None:
    """Refuse a model that does not pass every gate.

    Raises:
        InputError: The first reason.
    """
    for gate in (*LOOKS, *TRIALS):
        gate(folder)


def _refuse_code(content: Mapping[str, JsonValue], where: Path) -> None:
    for section in (content, *_objects(list(content.values()))):
        if section.get("auto_map"):
            raise SourceError(
                "A file of the model names Python code of the model's own, which is never run.",
                where=where,
                expected="no auto_map",
                found=ascii(section["auto_map"])[:200],
                way_out=_OWN_COPY,
            )


def _objects(values: list[JsonValue]) -> Iterator[dict[str, JsonValue]]:
    """Yield the objects in some values, however deep."""
    while values:
        value = values.pop()
        if isinstance(value, dict):
            yield value
            values += value.values()
        elif isinstance(value, list):
            values += value


def _numbers(value: JsonValue) -> list[int | float]:
    """Return a number, or those of a list with one for each layer."""
    values = value if isinstance(value, list) else [value]
    return [number for number in values if isinstance(number, int | float)]


def _absurd(field: str, expected: str, found: JsonValue, where: str | Path) -> CheckpointError:
    return CheckpointError(f"No model has such a {field}.", where=where, expected=expected, found=ascii(found)[:50])


def _ending(error: ProcessError) -> str:
    """Return how the trial's process ended."""
    match error.status:
        case None:
            return f"no end after {_TRIAL_WALL:g} seconds"
        case _ if -error.status in (signal.SIGXCPU, signal.SIGKILL):
            return f"more than {_TRIAL_CPU} seconds of the processor, or more memory than there is"
        case _:
            return error.tail or f"its process ended with status {error.status}"


def _templates(folder: Path) -> Iterator[tuple[Path, str]]:
    """Yield each chat template of a model, and its file."""
    files = list_files(folder)
    for file in files:
        if file.endswith(".jinja"):
            with (folder / file).open("rb") as content:
                yield folder / file, content.read(4 * _TEMPLATE_LENGTH + 4).decode(errors="replace")
    for file in ("chat_template.json", TOKENIZER_CONFIG):
        if file in files:
            field = read_json_object(folder / file).get("chat_template")
            yield from ((folder / file, text) for text in _texts(field))


def _texts(field: JsonValue) -> list[str]:
    """Return the templates of a config's field: one text, or a list of {name, template}."""
    if isinstance(field, str):
        return [field]
    entries = cast("list[JsonValue]", field) if isinstance(field, list) else []
    found = [entry.get("template") for entry in entries if isinstance(entry, dict)]
    return [text for text in found if isinstance(text, str)]
