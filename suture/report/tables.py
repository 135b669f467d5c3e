"""The report's tables: rows of text, the same for the terminal, Prefect, Markdown and the page."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from suture.report import numbers
from suture.report.data import (
    ArmData,
    MergeAccount,
    MergeData,
    MergedModel,
    ReportData,
    Rivalry,
    StackPart,
    StepData,
    TrainingData,
)
from suture.report.probes import perplexity_of, stretches

Table = list[dict[str, str]]
"""One dictionary per row, all with the same columns: what Prefect's table artifacts show."""

KEY_DIGITS = 12
"""Enough of a key to find its artifact: `suture store show KEY`."""

SCOREBOARD: dict[str, Callable[[ArmData], str]] = {
    "model": lambda arm: arm.name,
    "role": lambda arm: arm.role,
    "quant": numbers.quant,
    "perplexity": lambda arm: numbers.with_error(arm.perplexity),
    "tests passed": numbers.passed,
    "95 % interval": lambda arm: numbers.interval(arm.interval),
    "tokens/s": numbers.speed,
    "first token": lambda arm: numbers.milliseconds(arm.time_to_first_token),
    "size": numbers.files,
}
"""Column -> what it says of an arm."""

TRAININGS: dict[str, Callable[[TrainingData], str]] = {
    "model": lambda training: training.name,
    "steps": lambda training: numbers.count(training.steps) + (", stopped early" if training.stopped_early else ""),
    "first loss": lambda training: f"{training.losses[0][1]:.3f}" if training.losses else numbers.MISSING,
    "last loss": lambda training: f"{training.losses[-1][1]:.3f}" if training.losses else numbers.MISSING,
    "held-out": lambda training: f"{training.held_out[-1][1]:.3f}" if training.held_out else numbers.MISSING,
    "on": lambda training: training.device or numbers.MISSING,
    "tokens": lambda training: numbers.count(training.tokens),
    "tokens/s": lambda training: numbers.plain(training.tokens_per_second),
    "trained": lambda training: numbers.count(training.trainable_parameters),
    "update": lambda training: numbers.small_share(training.relative_delta),
    "survived": lambda training: numbers.small_share(training.share_survived),
}
"""Column -> what it says of a training."""

STEPS: dict[str, Callable[[StepData], str]] = {
    "step": lambda step: step.label,
    "state": lambda step: {"built": "built", "cached": "Cached", "missing": "missing"}[step.state],
    "in this run": lambda step: numbers.duration(step.seconds),
    "when built": lambda step: numbers.duration(step.built_seconds),
    "size": lambda step: numbers.size(step.size_bytes),
    "key": lambda step: step.key[:KEY_DIGITS],
}
"""Column -> what it says of a step."""


def scoreboard_rows(data: ReportData) -> Table:
    """Return one row per arm."""
    return [{column: say(arm) for column, say in SCOREBOARD.items()} for arm in data.arms]


def text_rows(data: ReportData) -> Table:
    """Return the perplexity of every arm on every held-out text."""
    texts = list(dict.fromkeys(text for arm in data.arms for text in arm.perplexities))
    return [
        {"model": arm.name, **{text: numbers.with_error(arm.perplexities.get(text)) for text in texts}}
        for arm in data.arms
        if texts
    ]


def loss_rows(data: ReportData) -> Table:
    """Return what quantizing lost, of every arm that was compared with its 16-bit file."""
    return [
        {
            "model": arm.name,
            "quant": arm.quant,
            "size": numbers.size(arm.size_bytes),
            "bits per weight": numbers.plain(arm.bits_per_weight),
            "mean KLD": numbers.with_error(loss.divergence, most=6),
            "median": numbers.significant(loss.median),
            "99 %": numbers.significant(loss.high),
            "perplexity / 16-bit": numbers.with_error(loss.ratio),
            "same top token": numbers.percent(loss.same_top),
            "on": f"{loss.text}, {loss.tokens:,} tokens",
        }
        for arm in data.arms
        if (loss := arm.loss)
    ]


def speed_rows(data: ReportData) -> Table:
    """Return the speed of the bare model, of every arm that llama-bench timed, beside that of the served one."""
    return [
        {
            "model": arm.name,
            "quant": arm.quant,
            "prompt, tokens/s": f"{numbers.with_error(speed.prompt)} (of {speed.prompt_tokens})",
            "generation, tokens/s": f"{numbers.with_error(speed.generation)} (of {speed.generated_tokens})",
            "served, tokens/s": numbers.speed(arm),
            "threads": str(speed.threads),
            "on": speed.device or numbers.MISSING,
        }
        for arm in data.arms
        if (speed := arm.bare_speed)
    ]


def category_rows(data: ReportData) -> Table:
    """Return how many tests of each category every arm passed."""
    categories = dict.fromkeys(test.category for arm in data.arms for test in arm.tests)
    return [{"category": name, **{arm.name: _passed(arm, name) for arm in data.arms}} for name in categories]


def _passed(arm: ArmData, category: str) -> str:
    tests = [test for test in arm.tests if test.category == category]
    if not tests:
        return numbers.MISSING
    return f"{sum(test.passed for test in tests)} of {sum(test.asked for test in tests)}"


def test_rows(data: ReportData) -> Table:
    """Return every test, and how every arm answered it: `passed`, or why not."""
    answers = {arm.name: {test.id: test.verdict for test in arm.tests} for arm in data.arms}
    tests = {test.id: test.category for arm in data.arms for test in arm.tests}
    return [
        {
            "test": id_,
            "category": category,
            **{arm: answer.get(id_, numbers.MISSING) for arm, answer in answers.items()},
        }
        for id_, category in tests.items()
    ]


