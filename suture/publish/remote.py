"""The repository that is published to: what it holds, and sending it a commit through the hub's own client."""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
from huggingface_hub import errors

from suture.errors import HostError, SourceError, TransientError
from suture.hub.client import check_online, endpoint, token, translating
from suture.hub.download import RemoteFile

if TYPE_CHECKING:
    from huggingface_hub import HfApi

_TIMEOUT = 30.0  # seconds


@dataclass(frozen=True)
class Remote:
    """A repository as it is now.

    Attributes:
        commit: Its newest commit.
        private: Whether only its owners see it.
        files: Every file by its name.
    """

    commit: str
    private: bool
    files: Mapping[str, RemoteFile]


def look(repo: str) -> Remote | None:
    """Return what a repository holds; None where there is none, or none that the token may see.

    Raises:
        SourceError: When the name is none, or the network is forbidden.
        TransientError: When the hub cannot be reached.
    """
    with translating(repo, "main"):
        check_online()
        try:
            info = _api().model_info(repo, files_metadata=True, timeout=_TIMEOUT)
        except errors.RepositoryNotFoundError:
            return None
    files = {
        sibling.rfilename: RemoteFile(
            name=sibling.rfilename,
            size=sibling.size or 0,
            digest=sibling.lfs.sha256 if sibling.lfs else sibling.blob_id or "",
            is_lfs=sibling.lfs is not None,
        )
        for sibling in info.siblings or []
    }
    return Remote(str(info.sha), bool(info.private), files)


def require_token() -> None:
    """Refuse to publish as nobody.

    Raises:
        HostError: When HF_TOKEN is not set.
    """
    if token() is None:
        raise HostError(
            "Publishing needs a token.",
            where="HF_TOKEN",
            expected="a token of the hub that may write",
            found="nothing",
            way_out="Make one in your settings on the hub, and set HF_TOKEN to it.",
        )


def create(repo: str, *, private: bool) -> Remote:
    """Make a repository, and return what the hub puts into a new one.

    Raises:
        SourceError: When there is one that the token may not see, or it may make none.
    """
    with _speaking_of(repo):
        _api().create_repo(repo, private=private, exist_ok=True)
    made = look(repo)
    if made is None:
        raise _forbidden(repo, "a repository of that name that it may not see")
    return made


def send(
    repo: str, parent: str, additions: Mapping[str, Path | bytes], deletions: Sequence[str], message: str
) -> tuple[str, str]:
    """Upload files and commit them; a large file that the hub has already, from a broken upload, is not sent again.

    Args:
        repo: The repository.
        parent: The commit that this one must follow on.
        additions: Name -> content.
        deletions: Names.
        message: First line of the commit.

    Returns:
        The commit and its address.

    Raises:
        SourceError: When somebody else committed meanwhile, or the token may not write.
        TransientError: When the upload broke off.
    """
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete

    operations = [
        *(CommitOperationAdd(name, content) for name, content in additions.items()),
        *(CommitOperationDelete(name) for name in deletions),
    ]
    with _speaking_of(repo):
        done = _api().create_commit(repo, operations, commit_message=message, parent_commit=parent)
    return done.oid, done.commit_url


@contextlib.contextmanager
def _speaking_of(repo: str) -> Generator[None]:
    """Turn the errors of an upload into Suture's."""
    with translating(repo, "main"):
        check_online()
        try:
            yield
        except errors.HfHubHTTPError as error:
            raise _refused(repo, error) or error from error
        except RuntimeError as error:  # what the client makes of a failed upload, whatever its cause
            raise _broken_off(repo, error) from error
        except errors.HFValidationError:
            raise
        except ValueError as error:
            raise SourceError(
                "The hub does not take what was sent.",
                where=repo,
                found=str(error),
                way_out="Please report it: a card or file that Suture wrote is not as the hub wants it.",
            ) from error


def _refused(repo: str, error: errors.HfHubHTTPError) -> SourceError | None:
    """Return Suture's error for a refusal that means something else than in reading; None for any other."""
    status = error.response.status_code
    if status == 412:
        return SourceError(
            "Somebody else committed to the repository meanwhile.",
            where=repo,
            expected="the commit that the plan was made for",
            way_out="Look at its history, then give the same command again: it plans anew. Nothing was changed.",
        )
    if status in (401, 403) and not isinstance(error, errors.GatedRepoError):
        return _forbidden(repo, f"status {status}")
    return None


def _forbidden(repo: str, found: str) -> SourceError:
    return SourceError(
        "The token may not write to this repository.",
        where=repo,
        found=found,
        way_out="Set HF_TOKEN to a token that may write to it, and check the owner's name.",
    )


def _broken_off(repo: str, error: Exception) -> TransientError:
    cause = error.__cause__ or error
    name = type(cause).__name__ if isinstance(cause, httpx.HTTPError) else "the hub's client"
    return TransientError(
        "The upload broke off.",
        where=repo,
        found=f"{error} ({name}: {cause})",
        way_out="Give the same command again: large files that have arrived are not sent again.",
    )


def _api() -> HfApi:
    from huggingface_hub import HfApi

    return HfApi(endpoint=endpoint(), token=token() or False, library_name="suture")
