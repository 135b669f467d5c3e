"""What a perfect endpoint and an adversary say to HumanEval: its own solutions, and empty bodies that boast."""

from __future__ import annotations

from suture.bench.suite import Answer
from suture.bench.suite.human_eval import problems
from tests.unit.bench.answers.programming import fenced

PERFECT: dict[str, tuple[Answer | str, ...]] = {
    problem.id: (fenced(problem.prompt + problem.canonical_solution),) for problem in problems()
}

ADVERSARY: dict[str, tuple[Answer | str, ...]] = {
    problem.id: (fenced(f'{problem.prompt}    print("passed")'),) for problem in problems()
}
