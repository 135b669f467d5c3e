"""What a later tool would choke on, or do wrong without a word: found before anything is built of a checkpoint.

What each of them does with it was tried with transformers, llama.cpp's converter and its server.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

from pydantic import JsonValue

from suture.checkpoint.floats import FLOATS
from suture.checkpoint.inspection.groups import group_of
from suture.checkpoint.inspection.summary import Summary, TensorTotal, runs
from suture.checkpoint.layers import PREDICTION_KEYS, layer_count, prediction_layers, text_section
from suture.checkpoint.reader import Checkpoint, NonFinite
from suture.checkpoint.strict_json import read_json_object
from suture.checkpoint.tensors import TensorInfo
from suture.errors import CheckpointError

Severity = Literal["error", "warning", "note"]
"""error: a tool stops, or makes a broken model; warning: something is lost or guessed; note: worth knowing."""

_ONE_PER_LAYER = ("layer_types", "mlp_layer_types", "layers_block_type", "no_rope_layers", "hybrid_override_pattern")
_EMBEDDING = re.compile(r"(^|\.)(embed_tokens|wte|word_embeddings|embed_in|tok_embeddings)\.weight")
_HEAD = re.compile(r"(^|\.)(lm_head|output|embed_out|head)\.weight")
_CONFIG_DTYPES = {"bfloat16": "BF16", "float16": "F16", "float32": "F32"}


@dataclass(frozen=True)
class Problem:
    """One thing that is not as it should be.

    Attributes:
        severity: How bad it is.
        what: What is so.
        consequence: What comes of it; or what to do.
    """

    severity: Severity
    what: str
    consequence: str


@dataclass(frozen=True)
class _Subject:
    """A checkpoint under examination: its folder, the files that hold its weights, what it holds."""

    folder: Path
    shards: frozenset[str]
    summary: Summary

    @property
    def config(self) -> Mapping[str, JsonValue]:
        return self.summary.layout.config

    @property
    def text(self) -> Mapping[str, JsonValue]:
        return text_section(self.config)

    @property
    def files(self) -> tuple[str, ...]:
        return self.summary.layout.files

    @property
    def tensors(self) -> Mapping[str, TensorInfo]:
        return self.summary.layout.tensors


def find_problems(
    checkpoint: Checkpoint, summary: Summary, nonfinite: NonFinite | None = None
) -> tuple[Problem, ...]:
    """Return what is wrong with a checkpoint, the worst first.

    Args:
        checkpoint: Where it is; its tokenizer is read as well, its weights are not.
        summary: What it holds.
        nonfinite: What was counted in its weights, if they were read.
    """
    shards = frozenset(extent.file.name for extent in checkpoint.extents.values())
    subject = _Subject(checkpoint.folder, shards, summary)
    found = [problem for check in _CHECKS for problem in check(subject)]
    if nonfinite and (nonfinite.nan or nonfinite.inf):
        what = f"The weights hold {nonfinite.nan:,} NaN and {nonfinite.inf:,} infinities."
        found.append(Problem("error", what, "They spread through every merge, and to every token."))
    order: tuple[Severity, ...] = ("error", "warning", "note")
    return tuple(sorted(found, key=lambda problem: order.index(problem.severity)))


def _check_tokenizer(it: _Subject) -> Iterator[Problem]:
    if "tokenizer.json" not in it.files:
        yield Problem(
            "error",
            "tokenizer.json is missing.",
            "AutoTokenizer gives an empty tokenizer; the converter does not recognize the pre-tokenizer.",
        )
    if "tokenizer_config.json" not in it.files:
        yield Problem(
            "error",
            "tokenizer_config.json is missing.",
            "It converts, with a wrong end token and without a chat template.",
        )
    elif not _has_template(it):
        yield Problem("warning", "There is no chat template.", "A chat falls back to a guessed format.")


def _has_template(it: _Subject) -> bool:
    if any(file.endswith(".jinja") or file == "chat_template.json" for file in it.files):
        return True
    try:
        return bool(read_json_object(it.folder / "tokenizer_config.json").get("chat_template"))
    except CheckpointError:
        return False


def _check_vocabulary(it: _Subject) -> Iterator[Problem]:
    rows = next((info.shape[0] for name, info in it.tensors.items() if _EMBEDDING.search(name) and info.shape), None)
    stated = it.text.get("vocab_size")
    if rows is not None and isinstance(stated, int) and rows != stated:
        what = f"The embedding has {rows:,} rows, vocab_size is {stated:,}."
        yield Problem("error", what, "Loading ends with a size mismatch.")
    if "tokenizer.json" not in it.files:
        return
    try:
        highest = _highest_token(read_json_object(it.folder / "tokenizer.json"))
    except CheckpointError as error:
        yield Problem("error", f"tokenizer.json cannot be used: {error.problem}", str(error.found or ""))
        return
    if rows is not None and highest >= rows:
        what = f"The tokenizer has tokens up to number {highest:,}, the embedding {rows:,} rows."
        yield Problem("error", what, "A text with one of the tokens beyond ends the program, or reads other memory.")


def _highest_token(tokenizer: Mapping[str, JsonValue]) -> int:
    """Return the highest number of a token in a tokenizer.json; -1 if there are none."""
    numbers = [-1]
    match tokenizer.get("model"):
        case {"vocab": dict() as vocabulary}:
            numbers += [number for number in vocabulary.values() if isinstance(number, int)]
        case {"vocab": list() as pieces}:  # Unigram: a token's number is its place
            numbers.append(len(cast("list[JsonValue]", pieces)) - 1)
        case _:
            pass
    match tokenizer.get("added_tokens"):
        case list() as added:
            entries = cast("list[JsonValue]", added)
            ids = [entry.get("id") for entry in entries if isinstance(entry, dict)]
            numbers += [number for number in ids if isinstance(number, int)]
        case _:
            pass
    return max(numbers)


def _check_layers(it: _Subject) -> Iterator[Problem]:
    misfit, stack = it.summary.misfit, it.summary.stack
    if misfit and stack:
        stated = layer_count(it.config) if _states_count(it) else "nothing"
        what = f"The tensors have {stack.count} layers ({stack.prefix}), the config says {stated}."
        yield Problem("error", what, "Layers beyond are ignored without a word, missing ones get random weights.")
    elif misfit:
        yield Problem("error", misfit.problem, f"Expected {misfit.expected}; found {misfit.found}.")
    if stack is None:
        return
    for field in _ONE_PER_LAYER:
        match it.text.get(field):
            case list() | str() as value if len(entries := cast("list[JsonValue]", value)) != stack.count:
                what = f"{field} has {len(entries)} entries for {stack.count} layers."
                yield Problem("error", what, "The model's class and the converter stop, or build other layers.")
            case _:
                pass


def _states_count(it: _Subject) -> bool:
    try:
        return layer_count(it.config) > 0
    except CheckpointError:
        return False


def _check_kinds(it: _Subject) -> Iterator[Problem]:
    """Find layers that hold another mixer than others of which the config says the same."""
    for field in ("layer_types", "layers_block_type"):
        mixers: dict[JsonValue, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
        for kind in it.summary.kinds:
            rests = [alike.pattern for alike in kind.tensors if group_of(alike.pattern) == "attention"]
            mixer = ", ".join(sorted({rest.split(".")[0] for rest in rests}))
            if isinstance(said := kind.settings.get(field), str):
                mixers[said][mixer] += kind.layers
        for said, layers in mixers.items():
            if len(layers) > 1:
                held = "; ".join(f"{runs(sorted(found))} hold {mixer or 'none'}" for mixer, found in layers.items())
                what = f"{field} says {said} of layers that are of several kinds: {held}."
                yield Problem(
                    "error", what, "It converts; llama.cpp fails at load, transformers draws random weights."
                )


def _check_mtp(it: _Subject) -> Iterator[Problem]:
    held, stated = "mtp" in it.summary.outside, prediction_layers(it.text)
    if held and not stated:
        what = "There are tensors for multi-token prediction, and the config does not count them."
        yield Problem("warning", what, "Tools leave them out.")
    if stated and not held:
        field = next(key for key in PREDICTION_KEYS if it.text.get(key))
        what = f"{field} is {stated}, and there are no such tensors: transformers drops them when it saves a model."
        yield Problem("error", what, f"It converts, and llama.cpp's server fails at load. Set {field} to 0.")


def _check_vision(it: _Subject) -> Iterator[Problem]:
    held, stated = "vision" in it.summary.outside, bool(it.config.get("vision_config"))
    if held and not {"preprocessor_config.json", "processor_config.json"} & set(it.files):
        what = "preprocessor_config.json is missing, and the model sees images."
        yield Problem("error", what, "Converting the vision tower ends with KeyError: image_mean.")
    if stated and not held:
        what = "The config has a vision_config, and there are no tensors of a vision tower."
        yield Problem("warning", what, "A multimodal class gives the tower random weights.")


def _check_dtypes(it: _Subject) -> Iterator[Problem]:
    main, *others = it.summary.dtypes or {"BF16": TensorTotal()}
    for dtype in (dtype for dtype in (main, *others) if dtype not in FLOATS):
        what = f"{it.summary.dtypes[dtype].tensors:,} tensors are {dtype}."
        yield Problem("warning", what, "They can be stacked as they are, never averaged: merge the 16-bit original.")
    for dtype in (dtype for dtype in others if dtype in FLOATS):
        names = sorted({_leaf(name) for name, info in it.tensors.items() if info.dtype == dtype})
        shown = ", ".join(names[:4]) + (", ..." if len(names) > 4 else "")
        what = f"{it.summary.dtypes[dtype].tensors:,} tensors are {dtype} ({shown}), most are {main}."
        yield Problem("note", what, "A merge keeps each tensor's own dtype.")
    dtypes: dict[str, set[str]] = defaultdict(set)
    for alike in (alike for kind in it.summary.kinds for alike in kind.tensors):
        dtypes[alike.pattern].add(alike.info.dtype)
    for pattern, found in dtypes.items():
        if len(found) > 1:
            what = f"{pattern} is {' in some layers, '.join(sorted(found))} in others."
            yield Problem("warning", what, "The converter takes it; a tool that casts all to one dtype loses digits.")
    stated = it.config.get("dtype") or it.config.get("torch_dtype") or it.text.get("dtype")
    if isinstance(stated, str) and _CONFIG_DTYPES.get(stated, main) != main:
        yield Problem(
            "warning", f"The config says {stated}, most tensors are {main}.", "transformers casts on loading."
        )


def _leaf(name: str) -> str:
    """Return the end of a tensor's name that tells what it is: `A_log`, `norm`."""
    return name.removesuffix(".weight").removesuffix(".bias").split(".")[-1]


def _check_config(it: _Subject) -> Iterator[Problem]:
    if not it.config.get("architectures"):
        yield Problem("error", "The config names no architectures.", "The converter does not know the model's class.")
    if it.config.get("quantization_config"):
        what = "The config has a quantization_config."
        yield Problem("warning", what, "The weights are not what was trained: merge the 16-bit original.")
    tied = [section.get("tie_word_embeddings") for section in (it.config, it.text)]
    if False in tied and True not in tied and not any(map(_HEAD.search, it.tensors)):
        what = "tie_word_embeddings is false, and there is no lm_head."
        yield Problem("error", what, "transformers gives the model a random head.")


def _check_files(it: _Subject) -> Iterator[Problem]:
    if spare := [file for file in it.files if file.endswith(".safetensors") and file not in it.shards]:
        yield Problem("note", f"Weights that belong to no index: {', '.join(spare)}.", "Most tools ignore them.")


_CHECKS: tuple[Callable[[_Subject], Iterator[Problem]], ...] = (
    _check_layers,
    _check_kinds,
    _check_config,
    _check_tokenizer,
    _check_vocabulary,
    _check_mtp,
    _check_vision,
    _check_dtypes,
    _check_files,
)
