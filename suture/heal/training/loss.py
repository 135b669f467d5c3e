"""The loss of a language model, made of some tokens' logits at a time.

With a vocabulary of 248,320, the logits of 2 x 4096 tokens take 8 GB in fp32, and the loss and its gradient make more
of that size: more than all the rest of a QLoRA. Here the head passes the hidden states on, and the loss makes logits
of some tokens at a time, and makes them again in the backward pass. A token without a label gets none.
"""

# torch and transformers are partly untyped.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint
from transformers import PreTrainedModel
from transformers.loss.loss_utils import ForCausalLMLoss

from suture.heal.data.chat import NO_LOSS

_LOGITS = 2**27
"""Numbers at a time: half a GB in fp32. Where all tokens' logits are fewer, nothing is made twice."""


def spare_logits(model: PreTrainedModel) -> bool:
    """Have a model make its loss of some tokens' logits at a time; what it calls logits are hidden states then.

    Returns:
        Whether it does. A model that does more to its logits than its head, or has a loss of its own, is left alone.
    """
    head = model.get_output_embeddings()
    if head is None or model.loss_function is not ForCausalLMLoss or not _is_all_there_is(model, head):
        return False
    model.loss_function = Sparing(head.forward)
    head.forward = _pass_on
    return True


class Sparing:
    """The mean cross-entropy of the next tokens, as transformers calls it.

    Args:
        logits: Makes logits of hidden states, (tokens, width) to (tokens, vocabulary).
    """

    def __init__(self, logits: Callable[[Tensor], Tensor]) -> None:
        self._logits = logits

    def __call__(
        self,
        logits: Tensor,
        labels: Tensor,
        vocab_size: int,
        num_items_in_batch: Tensor | int | None = None,
        **_: object,
    ) -> Tensor:
        """Return the loss.

        Args:
            logits: The hidden states, (rows, length, width).
            labels: (rows, length); -100 where none is taken.
            vocab_size: Entries of the vocabulary.
            num_items_in_batch: What the sum is divided by; the labels that count when None.
        """
        following = nn.functional.pad(labels, (0, 1), value=NO_LOSS)[:, 1:].to(logits.device)
        learned = following != NO_LOSS
        hidden, targets = logits[learned], following[learned]
        count = max(1, _LOGITS // vocab_size)
        parts = zip(hidden.split(count), targets.split(count), strict=True)
        if len(targets) <= count:
            total = self._sum(hidden, targets)
        else:
            sums = [checkpoint(self._sum, states, ids, use_reentrant=False) for states, ids in parts]
            total = torch.stack(sums).sum()
        return total / (len(targets) if num_items_in_batch is None else num_items_in_batch)

    def _sum(self, hidden: Tensor, targets: Tensor) -> Tensor:
        return nn.functional.cross_entropy(self._logits(hidden).float(), targets, reduction="sum")


def _pass_on(hidden: Tensor) -> Tensor:
    return hidden


def _is_all_there_is(model: PreTrainedModel, head: nn.Module) -> bool:
    """Return whether the model's logits are what its head gives, unscaled and uncapped."""
    given: list[Tensor] = []

    def keep(_module: nn.Module, _inputs: tuple[Tensor, ...], output: Tensor) -> None:
        given.append(output)

    hook = head.register_forward_hook(keep)
    mode = model.training
    model.train()  # else bitsandbytes would pack 4-bit weights for inference on a CPU
    with torch.no_grad():
        logits = model(input_ids=torch.arange(8, device=model.device)[None]).logits
    model.train(mode)
    hook.remove()
    return len(given) == 1 and torch.equal(logits, given[0])
