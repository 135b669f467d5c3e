"""Suture: recipes in; merged, healed, quantized and measured language models out."""

__version__ = "0.1.0"
