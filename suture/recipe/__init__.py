"""Recipe: everything the user asks for, and nothing about the machine that does it.

part.py     what every part of a recipe has in common
merge.py    how models are merged
tokens.py   what a merge may say of its tokens and its chat template
jinja.py    whether a text is a chat template
model.py    everything else: sources, training, files, measurements
load.py     reading a recipe from YAML
"""

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
from suture.recipe.model import (
    ARMS,
    NEED_IMATRIX,
    Benchmark,
    Capability,
    Data,
    Divergence,
    Gguf,
    Heal,
    Imatrix,
    Perplexity,
    QuantType,
    Recipe,
    Reference,
    Sampling,
    Source,
    Speed,
    Stage,
    Text,
    Training,
)
from suture.recipe.part import Name, Part
from suture.recipe.tokens import ChatTemplate, TokenRow, Vocabulary

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
    "is_path",
    "load_recipe",
    "parse_recipe",
    "with_absolute_paths",
]
