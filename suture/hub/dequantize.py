"""Turns the small model's 4-bit GGUF into a 16-bit checkpoint, in a process of its own.

Run as `python -m suture.hub.dequantize MODEL.gguf FOLDER`; writes FOLDER/model.safetensors and FOLDER/tokenizer.json.
The bytes depend on the GGUF alone.
"""

from __future__ import annotations

import sys
from pathlib import Path

from gguf import GGUFReader, TokenType
from safetensors.torch import save_file  # pyright: ignore[reportUnknownVariableType]
from tokenizers import AddedToken, Tokenizer, decoders, pre_tokenizers
from tokenizers.models import BPE


def write_weights(gguf: Path, folder: Path) -> None:
    """Write the weights in bf16; the head is the embedding, so it is not stored twice."""
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(  # pyright: ignore[reportUnknownMemberType]
        gguf.parent, gguf_file=gguf.name, dtype=torch.bfloat16
    )
    tensors = {name: tensor for name, tensor in model.state_dict().items() if name != "lm_head.weight"}
    # Not by save_pretrained: it refuses a model whose config remembers the quantization, and stamps its version.
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def write_tokenizer(gguf: Path, folder: Path) -> None:
    """Write the tokenizer that the GGUF names, `smollm`: byte-level BPE in which every digit stands alone.

    transformers' own reading of the GGUF leaves out the digits, so that `2024` would become other tokens than in
    training, and names `<|im_start|>` as the end of a turn.
    """
    fields = GGUFReader(gguf).fields
    tokens: list[str] = fields["tokenizer.ggml.tokens"].contents()
    kinds: list[int] = fields["tokenizer.ggml.token_type"].contents()
    merges: list[str] = fields["tokenizer.ggml.merges"].contents()
    vocabulary = {token: number for number, token in enumerate(tokens)}
    pairs = [(left, right) for left, _, right in (merge.partition(" ") for merge in merges)]
    tokenizer = Tokenizer(BPE(vocab=vocabulary, merges=pairs))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    control = [token for token, kind in zip(tokens, kinds, strict=True) if kind == TokenType.CONTROL]
    tokenizer.add_special_tokens(  # pyright: ignore[reportUnknownMemberType]
        [AddedToken(token, normalized=False, special=True) for token in control]
    )
    tokenizer.save(str(folder / "tokenizer.json"))


def main() -> None:
    """Convert the file named on the command line."""
    gguf, folder = map(Path, sys.argv[1:])
    write_tokenizer(gguf, folder)
    write_weights(gguf, folder)


if __name__ == "__main__":
    main()
