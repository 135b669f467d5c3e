"""Our tests in other harnesses, and other harnesses' tests against our server: only with the extra `outside`.

    inspect eval suture/bench/outside/inspect_tasks.py ...    our tests in inspect_ai, with its viewer
    suture.bench.outside.inspect_log                          a finished run as a log of inspect_ai
    python -m suture.bench.outside.lm_eval GGUF|URL ...       lm-evaluation-harness against our server

Nothing else imports these modules: they need `pip install 'suture[outside]'`.
"""
