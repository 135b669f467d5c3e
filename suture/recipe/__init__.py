"""Recipe: everything the user asks for, and nothing about the machine that does it.

part.py     what every part of a recipe has in common
merge.py    how models are merged
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
    Vocabulary,
)
from suture.recipe.model import (
    ARMS,
    Benchmark,
    Capability,
    Gguf,
    Heal,
    Perplexity,
    QuantType,
    Recipe,
    Reference,
    Source,
    Stage,
    Text,
    Training,
)
from suture.recipe.part import Name, Part

__all__ = [
    "ARMS",
    "Benchmark",
    "Blend",
    "Blended",
    "BlendedSlice",
    "Capability",
    "Filtered",
    "Gguf",
    "Heal",
    "Interleave",
    "Merge",
    "Name",
    "Part",
    "Passthrough",
    "Perplexity",
    "QuantType",
    "Recipe",
    "Reference",
    "Setting",
    "Slice",
    "Source",
    "Stage",
    "Text",
    "Training",
    "Vocabulary",
    "is_path",
    "load_recipe",
    "parse_recipe",
    "with_absolute_paths",
]
