"""A pico llama with a tokenizer of its own, and tokenised data for it."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer
from tokenizers.decoders import ByteLevel as ByteLevelDecoder
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel
from tokenizers.trainers import BpeTrainer

from suture.checkpoint.floats import from_float32
from suture.checkpoint.writer import OutputTensor, write_checkpoint
from suture.corpus import pin_text
from suture.heal.data.dataset import DatasetSpec, dataset
from suture.progress import Silent
from suture.recipe import Text
from suture.store import Artifact
from tests.unit.heal.steps_by_hand import END, as_artifact, make_workspace, text_of

VOCABULARY = 384
CONFIG = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "dtype": "bfloat16",
    "vocab_size": VOCABULARY,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "hidden_act": "silu",
    "max_position_embeddings": 128,
    "rms_norm_eps": 1e-5,
    "rope_theta": 10000.0,
    "tie_word_embeddings": True,
    "bos_token_id": None,
    "eos_token_id": 0,
}


@pytest.fixture(scope="session")
def tokenizer_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A byte-level BPE tokenizer, trained on a few words."""
    folder = tmp_path_factory.mktemp("tokenizer")
    tokenizer = Tokenizer(BPE())
    tokenizer.pre_tokenizer = ByteLevel(add_prefix_space=False)
    tokenizer.decoder = ByteLevelDecoder()
    alphabet = ByteLevel.alphabet()
    tokenizer.train_from_iterator(
        [text_of(500)],
        BpeTrainer(
            vocab_size=VOCABULARY, special_tokens=[END], initial_alphabet=sorted(alphabet), show_progress=False
        ),
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(f'{{"eos_token": "{END}"}}')
    return folder


@pytest.fixture(scope="session")
def pico(tmp_path_factory: pytest.TempPathFactory, tokenizer_folder: Path) -> Path:
    """A checkpoint: llama, 3 layers of width 64, bf16, random weights."""
    folder = tmp_path_factory.mktemp("pico")
    (folder / "config.json").write_text(json.dumps(CONFIG))
    random = np.random.default_rng(0)

    def numbers(shape: tuple[int, ...]) -> bytes:
        values = np.ones(shape) if len(shape) == 1 else 0.05 * random.standard_normal(shape)
        return from_float32(values.astype(np.float32), "BF16")

    tensors = [
        OutputTensor(name, "BF16", shape, partial(lambda shape: [numbers(shape)], shape))
        for name, shape in shapes().items()
    ]
    write_checkpoint(folder, tensors, 10**9, Silent())
    for path in tokenizer_folder.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    return folder


def shapes() -> dict[str, tuple[int, ...]]:
    """Return the shape of each tensor; the head is tied to the embedding."""
    width, inner, kv = CONFIG["hidden_size"], CONFIG["intermediate_size"], 32
    found: dict[str, tuple[int, ...]] = {
        "model.embed_tokens.weight": (VOCABULARY, width),
        "model.norm.weight": (width,),
    }
    for layer in range(CONFIG["num_hidden_layers"]):
        parts = {
            "input_layernorm": (width,),
            "post_attention_layernorm": (width,),
            "self_attn.q_proj": (width, width),
            "self_attn.k_proj": (kv, width),
            "self_attn.v_proj": (kv, width),
            "self_attn.o_proj": (width, width),
            "mlp.gate_proj": (inner, width),
            "mlp.up_proj": (inner, width),
            "mlp.down_proj": (width, inner),
        }
        found |= {f"model.layers.{layer}.{part}.weight": shape for part, shape in parts.items()}
    return found


@pytest.fixture(scope="session")
def make_rows(tmp_path_factory: pytest.TempPathFactory, pico: Path) -> Callable[..., Artifact]:
    """Makes tokenised data with the dataset step."""

    def make(sequences: int, sequence_length: int = 32, held_out: int = 0) -> Artifact:
        folder = tmp_path_factory.mktemp("rows")
        path = folder / "words.txt"
        path.write_text(text_of(4000))
        spec = DatasetSpec(
            texts=(pin_text(Text(text=str(path)), "train", alone=True),),
            sequence_length=sequence_length,
            sequences=sequences,
            seed=0,
            held_out=held_out,
        )
        work = make_workspace(folder / "work")
        dataset(spec, [as_artifact(pico)], work, Silent())
        return as_artifact(work.out)

    return make
