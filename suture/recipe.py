"""Recipe: everything the user asks for, and nothing about the machine that does it.

One object, read from YAML or filled into Prefect's form, goes unchanged from the command line through the flow
into the manifest of what it made. The descriptions below are the form's help texts.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError, model_validator

from suture.errors import RecipeError

_FOUND_CHARACTERS = 200
"""How much of a wrong value an error shows."""

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]


ARMS = ("merged", "healed", "control")
"""What the scoreboard calls the models that a run itself makes."""


class Part(BaseModel):
    """What every part of a recipe has in common: it cannot be changed, and it knows all of its fields."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True)


class Text(Part):
    """One text to train on or to measure on."""

    text: str
    """`builtin:code` (Python's standard library), `builtin:prose` (Python's language reference and dialogues), or a
    path to a .txt file (plain text) or a .jsonl file (one object with a "text" field per line)."""

    weight: float = Field(default=1.0, gt=0)
    """Its share of the blend, relative to the other weights."""


class Training(Part):
    """Settings of a LoRA or QLoRA training; the defaults are those of the published 18B heal."""

    data: Annotated[tuple[Text, ...], Field(min_length=1)]
    """What to train on, blended by weight."""

    method: Literal["lora", "qlora"] = "qlora"
    """`lora` trains on the 16-bit weights; `qlora` on weights held in 4-bit NF4: a quarter of the memory."""

    rank: int = Field(default=64, ge=1, le=1024)
    """Rank of the adapter."""

    alpha: float = Field(default=32.0, gt=0)
    """The adapter's update is scaled by alpha / rank."""

    targets: Annotated[tuple[str, ...], Field(min_length=1)] = (
        "q_proj",
        "k_proj",
        "v_proj",
        "o_proj",
        "in_proj_a",
        "in_proj_b",
        "in_proj_z",
        "in_proj_qkv",
        "out_proj",
        "gate_proj",
        "up_proj",
        "down_proj",
    )
    """Last parts of the names of the linear layers that get an adapter; those a model lacks are passed over."""

    learning_rate: float = Field(default=2e-5, gt=0, lt=1)
    """Peak learning rate; it falls to 0 along a cosine."""

    warmup_steps: int = Field(default=50, ge=0)
    """Steps over which the learning rate rises from 0."""

    steps: int = Field(default=1000, ge=1)
    """Optimizer steps."""

    batch_size: int = Field(default=2, ge=1)
    """Sequences per forward pass."""

    gradient_accumulation: int = Field(default=4, ge=1)
    """Forward passes per optimizer step."""

    sequence_length: int = Field(default=4096, ge=16)
    """Tokens per sequence, at most."""

    checkpoint_every: int = Field(default=250, ge=1)
    """Steps between two checkpoints; a killed training goes on from the last."""

    seed: int = Field(default=0, ge=0)
    """Seed of the adapter's start, the order of the data and dropout."""


class Heal(Training):
    """Training that closes the seam of the merge."""

    control: bool = True
    """Also train the base source for the same steps on the same data. Only what the healed merge gains beyond
    this control is healing; the rest is more training."""


class Source(Part):
    """A model to merge."""

    name: Name
    """What the rest of the recipe, the scoreboard and the plots call it."""

    model: str = Field(min_length=1)
    """A hub repository (`owner/name`), a folder (a path that begins with `/`, `./`, `../` or `~`), or
    `builtin:smollm2-135m-instruct`."""

    revision: str = "main"
    """Branch, tag or commit of a hub repository; pinned to a commit before anything is fetched."""

    finetune: Training | None = None
    """Fine-tune the model first, for instance to make two children of one model."""


class Slice(Part):
    """Consecutive layers of one source."""

    source: Name
    """Which source."""

    layers: tuple[Annotated[int, Field(ge=0)], Annotated[int, Field(ge=1)]]
    """First layer and the one after the last, counted from 0: [0, 24] is layers 0 to 23."""

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        start, end = self.layers
        if start >= end:
            msg = f"layers: expected the first layer before the end, found [{start}, {end}]"
            raise ValueError(msg)
        return self


