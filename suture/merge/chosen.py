"""Tokens whose rows a recipe chooses one by one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from suture.checkpoint.tokenizer import Object, Tokenizer, special_token
from suture.errors import SourceError
from suture.merge.rows import TokenTensors
from suture.recipe import TokenRow


class ChosenRow(NamedTuple):
    """The row of one token.

    Attributes:
        source: The source that it is of; None for an empty one, all zeros.
        row: Its number there.
        force: Whether sources that have the token take it as well.
    """

    source: str | None
    row: int
    force: bool


def new_entries(wanted: Sequence[TokenRow], tokenizers: Mapping[str, Tokenizer]) -> dict[str, Object]:
    """Return what tokenizer.json says of the tokens, if they have to be added: as in a source, or special."""
    found: dict[str, Object] = {}
    for choice in wanted:
        of_sources = (tokenizer.added.get(choice.token) for tokenizer in tokenizers.values())
        found[choice.token] = next((entry for entry in of_sources if entry), special_token(choice.token))
    return found


def choose_rows(
    wanted: Sequence[TokenRow],
    result: Tokenizer,
    tokenizers: Mapping[str, Tokenizer],
    tensors: Mapping[str, TokenTensors],
) -> dict[int, ChosenRow]:
    """Return the rows that a recipe chooses, by the tokens' ids in the result.

    Args:
        wanted: What the recipe says.
        result: The result's tokenizer, with all of these tokens.
        tokenizers: Those of the sources.
        tensors: The sources' tensors with a row per token.

    Raises:
        SourceError: When a source has no such row.
    """
    found: dict[int, ChosenRow] = {}
    for choice in wanted:
        row = -1
        if choice.source is not None:
            row = _row(choice, tokenizers[choice.source], tensors[choice.source].rows)
        found[result.ids[choice.token]] = ChosenRow(choice.source, row, choice.force)
    return found


def _row(choice: TokenRow, own: Tokenizer, rows: int) -> int:
    token = choice.like or choice.token
    row = own.ids.get(token) if choice.row is None else choice.row
    if row is not None and row < rows:
        return row
    raise SourceError(
        f"{own.name} has no row for {choice.token!r}.",
        where="vocabulary.tokens",
        expected=f"a row below {rows}" if row is not None else f"a token of {own.name}",
        found=f"row {row}" if row is not None else repr(token),
        way_out="Name another source, a token of it by `like`, or set `zero: true`.",
    )
