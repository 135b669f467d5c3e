"""Recipe: everything the user asks for, and nothing about the machine that does it.

One object, read from YAML or filled into Prefect's form, goes unchanged from the command line through the flow
into the manifest of what it made. The descriptions below are the form's help texts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Self

from pydantic import Field, model_validator

from suture.recipe.benchmark import Benchmark
from suture.recipe.files import Gguf
from suture.recipe.merge import Merge
from suture.recipe.part import Name, Part
from suture.recipe.training import Heal, Training

ARMS = ("merged", "healed", "control")
"""What the scoreboard calls the models that a run itself makes."""


class Source(Part):
    """A model to merge."""

    name: Name
    """What the rest of the recipe, the scoreboard and the plots call it."""

    model: str = Field(min_length=1)
    """A hub repository (`owner/name`), a folder (a path that begins with `/`, `./`, `../` or `~`), or
    `builtin:smollm2-135m-instruct`."""

    revision: str = "main"
    """Branch, tag or commit of a hub repository; pinned to a commit before anything is fetched."""

    adapter: str | None = None
    """A LoRA adapter in PEFT's format, fused into the model first: a hub repository (`owner/name` or
    `owner/name@revision`), or a folder."""

    finetune: Training | None = None
    """Fine-tune the model first, for instance to make two children of one model."""


class Stage(Part):
    """A merge whose result later merges may use like a source."""

    name: Name
    """What later merges, the scoreboard and the plots call it."""

    merge: Merge
    """How it is made, of sources and of stages before it."""

    benchmark: bool = True
    """Measure it too, as a row of the scoreboard."""


class Recipe(Part):
    """What to merge, heal, quantize and measure."""

    name: Name
    """Short name of the result; it is written into the GGUF files."""

    description: str = ""
    """What this recipe is for."""

    sources: Annotated[tuple[Source, ...], Field(min_length=1)]
    """The models to merge."""

    stages: tuple[Stage, ...] = ()
    """Merges to be made first: intermediate steps of the final one, or rivals that are measured beside it."""

    merge: Merge
    """How to merge them."""

    heal: Heal | None = None
    """How to heal the merge; without it the raw merge is the result."""

    gguf: Gguf = Gguf()
    """The files for llama.cpp."""

    benchmark: Benchmark = Benchmark()
    """What is measured for every arm: each source, the merge, the healed merge, the control."""

    @model_validator(mode="after")
    def _names_agree(self) -> Self:
        references = (reference.name for reference in self.benchmark.references)
        names = [part.name for part in (*self.sources, *self.stages)]
        rows = [*names, *references, *ARMS]
        doubled = sorted({name for name in rows if rows.count(name) > 1})
        if doubled:
            msg = f"sources, stages and references: expected names of their own (and not {', '.join(ARMS)}), "
            msg += f"found {', '.join(doubled)} more than once"
            raise ValueError(msg)
        known = [source.name for source in self.sources]
        for where, merge in self.merges:
            unknown = [name for name in merge.sources if name not in known]
            if unknown:
                msg = f"{where}: expected names of sources or earlier stages ({', '.join(known)}), "
                msg += f"found {', '.join(unknown)}"
                raise ValueError(msg)
            known.append(where.rpartition(" ")[2])
        return self

    @property
    def merges(self) -> tuple[tuple[str, Merge], ...]:
        """Every merge in order, with what errors call it."""
        return (*((f"stage {stage.name}", stage.merge) for stage in self.stages), ("merge", self.merge))

    @property
    def headline(self) -> str:
        """What it does, at a glance: `demo-stack: a + b, passthrough, healed, Q4_K_M`."""
        parts = (
            _few([source.name for source in self.sources], " + "),
            f"{len(self.stages)} stages" if self.stages else "",
            self.merge.method,
            "healed" if self.heal else "",
            _few(self.gguf.quantize, "/"),
        )
        return f"{self.name}: {', '.join(filter(None, parts))}"


def _few(names: Sequence[str], between: str) -> str:
    """Return the first three names, and how many more there are."""
    more = [f"{len(names) - 3} more"] if len(names) > 3 else []
    return between.join([*names[:3], *more])
