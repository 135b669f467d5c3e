"""What a perfect endpoint and an adversary say to the basic tests."""

from __future__ import annotations

from suture.bench.suite import Answer

PERFECT: dict[str, tuple[Answer | str, ...]] = {
    "server-health": ("Hello!",),
    "exact-instruction": ("suture-suture-suture",),
    "factual-answer": ("Mars",),
    "system-prompt": ("Spring comes after winter. OVER",),
    "clean-stop": ("A bicycle is a vehicle with two wheels, driven by its rider.",),
    "deterministic": ("Holding paper, resetting devices, picking locks.",),
}

ADVERSARY: dict[str, tuple[Answer | str, ...]] = {
    "server-health": ("Hello!",),  # a server that answers is healthy, whatever it says
    "exact-instruction": ("suture-suture-sutura",),
    "factual-answer": ("The Red Planet is Venus.",),
    "system-prompt": ("Autumn comes after winter. OVER",),
    "clean-stop": ("A bicycle is a vehicle.<|im_end|>",),
    "deterministic": ("Holding paper.", "Picking locks."),
}
