"""How a model is trained, and how a merge is healed."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from suture.recipe.part import Part
from suture.recipe.texts import Data


class Training(Part):
    """Settings of a training; the defaults are those of the published 18B heal, which was a QLoRA."""

    data: Annotated[tuple[Data, ...], Field(min_length=1)]
    """What to train on, blended by weight."""

    method: Literal["lora", "qlora", "full"] = "qlora"
    """`lora` trains an adapter on the 16-bit weights; `qlora` on weights held in 4-bit NF4: a quarter of the memory.
    `full` trains the language model's own weights, embedding and head among them, in 32 bits: 16 bytes for each, and
    a lower learning rate is wanted. It has no use for `rank`, `alpha` and `targets`."""

    backend: Literal["peft", "unsloth"] = "peft"
    """What trains the adapter: `peft` anywhere; `unsloth`, with kernels of its own, on a GPU where the extra `gpu` is
    installed."""

    processes: int = Field(default=1, ge=1)
    """Processes that share the training, one per GPU: each holds a part of the weights (FSDP2). A step reads the same
    sequences as with one, so that `gradient_accumulation` must be a multiple. Not for `qlora` and `unsloth`."""

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
    """Forward passes per optimizer step, of all processes together."""

    sequence_length: int = Field(default=4096, ge=16)
    """Tokens per sequence, at most."""

    group_by_length: bool = True
    """Read sequences of similar length together, so that less is padded. Plain text has one length throughout."""

    optimizer: Literal["auto", "adamw", "paged_adamw_8bit"] = "auto"
    """`paged_adamw_8bit` holds its moments in 8 bits, and in main memory when the GPU is full; `auto` takes it on
    a single GPU, and `adamw` elsewhere."""

    checkpoint_every: int = Field(default=250, ge=1)
    """Steps between two checkpoints; a killed training goes on from the last."""

    evaluate_every: int | None = Field(default=None, ge=1)
    """Steps between two measurements of the loss on sequences that are kept out of the training; the last step is
    measured too. Not measured when left out."""

    held_out: int = Field(default=32, ge=1)
    """With `evaluate_every`: how many sequences are kept out, taken from the texts by their weights."""

    patience: int | None = Field(default=None, ge=1)
    """Stop when the held-out loss has not fallen below its lowest for this many measurements; the result is then the
    adapter as it was at the lowest. All steps are done when left out."""

    seed: int = Field(default=0, ge=0)
    """Seed of the adapter's start, the order of the data and dropout."""

    @model_validator(mode="after")
    def _measured(self) -> Self:
        if self.patience is not None and self.evaluate_every is None:
            msg = f"patience: expected evaluate_every beside it, found patience {self.patience} alone: "
            msg += "only the held-out loss tells when to stop"
            raise ValueError(msg)
        return self

    @model_validator(mode="after")
    def _can_be_trained(self) -> Self:
        several, unsloth = self.processes > 1, self.backend == "unsloth"
        beside = f"beside processes {self.processes}"
        problems = {
            "backend: expected peft beside method full, found unsloth": unsloth and self.method == "full",
            f"backend: expected peft {beside}, found unsloth": several and unsloth,
            f"method: expected lora or full {beside}, found qlora: 4-bit weights cannot be shared out": several
            and self.method == "qlora",
            f"optimizer: expected auto or adamw {beside}, found paged_adamw_8bit: its moments cannot be shared out": (
                several and self.optimizer == "paged_adamw_8bit"
            ),
            f"gradient_accumulation: expected a multiple of processes ({self.processes}), found "
            f"{self.gradient_accumulation}: a step reads the same sequences as with one process": bool(
                self.gradient_accumulation % self.processes
            ),
        }
        if found := [problem for problem, is_so in problems.items() if is_so]:
            raise ValueError("; ".join(found))
        return self


class Heal(Training):
    """Training that closes the seam of the merge."""

    layers: Literal["all", "seam"] = "all"
    """Which layers of the merge are trained: `all`, or only those near a `seam`, where a slice of the stack meets
    the next one. Layers below the lowest of them need no backward pass."""

    seam_layers: int = Field(default=4, ge=1)
    """With `layers: seam`: how many layers on either side of each seam."""

    start: Literal["raw", "damped", "gated"] = "raw"
    """Where the heal starts. A layer is repeated when the stack already holds one of the same number. `raw` takes the
    merge as it is; `damped` multiplies what the repeated layers add (o_proj, out_proj, down_proj) by `damping`;
    `gated` begins there too, and learns that factor for each projection: the recommended start of a stack that
    repeats layers, as it closes most of the gap in the fewest steps."""

    damping: float = Field(default=0.25, ge=0, le=1)
    """Factor that `damped` and `gated` start with; at 0 a repeated layer adds nothing, at 1 the start is raw."""

    gate_learning_rate: float = Field(default=2e-2, gt=0, lt=1)
    """Peak learning rate of the factors of `gated`; it follows the same schedule as that of the adapter."""

    result: Literal["fused", "adapter"] = "fused"
    """`fused` adds what was learned to the weights and quantizes the sum. `adapter` quantizes the raw merge and keeps
    what was learned beside it, as a GGUF LoRA of 16 bits (`llama-server --lora`) that no rounding touches; each token
    costs more work then. The control is kept in the same form. llama-bench takes no adapter: it times neither."""

    control: bool = True
    """Also train the base source for the same steps on the same data. Only what the healed merge gains beyond
    this control is healing; the rest is more training."""

    @model_validator(mode="after")
    def _can_be_kept(self) -> Self:
        if self.result == "adapter" and self.method == "full":
            msg = "result: expected `fused` beside method full, found `adapter`: the weights themselves are trained"
            raise ValueError(msg)
        if self.result == "adapter" and self.start != "raw":
            msg = f"result: expected `fused` beside start {self.start}, found `adapter`: an adapter adds to weights, "
            msg += "and cannot hold the factors on them (with `start: raw` there are none)"
            raise ValueError(msg)
        return self

    @model_validator(mode="after")
    def _can_start(self) -> Self:
        if self.start != "raw" and self.backend == "unsloth":
            msg = f"start: expected raw beside backend unsloth, found {self.start}: its kernels compute several "
            msg += "layers at once, and pass the factors by (`backend: peft` has them)"
            raise ValueError(msg)
        return self
