"""Which files of a data set are read: those of one split, found as the library `datasets` finds them.

A card may say which files belong to which split, and to which subset of several. Where it does not, the names tell:
`train-00000-of-00002.parquet`, `data/train.jsonl`, `test/part1.json`. Files whose names tell of no split are all for
training.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from pydantic import Field, JsonValue

from suture.corpus.rows import READERS
from suture.errors import DataError
from suture.recipe import Data, Part

_SPLITS = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "val", "dev"),
    "test": ("test", "testing", "eval", "evaluation"),
}
"""Split -> how names of files call it."""

_NO_DATA = {"dataset_infos.json", "dataset_info.json"}
_SHOWN = 12
"""How many names an error lists."""


class Subset(Part):
    """A part of a data set that its card names (a "config")."""

    name: str
    is_default: bool = False
    folder: str = ""
    """Where its files are; empty for all of the repository."""
    splits: dict[str, tuple[str, ...]] = Field(default={})
    """Split -> patterns of its files; empty where the names tell."""


def is_data(name: str) -> bool:
    """Return whether a file is one that can be read as rows, and its path leads nowhere but into the repository."""
    parts = name.split("/")
    if not name.isprintable() or "\\" in name or any(part in ("", "..") or part.startswith(".") for part in parts):
        return False
    return parts[-1] not in _NO_DATA and name.endswith(tuple(READERS))


def subsets_of(card: Mapping[str, JsonValue]) -> tuple[Subset, ...]:
    """Return the subsets that the head of a card names; none if it names none, or not in the known form."""
    entries = card.get("configs")
    found = map(_subset, entries if isinstance(entries, list) else [])
    return tuple(subset for subset in found if subset is not None)


def _subset(entry: JsonValue) -> Subset | None:
    match entry:
        case {"config_name": str(name)}:
            folder = entry.get("data_dir")
            folder = folder.strip("/") if isinstance(folder, str) else ""
            splits: dict[str, tuple[str, ...]] = {}
            for split, pattern in _patterns(entry.get("data_files")):
                splits[split] = (*splits.get(split, ()), f"{folder}/{pattern}" if folder else pattern)
            return Subset(name=name, is_default=entry.get("default") is True, folder=folder, splits=splits)
        case _:
            return None


def _patterns(files: JsonValue) -> Iterable[tuple[str, str]]:
    """Yield split and pattern from what a card says: a pattern, several, or lists of them by split."""
    match files:
        case str():
            yield "train", files
        case {"split": str(split), "path": path}:
            yield from ((split, pattern) for _, pattern in _patterns(path))
        case list():
            for each in files:
                yield from _patterns(each)
        case _:
            pass


def choose_files(data: Data, names: Iterable[str], subsets: Sequence[Subset], where: str) -> tuple[str, ...]:
    """Return the files of a data set that a recipe asks for, sorted.

    Args:
        data: What is asked for: its `files`, or its `subset` and `split`.
        names: The repository's files.
        subsets: What its card names.
        where: What errors call it.

    Raises:
        DataError: When there is no such subset or no such file.
    """
    known = sorted(filter(is_data, names))
    if data.files is not None:
        chosen = _matching(known, (data.files,))
        sought = f"files like {data.files}"
    else:
        chosen = _of_split(data, known, subsets, where)
        sought = f"files of the split {data.split}"
    if not chosen:
        raise DataError(
            "The data set has no such files.",
            where=where,
            expected=f"{sought}, which end with {', '.join(READERS)}",
            found=_listed(known),
            way_out="Name the files (files: a pattern such as data/*.parquet), or another split.",
        )
    return _of_one_kind(chosen)


def _of_split(data: Data, known: Sequence[str], subsets: Sequence[Subset], where: str) -> Sequence[str]:
    if not subsets and data.subset is None:
        return _told_by_names(known, data.split)
    subset = _pick(data.subset, subsets, where)
    if subset.splits:
        return _matching(known, subset.splits.get(data.split, ()))
    return _told_by_names([name for name in known if name.startswith(f"{subset.folder}/".lstrip("/"))], data.split)


def _pick(name: str | None, subsets: Sequence[Subset], where: str) -> Subset:
    usual = [subset for subset in subsets if subset.is_default or subset.name == "default"] or subsets
    fitting = [subset for subset in subsets if subset.name == name] if name is not None else usual
    if len(fitting) == 1 or (fitting and name is not None):
        return fitting[0]
    raise DataError(
        "The data set has no such subset." if name is not None else "The data set has several subsets.",
        where=where,
        expected=name or "one of them, named by `subset`",
        found=_listed([subset.name for subset in subsets]),
    )


def _told_by_names(names: Sequence[str], split: str) -> list[str]:
    """Return the files whose names tell of a split; all of them for training, if none tells of any."""
    told = [name for name in names if _tells(name, split)]
    if told or split != "train":
        return told
    return [] if any(_tells(name, other) for name in names for other in _SPLITS) else list(names)


def _tells(name: str, split: str) -> bool:
    words = "|".join(map(re.escape, _SPLITS.get(split, (split,))))
    return re.search(rf"(?:^|[-._ 0-9/])(?:{words})(?:[-._ 0-9/]|$)", name) is not None


def _matching(names: Sequence[str], patterns: Sequence[str]) -> list[str]:
    forms = [re.compile(_regex(pattern.removeprefix("./"))) for pattern in patterns]
    return [name for name in names if any(form.fullmatch(name) for form in forms)]


def _regex(pattern: str) -> str:
    """Return a pattern of paths as a regular expression: `*` stays within a folder, `**` does not."""
    pieces = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    tokens = re.findall(r"\*\*/|\*\*|\*|\?|[^*?]+", pattern)
    return "".join(pieces.get(token) or re.escape(token) for token in tokens)


def _of_one_kind(names: Sequence[str]) -> tuple[str, ...]:
    """Return the files of the kind that most of them are: a repository may hold its rows twice."""
    kinds = Counter(name.endswith(".parquet") for name in names)
    is_parquet = kinds[True] >= kinds[False]
    return tuple(name for name in names if name.endswith(".parquet") == is_parquet)


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more or "none"
