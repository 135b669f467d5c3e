"""What a config says of each layer, and the config of a new stack of layers.

stacked.py   the config of a stack: all that is per layer follows the layers
kinds.py     what a config says of each layer, read from whatever form it says it in
forms.py     these forms: lists, texts, numbers of layers
rules.py     arithmetic that gives each layer its kind: periods, offsets, how many come first
granted.py   what the classes of some model types take for granted where a config says nothing
places.py    what ties a layer to its place, so that it cannot be moved
"""

from suture.checkpoint.config.kinds import PLACE_FIELDS
from suture.checkpoint.config.stacked import agree_on_mtp, stack_config

__all__ = ["PLACE_FIELDS", "agree_on_mtp", "stack_config"]
