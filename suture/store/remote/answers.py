"""What an S3-compatible server answers, as Suture's errors."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from typing import Any, TypeVar

from suture.errors import HostError, SutureError, TransientError

Result = TypeVar("Result")


class Nothing:
    """There is no such object, or the condition of a write is not met: somebody else was first."""


_MISSING = {"NoSuchKey", "404", "NoSuchUpload", "InvalidRange", "416"}
_UNMET = {"PreconditionFailed", "412", "ConditionalRequestConflict", "OperationAborted", "409"}
_WORTH_ANOTHER_TRY = {"BadDigest", "InvalidPart", "RequestTimeout", "IncompleteBody", "XAmzContentSHA256Mismatch"}
_RIGHTS = "s3:GetObject, s3:PutObject, s3:DeleteObject and s3:ListBucket"


def call(request: Callable[[], Result], address: str) -> Result | Nothing:
    """Send a request; returns its answer.

    Raises:
        TransientError: When nobody answers, or the server is in trouble.
        HostError: When the server refuses.
    """
    from aiohttp import ClientError
    from botocore.exceptions import (  # pyright: ignore[reportMissingTypeStubs]
        BotoCoreError,
        NoCredentialsError,
        PartialCredentialsError,
    )

    try:
        return request()
    except (NoCredentialsError, PartialCredentialsError) as error:
        raise _refused(address, str(error)) from error
    except (BotoCoreError, ClientError, OSError) as error:
        answer: dict[str, Any] = getattr(error.__cause__, "response", {})
        code = str(answer.get("Error", {}).get("Code", ""))
        if code in _MISSING | _UNMET or (
            isinstance(error, FileNotFoundError) and not code
        ):  # s3fs's own: no such key
            return Nothing()
        raise _explained(error, code, _status(answer), address) from error


def _status(answer: dict[str, Any]) -> int:
    return answer.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)


def _explained(error: Exception, code: str, status: int, address: str) -> SutureError:
    found = f"{code}: {error}" if code else str(error) or type(error).__name__
    if code == "NoSuchBucket":
        return HostError(
            "The remote's bucket does not exist.",
            where=address,
            way_out="Make it, or correct SUTURE_REMOTE; AWS_ENDPOINT_URL says on which server it is looked for.",
        )
    if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        return _refused(address, found)
    if HTTPStatus.BAD_REQUEST <= status < HTTPStatus.INTERNAL_SERVER_ERROR and (
        code not in _WORTH_ANOTHER_TRY and status != HTTPStatus.TOO_MANY_REQUESTS
    ):
        return HostError(
            "The remote's server does not take the request.",
            where=address,
            found=found,
            way_out="Check SUTURE_REMOTE, AWS_ENDPOINT_URL and AWS_REGION.",
        )
    return TransientError(
        "The remote's server does not answer." if not status else "The remote's server is in trouble.",
        where=address,
        found=found,
        way_out="Check AWS_ENDPOINT_URL and the network; the same command goes on from what was sent.",
    )


def _refused(address: str, found: str) -> HostError:
    return HostError(
        "The remote's server refuses these credentials.",
        where=address,
        expected=f"the rights {_RIGHTS}",
        found=found,
        way_out="Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (or AWS_PROFILE) on this machine.",
    )