class Passthrough(Part):
    """Stack slices of layers, copied as they are."""

    method: Literal["passthrough"]
    """Copies bytes."""

    slices: Annotated[tuple[Slice, ...], Field(min_length=1)]
    """The new model's layers, from first to last: any order, overlaps and repeats."""

    base: Name
    """Source of all that is not in a layer: embeddings, final norm, head, tokenizer, chat template."""

    @property
    def sources(self) -> tuple[str, ...]:
        """Names of the sources in use, the base first."""
        return tuple(dict.fromkeys((self.base, *(part.source for part in self.slices))))


class Linear(Part):
    """The weighted mean of models of one shape."""

    method: Literal["linear"]
    """Adds weight * tensor and divides by the sum of the weights."""

    weights: dict[Name, float] = Field(min_length=2)
    """Weight of each source."""

    base: Name
    """Source of the config, the tokenizer and the chat template."""

    @property
    def sources(self) -> tuple[str, ...]:
        """Names of the sources in use, the base first."""
        return tuple(dict.fromkeys((self.base, *self.weights)))


Merge = Annotated[Passthrough | Linear, Field(discriminator="method")]

QuantType = Literal[
    "F16",
    "Q8_0",
    "Q6_K",
    "Q5_K_M",
    "Q5_K_S",
    "Q4_K_M",
    "Q4_K_S",
    "Q4_0",
    "IQ4_XS",
    "Q3_K_L",
    "Q3_K_M",
    "Q3_K_S",
    "Q2_K",
]


class Gguf(Part):
    """The files for llama.cpp."""

    quantize: Annotated[tuple[QuantType, ...], Field(min_length=1)] = ("Q4_K_M",)
    """Quantization types; each makes one file and one row of the scoreboard per model."""

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        if len(set(self.quantize)) < len(self.quantize):
            msg = f"quantize: expected each type once, found {list(self.quantize)}"
            raise ValueError(msg)
        return self


class Perplexity(Part):
    """Perplexity on held-out text."""

    texts: Annotated[tuple[Text, ...], Field(min_length=1)] = (
        Text(text="builtin:prose"),
        Text(text="builtin:code"),
    )
    """What to measure on. The built-in texts keep a part that no training sees."""

    chunks: int = Field(default=16, ge=2)
    """Chunks of each text; more give a smaller error bar."""

    context: int = Field(default=512, ge=32)
    """Tokens per chunk; perplexity is taken over the second half of each."""


class Capability(Part):
    """Tests answered through llama-server."""

    tests: tuple[str, ...] = ("basic", "reasoning")
    """Categories or single tests."""

    context: int = Field(default=2048, ge=256)
    """Tokens of context the server is started with."""

    max_tokens: int = Field(default=256, ge=16)
    """Longest answer."""

    seed: int = Field(default=0, ge=0)
    """Seed of the sampling."""


class Reference(Part):
    """A finished GGUF to measure beside the others."""

    name: Name
    """What the scoreboard calls it."""

    gguf: str
    """Path of the file."""


class Benchmark(Part):
    """What is measured for every arm of the scoreboard."""

    perplexity: Perplexity = Perplexity()
    """Perplexity on held-out text."""

    capability: Capability = Capability()
    """Tests answered through llama-server."""

    references: tuple[Reference, ...] = ()
    """Finished GGUF files to measure beside the others."""


class Recipe(Part):
    """What to merge, heal, quantize and measure."""

    name: Name
    """Short name of the result; it is written into the GGUF files."""

    description: str = ""
    """What this recipe is for."""

    sources: Annotated[tuple[Source, ...], Field(min_length=1)]
    """The models to merge."""

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
        names = [source.name for source in self.sources]
        rows = [*names, *(reference.name for reference in self.benchmark.references), *ARMS]
        doubled = sorted({name for name in rows if rows.count(name) > 1})
        if doubled:
            msg = f"sources and references: expected names of their own (and not {', '.join(ARMS)}), "
            msg += f"found {', '.join(doubled)} more than once"
            raise ValueError(msg)
        unknown = [name for name in self.merge.sources if name not in names]
        if unknown:
            msg = f"merge: expected names of sources ({', '.join(names)}), found {', '.join(unknown)}"
            raise ValueError(msg)
        return self


