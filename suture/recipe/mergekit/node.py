"""A value in a mergekit file that knows where it stands, so that an error can say so."""

from __future__ import annotations

import difflib
import math
import reprlib
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import cast

from suture.errors import RecipeError

Number = int | float

_FOUND = reprlib.Repr()  # a wrong value in an error, shortened: Python 3.11 takes no arguments here
_FOUND.maxlevel, _FOUND.maxstring = 3, 120


@dataclass(frozen=True)
class Node:
    """A value and its place.

    Attributes:
        value: What YAML holds there.
        file: What errors call the file.
        path: The keys that lead there.
    """

    value: object
    file: str
    path: tuple[str, ...] = ()

    @property
    def field(self) -> str:
        """The keys that lead there: `slices.0.sources.1.parameters.t`."""
        return ".".join(self.path)

    def refusal(self, problem: str, *, expected: object = None, way_out: str | None = None) -> RecipeError:
        """Return the error that says what is wrong with this value."""
        where = f"{self.file}: {self.field}" if self.path else self.file
        found = _FOUND.repr(self.value)
        return RecipeError(problem, where=where, expected=expected, found=found, way_out=way_out)

    def mapping(self) -> dict[str, Node]:
        """Return the fields of a mapping; those that are empty (null) count as left out, as mergekit has it.

        Raises:
            RecipeError: When it is not a mapping.
        """
        content = self.value
        if not isinstance(content, dict):
            raise self.refusal("A mapping is missing.", expected="a mapping")
        items = cast("dict[object, object]", content).items()
        return {str(key): self._child(str(key), value) for key, value in items if value is not None}

    def fields(self, known: Collection[str], note: Callable[[str], None] | None = None) -> dict[str, Node]:
        """Return the fields of a mapping that are known.

        Args:
            known: Their names.
            note: Is told of others, where mergekit passes over them in silence; without it they are refused.

        Raises:
            RecipeError: When it is not a mapping, or has a field that may not be there.
        """
        found = self.mapping()
        for name, node in found.items():
            if name in known:
                continue
            if note is None:
                raise node.refusal(f"`{name}` is no field here.", expected=", ".join(sorted(known)))
            meant = difflib.get_close_matches(name, known, n=1, cutoff=0.75)
            hint = f" Was {meant[0]} meant?" if meant else ""
            note(f"{node.field}: no field that mergekit reads; it has no effect.{hint}")
        return {name: node for name, node in found.items() if name in known}

    def items(self) -> list[Node]:
        """Return the items of a list.

        Raises:
            RecipeError: When it is not a list, or is empty.
        """
        content = self.value
        if not isinstance(content, list) or not content:
            raise self.refusal("A list is missing.", expected="a list with at least one item")
        return [self._child(str(number), item) for number, item in enumerate(cast("list[object]", content))]

    def text(self) -> str:
        """Return a text.

        Raises:
            RecipeError: When it is not a text, or is empty.
        """
        if not isinstance(self.value, str) or not self.value.strip():
            raise self.refusal("A text is missing.", expected="a text")
        return self.value.strip()

    def is_number(self) -> bool:
        """Return whether it is a number: also `true`, and `1e-5`, which YAML 1.1 takes for a text."""
        return _number(self.value) is not None

    def number(self) -> Number:
        """Return a finite number.

        Raises:
            RecipeError: When it is none.
        """
        number = _number(self.value)
        if number is None:
            raise self.refusal("A number is missing.", expected="a finite number")
        return number

    def flag(self) -> bool:
        """Return a yes or no; mergekit's own files write it as 1.0 or 0.0.

        Raises:
            RecipeError: When it is neither.
        """
        number = _number(self.value)
        if number not in (0, 1):
            raise self.refusal("A yes or no is missing.", expected="true or false")
        return bool(number)

    def _child(self, key: str, value: object) -> Node:
        return Node(value, self.file, (*self.path, key))


def _number(value: object) -> Number | None:
    """Return the finite number that a value stands for, or None."""
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return None
    if not isinstance(value, int | float):
        return None
    try:
        return value if math.isfinite(value) else None
    except OverflowError:  # an int beyond all floats
        return None
