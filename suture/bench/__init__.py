"""Measuring a model: perplexity on held-out text, a suite of tests answered through a server, and speed.

suite/          the tests: data and pure scorers; knows nothing of servers
chat.py         one OpenAI-compatible endpoint, asked over HTTP
runner.py       asks the tests' questions and has the answers scored
speed.py        tokens per second, time to first token
capability.py   the step `benchmark`: a GGUF, our own server, the tests, the speed
perplexity.py   the step `perplexity`
"""
