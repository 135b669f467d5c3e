"""`suture run`, but with the toy plan: python toy_run.py NOTES BEHAVIOUR RECIPE."""

import sys
from pathlib import Path
from typing import Any

import deployments.run
import flows.pipeline
from deployments.__main__ import main
from suture.plan import Plan
from suture.recipe import Recipe
from tests.flows.toys import toy_plan

if __name__ == "__main__":
    notes = Path(sys.argv[1])
    behaviour: Any = sys.argv[2]

    def resolve(recipe: Recipe) -> Plan:
        return toy_plan(recipe, notes, merged=behaviour)

    deployments.run.resolve = flows.pipeline.resolve = resolve
    sys.argv = ["suture", "run", sys.argv[3]]
    sys.exit(main())
