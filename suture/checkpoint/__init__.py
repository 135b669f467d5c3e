"""Checkpoints at the level of bytes: safetensors files, their index, and the config that describes them.

    strict_json.py   JSON from strangers: size limit, no doubled names
    tensors.py       what a tensor is (dtype, shape), and the order that tensors are written in
    header.py        one file's header, checked
    shards.py        the files of a folder and the index that joins them
    layers.py        the stack of layers, found by its numbered tensor names
    layout.py        what a checkpoint holds, known before any of its weights are fetched
    reader.py        where each tensor's bytes lie; reading them; counting NaN and infinities
    floats.py        bf16, f16 and f32 bytes to numbers and back
    journal.py       which files of interrupted work are finished
    writer.py        new shards, copied in the kernel or computed
    companions.py    the files beside the weights: tokenizer, chat template, generation config
    tokenizer.py     the tokens of a tokenizer and their ids
    adapter.py       a LoRA adapter in PEFT's format: its config and tensors

    config/          what a config says of each layer; the config of a new stack
    inspection/      what a checkpoint holds and what is wrong with it; how far two are apart

Neither torch nor any model's code is needed here.
"""
