"""Conversations as rows of training data: as many of a data set as are needed, and no more.

Some data sets are larger than the memory, and hold twenty times what a training reads. So those with the smallest
digests are taken: a sample that depends on what is said alone, and not on the order of the files.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from tokenizers import Tokenizer

from suture.corpus import PinnedText, read_conversations
from suture.errors import DataError
from suture.heal.data.chat import Sample, chat_encoding
from suture.progress import Progress

_FIRST = 1000
"""Conversations to look at, at least: a smaller set is used whole, and what is left out of it is counted."""


@dataclass
class Talks:
    """The conversations of a text, as far as they were looked at.

    Attributes:
        total: How many different ones the text holds.
        rows: Those that can be learned from.
        silent: How many were left out since there is nothing to learn in them.
        too_long: How many were left out for their length.
        shortest: Tokens of the shortest of these.
    """

    total: int
    rows: list[Sample] = field(default_factory=list[Sample])
    silent: int = 0
    too_long: int = 0
    shortest: int | None = None

    @property
    def looked_at(self) -> int:
        """How many are counted here."""
        return len(self.rows) + self.silent + self.too_long

    @property
    def available(self) -> int:
        """Rows that the whole text gives; of a large one, reckoned from the part that was looked at."""
        return round(len(self.rows) * self.total / self.looked_at)

    def add(self, row: Sample, length: int) -> None:
        """Take a conversation, or count why it is left out."""
        if not row.learned:
            self.silent += 1
        elif len(row.ids) > length:
            self.too_long += 1
            self.shortest = min(len(row.ids), self.shortest or len(row.ids))
        else:
            self.rows.append(row)


def converse(
    text: PinnedText, needed: int, length: int, folder: Path, tokenizer: Tokenizer, progress: Progress
) -> Talks:
    """Return conversations of a text as rows: `needed` of them, if it holds so many that can be learned from.

    Args:
        text: The conversations.
        needed: How many rows are used.
        length: Tokens of a row, at most.
        folder: The checkpoint whose chat template is used.
        tokenizer: Its tokenizer.
        progress: Told the conversations that are tokenised.

    Raises:
        DataError: When a row is malformed, the template refuses it, or none can be learned from.
        SourceError: When the checkpoint has no chat template, or one that takes too much time or memory.
    """
    by_digest = sorted(conversation.digest for conversation in read_conversations(text))
    talks = Talks(total=len(by_digest))
    with chat_encoding(folder, tokenizer) as chat:
        while len(talks.rows) < needed and talks.looked_at < talks.total:
            until = max(_FIRST, 2 * needed, 4 * talks.looked_at)
            wanted = set(by_digest[talks.looked_at : until])
            for conversation in read_conversations(text):
                if conversation.digest in wanted:
                    talks.add(chat.encode(conversation.messages, conversation.where), length)
                    progress.update(talks.looked_at, min(until, talks.total), f"conversations of {text.name}")
    if not talks.rows:
        raise _nothing_learned(text, talks, length)
    return talks


def _nothing_learned(text: PinnedText, talks: Talks, length: int) -> DataError:
    where = text.path or text.name
    if talks.shortest is None:
        return DataError(
            "In none of the conversations does the assistant say anything.",
            where=where,
            expected="at least one turn of the role assistant",
            found=f"{talks.silent} conversations without one",
            way_out="Check the roles, or give it as plain text: a field called text.",
        )
    return DataError(
        "Every conversation is longer than one training sequence.",
        where=where,
        expected=f"some of at most {length} tokens",
        found=f"{talks.too_long} conversations of {talks.shortest} tokens or more",
        way_out="Raise sequence_length, or give shorter conversations.",
    )
