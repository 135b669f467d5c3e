"""GGUF and llama.cpp: find or build the tools; convert, quantize, label, serve, measure.

sources.py      the pinned sdist that carries llama.cpp
build.py        the managed build: its flags on this machine, its compilation
toolchain.py    which llama.cpp is used, and its identity in the keys of steps
runner.py       running one of its tools
convert.py      checkpoint -> bf16 GGUF
lora.py         adapter -> GGUF LoRA, to be served beside a model
imatrix.py      bf16 GGUF and a text -> importance matrix
quantize.py     bf16 GGUF -> smaller GGUF
reference.py    a finished GGUF that the user names -> the store
metadata.py     what a GGUF says of itself; writing Suture's part of it
server.py       llama-server, up for the length of a block
text.py         a pinned text as the file that the tools read
perplexity.py   one text's perplexity
divergence.py   how far a smaller GGUF's predictions are from the bf16 one's
speed.py        tokens per second, without server
measured.py     a number with its error
"""
