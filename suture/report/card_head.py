"""The head of a model card: what the hub reads of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pydantic import JsonValue

from suture.licences import known
from suture.report.data import ArmData, ReportData


@dataclass(frozen=True)
class GgufFile:
    """A published file for llama.cpp.

    Attributes:
        file: Its name in the repository.
        quant: Its quantization type.
        size: How large it is, in words.
        key: Key of its artifact.
    """

    file: str
    quant: str
    size: str
    key: str


def card_head(
    *,
    licence: str,
    base_models: Iterable[str],
    methods: Sequence[str],
    name: str,
    checkpoint: bool,
    ggufs: Sequence[GgufFile],
    lora: GgufFile | None,
    data: ReportData | None,
) -> dict[str, JsonValue]:
    """Return the head's fields, in the order in which they are read."""
    files, beside = {gguf.key for gguf in ggufs}, lora.key if lora else ""
    arms = [arm for arm in data.arms if arm.key in files and arm.adapter == beside] if data else []
    results = _results(arms)
    tags = ["merge", "suture", *methods, *(["gguf"] if ggufs else [])]
    head: dict[str, JsonValue] = {
        **_licence(licence),
        "base_model": list(dict.fromkeys(base_models)),
        "base_model_relation": "merge",
        "library_name": "transformers" if checkpoint else "gguf",
        "pipeline_tag": "text-generation",
        "tags": list(dict.fromkeys(tags)),
    }
    if not head["base_model"]:
        del head["base_model"], head["base_model_relation"]
    if results:
        head["model-index"] = [{"name": name, "results": results}]
    return head


def _licence(licence: str) -> dict[str, JsonValue]:
    """Return the licence as the hub takes it: one of its names, or `other` with a name beside it."""
    if licence == "unknown":
        return {"license": licence}
    if licence in _HUB_HAS_NOT or known(licence) is None:
        return {"license": "other", "license_name": licence.replace("other", "several")}
    return {"license": licence}


_HUB_HAS_NOT = frozenset({"psf-2.0", "0bsd", "tongyi-qianwen", "qwen", "qwen-research", "deepseek", "mrl", "mnpl"})
"""Licences that our table knows and the hub's list does not."""


def _results(arms: Sequence[ArmData]) -> list[JsonValue]:
    """Return what was measured of each published file, as the hub shows it."""
    results: list[JsonValue] = []
    for arm in arms:
        for text, found in arm.perplexities.items():
            value = {"type": "perplexity", "name": f"Perplexity, {arm.quant}", "value": round(found.value, 4)}
            results.append(_result(f"{text}, held out", {**value, "args": {"standard_error": round(found.error, 4)}}))
        if arm.passed is not None and arm.total:
            share: dict[str, JsonValue] = {"type": "accuracy", "name": f"Tests passed, {arm.quant}"}
            share["value"] = round(arm.passed / arm.total, 4)
            if arm.interval:
                share["args"] = {"low_95": round(arm.interval.low, 4), "high_95": round(arm.interval.high, 4)}
            results.append(_result("Suture's tests", share))
    return results


def _result(dataset: str, metric: dict[str, JsonValue]) -> JsonValue:
    kind = "".join(letter if letter.isalnum() else "-" for letter in dataset.lower())
    return {
        "task": {"type": "text-generation"},
        "dataset": {"name": dataset, "type": f"suture-{kind}"},
        "metrics": [metric],
    }
