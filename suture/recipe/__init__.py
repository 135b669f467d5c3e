"""Recipe: everything the user asks for, and nothing about the machine that does it.

part.py       what every part of a recipe has in common
merge/        how models are merged
tokens.py     what a merge may say of its tokens and its chat template
jinja.py      whether a text is a chat template
texts.py      texts to train on and to measure on
training.py   how models are trained, and a merge healed
files.py      the files for llama.cpp
benchmark.py  what is measured
model.py      the recipe: all of them together
load.py       reading a recipe from YAML
pinned.py     a recipe whose sources are pinned to commits
"""

from suture.recipe.benchmark import (
    Benchmark,
    Capability,
    Divergence,
    Perplexity,
    Probe,
    Reference,
    Sampling,
    Speed,
)
from suture.recipe.files import NEED_IMATRIX, Gguf, Imatrix, QuantType
from suture.recipe.load import is_path, load_recipe, parse_recipe, with_absolute_paths
from suture.recipe.merge import (
    Blend,
    Blended,
    BlendedSlice,
    Filtered,
    Interleave,
    Merge,
    Passthrough,
    Setting,
    Slice,
)
from suture.recipe.model import ARMS, Recipe, Source, Stage
from suture.recipe.part import Name, Part
from suture.recipe.pinned import (
    datasets_of,
    hub_adapter,
    hub_dataset,
    hub_model,
    with_commits,
    with_dataset_commits,
)
from suture.recipe.texts import Data, Text
from suture.recipe.tokens import ChatTemplate, TokenRow, Vocabulary
from suture.recipe.training import Heal, Training

__all__ = [
    "ARMS",
    "NEED_IMATRIX",
    "Benchmark",
    "Blend",
    "Blended",
    "BlendedSlice",
    "Capability",
    "ChatTemplate",
    "Data",
    "Divergence",
    "Filtered",
    "Gguf",
    "Heal",
    "Imatrix",
    "Interleave",
    "Merge",
    "Name",
    "Part",
    "Passthrough",
    "Perplexity",
    "Probe",
    "QuantType",
    "Recipe",
    "Reference",
    "Sampling",
    "Setting",
    "Slice",
    "Source",
    "Speed",
    "Stage",
    "Text",
    "TokenRow",
    "Training",
    "Vocabulary",
    "datasets_of",
    "hub_adapter",
    "hub_dataset",
    "hub_model",
    "is_path",
    "load_recipe",
    "parse_recipe",
    "with_absolute_paths",
    "with_commits",
    "with_dataset_commits",
]
