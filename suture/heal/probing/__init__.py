"""A look inside a 16-bit checkpoint while it reads a held-out text.

probe.py         step: starts and follows the process
__main__.py      that process: `python -m suture.heal.probing JOB.json`
prober.py        the model's residual stream and its losses
"""
