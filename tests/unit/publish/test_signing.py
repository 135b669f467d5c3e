"""Signing the provenance; without the extra `signing` it says so."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from suture.errors import HostError
from suture.hub.provenance import FILE, SIGNATURE, sign, signature_problem

INSTALLED = importlib.util.find_spec("model_signing") is not None


@pytest.fixture
def keys(tmp_path: Path) -> tuple[Path, Path]:
    """A private and a public key."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    encoding = serialization.Encoding.PEM
    private, public = tmp_path / "key.pem", tmp_path / "key.pub"
    plain = serialization.NoEncryption()
    private.write_bytes(key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, plain))
    public.write_bytes(key.public_key().public_bytes(encoding, serialization.PublicFormat.SubjectPublicKeyInfo))
    return private, public


@pytest.mark.skipif(not INSTALLED, reason="optional: the extra `signing`")
def test_a_signature_fits_its_statement_and_key_alone(keys: tuple[Path, Path], tmp_path: Path) -> None:
    private, public = keys
    folder = tmp_path / "published"
    folder.mkdir()
    (folder / FILE).write_bytes(b"{}")
    assert signature_problem(folder, public) == "missing"
    (folder / SIGNATURE).write_bytes(sign(b"{}", private))
    assert signature_problem(folder, public) == ""
    (folder / FILE).write_bytes(b"{ }")
    assert "not a signature" in signature_problem(folder, public)
    with pytest.raises(HostError, match="cannot be used to sign"):
        sign(b"{}", public)


@pytest.mark.skipif(INSTALLED, reason="optional: the extra `signing` is there")
def test_without_the_extra_it_says_so(tmp_path: Path) -> None:
    with pytest.raises(HostError, match="model-signing is not installed"):
        sign(b"{}", tmp_path / "key.pem")
