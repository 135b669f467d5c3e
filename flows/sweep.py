"""A grid over fields of a recipe, as runs of build_model."""

from __future__ import annotations

from prefect import flow
from prefect.logging import get_run_logger

from suture.errors import SutureError
from suture.steps import store_of_this_machine
from suture.sweep import Point, Sweep, compare_points, plan_sweep, write_sweep
from tasks.secrets import take_hub_token
from tasks.sweep import run_points, show_sweep


@flow(name="sweep", flow_run_name="{sweep.headline}", persist_result=True, result_serializer="json")
def sweep(sweep: Sweep) -> dict[str, str]:
    """Run a recipe with each combination of values, and compare what comes of it."""
    take_hub_token()
    log, store, plan = get_run_logger(), store_of_this_machine(), plan_sweep(sweep)
    plan.check_disk(store)
    finished = plan.finished(store)
    todo = [planned for planned in plan.points if planned.point.number not in finished]
    log.info(
        "%d points, %d of them finished; %d steps, %d of them shared by several points",
        *(len(plan.points), len(finished), len(plan.steps), len(plan.shared)),
    )

    def tell(point: Point, state: str, message: str) -> None:
        log.info("point %d (%s): %s %s", point.number, ", ".join(point.values), state.lower(), message)

    run_points(todo, plan.sweep.name, sweep.at_once, tell)
    finished = plan.finished(store)
    data = compare_points(plan, store, finished)
    write_sweep(store, data)
    show_sweep(data)
    lacking = [str(planned.point.number) for planned in plan.points if planned.point.number not in finished]
    if lacking:
        raise SutureError(
            f"{len(lacking)} of {len(plan.points)} points did not finish.",
            where=plan.sweep.name,
            found=f"points {', '.join(lacking)}",
            way_out="The log names their states. Start the sweep again: it goes on with these alone.",
        )
    return {"sweep": plan.sweep.name}
