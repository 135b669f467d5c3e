"""Measuring a model: perplexity on held-out text, suites of tests answered through a server, and speed.

suite/          the tests: data and pure scorers; knows nothing of servers, sandboxes and browsers
sandbox/        runs code that a model wrote, confined
frontend/       pages that a model wrote: tasks, checks, the browser
lab.py          what is done with answers before they are scored: sandbox and browser, by the kind of test
chat.py         one OpenAI-compatible endpoint, asked over HTTP
runner.py       asks the tests' questions, several at once, and has the answers scored
samples.py      what came of it, a line of JSON each; where a killed run goes on
capability.py   the step `benchmark`: a GGUF, our own server, the tests, the speed
target.py       the same for the command line: a file or a URL
speed.py        tokens per second, time to first token
perplexity.py   the step `perplexity`
"""
