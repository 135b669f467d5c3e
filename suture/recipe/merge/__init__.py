"""How models are merged: stacked from slices of layers, or blended tensor by tensor.

common.py   what every merge has, and what its parts are made of
stack.py    merges that stack slices of layers
methods.py  the methods that blend, and what each of them takes
blend.py    merges that blend
"""

from typing import Annotated

from pydantic import Field

from suture.recipe.merge.blend import Blend, Blended, BlendedSlice
from suture.recipe.merge.common import Filtered, Setting
from suture.recipe.merge.methods import MODEL_SETTINGS, TAKES, TASK_VECTOR_METHODS, BlendMethod
from suture.recipe.merge.stack import Interleave, Passthrough, Slice
from suture.recipe.part import any_of

Merge = Annotated[Passthrough | Blend, Field(discriminator="method", json_schema_extra=any_of)]

__all__ = [
    "MODEL_SETTINGS",
    "TAKES",
    "TASK_VECTOR_METHODS",
    "Blend",
    "BlendMethod",
    "Blended",
    "BlendedSlice",
    "Filtered",
    "Interleave",
    "Merge",
    "Passthrough",
    "Setting",
    "Slice",
]
