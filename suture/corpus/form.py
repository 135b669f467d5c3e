"""What a pinned text is: the form in which a step's spec holds it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, NamedTuple

from pydantic import Field

from suture.conversations import ChatFormat, Message
from suture.recipe import Part

TextPart = Literal["train", "heldout", "all"]


class PinnedText(Part):
    """A text as a step's spec holds it: known by content."""

    name: str
    """`builtin:code`, `builtin:prose`, or the file's name."""

    part: TextPart
    """Which documents: those for training, those held out, or all (a file that is used for one purpose only)."""

    sha256: str
    """Digest of the whole text, both parts: of the file, or of what a built-in text is made of."""

    weight: float = Field(gt=0)
    """Its share of the blend, relative to the other weights."""

    path: Path | None = Field(default=None, exclude=True)
    """Where the file lies; None for a built-in text."""


class PinnedConversations(PinnedText):
    """Conversations to train on."""

    format: ChatFormat
    """The form in which each row holds one."""


class PinnedDataset(PinnedText):
    """A data set of the hub to train on, which a step of its own has fetched.

    `name` is that of the repository, `sha256` the digest of the digests of its files, and `path` the folder they lie
    in once they are fetched: planning looks at none of them.
    """

    files: Annotated[tuple[str, ...], Field(min_length=1)]
    """Paths of the files in it, in the order in which they are read."""

    format: Literal["auto", "text"] | ChatFormat
    """What each row holds; `auto` tells by the first one."""


class NumberedConversation(NamedTuple):
    """A conversation and where it stands."""

    where: str
    messages: list[Message]
    digest: bytes
    """Equal for equal conversations alone."""


class Document(NamedTuple):
    """One document; documents of one `group` are never divided between the parts."""

    group: str
    text: str
