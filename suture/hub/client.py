"""How the hub is spoken to: its address, the token, and what its answers mean.

The token is read from HF_TOKEN for each request, and stands nowhere else: no file, no log, no error. One that the
hub's own tool keeps on this machine is not used.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Generator

import httpx
from huggingface_hub import errors

from suture.errors import SourceError, TransientError
from suture.settings import settings

BUSY = (408, 429, 500, 502, 503, 504)
"""Answers that may be another one a little later."""


def endpoint() -> str:
    """Return the hub's address: HF_ENDPOINT, or the public hub."""
    from huggingface_hub import constants

    return (os.environ.get("HF_ENDPOINT") or constants.ENDPOINT).rstrip("/")


def token() -> str | None:
    """Return the token in HF_TOKEN."""
    return os.environ.get("HF_TOKEN", "").strip() or None


def headers() -> dict[str, str]:
    """Return the headers of a request, with the token in HF_TOKEN and no other."""
    from huggingface_hub.utils import build_hf_headers  # pyright: ignore[reportUnknownVariableType]

    return build_hf_headers(token=token() or False, library_name="suture")


def is_offline() -> bool:
    """Return whether SUTURE_OFFLINE or HF_HUB_OFFLINE forbids to ask the hub."""
    from huggingface_hub import constants

    return settings().offline or constants.HF_HUB_OFFLINE


def check_online() -> None:
    """Refuse to open a connection where that is forbidden.

    Raises:
        huggingface_hub.errors.OfflineModeIsEnabled: As the hub's client does.
    """
    if is_offline():
        raise errors.OfflineModeIsEnabled


def wait_asked_for(response: httpx.Response) -> int | None:
    """Return how many seconds a busy hub asks to wait: in RateLimit, or in Retry-After."""
    from huggingface_hub.utils import parse_ratelimit_headers

    limit = parse_ratelimit_headers(response.headers)
    if response.status_code == 429 and limit is not None and limit.remaining == 0:
        return limit.reset_in_seconds
    told = response.headers.get("Retry-After", "").strip()
    return int(told) if told.isdecimal() else None


@contextlib.contextmanager
def speaking_of(repo: str, revision: str) -> Generator[None]:
    """Refuse to ask the hub where that is forbidden, and turn its client's errors into Suture's."""
    with translating(repo, revision):
        check_online()
        yield


@contextlib.contextmanager
def translating(repo: str, revision: str) -> Generator[None]:
    """Turn the hub client's errors into Suture's."""
    try:
        yield
    except errors.OfflineModeIsEnabled as error:
        raise _offline(repo, revision) from error
    except errors.HFValidationError as error:
        raise SourceError(
            "This is not the name of a repository.",
            where=repo,
            expected="owner/name; a folder begins with /, ./, ../ or ~",
            way_out="Check the source's model in the recipe.",
        ) from error
    except errors.HfHubHTTPError as error:
        raise _refusal(repo, revision, error) from error
    except httpx.TransportError as error:
        raise TransientError(
            "The hub cannot be reached, or the connection broke off.",
            where=repo,
            found=f"{type(error).__name__}: {error}",
            way_out="Check the network, then run the same command again: what was fetched is kept.",
        ) from error


def _refusal(repo: str, revision: str, error: errors.HfHubHTTPError) -> SourceError | TransientError:
    """Return Suture's error for an answer of the hub that is not what was asked for."""
    status = error.response.status_code
    match error:
        case errors.GatedRepoError():
            return SourceError(
                "The repository is gated: its owner decides who may read it.",
                where=repo,
                found="no access with the token in HF_TOKEN" if token() else "HF_TOKEN is not set",
                way_out="Ask for access on the repository's page, then set HF_TOKEN to a token of that account.",
            )
        case errors.RevisionNotFoundError():
            return SourceError(
                "The repository has no such revision.",
                where=repo,
                expected="a branch, a tag or a commit",
                found=revision,
                way_out="Look at the repository's history on the hub.",
            )
        case errors.RepositoryNotFoundError():
            return SourceError(
                "There is no such repository, or it is private.",
                where=repo,
                way_out="Check its name; for a private one set HF_TOKEN. A folder begins with /, ./, ../ or ~.",
            )
        case _ if status in BUSY or status >= 500:
            wait = wait_asked_for(error.response)
            return TransientError(
                "The hub is busy or out of order.",
                where=repo,
                found=f"status {status}",
                way_out="Try again later." if wait is None else f"It asks to wait {wait} seconds: try again then.",
            )
        case _:
            return SourceError(
                "The hub refuses to hand out a file.",
                where=repo,
                found=f"status {status} at revision {revision}",
                way_out="Look at the repository on the hub; if it is restricted, set HF_TOKEN.",
            )


def _offline(repo: str, revision: str) -> SourceError:
    return SourceError(
        "The hub is needed, but SUTURE_OFFLINE or HF_HUB_OFFLINE forbids to ask it.",
        where=f"{repo} at {revision}",
        found="neither the store nor the caches hold all of it",
        way_out="Allow the network once; or give the commit of an earlier run as revision.",
    )
