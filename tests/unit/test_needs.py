"""What steps say they need is no less than what they were seen to take."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import BaseModel

from suture import needs
from suture.bench.capability import BenchmarkSpec
from suture.hub.fetch import BuiltinFetch, HubFetch
from suture.recipe import Capability
from suture.steps import STEPS
from suture.store import Artifact, Store

MB = 1_000_000

SEEN = {"convert": 586, "quantize": 216, "imatrix": 640, "logits": 587, "divergence": 410, "perplexity": 391}
"""MB that steps took on the small real model, on two cores, with contexts of 512 tokens."""


class Anything(BaseModel):
    """A spec whose step's need does not depend on it."""


@pytest.fixture
def made(smollm2: Path, smollm2_bf16: Path, smollm2_gguf: Path, test_store: Store) -> dict[str, Artifact]:
    folders = {"checkpoint": smollm2, "bf16": smollm2_bf16.parent, "quantized": smollm2_gguf.parent}
    return {name: test_store.load(folder.name) for name, folder in folders.items()}


@pytest.mark.parametrize(
    ("step", "parent"),
    [
        ("convert", "checkpoint"),
        ("quantize", "bf16"),
        ("imatrix", "bf16"),
        ("logits", "bf16"),
        ("divergence", "quantized"),
        ("perplexity", "quantized"),
    ],
)
def test_no_less_than_was_seen(made: dict[str, Artifact], step: str, parent: str) -> None:
    needed = STEPS[step].memory(Anything(), [made[parent]])
    assert SEEN[step] * MB <= needed <= 4 * SEEN[step] * MB


def test_grows_with_what_is_asked(made: dict[str, Artifact]) -> None:
    ask = Capability().model_dump() | {"tests": ("exact-instruction",)}
    short, long = (BenchmarkSpec.model_validate({**ask, "context": context}) for context in (2048, 32_768))
    gguf = [made["quantized"]]
    assert STEPS["benchmark"].memory(short, gguf) >= 209 * MB
    assert STEPS["benchmark"].memory(long, gguf) > 4_000 * MB
    built_in = BuiltinFetch(name="builtin:smollm2-135m-instruct", package_sha256="0" * 64)
    assert needs.fetch(built_in, []) >= 924 * MB > needs.fetch(HubFetch(repo="a/b", commit="0" * 40), [])
    assert needs.merge(Anything(), [made["checkpoint"]] * 3) > needs.merge(Anything(), [made["checkpoint"]])
