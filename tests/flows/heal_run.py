"""A parent of a heal: the steps of a recipe up to it, as `build_model` runs them: python heal_run.py RECIPE."""

import sys
from pathlib import Path

from deployments.display import LineDisplay
from deployments.run import join_server
from suture.errors import SutureError
from suture.plan import resolve
from suture.recipe import load_recipe
from suture.steps import store_of_this_machine

if __name__ == "__main__":
    plan = resolve(load_recipe(Path(sys.argv[1])))
    join_server()
    from prefect import flow
    from prefect.utilities.annotations import quote

    from tasks import STEP_TASKS
    from tasks.progress import viewer
    from tasks.record import recorded

    @flow(name="parent", flow_run_name="pico")
    def parent() -> None:
        with recorded(plan, store_of_this_machine()):
            for planned in plan.steps:
                if planned.step in ("fetch", "merge", "dataset", "heal"):
                    STEP_TASKS[planned.step].submit(quote(planned)).result()

    viewer.set(LineDisplay())
    try:
        parent()
    except SutureError as error:
        sys.exit("\n".join([f"suture: {error}", *getattr(error, "__notes__", ())]))
