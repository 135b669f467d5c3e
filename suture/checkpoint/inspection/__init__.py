"""What people look at before they merge: one checkpoint, or how far two are apart.

whole.py      one checkpoint: what it holds, and what is wrong with it
summary.py    what it holds: layers by kind, tensors outside of them
problems.py   what a later tool would choke on
compare.py    how far apart the numbers of two checkpoints are
pairing.py    which tensors of several checkpoints are the same tensor
beside.py     which config fields and files of two checkpoints differ
groups.py     what a tensor does, told from its name: attention, MLP, norm
"""

from suture.checkpoint.inspection.whole import Inspection, inspect_checkpoint

__all__ = ["Inspection", "inspect_checkpoint"]
