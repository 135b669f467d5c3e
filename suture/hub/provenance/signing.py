"""Signing provenance.json with a key of one's own, offline; it states the digest of every other file.

By the package model-signing, whose signatures (Sigstore bundles) `model_signing verify key` reads as well.
"""

from __future__ import annotations

import importlib
import importlib.util
import tempfile
from pathlib import Path
from typing import Any

from suture.errors import HostError
from suture.hub.provenance.form import FILE

SIGNATURE = "provenance.sig"


def sign(statement: bytes, private_key: Path) -> bytes:
    """Return the signature of a statement; it is another one each time.

    Args:
        statement: Content of provenance.json.
        private_key: An elliptic curve key in PEM, as `openssl ecparam -name prime256v1 -genkey -noout` makes it.

    Raises:
        HostError: When the extra `signing` is not installed, or the key cannot be used.
    """
    signing = _package("signing")
    with tempfile.TemporaryDirectory() as scratch:
        signature = Path(scratch, SIGNATURE)
        try:
            config = signing.Config().use_elliptic_key_signer(private_key=private_key)
            config.sign(_alone(Path(scratch), statement), signature)
        except (OSError, ValueError, TypeError) as error:
            raise HostError(
                "The key cannot be used to sign.",
                where=private_key,
                expected="an elliptic curve key in PEM, without a password",
                found=str(error),
            ) from error
        return signature.read_bytes()


def signature_problem(folder: Path, public_key: Path) -> str:
    """Return why a folder's provenance.json is not signed with this key; empty where it is.

    Raises:
        HostError: When the extra `signing` is not installed.
    """
    verifying = _package("verifying")
    if not (folder / SIGNATURE).is_file():
        return "missing"
    with tempfile.TemporaryDirectory() as scratch:
        try:
            config = verifying.Config().use_elliptic_key_verifier(public_key=public_key)
            config.verify(_alone(Path(scratch), (folder / FILE).read_bytes()), folder / SIGNATURE)
        except (OSError, ValueError, TypeError, KeyError) as error:
            return f"not a signature of {FILE} by this key: {error}"
    return ""


def _alone(scratch: Path, statement: bytes) -> Path:
    """Return a folder with the statement alone: what is signed is a folder."""
    folder = scratch / "statement"
    folder.mkdir()
    (folder / FILE).write_bytes(statement)
    return folder


def _package(module: str) -> Any:  # noqa: ANN401 -- a module
    if importlib.util.find_spec("model_signing") is None:
        raise HostError(
            "model-signing is not installed.",
            expected="the extra `signing`, which Suture itself does without",
            way_out="pip install 'suture[signing]'; in a checkout: pip install -c constraints.txt -e '.[signing]'",
        )
    return importlib.import_module(f"model_signing.{module}")
