"""Fusing what was trained into the 16-bit checkpoint it was trained on.

fuse.py              step: tensor by tensor
adapter.py           what an adapter does to each tensor of a checkpoint
adapter_names.py     which layers of the checkpoint its names mean
adapter_config.py    what its config says, and which kinds are refused
full.py              what trained weights do to each tensor
update.py            the arithmetic
"""
