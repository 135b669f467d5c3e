"""Whether a folder holds the files that its provenance.json states, and no others."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from suture.errors import InputError, SourceError
from suture.hub.provenance.form import FILE, Statement
from suture.hub.provenance.signing import SIGNATURE, signature_problem
from suture.store import durable

_NOT_OURS = (".git", ".gitattributes", ".cache", ".huggingface")
"""What hubs and their clients put beside the files."""

_MAX_BYTES = 64 << 20


@dataclass(frozen=True)
class Problem:
    """Something that does not fit.

    Attributes:
        file: The file, or the field of the statement.
        text: What is wrong with it.
    """

    file: str
    text: str


def verify(folder: Path, public_key: Path | None = None) -> tuple[Statement | None, list[Problem]]:
    """Compare a folder with its provenance.json.

    Args:
        folder: What was published.
        public_key: Also check that the statement is signed with this key.

    Returns:
        The statement, None when it cannot be read as one; and what does not fit, empty when all does.

    Raises:
        SourceError: When there is no such folder, or no statement in it.
        HostError: When a signature is to be checked and the extra `signing` is not installed.
    """
    path = folder / FILE
    if not path.is_file():
        raise SourceError(
            "There is no statement of provenance.",
            where=path,
            way_out="Name a folder that was published by Suture, with all of its files.",
        )
    try:
        statement = _read(path)
    except ValidationError as error:
        return None, [_mistake(row["loc"], row["msg"]) for row in error.errors()]
    return statement, [*_unsigned(folder, public_key), *_wrong(folder, statement), *_surplus(folder, statement)]


def _unsigned(folder: Path, public_key: Path | None) -> list[Problem]:
    problem = "" if public_key is None else signature_problem(folder, public_key)
    return [Problem(SIGNATURE, problem)] if problem else []


def _read(path: Path) -> Statement:
    if path.stat().st_size > _MAX_BYTES:
        raise InputError("The statement is too large.", where=path, expected=f"at most {_MAX_BYTES} bytes")
    return Statement.model_validate_json(path.read_bytes())


def _mistake(where: tuple[int | str, ...], message: str) -> Problem:
    return Problem(f"{FILE}: {'.'.join(map(str, where)) or 'the whole'}", message)


def _wrong(folder: Path, statement: Statement) -> list[Problem]:
    problems: list[Problem] = []
    names = [subject.name for subject in statement.subject]
    problems += [Problem(name, "stated twice") for name in sorted({name for name in names if names.count(name) > 1})]
    for subject in statement.subject:
        path = folder / subject.name
        if path.is_symlink() and not path.resolve().is_file():
            problems.append(Problem(subject.name, "a link that leads nowhere"))
        elif not path.is_file():
            problems.append(Problem(subject.name, "missing"))
        elif (found := durable.sha256_file(path)) != subject.digest.sha256:
            problems.append(Problem(subject.name, f"other content: expected {subject.digest.sha256}, found {found}"))
    return problems


def _surplus(folder: Path, statement: Statement) -> list[Problem]:
    stated = {subject.name for subject in statement.subject} | {FILE, SIGNATURE}
    found = sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return [
        Problem(path.as_posix(), "not stated")
        for path in found
        if path.as_posix() not in stated and path.parts[0] not in _NOT_OURS
    ]
