"""The step `speed`: llama-bench on a GGUF.

The step `benchmark` times the served model, which is what a user waits for; this is what other people's tables hold.
It is a step of its own, so that each has the machine alone, and neither is repeated for the other's sake.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict

from pydantic import Field, JsonValue

from suture.gguf.speed import measure_speed
from suture.progress import Progress
from suture.recipe import Part
from suture.store import Artifact, Workspace


class SpeedSpec(Part):
    """What is timed."""

    prompt: int = Field(ge=1)
    """Tokens of the prompt."""

    generate: int = Field(ge=1)
    """Tokens generated."""

    repeats: int = Field(ge=2)
    """How often each is timed."""


def speed(
    spec: SpeedSpec, parents: Sequence[Artifact], work: Workspace, progress: Progress
) -> Mapping[str, JsonValue]:
    """Time a GGUF.

    Args:
        spec: What is timed.
        parents: The artifact with the GGUF.
        work: Receives speed.json and a log.
        progress: Gets the runs.

    Returns:
        What speed.json holds: see `suture.gguf.speed.BareSpeed`.
    """
    (parent,) = parents
    found = measure_speed(
        parent.only(".gguf"),
        prompt=spec.prompt,
        generate=spec.generate,
        repeats=spec.repeats,
        log=work.out / "speed.log",
        progress=progress,
    )
    facts: dict[str, JsonValue] = {**asdict(found), "prompt_tokens": spec.prompt, "generated_tokens": spec.generate}
    (work.out / "speed.json").write_text(json.dumps(facts, indent=1))
    return facts
