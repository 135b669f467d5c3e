"""What runs beside a model's code in the sandbox. Nothing here is imported: `harness.py` ships it as text."""
