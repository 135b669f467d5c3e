"""The report of a run: what was measured, what follows from it, and where everything came from."""
