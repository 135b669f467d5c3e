"""Conversations of many turns in which something accumulates, one module each; `turns.py` says how they are led."""
