"""The facts that steps left in their manifests, as far as the report reads them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from pydantic import BaseModel, ConfigDict

from suture.report.data import Estimate
from suture.store import Artifact

Shelf = Mapping[str, Artifact]
"""The run's artifacts that are in the store, by key."""


class StepFacts(BaseModel):
    """Facts of one step; those that the report has no use for are passed over."""

    model_config = ConfigDict(frozen=True, extra="ignore")


Facts = TypeVar("Facts", bound=StepFacts)


def facts_of(kind: type[Facts], key: str, shelf: Shelf) -> Facts | None:
    """Return what a step found out, or None when the run did not come to it."""
    return kind.model_validate(shelf[key].facts) if key in shelf else None


class FetchFacts(StepFacts):
    """What `fetch` found in a checkpoint."""

    model: str
    commit: str
    parameters: int
    bytes: int
    nan: int
    inf: int
    note: str = ""
    """What a reader of results must know."""


class TrainFacts(StepFacts):
    """What `finetune` and `heal` found out; the losses lie in a file."""

    steps: int
    tokens: int
    tokens_per_second: float
    trainable_parameters: int
    resumed_from: int | None
    stopped_early: bool = False
    device: str = ""
    gates: dict[str, float] = {}
    """Module -> the factor on what it adds."""


class FuseFacts(StepFacts):
    """How much of an adapter reached the 16-bit weights."""

    relative_delta: float
    share_survived: float


class DroppedTensor(StepFacts):
    """One input tensor that is not in the merge."""

    tensor: str
    source: str
    reason: str


class MergeFacts(StepFacts):
    """The account of a merge."""

    layers: int
    seams: tuple[int, ...]
    tensors_in: int
    tensors_out: int
    copied: int
    merged: int
    dropped: tuple[DroppedTensor, ...]
    parameters: int
    bytes: int
    notes: tuple[str, ...] = ()


class GgufFacts(StepFacts):
    """A GGUF file, made by `quantize` or named by the user."""

    size_bytes: int
    type: str
    bits_per_weight: float | None = None
    fallback_tensors: int | None = None


class Measured(StepFacts):
    """A number with its standard error."""

    value: float
    error: float

    @property
    def estimate(self) -> Estimate:
        """The number as the report keeps it."""
        return Estimate(value=self.value, error=self.error)


class TextFacts(Measured):
    """Perplexity on one text."""

    chunks: tuple[float, ...] = ()
    """Mean negative log-likelihood per token of each chunk."""


class PerplexityFacts(Measured):
    """Perplexity over all texts, and of each."""

    texts: dict[str, TextFacts]
    tokenizer: str = ""
    """Digest of how text is cut into tokens."""


class DivergenceFacts(StepFacts):
    """What quantizing lost."""

    mean: Measured
    median: float
    high: float
    ratio: Measured
    same_top: Measured
    tokens: int
    text: str


class SpeedFacts(StepFacts):
    """What llama-bench found."""

    prompt: Measured
    prompt_tokens: int
    generation: Measured
    generated_tokens: int
    threads: int
    device: str


class TestFacts(StepFacts):
    """One test."""

    id: str
    category: str
    passed: int
    asked: int = 1
    error_class: str = ""
    checks_passed: int = 0
    checks_skipped: int = 0
    checks: int = 0
    seconds: float


class BenchmarkFacts(StepFacts):
    """Tests answered through llama-server, and its speed."""

    passed: int
    total: int
    tests: tuple[TestFacts, ...]
    tokens_per_second: Measured | None
    prompt_tokens_per_second: float | None
    time_to_first_token: Measured | None


class LayerFacts(StepFacts):
    """What one layer does to the residual stream."""

    norm: Measured
    cosine: Measured
    added: Measured


class PositionFacts(StepFacts):
    """Losses at some places of a chunk."""

    first: int
    last: int
    losses: tuple[float, ...]


class ProbeFacts(StepFacts):
    """What `probe` saw."""

    text: str
    chunks: int
    context: int
    device: str
    start: Measured
    layers: tuple[LayerFacts, ...]
    positions: tuple[PositionFacts, ...]
