"""Suture: recipes in; merged, healed, quantized and measured language models out."""

import os

# The hub's client reports how it is used, unless it is told not to before it is imported.
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")

__version__ = "0.1.0"
