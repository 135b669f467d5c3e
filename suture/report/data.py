"""ReportData: all that a report says, as data. The pages, tables and plots show it and compute nothing.

What was not measured is None, never 0.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, JsonValue

from suture.report.inputs import Role
from suture.statistics import CONFIDENCE
from suture.store.runs import RunState

FORMAT = 3
"""Raised when an older Suture could not read a report.json any more."""


FINAL = "merged"
"""Name of the final merge's row."""


class Row(BaseModel):
    """What every part of a report has in common."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class Estimate(Row):
    """A measured number."""

    value: float
    error: float
    """One standard error."""


class Interval(Row):
    """A 95 % confidence interval."""

    low: float
    high: float


class Difference(Row):
    """How far one model's log-perplexity lies above another's: nats per token; negative where it predicts better."""

    value: float
    error: float
    """One standard error."""
    interval: Interval
    p: float
    """Two-sided p-value of there being no difference."""
    chunks: int
    """Chunks of text that both models read and that were compared one by one; 0 where the two perplexities were
    compared as if they had read different texts."""


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


class Rivalry(Row):
    """Two models on the same tests."""

    first: str
    """Of the one that passed more, what a sentence calls it."""
    second: str
    first_passed: int
    second_passed: int
    tests: int
    answers: int
    """Tests, times how often each was asked."""
    difference: float
    """Of the shares passed; never negative."""
    interval: Interval
    """Of the difference, over other tests of the kind."""
    effect: float
    """Cohen's h."""
    won: int
    """Tests that the first passed more often."""
    lost: int
    p: float
    """McNemar's exact, two-sided."""
    adjusted: float
    """The same, for having compared several pairs (Holm)."""

    @property
    def is_detectable(self) -> bool:
        """Whether chance alone makes so much a difference in fewer than one of twenty such reports."""
        return self.adjusted < 1 - CONFIDENCE


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
    """What was asked for and is not there: `gguf`, `perplexity`, `benchmark`, `divergence`, `speed`."""
    perplexity: Estimate | None = None
    """Over all held-out texts."""
    perplexities: dict[str, Estimate] = {}
    """Of each held-out text."""
    chunks: dict[str, tuple[float, ...]] = {}
    """Of each held-out text: mean negative log-likelihood per token of each chunk, in nats."""
    tokenizer: str = ""
    """Digest of how text is cut into tokens: models that share it read the same chunks."""
    size_bytes: int | None = None
    """Bytes of the GGUF file."""
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
    def is_final(self) -> bool:
        """Whether it is the recipe's merge itself, and no stage."""
        return self.model == FINAL


class TrainingData(Row):
    """One training: a child's fine-tuning, the heal or its control."""

    name: str
    """The model that came of it."""
    role: Role
    key: str
    losses: tuple[tuple[int, float], ...] = ()
    """(step, loss); empty while there is no artifact."""
    steps: int | None = None
    tokens: int | None = None
    tokens_per_second: float | None = None
    trainable_parameters: int | None = None
    device: str = ""
    """What it ran on."""
    resumed_from: int | None = None
    """The step it went on from after a kill; None when it ran in one go."""
    relative_delta: float | None = None
    """Norm of the fused update relative to the weights it changed."""
    share_survived: float | None = None
    """Share of the update that survived the cast to the checkpoint's 16 bits."""
    gates: dict[str, float] = {}
    """Module -> the factor on what a repeated layer's projection adds, after training."""


class StackPart(Row):
    """Consecutive layers of the merge."""

    source: str
    first: int
    """First layer, as the source counts."""
    last: int
    """Last layer, inclusive."""
    scale: JsonValue = 1.0
    """What its tensors are multiplied by, as the recipe has it."""


class MergedModel(Row):
    """A model that a merge blends."""

    source: str
    layers: tuple[int, int] | None
    """First and last layer, inclusive; None for all."""
    settings: dict[str, JsonValue]
    """Its weight, and what else the method knows of each model."""


class DroppedTensors(Row):
    """Tensors of a source that the merge does not hold, all for one reason."""

    source: str
    reason: str
    tensors: tuple[str, ...]


class MergeAccount(Row):
    """What a merge did with every tensor."""

    layers: int
    seams: tuple[int, ...]
    """Layers that follow on a layer they were not trained to follow."""
    tensors_in: int
    tensors_out: int
    copied: int
    merged: int
    dropped: tuple[DroppedTensors, ...]
    parameters: int
    size_bytes: int
    notes: tuple[str, ...]
    """What a reader of results must know."""


