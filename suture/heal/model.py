"""The model under training: loaded in the class its config names, with an adapter on its linear layers."""

# torch, transformers and peft are partly untyped; what they return is given a type where it is kept.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import json
from pathlib import Path

import safetensors.torch
import torch
import transformers
from peft import LoraConfig, PeftModel, get_peft_model, get_peft_model_state_dict
from transformers import BitsAndBytesConfig, PreTrainedModel

from suture.checkpoint.adapter import ADAPTER, ADAPTER_CONFIG
from suture.errors import RecipeError, SourceError
from suture.heal.names import layer_of
from suture.heal.train import TrainSpec


def load_model(folder: Path, method: str) -> PreTrainedModel:
    """Load a checkpoint in the class that its config names, in its own dtype or, for qlora, in NF4."""
    config = json.loads((folder / "config.json").read_bytes())
    (architecture,) = config["architectures"]
    # Not AutoModel: it may open a multimodal checkpoint as its text part, whose tensors have other names.
    if not hasattr(transformers, architecture):
        raise SourceError(
            "transformers does not know this model.",
            where=folder / "config.json",
            expected=f"an architecture of transformers {transformers.__version__}",
            found=architecture,
        )
    quantization = None
    if method == "qlora":
        quantization = BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=torch.bfloat16,
            llm_int8_skip_modules=["lm_head", "model.visual"],
        )
    model = getattr(transformers, architecture).from_pretrained(
        folder,
        dtype="auto",
        quantization_config=quantization,
        device_map={"": 0} if torch.cuda.is_available() else None,
    )
    model.config.use_cache = False
    return model


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
    tensors = {name: tensor.contiguous().cpu() for name, tensor in tensors.items()}
    safetensors.torch.save_file(tensors, folder / ADAPTER, metadata={"format": "pt"})
    config = model.peft_config["default"].to_dict()
    config |= {"base_model_name_or_path": None, "inference_mode": True}
    text = json.dumps(config, indent=2, sort_keys=True, default=sorted)  # target_modules is a set
    (folder / ADAPTER_CONFIG).write_text(text + "\n")
