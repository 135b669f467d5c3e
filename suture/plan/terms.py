"""What the final model of a plan is made of, and under which licences."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from suture.hub.licences import licence_of_text
from suture.hub.pins import Pinned
from suture.licences import Judgement, Licensed, judge
from suture.plan.form import Plan
from suture.recipe import Recipe, Training, hub_dataset


def judge_plan(plan: Plan) -> Judgement:
    """Judge the final merge, healed if the recipe heals it, by the licences of all that it is made of."""
    used = sources_of_the_merge(plan.recipe)
    pinned = [source for source in plan.sources if source.name in used]
    trainings = [source.finetune for source in plan.recipe.sources if source.name in used]
    published = {listing.repo: listing.licence for listing in plan.datasets}
    return judge([*_models(pinned), *_data([*trainings, plan.recipe.heal], published)])


def sources_of_the_merge(recipe: Recipe) -> set[str]:
    """Return the names of the sources that the final merge is made of, through all stages."""
    wanted = set(recipe.merge.sources)
    for stage in reversed(recipe.stages):
        if stage.name in wanted:
            wanted.update(stage.merge.sources)
    return wanted & {source.name for source in recipe.sources}


def _models(pinned: Iterable[Pinned]) -> Iterator[Licensed]:
    for source in pinned:
        yield Licensed(name=source.model, kind="model", licence=source.licence)
        if source.adapter is not None:
            yield Licensed(name=source.adapter.model, kind="model", licence=source.adapter.licence)


def _data(trainings: Iterable[Training | None], published: Mapping[str, str]) -> Iterator[Licensed]:
    for training in filter(None, trainings):
        for data in training.data:
            if data.text.startswith("hub:"):
                name, _ = hub_dataset(data)
                licence = published[name]
            else:
                name = data.text if data.text.startswith("builtin:") else data.text.rpartition("/")[2]
                licence = licence_of_text(data.text)
            yield Licensed(name=name, kind="data", licence=licence)
