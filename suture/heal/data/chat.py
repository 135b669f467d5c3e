"""A conversation as a training sample: the model's own chat template, with loss on the assistant's turns alone.

What the assistant wrote is found by rendering the conversation as far as each of its turns: what the template adds to
the prompt is the turn. So templates need no `{% generation %}` marks. A template that rewrites earlier turns (some
take the thinking out) leaves only the last one as the model would have written it: only that is learned then.
"""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydantic import JsonValue
from tokenizers import Tokenizer

from suture.checkpoint.strict_json import read_json_object
from suture.conversations import Message
from suture.errors import SourceError
from suture.rendering import Renderer, rendering

NO_LOSS = -100
"""The label of a token that is read but not learned."""


@dataclass(frozen=True)
class Sample:
    """One row of training data: token ids, and the same or `NO_LOSS`, both (length,)."""

    ids: tuple[int, ...]
    labels: tuple[int, ...]

    @property
    def learned(self) -> int:
        """How many tokens loss is taken on."""
        return len(self.labels) - self.labels.count(NO_LOSS)


class ChatEncoder:
    """A checkpoint's tokenizer and chat template. `chat_encoding` makes one.

    Args:
        tokenizer: The tokenizer.
        render: The template in its process.
    """

    def __init__(self, tokenizer: Tokenizer, render: Renderer) -> None:
        self._tokenizer = tokenizer
        self._render = render

    def encode(self, messages: Sequence[Message], where: str) -> Sample:
        """Return a conversation as a sample; nothing is learned where the assistant says nothing.

        Raises:
            DataError: When the template refuses the conversation.
            SourceError: When it takes too much time or memory.
        """
        turns = [index for index, message in enumerate(messages) if message["role"] == "assistant"]
        if not turns:
            return Sample((), ())
        cuts = [cut for turn in turns for cut in ((turn, True), (turn + 1, False)) if cut[0]]
        texts = dict(zip(cuts, self._render.cut(messages[: turns[-1] + 1], cuts, where), strict=True))
        whole = texts[turns[-1] + 1, False]
        spans = [_span(texts.get((turn, True), ""), texts[turn + 1, False], whole) for turn in turns]
        encoding = self._tokenizer.encode(whole, add_special_tokens=False)
        ids = np.array(encoding.ids, np.int64)  # (tokens,)
        starts, ends = np.array(encoding.offsets, np.int64).reshape(-1, 2).T  # in characters, both (tokens,)
        learned = np.zeros(len(ids), np.bool_)
        for begin, stop in spans:
            learned |= (begin <= starts) & (starts < ends) & (ends <= stop)
        return Sample(tuple(encoding.ids), tuple(np.where(learned, ids, NO_LOSS).tolist()))


@contextlib.contextmanager
def chat_encoding(folder: Path, tokenizer: Tokenizer) -> Generator[ChatEncoder]:
    """Start the process that renders a checkpoint's chat template, and end it with the block.

    Args:
        folder: The checkpoint.
        tokenizer: Its tokenizer.

    Raises:
        SourceError: When it has no chat template, or one that cannot be used.
    """
    config = read_json_object(folder / "tokenizer_config.json")
    template, where = _read_template(folder, config)
    named = {name: _token(config.get(name)) for name in ("bos_token", "eos_token", "pad_token", "unk_token")}
    tokens = {name: token for name, token in named.items() if token is not None}
    with rendering(template, where, tokens=tokens) as render:
        yield ChatEncoder(tokenizer, render)


def _span(asked: str, said: str, whole: str) -> tuple[int, int]:
    """Return where in `whole` a turn begins and ends, in characters; (0, 0) if it is not there as it was said.

    Args:
        asked: The conversation up to the turn, with the opening that the template gives it.
        said: The same with the turn.
        whole: All of the conversation.
    """
    if not whole.startswith(said):
        return 0, 0
    return _common(asked, said), len(said.rstrip())


def _common(one: str, other: str) -> int:
    """Return how many characters two texts begin with alike."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((place for place, (a, b) in pairs if a != b), min(len(one), len(other)))


def _read_template(folder: Path, config: dict[str, JsonValue]) -> tuple[str, Path]:
    """Return the checkpoint's template and its file, from where transformers looks for it, in the same order."""
    path = folder / "chat_template.jinja"
    if path.is_file():
        return path.read_text(encoding="utf-8"), path
    path, field = folder / "tokenizer_config.json", config.get("chat_template")
    if field is None and (folder / "chat_template.json").is_file():
        path = folder / "chat_template.json"
        field = read_json_object(path).get("chat_template")
    if isinstance(field, list):  # several, by name
        named = {entry.get("name"): entry.get("template") for entry in field if isinstance(entry, dict)}
        field = named.get("default")
    if isinstance(field, str):
        return field, path
    raise SourceError(
        "The model has no chat template, so that it cannot be trained on conversations.",
        where=folder,
        expected="chat_template.jinja, or a chat_template in tokenizer_config.json",
        way_out="Name one in the merge (chat_template), train on plain text, or use a source that has one.",
    )


def _token(entry: JsonValue) -> str | None:
    token = entry.get("content") if isinstance(entry, dict) else entry
    return token if isinstance(token, str) else None
