"""The rows of the scoreboard: what was measured of each model."""

from __future__ import annotations

from pydantic import Field

from suture.report.data.row import Estimate, Interval, Row
from suture.report.inputs import Role

FINAL = "merged"
"""Name of the final merge's row."""


class TestResult(Row):
    """One test, answered by one arm."""

    __test__ = False  # pytest: not a test class

    id: str
    category: str
    passed: int
    """How often it was passed."""
    asked: int
    """How often it was asked."""
    error_class: str
    """Why it failed, for the most part; empty when it never did."""
    checks_passed: int
    checks_skipped: int
    """Checks that need a browser, where there was none."""
    checks: int
    """Checks of pages that it is made of; 0 for a test that is not."""
    seconds: float

    @property
    def checks_made(self) -> int:
        """Checks that were not skipped."""
        return self.checks - self.checks_skipped

    @property
    def verdict(self) -> str:
        """`passed`, `3 of 5`, or why not."""
        if self.passed == self.asked:
            return "passed"
        return f"{self.passed} of {self.asked}: {self.error_class}" if self.asked > 1 else self.error_class


class QuantizationLoss(Row):
    """How far a quantized model's predictions are from those of its 16-bit file, on the same tokens."""

    divergence: Estimate
    """Mean KL divergence per token, in nats."""
    median: float
    high: float
    """Its 99 % quantile."""
    ratio: Estimate
    """Perplexity over that of the 16-bit file."""
    same_top: Estimate
    """Share of tokens for which both find the same one likeliest."""
    tokens: int
    text: str


class BareSpeed(Row):
    """Tokens per second by llama-bench."""

    prompt: Estimate
    prompt_tokens: int
    generation: Estimate
    generated_tokens: int
    threads: int
    device: str


class ArmData(Row):
    """One row of the scoreboard."""

    name: str
    title: str
    """What a sentence calls it: its name alone may read like an article."""
    role: Role
    quant: str
    key: str
    """Key of the GGUF's artifact."""
    missing: tuple[str, ...]
    """What was asked for and is not there: `gguf`, `perplexity`, `benchmark`, `divergence`, `speed`, `adapter`."""
    perplexity: Estimate | None = None
    """Over all held-out texts."""
    perplexities: dict[str, Estimate] = Field(default_factory=dict[str, Estimate])
    """Of each held-out text."""
    chunks: dict[str, tuple[float, ...]] = Field(default_factory=dict[str, tuple[float, ...]])
    """Of each held-out text: mean negative log-likelihood per token of each chunk, in nats."""
    tokenizer: str = ""
    """Digest of how text is cut into tokens: models that share it read the same chunks."""
    size_bytes: int | None = None
    """Bytes of the GGUF file."""
    adapter: str = ""
    """Key of the adapter that was served beside it; empty where there was none."""
    adapter_bytes: int | None = None
    """Bytes of the adapter's file."""
    bits_per_weight: float | None = None
    fallback_tensors: int | None = None
    """Tensors that could not take the quantization type and got another."""
    loss: QuantizationLoss | None = None
    bare_speed: BareSpeed | None = None
    tokens_per_second: float | None = None
    """While generating."""
    tokens_per_second_error: float | None = None
    prompt_tokens_per_second: float | None = None
    time_to_first_token: Estimate | None = None
    """Seconds."""
    passed: int | None = None
    total: int | None = None
    interval: Interval | None = None
    """Of passed / total: Wilson's; over whole tests where each was asked several times."""
    tests: tuple[TestResult, ...] = ()

    @property
    def model(self) -> str:
        """The model's name: that of the row, without its quantization type."""
        return self.name.partition(" ")[0]  # names hold no spaces

    @property
    def served_bytes(self) -> int | None:
        """Bytes of all files that it is served from; None where one is missing."""
        if self.size_bytes is None or (self.adapter and self.adapter_bytes is None):
            return None
        return self.size_bytes + (self.adapter_bytes or 0)

    @property
    def is_final(self) -> bool:
        """Whether it is the recipe's merge itself, and no stage."""
        return self.model == FINAL
