"""What is measured."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from suture.recipe.part import Name, Part
from suture.recipe.texts import Text

MIN_COMPARED_TOKENS = 100
"""llama-perplexity makes no statistics of a divergence over fewer."""


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


class Probe(Part):
    """A look inside the 16-bit models while they read a text.

    What each layer does to the residual stream, and how well each token is predicted by its place in a chunk: shows
    what a seam does to a stack, and what healing does to the seam.
    """

    text: Text = Text(text="builtin:prose")
    """What is read; the part that no training sees."""

    chunks: int = Field(default=8, ge=2)
    """Chunks of the text; more give smaller error bars."""

    context: int = Field(default=512, ge=32)
    """Tokens per chunk."""


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

    probe: Probe | None = None
    """The residual stream, layer by layer, and the perplexity by position, of the final merge's sources, the merge,
    the healed merge and the control. Not measured when left out: it takes the memory of each model in 16 bits. `{}`
    takes the defaults."""

    references: tuple[Reference, ...] = ()
    """Finished GGUF files to measure beside the others."""
