"""The model under training: loaded in the class its config names, with an adapter or with weights to be trained."""

# torch, transformers and peft are partly untyped; what they return is given a type where it is kept.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import safetensors.torch
import torch
import transformers
from bitsandbytes.nn.modules import Linear4bit
from peft import LoraConfig, PeftModel, get_peft_model, get_peft_model_state_dict
from transformers import BitsAndBytesConfig, PreTrainedModel

from suture.checkpoint.adapter import ADAPTER, ADAPTER_CONFIG
from suture.errors import RecipeError, SourceError
from suture.heal.names import layer_of
from suture.heal.train import TrainJob, TrainSpec
from suture.heal.training import ranks
from suture.heal.training.loss import spare_logits
from suture.heal.training.rows import Row
from suture.heal.training.whole import release_weights, save_weights


@dataclass(frozen=True)
class Trainee:
    """A model under training.

    Attributes:
        model: The model; only what is trained requires a gradient.
        save: Writes what is trained into a folder. Processes that share the training all call it.
    """

    model: PreTrainedModel | PeftModel
    save: Callable[[Path], None]


def make_trainee(job: TrainJob, rows: Sequence[Row]) -> Trainee:
    """Load the model that a job is about, and make ready what it trains.

    Raises:
        RecipeError: When the model has none of the layers that are asked for, or cannot be trained so.
        SourceError: When transformers does not know it.
    """
    spec = job.spec
    if spec.backend == "unsloth":
        from suture.heal.training.unsloth_backend import adapted_model

        longest = max(len(row["input_ids"]) for row in rows)
        find = partial(target_layers, targets=spec.targets, layers=spec.layers)
        adapted = adapted_model(job.model, spec, longest, find)
        return Trainee(adapted, partial(save_adapter, adapted))
    model = load_model(job.model, spec.method, spec.processes)
    if spec.processes == 1:  # the head of several may be in parts when the loss is made
        spare_logits(model)
    if spec.method == "full":
        trainee = Trainee(model, partial(save_weights, model, release_weights(model, job.model, spec.layers)))
    else:
        adapted = add_adapter(model, spec)
        trainee = Trainee(adapted, partial(save_adapter, adapted))
    if spec.processes > 1 and torch.cuda.is_available():
        _compute_in_bf16(trainee.model)
    return trainee


def model_class(folder: Path) -> type[PreTrainedModel]:
    """Return the class that a checkpoint's config names.

    Not AutoModel: it may open a multimodal checkpoint as its text part, whose tensors have other names.

    Raises:
        SourceError: When transformers has no such class.
    """
    config = json.loads((folder / "config.json").read_bytes())
    (architecture,) = config["architectures"]
    if not hasattr(transformers, architecture):
        raise SourceError(
            "transformers does not know this model.",
            where=folder / "config.json",
            expected=f"an architecture of transformers {transformers.__version__}",
            found=architecture,
        )
    return getattr(transformers, architecture)


def load_model(folder: Path, method: str, processes: int = 1) -> PreTrainedModel:
    """Load a checkpoint in the class that its config names.

    It keeps its own dtype, but for qlora, which holds it in NF4, and for full on a CPU, which computes in fp32.

    Args:
        folder: The checkpoint.
        method: How it is trained.
        processes: How many share it; one alone takes it to its GPU at once.
    """
    quantization = None
    if method == "qlora":
        quantization = BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=torch.bfloat16,
            llm_int8_skip_modules=["lm_head", "model.visual"],
        )
    on_gpu = torch.cuda.is_available()
    model = model_class(folder).from_pretrained(
        folder,
        dtype=torch.float32 if method == "full" and not on_gpu else "auto",
        quantization_config=quantization,
        device_map={"": 0} if on_gpu and processes == 1 else None,
    )
    model.config.use_cache = False
    for module in model.modules():
        # On some CPUs an evaluation packs 4-bit weights for inference; no gradient goes through them from then on.
        if isinstance(module, Linear4bit):
            module.support_avx512bf16_for_cpu = False
    return model


def _compute_in_bf16(model: PreTrainedModel | PeftModel) -> None:
    """Have a model on several GPUs compute as on one, where the Trainer sees to it."""
    # no cache: it would keep a second copy of each layer that is put together
    model.forward = torch.autocast("cuda", torch.bfloat16, cache_enabled=False)(model.forward)


def add_adapter(model: PreTrainedModel, spec: TrainSpec) -> PeftModel:
    """Put an fp32 LoRA adapter on the language model's target layers.

    Raises:
        RecipeError: When it has none of them.
    """
    config = LoraConfig(
        r=spec.rank,
        lora_alpha=spec.alpha,  # pyright: ignore[reportArgumentType] -- only ever divided by the rank
        target_modules=target_layers(model, spec.targets, spec.layers),
        lora_dropout=0.0,
        bias="none",
        task_type="CAUSAL_LM",
    )
    return get_peft_model(model, config)  # pyright: ignore[reportReturnType]


def target_layers(
    model: PreTrainedModel, targets: tuple[str, ...], layers: tuple[int, ...] | None = None
) -> list[str]:
    """Return the full names of the language model's linear layers whose last part is a target.

    Args:
        model: The model.
        targets: Last parts of names.
        layers: Only linear layers of these layers of the model; of all when None.
    """
    decoder = {id(module) for module in model.get_decoder().modules()}
    linear = [
        name
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Linear) and id(module) in decoder
        if layers is None or layer_of(name) in layers
    ]
    chosen = [name for name in linear if name.rpartition(".")[2] in targets]
    if not chosen:
        raise RecipeError(
            "The model has none of the layers that an adapter is asked for.",
            where="targets",
            expected=f"some of {', '.join(sorted({name.rpartition('.')[2] for name in linear}))}",
            found=", ".join(targets),
        )
    return chosen


def save_adapter(model: PeftModel, folder: Path) -> None:
    """Write the adapter: the same training gives the same bytes, wherever it ran."""
    tensors = get_peft_model_state_dict(model, save_embedding_layers=False)
    tensors = {name: ranks.whole(tensor).contiguous() for name, tensor in tensors.items()}
    if not ranks.is_first():
        return
    safetensors.torch.save_file(tensors, folder / ADAPTER, metadata={"format": "pt"})
    config = model.peft_config["default"].to_dict()
    config |= {"base_model_name_or_path": None, "inference_mode": True}
    text = json.dumps(config, indent=2, sort_keys=True, default=sorted)  # target_modules is a set
    (folder / ADAPTER_CONFIG).write_text(text + "\n")
