"""Small byte-level BPE tokenizers, trained on the spot, and the files of models around them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

from suture.checkpoint.layout import Layout, TensorInfo

PROSE = "the seam between the layers heals when the model has seen the text often enough " * 3
CODE = "def heal(layer): return [layer.weight for layer in model.layers if layer.seam] " * 3


def bpe(
    text: str = PROSE, size: int = 300, special: Iterable[str] = ("<|end|>",), first: Sequence[str] = ()
) -> Tokenizer:
    """A tokenizer with `first` at the ids 0, 1, ... of its model, and special tokens added after the model's."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=list(first),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([text], trainer)
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in special])
    return tokenizer


def write_tokenizer(folder: Path, tokenizer: Tokenizer | Mapping[str, Any], **config: Any) -> Path:
    """Write the two files of a tokenizer; `config` is what tokenizer_config.json says."""
    folder.mkdir(parents=True, exist_ok=True)
    table = json.loads(tokenizer.to_str()) if isinstance(tokenizer, Tokenizer) else tokenizer
    (folder / "tokenizer.json").write_text(json.dumps(table))
    (folder / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "PreTrainedTokenizerFast", **config})
    )
    return folder


def layout(rows: int, *, tied: bool = True, files: Iterable[str] = (), hidden: int = 4, **config: Any) -> Layout:
    """What a pico llama holds, as far as the vocabulary goes."""
    tensors = {
        "model.embed_tokens.weight": TensorInfo("BF16", (rows, hidden)),
        "model.layers.0.mlp.weight": TensorInfo("BF16", (hidden, 3)),
        "model.norm.weight": TensorInfo("BF16", (hidden,)),
    }
    if not tied:
        tensors["lm_head.weight"] = TensorInfo("BF16", (rows, hidden))
    fields = {"model_type": "llama", "num_hidden_layers": 1, "vocab_size": rows, **config}
    return Layout(fields, tensors, tuple(sorted({"config.json", "tokenizer.json", "tokenizer_config.json", *files})))
