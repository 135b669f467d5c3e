"""Recipe: everything the user asks for, and nothing about the machine that does it.

One object, read from YAML or filled into Prefect's form, goes unchanged from the command line through the flow
into the manifest of what it made. The descriptions below are the form's help texts.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from suture.recipe.merge import Merge
from suture.recipe.part import Name, Part

ARMS = ("merged", "healed", "control")
"""What the scoreboard calls the models that a run itself makes."""


MIN_COMPARED_TOKENS = 100
"""llama-perplexity makes no statistics of a divergence over fewer."""


class Text(Part):
    """One text to train on or to measure on."""

    text: str
    """`builtin:code` (Python's standard library), `builtin:prose` (Python's language reference and dialogues), or a
    path to a .txt file (plain text) or a .jsonl file (one object with a "text" field per line)."""

    weight: float = Field(default=1.0, gt=0)
    """Its share of the blend, relative to the other weights."""


class Data(Text):
    """A text or a set of conversations to train on."""

    format: Literal["auto", "text", "messages", "sharegpt", "alpaca", "prompt_completion"] = "auto"
    """What the lines of a .jsonl file hold; `auto` tells by the first line. Conversations are put into the model's
    own chat template, and only what the assistant says is learned."""


class Training(Part):
    """Settings of a LoRA or QLoRA training; the defaults are those of the published 18B heal."""

    data: Annotated[tuple[Data, ...], Field(min_length=1)]
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

    layers: Literal["all", "seam"] = "all"
    """Which layers of the merge get an adapter: `all`, or only those near a `seam`, where a slice of the stack meets
    the next one. Layers below the lowest adapter need no backward pass."""

    seam_layers: int = Field(default=4, ge=1)
    """With `layers: seam`: how many layers on either side of each seam."""

    start: Literal["raw", "damped", "gated"] = "raw"
    """Where the heal starts. A layer is repeated when the stack already holds one of the same number. `raw` takes the
    merge as it is; `damped` multiplies what the repeated layers add (o_proj, out_proj, down_proj) by `damping`;
    `gated` begins there too, and learns that factor for each projection."""

    damping: float = Field(default=0.25, ge=0, le=1)
    """Factor that `damped` and `gated` start with; at 0 a repeated layer adds nothing, at 1 the start is raw."""

    gate_learning_rate: float = Field(default=2e-2, gt=0, lt=1)
    """Peak learning rate of the factors of `gated`; it follows the same schedule as that of the adapter."""

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


QuantType = Literal[
    "F16",
    "Q8_0",
    "Q6_K",
    "Q5_K_M",
    "Q5_K_S",
    "Q4_K_M",
    "Q4_K_S",
    "Q4_0",
    "IQ4_NL",
    "IQ4_XS",
    "Q3_K_L",
    "Q3_K_M",
    "Q3_K_S",
    "IQ3_M",
    "IQ3_S",
    "IQ3_XS",
    "IQ3_XXS",
    "Q2_K",
    "Q2_K_S",
    "IQ2_M",
    "IQ2_S",
    "IQ2_XS",
    "IQ2_XXS",
    "IQ1_M",
    "IQ1_S",
]

NEED_IMATRIX: frozenset[QuantType] = frozenset(
    {"IQ3_XS", "IQ3_XXS", "Q2_K_S", "IQ2_M", "IQ2_S", "IQ2_XS", "IQ2_XXS", "IQ1_M", "IQ1_S"}
)
"""Types that llama-quantize refuses to make without an importance matrix."""


class Imatrix(Part):
    """An importance matrix: which weights a text makes the model use, so that rounding spares these."""

    text: Text = Text(text="builtin:prose")
    """What the model reads. The part of it that is held out for measuring is not used."""

    chunks: int = Field(default=32, ge=2)
    """Chunks of the text."""

    context: int = Field(default=512, ge=32)
    """Tokens per chunk."""


class Gguf(Part):
    """The files for llama.cpp."""

    quantize: Annotated[tuple[QuantType, ...], Field(min_length=1)] = ("Q4_K_M",)
    """Quantization types; each makes one file and one row of the scoreboard per model."""

    imatrix: Imatrix | None = None
    """Importance matrix that all types are quantized with; it costs a pass over its text in 16 bits per model.
    Without one, IQ3_XS and all types below it but Q2_K cannot be made."""

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if len(set(self.quantize)) < len(self.quantize):
            msg = f"quantize: expected each type once, found {list(self.quantize)}"
            raise ValueError(msg)
        lacking = [type_ for type_ in self.quantize if type_ in NEED_IMATRIX]
        if lacking and self.imatrix is None:
            msg = f"quantize: {', '.join(lacking)} cannot be made without an importance matrix: expected imatrix, "
            msg += "found none (`imatrix: {}` takes the defaults)"
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


class Divergence(Part):
    """How far each quantized file's predictions are from those of the 16-bit file that it was made of.

    The 16-bit file's predictions are kept in the store: 2 bytes for each entry of the vocabulary and each token of
    the second half of a chunk. With 8 chunks of 512 tokens that is 0.2 GB for a vocabulary of 49 k, 1 GB for one of
    248 k.
    """

    text: Text = Text(text="builtin:prose")
    """What to measure on; the part that no training sees."""

    chunks: int = Field(default=8, ge=2)
    """Chunks of the text; more give smaller error bars."""

    context: int = Field(default=512, ge=32)
    """Tokens per chunk; the second half of each is compared."""

    @model_validator(mode="after")
    def _enough(self) -> Self:
        compared = self.chunks * (self.context - self.context // 2 - 1)
        if compared < MIN_COMPARED_TOKENS:
            msg = f"expected chunks and context that compare at least {MIN_COMPARED_TOKENS} tokens, found {compared}"
            raise ValueError(msg)
        return self


class Speed(Part):
    """Speed of the bare model by llama-bench, without server and sampling."""

    prompt: int = Field(default=512, ge=1)
    """Tokens of a prompt that is read."""

    generate: int = Field(default=128, ge=1)
    """Tokens that are generated."""

    repeats: int = Field(default=5, ge=2)
    """How often each is timed, after one run to warm up."""


class Sampling(Part):
    """How answers are drawn."""

    context: int = Field(default=8192, ge=256)
    """Tokens of context the server is started with."""

    max_tokens: int = Field(default=1024, ge=16)
    """Longest answer, thinking included, where a test does not set its own limit."""

    repeats: int = Field(default=1, ge=1)
    """How often each test is asked, each time with another seed; at least 5 times where temperature is above 0."""

    temperature: float = Field(default=0.0, ge=0, le=5)
    """0 always takes the likeliest token; then one answer says all, up to rounding."""

    top_p: float = Field(default=1.0, gt=0, le=1)
    """Draw among the likeliest tokens that have this much probability together."""

    thinking: Literal["template", "on", "off"] = "template"
    """Whether the model thinks before it answers; `template` leaves it to the chat template's default."""

    thinking_tokens: int | None = Field(default=None, ge=0)
    """Most tokens of thinking; no limit of its own when left out. Only llama-server keeps to it."""

    seed: int = Field(default=0, ge=0)
    """Seed of the first time a test is asked; each further time takes the next one."""


class Capability(Sampling):
    """Tests answered through llama-server."""

    tests: tuple[str, ...] = ("capability",)
    """Suites, categories or single tests, as `suture bench --list` names them."""


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

    divergence: Divergence | None = None
    """Quantization loss: KL divergence of each quantized file from its 16-bit file. Not measured when left out: it
    takes a pass in 16 bits per model, minutes on few cores, and up to gigabytes of disk. `{}` takes the defaults."""

    speed: Speed | None = None
    """llama-bench's speed of prompt and generation, beside that of the served model. Not measured when left out: it
    has the machine for itself for a minute or more per file. `{}` takes the defaults."""

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
