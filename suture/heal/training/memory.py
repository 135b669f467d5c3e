"""Memory of a training: how much it has used at most, how much there is, and what to say when it was not enough."""

from __future__ import annotations

import os
import resource

import torch

from suture.errors import HostError
from suture.progress import human_bytes

_REFUSED = ("can't allocate memory", "Cannot allocate memory")
"""What torch's allocator and the system say on a CPU, where there is no exception of its own for it."""


def memory_bytes() -> int:
    """Return the most memory used so far: of the GPU where there is one, else of this process."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_reserved()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024  # Linux counts in KiB


def memory_there_is() -> int:
    """Return the memory of the GPU where there is one, else of this machine."""
    if torch.cuda.is_available():
        return torch.cuda.mem_get_info()[1]
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def is_for_want_of_memory(error: BaseException) -> bool:
    """Return whether an error says that no more memory was to be had."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError | OSError) and any(words in str(error) for words in _REFUSED)


def too_little_memory(error: BaseException, method: str) -> HostError:
    """Return what to say of such an error in a training of this method."""
    on_gpu = isinstance(error, torch.OutOfMemoryError)
    ways = ["a smaller batch_size (with a larger gradient_accumulation)", "a smaller sequence_length"]
    if method != "qlora":
        ways.insert(0, "method qlora")
    return HostError(
        f"The {'GPU' if on_gpu else 'machine'} has too little memory for this training.",
        where=f"{torch.cuda.get_device_name() if on_gpu else 'this machine'}, {human_bytes(memory_there_is())}",
        found=(str(error).splitlines() or [type(error).__name__])[0],
        way_out=f"Use {', '.join(ways[:-1])} or {ways[-1]}; `suture heal RECIPE --dry-run` tells what it takes. "
        "The same command goes on from the last checkpoint.",
    )
