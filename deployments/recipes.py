"""A step for `prefect deploy`: the recipe that a deployment's form begins with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import suture
from suture.recipe import load_recipe


def read_recipe(path: str) -> dict[str, Any]:
    """Return a recipe of the checkout, every field filled in, as `{{ recipe }}` of prefect.yaml.

    Args:
        path: The file, from the checkout's top folder.
    """
    checkout = Path(suture.__file__).parents[1]
    return {"recipe": load_recipe(checkout / path).model_dump(mode="json")}
