"""A conversation as a training sample: the model's own chat template, with loss on the assistant's turns alone.

What the assistant wrote is found by rendering the conversation as far as each of its turns: what the template adds to
the prompt is the turn. So templates need no `{% generation %}` marks. A template that rewrites earlier turns (some
take the thinking out) leaves only the last one as the model would have written it: only that is learned then.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import JsonValue
from tokenizers import Tokenizer

from suture.checkpoint.strict_json import read_json_object
from suture.conversations import Message
from suture.errors import DataError, SourceError

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
        return sum(label != NO_LOSS for label in self.labels)


class ChatEncoder:
    """A checkpoint's tokenizer and chat template.

    Args:
        folder: The checkpoint.
        tokenizer: Its tokenizer.

    Raises:
        SourceError: When it has no chat template.
    """

    def __init__(self, folder: Path, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._config = read_json_object(folder / "tokenizer_config.json")
        self._template = _read_template(folder, self._config)

    def encode(self, messages: Sequence[Message], where: str) -> Sample:
        """Return a conversation as a sample; nothing is learned where the assistant says nothing.

        Raises:
            DataError: When the template refuses the conversation.
        """
        turns = [index for index, message in enumerate(messages) if message["role"] == "assistant"]
        if not turns:
            return Sample((), ())
        whole = self._render(messages[: turns[-1] + 1], where)
        spans = [self._span(messages, turn, whole, where) for turn in turns]
        encoding = self._tokenizer.encode(whole, add_special_tokens=False)
        labels = [
            token if any(begin <= start < end <= stop for begin, stop in spans) else NO_LOSS
            for token, (start, end) in zip(encoding.ids, encoding.offsets, strict=True)
        ]
        return Sample(tuple(encoding.ids), tuple(labels))

    def _span(self, messages: Sequence[Message], turn: int, whole: str, where: str) -> tuple[int, int]:
        """Return where in `whole` a turn begins and ends, in characters; (0, 0) if it is not there as it was said."""
        said = self._render(messages[: turn + 1], where)
        if not whole.startswith(said):
            return 0, 0
        asked = self._render(messages[:turn], where, prompt=True) if turn else ""
        return _common(asked, said), len(said.rstrip())

    def _render(self, messages: Sequence[Message], where: str, *, prompt: bool = False) -> str:
        from jinja2 import TemplateError
        from transformers.utils.chat_template_utils import (
            render_jinja_template,  # pyright: ignore[reportUnknownVariableType]
        )

        tokens = {
            name: _token(self._config.get(name)) for name in ("bos_token", "eos_token", "pad_token", "unk_token")
        }
        options: dict[str, Any] = {name: token for name, token in tokens.items() if token is not None}
        try:
            rendered, _ = render_jinja_template(
                [list(messages)], chat_template=self._template, add_generation_prompt=prompt, **options
            )
        except (TemplateError, TypeError, KeyError, ValueError) as error:
            raise DataError(
                "The model's chat template refuses the conversation.",
                where=where,
                expected=f"roles and content that it knows, found {', '.join(str(m['role']) for m in messages)}",
                found=f"{type(error).__name__}: {error}",
                way_out="Change or remove the row.",
            ) from error
        return str(rendered[0])


def _common(one: str, other: str) -> int:
    """Return how many characters two texts begin with alike."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((place for place, (a, b) in pairs if a != b), min(len(one), len(other)))


def _read_template(folder: Path, config: dict[str, JsonValue]) -> str:
    """Return the checkpoint's template, from where transformers looks for it, in the same order."""
    path = folder / "chat_template.jinja"
    if path.is_file():
        return path.read_text(encoding="utf-8")
    field = config.get("chat_template")
    if field is None and (folder / "chat_template.json").is_file():
        field = read_json_object(folder / "chat_template.json").get("chat_template")
    if isinstance(field, list):  # several, by name
        named = {entry.get("name"): entry.get("template") for entry in field if isinstance(entry, dict)}
        field = named.get("default")
    if isinstance(field, str):
        return field
    raise SourceError(
        "The model has no chat template, so that it cannot be trained on conversations.",
        where=folder,
        expected="chat_template.jinja, or a chat_template in tokenizer_config.json",
        way_out="Name one in the merge (chat_template), train on plain text, or use a source that has one.",
    )


def _token(entry: JsonValue) -> str | None:
    token = entry.get("content") if isinstance(entry, dict) else entry
    return token if isinstance(token, str) else None