def load_recipe(path: Path) -> Recipe:
    """Read a recipe from a YAML file; relative paths in it are taken from the file's folder.

    Raises:
        RecipeError: When the file cannot be read, or is not a recipe; names every wrong field at once.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:  # ValueError: no UTF-8, no such date
        raise RecipeError(
            "The recipe cannot be read.", where=path, expected="a YAML file", found=str(error)
        ) from error
    return parse_recipe(content, where=path, folder=path.parent)


def parse_recipe(content: Any, *, where: str | Path, folder: Path) -> Recipe:  # noqa: ANN401 -- any YAML
    """Check a recipe's content.

    Args:
        content: What the YAML file holds.
        where: What errors call it.
        folder: Where relative paths start.

    Raises:
        RecipeError: When it is not a recipe; names every wrong field at once.
    """
    if not isinstance(content, dict):
        raise RecipeError(
            "The recipe is not a mapping.",
            where=where,
            expected="fields such as name, sources, merge",
            found=_shorten(content),
        )
    try:
        return with_absolute_paths(Recipe.model_validate(content), folder)
    except ValidationError as error:
        mistakes = _mistakes(error)
        raise RecipeError(
            f"The recipe has {len(mistakes)} mistake(s).",
            where=where,
            found="\n" + "\n".join(f"    {mistake}" for mistake in mistakes),
            way_out="`suture schema` prints every field with its meaning.",
        ) from error


def is_path(reference: str) -> bool:
    """Return whether a source's model is a folder on this machine."""
    return reference.startswith(("/", "./", "../", "~"))


def with_absolute_paths(recipe: Recipe, folder: Path) -> Recipe:
    """Return the recipe with its relative paths resolved against `folder`."""

    def resolve(value: JsonValue) -> JsonValue:
        if isinstance(value, dict):
            return {key: _absolute(key, item, folder) or resolve(item) for key, item in value.items()}
        if isinstance(value, list):
            return [resolve(item) for item in value]
        return value

    return Recipe.model_validate(resolve(recipe.model_dump(mode="json")))


def _absolute(key: str, value: JsonValue, folder: Path) -> str | None:
    """Return the absolute path if this field of a recipe holds a path, else None."""
    if not isinstance(value, str):
        return None
    holds_path = (
        (key == "model" and is_path(value)) or (key == "text" and not value.startswith("builtin:")) or key == "gguf"
    )
    if not holds_path:
        return None
    try:
        return str((folder / Path(value).expanduser()).resolve())
    except (OSError, RuntimeError, ValueError) as error:  # no such user, a loop of links, a NUL
        raise RecipeError("A path in the recipe leads nowhere.", where=key, found=f"{value!r}: {error}") from error


def _mistakes(error: ValidationError) -> list[str]:
    """Return a line for each mistake; that a list lacks the items that are wrong is not one more."""
    rows = error.errors()
    wrong_inside = {row["loc"][:depth] for row in rows for depth in range(len(row["loc"]))}
    return [_describe(row) for row in rows if not (row["type"] == "too_short" and row["loc"] in wrong_inside)]


def _describe(row: Any) -> str:  # noqa: ANN401 -- pydantic's ErrorDetails
    field = ".".join(str(part) for part in row["loc"]) or "recipe"
    found = "" if isinstance(row["input"], dict | list) else f" (found {_shorten(row['input'])})"
    return f"{field}: {row['msg']}{found}"


def _shorten(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _FOUND_CHARACTERS else f"{text[:_FOUND_CHARACTERS]} ..."