def rivalry_rows(rivalries: Sequence[Rivalry]) -> Table:
    """Return one row per pair of models that answered the same tests."""
    return [
        {
            "passed more": f"{pair.first} ({pair.first_passed} of {pair.answers})",
            "passed fewer": f"{pair.second} ({pair.second_passed} of {pair.answers})",
            "difference": f"{100 * pair.difference:.1f} %",
            "95 % interval": numbers.interval(pair.interval),
            "effect (h)": f"{pair.effect:.2f}",
            "tests won : lost": f"{pair.won} : {pair.lost}",
            "p": numbers.probability(pair.p),
            "p, corrected": numbers.probability(pair.adjusted),
            "verdict": "better" if pair.is_detectable else "no detectable difference",
        }
        for pair in rivalries
    ]


def position_rows(data: ReportData) -> Table:
    """Return the perplexity of every probed model by position in the text, and over all positions."""
    if not data.probes:
        return []
    parts = [*stretches(data.probes[0].positions), data.probes[0].positions]
    names = [f"{part[0].first} to {part[-1].last}" for part in parts[:-1]] + ["all"]
    columns = {
        probe.name: [perplexity_of(part) for part in (*stretches(probe.positions), probe.positions)]
        for probe in data.probes
    }
    return [
        {"tokens": name, **{probe: numbers.with_error(found[row]) for probe, found in columns.items()}}
        for row, name in enumerate(names)
    ]


def training_rows(data: ReportData) -> Table:
    """Return one row per training."""
    return [{column: say(training) for column, say in TRAININGS.items()} for training in data.trainings]


def step_rows(data: ReportData) -> Table:
    """Return one row per step of the plan."""
    return [{column: say(step) for column, say in STEPS.items()} for step in data.steps]


def source_rows(data: ReportData) -> Table:
    """Return where every source came from."""
    return [
        {
            "source": source.name,
            "model": source.model,
            "commit": source.commit[:KEY_DIGITS] or numbers.MISSING,
            "licence": source.licence or "not stated",
            "parameters": numbers.count(source.parameters),
            "size": numbers.size(source.size_bytes),
            "fine-tuned here": "yes" if source.finetuned else "no",
        }
        for source in data.sources
    ]


def version_rows(data: ReportData) -> Table:
    """Return the versions of the tools and packages that made the artifacts."""
    tools = [{"what": f"tool of {step}", "version": ", ".join(found)} for step, found in data.tools.items()]
    return [*tools, *({"what": name, "version": ", ".join(found)} for name, found in data.packages.items())]


def standing_rows(data: ReportData) -> Table:
    """Return where every merge stands against its parents, text by text."""
    verdicts = {
        "better": "better than each parent",
        "even": "no detectable difference",
        "between": "worse than one parent",
        "worse": "worse than each parent",
    }
    return [
        {
            "model": row.model,
            "method": row.method or "no merge",
            "text": row.text,
            "perplexity": numbers.with_error(row.perplexity),
            "best parent": row.parent,
            "difference": numbers.change(row.difference),
            "95 % interval": numbers.change_interval(row.difference),
            "verdict": verdicts[row.verdict],
        }
        for row in data.standings
    ]


def merge_rows(data: ReportData) -> Table:
    """Return one row per merge where there are several, else the account of the only one."""
    rows = [_merge(merge) for merge in data.merges]
    if len(rows) > 1:
        return [{"merge": merge.name, **row} for merge, row in zip(data.merges, rows, strict=True)]
    account = data.merges[0].account if data.merges else None
    if account is None:
        return []
    left_out = {
        f"left out of {part.source}: {part.reason}": numbers.count(len(part.tensors)) for part in account.dropped
    }
    return [{"what": what, "value": value} for what, value in {**rows[0], **left_out}.items() if value]


def _merge(merge: MergeData) -> dict[str, str]:
    account = merge.account
    asked = {
        "method": merge.method,
        "models": ", ".join(map(_model, merge.models)) or ", ".join(map(_part, merge.stack)),
        "settings": ", ".join(f"{name} {numbers.setting(value)}" for name, value in merge.settings.items()),
    }
    if account is None:
        return asked | dict.fromkeys(("layers", "seams", "parameters", "size", *_TENSORS), numbers.MISSING)
    return {
        **asked,
        "layers": numbers.count(account.layers),
        "seams": ", ".join(f"before layer {seam}" for seam in account.seams) or "none",
        "parameters": numbers.count(account.parameters),
        "size": numbers.size(account.size_bytes),
        **{column: numbers.count(say(account)) for column, say in _TENSORS.items()},
    }


_TENSORS: dict[str, Callable[[MergeAccount], int]] = {
    "tensors read": lambda account: account.tensors_in,
    "tensors written": lambda account: account.tensors_out,
    "copied byte for byte": lambda account: account.copied,
    "computed": lambda account: account.merged,
    "left out": lambda account: sum(len(part.tensors) for part in account.dropped),
}
"""Column -> how many tensors of a merge."""


def _model(model: MergedModel) -> str:
    layers = f" {model.layers[0]} to {model.layers[1]}" if model.layers else ""
    settings = ", ".join(f"{name} {numbers.setting(value)}" for name, value in model.settings.items())
    return f"{model.source}{layers}{f' ({settings})' if settings else ''}"


def _part(part: StackPart) -> str:
    scaled = "" if part.scale == 1.0 else f" (times {numbers.setting(part.scale)})"
    return f"{part.source} {part.first} to {part.last}{scaled}"