class MergeData(Row):
    """One merge: as it was asked for, and what came of it."""

    name: str
    """Of its row in the scoreboard: a stage's name, or `merged`."""
    method: str
    key: str
    settings: dict[str, JsonValue]
    """What the method was told, as the recipe has it."""
    models: tuple[MergedModel, ...]
    """What is blended; empty for methods that stack."""
    stack: tuple[StackPart, ...]
    """From the first layer to the last; empty for methods that stack nothing."""
    sources: tuple[str, ...]
    """All that it uses, the base among them."""
    parents: tuple[str, ...]
    """The measured models that the result is made of; a base that task vectors are only taken from is none."""
    account: MergeAccount | None
    """None where the run did not come to it."""


class SourceData(Row):
    """Where a source came from."""

    name: str
    model: str
    commit: str
    licence: str
    finetuned: bool
    """Whether the recipe trained it before the merge."""
    parameters: int | None
    size_bytes: int | None
    nan: int | None
    """Weights that are not a number."""
    inf: int | None
    """Weights that are infinite."""
    note: str
    """What a reader of results must know; empty when there is nothing."""


class StepData(Row):
    """One step of the run."""

    label: str
    step: str
    key: str
    state: Literal["built", "cached", "missing"]
    seconds: float | None
    """Wall time in this run."""
    built_seconds: float | None
    """Wall time when it was built, in whichever run."""
    size_bytes: int | None
    tool: str
    """Version of the outside tool that made it; empty when there is none."""


class Recovery(Row):
    """How much of the damage healing mended, for one quantization type.

    Shares of the raw merge's excess in log-perplexity: 0 is the raw merge, 1 is as good as the yardstick.
    """

    quant: str
    of_source: Estimate | None
    """Yardstick: the best source, as it was merged. None when the raw merge is not detectably worse than it."""
    of_control: Estimate | None
    """Yardstick: the control, which was trained alike."""


class Standing(Row):
    """Where a model stands on one held-out text against the parents of a merge."""

    model: str
    """The merge; or, beside the merges, a source that no merge uses, against the parents of the final merge."""
    role: Role
    method: str
    """The merge's; empty for a source."""
    text: str
    perplexity: Estimate
    parent: str
    """The parent of the lowest perplexity on this text."""
    difference: Difference
    """To that parent."""
    verdict: Literal["better", "even", "between", "worse"]
    """`better`: than each parent. `even`: no difference to the better parent can be told. `between`: worse than the
    better parent, and not worse than each. `worse`: than each parent."""
    p: float
    """Of the claim that the model is better than each parent on this text: the largest of the p-values against each
    where it is better, else 1."""


class Finding(Row):
    """A sentence that the numbers support."""

    about: Literal["merge", "healing", "control", "tests", "cost", "missing", "note"]
    tone: Literal["gain", "loss", "even", "note"]
    """`even`: no difference can be told."""
    text: str
    """The sentence."""
    numbers: str
    """What it rests on; empty when the sentence says it all."""

    def __str__(self) -> str:
        return f"{self.text} {self.numbers}".strip()


class ReportData(Row):
    """A whole report."""

    format: Literal[3] = FORMAT
    run: str
    flow_run: str
    """The Prefect flow run's id; empty without Prefect."""
    name: str
    """The recipe's."""
    description: str
    state: RunState
    error: str
    started: datetime
    ended: datetime | None
    findings: tuple[Finding, ...]
    arms: tuple[ArmData, ...]
    recovery: tuple[Recovery, ...]
    trainings: tuple[TrainingData, ...]
    merges: tuple[MergeData, ...]
    """In the order they were made, the final one last."""
    standings: tuple[Standing, ...]
    """Each merge against its parents, text by text; empty for a single stack."""
    rivalries: tuple[Rivalry, ...]
    """Each pair of models that answered the same tests."""
    steps: tuple[StepData, ...]
    sources: tuple[SourceData, ...]
    tools: dict[str, tuple[str, ...]]
    """Step -> versions of the outside tool that it used."""
    packages: dict[str, tuple[str, ...]]
    """Package -> versions that made the artifacts; more than one where artifacts are older than the run."""
    recipe: JsonValue

    @property
    def seconds(self) -> float | None:
        """Wall time of the run; None while it runs."""
        return (self.ended - self.started).total_seconds() if self.ended else None
