"""The processes that share a training, as seen from one of them: who writes, and how all know the same.

With one process all of this is trivial, and torch.distributed is not there.
"""

# torch and accelerate are partly untyped.
# pyright: reportMissingTypeStubs=false
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch
from accelerate import PartialState
from accelerate.utils import DistributedType
from torch import Tensor, distributed, nn
from torch.distributed.fsdp import FSDPModule
from torch.distributed.tensor import DTensor
from transformers import TrainingArguments

from suture.errors import HostError

_Answer = TypeVar("_Answer")


def check_gpus(processes: int) -> None:
    """Refuse more processes than there are GPUs; where there is none, they share the CPU.

    Raises:
        HostError: With both numbers.
    """
    gpus = torch.cuda.device_count()
    if 0 < gpus < processes:
        raise HostError(
            "The machine has fewer GPUs than the training has processes.",
            where="processes",
            expected=f"{processes} GPUs, one for each process",
            found=gpus,
            way_out=f"Set processes to {gpus}; gradient_accumulation must be a multiple of it.",
        )


def shard(args: TrainingArguments) -> None:
    """Have the parameters shared out among the processes, on CPUs too: torch does it there, accelerate on GPUs alone.

    To be called before there is a Trainer.
    """
    if args.world_size > 1 and not torch.cuda.is_available():
        PartialState().distributed_type = DistributedType.MULTI_GPU


def is_first() -> bool:
    """Return whether this is the process that writes what they have in common."""
    return not distributed.is_initialized() or distributed.get_rank() == 0


def wait() -> None:
    """Go on when all have come this far."""
    if distributed.is_initialized():
        distributed.barrier()


def first_says(answer: Callable[[], _Answer]) -> _Answer:
    """Return what the first process finds; the others do not look."""
    if not distributed.is_initialized():
        return answer()
    box: list[_Answer | None] = [answer() if is_first() else None]
    distributed.broadcast_object_list(box)
    return box[0]  # pyright: ignore[reportReturnType] -- it is what the first one put in


def share_out(model: nn.Module) -> None:
    """Share out again what was put together for a forward pass that no backward pass follows."""
    for module in model.modules():
        if isinstance(module, FSDPModule):
            module.reshard()


def whole(tensor: Tensor) -> Tensor:
    """Return all of a tensor of which each process may hold a share; all must ask, in the same order."""
    return (tensor.full_tensor() if isinstance(tensor, DTensor) else tensor).detach().cpu()


def leave() -> None:
    """Part from the other processes."""
    if distributed.is_initialized():
        distributed.destroy_process_group()
