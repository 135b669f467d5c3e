"""The model under training as Unsloth loads it: the same adapter on the same layers, with kernels of its own.

`import unsloth` changes transformers and peft for the whole process, and only works on a GPU: this module is used by
the training process alone, before it loads either of them.
"""

# unsloth is installed on machines with a GPU alone, and is untyped.
# pyright: reportMissingImports=false, reportUnknownMemberType=false, reportUnknownVariableType=false

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from suture.errors import HostError
from suture.heal.train import TrainSpec

if TYPE_CHECKING:
    from peft import PeftModel

_USE_PEFT = "Say `backend: peft`, which trains the same adapter without it."


def import_unsloth() -> None:
    """Import unsloth, before anything imports transformers or peft.

    Raises:
        HostError: When the machine has no GPU, or unsloth is not installed.
    """
    if not torch.cuda.is_available():
        raise HostError(
            "Unsloth trains on GPUs alone.",
            where="backend",
            expected="a GPU",
            found="none that torch can use",
            way_out=_USE_PEFT,
        )
    if importlib.util.find_spec("unsloth") is None:
        raise HostError(
            "Unsloth is not installed.",
            where="backend",
            expected="the package unsloth",
            found="none",
            way_out=f"pip install 'suture[gpu]'. Or: {_USE_PEFT}",
        )
    os.environ["UNSLOTH_DISABLE_STATISTICS"] = "1"  # it would fetch a file to be counted
    importlib.import_module("unsloth")


def adapted_model(folder: Path, spec: TrainSpec, longest: int, targets: Callable[[Any], list[str]]) -> PeftModel:
    """Load a checkpoint and put a LoRA adapter on its target layers.

    Args:
        folder: The 16-bit checkpoint.
        spec: How it is trained: with qlora its weights are held in NF4.
        longest: Tokens of the longest row.
        targets: Gives the full names of the layers that get an adapter.
    """
    from unsloth import FastModel  # pyright: ignore[reportAttributeAccessIssue]

    in_4_bits = spec.method == "qlora"
    model, _tokenizer = FastModel.from_pretrained(
        str(folder),
        max_seq_length=longest,
        dtype=torch.bfloat16,
        load_in_4bit=in_4_bits,
        load_in_16bit=not in_4_bits,
        use_exact_model_name=True,
        local_files_only=True,
    )
    model.config.use_cache = False
    return FastModel.get_peft_model(
        model,
        r=spec.rank,
        lora_alpha=spec.alpha,
        lora_dropout=0.0,
        bias="none",
        target_modules=targets(model),  # names with dots are taken as they are
        use_gradient_checkpointing="unsloth",
        random_state=spec.seed,
    )
