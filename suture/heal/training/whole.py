"""Training the language model's own weights, all of them or those of some layers, and writing them down."""

# torch and transformers are partly untyped; what they return is given a type where it is kept.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

from torch import nn
from transformers import PreTrainedModel

from suture.checkpoint.layout import read_layout
from suture.checkpoint.tensors import TensorInfo
from suture.checkpoint.writer import OutputTensor, write_checkpoint
from suture.errors import RecipeError
from suture.heal.fusing.full import write_mark
from suture.heal.names import layer_of
from suture.heal.training import ranks
from suture.progress import Silent

_SHARD_BYTES = 5_000_000_000


def release_weights(model: PreTrainedModel, folder: Path, layers: tuple[int, ...] | None) -> tuple[str, ...]:
    """Make weights trainable, in fp32, and freeze all others.

    Args:
        model: The model.
        folder: The checkpoint that it was loaded from.
        layers: Only weights of these layers; None also takes the embedding, the last norm and the head.

    Returns:
        Their names, which are also those of the checkpoint's tensors.

    Raises:
        RecipeError: When transformers holds the weights in other tensors than the checkpoint.
    """
    model.requires_grad_(requires_grad=False)
    chosen = dict(_language_weights(model, layers))
    _check_names(chosen, read_layout(folder).tensors)
    for weight in chosen.values():
        weight.data = weight.data.float()
        weight.requires_grad_()
    return tuple(chosen)


def save_weights(model: nn.Module, names: tuple[str, ...], folder: Path) -> None:
    """Write weights in fp32, one by one, so that no process need hold all of them."""
    weights = dict(model.named_parameters())
    if not ranks.is_first():
        for name in names:
            ranks.whole(weights[name])
        return
    tensors = [OutputTensor(name, "F32", tuple(weights[name].shape), partial(_data, weights[name])) for name in names]
    write_checkpoint(folder, tensors, _SHARD_BYTES, Silent())
    write_mark(folder, len(tensors))


def _data(weight: nn.Parameter) -> list[bytes]:
    return [ranks.whole(weight).contiguous().numpy().tobytes()]


def _language_weights(model: PreTrainedModel, layers: tuple[int, ...] | None) -> Iterator[tuple[str, nn.Parameter]]:
    """Yield the weights of the decoder and the head: not those of a vision tower."""
    parts: tuple[nn.Module, ...] = (model.get_decoder(), model.get_output_embeddings())  # pyright: ignore[reportAssignmentType]
    language = {id(weight) for part in parts for weight in part.parameters()}
    for name, weight in model.named_parameters():
        if id(weight) in language and (layers is None or layer_of(name) in layers):
            yield name, weight


def _check_names(weights: Mapping[str, nn.Parameter], tensors: Mapping[str, TensorInfo]) -> None:
    shapes = {name: tuple(weight.shape) for name, weight in weights.items()}
    wrong = [name for name, shape in shapes.items() if name not in tensors or tensors[name].shape != shape]
    if wrong:
        raise RecipeError(
            "The model's weights cannot be trained as they are: transformers puts them together otherwise.",
            where="method",
            expected="weights of the checkpoint's names and shapes",
            found=f"{wrong[0]} {list(shapes[wrong[0]])}, which the checkpoint does not have",
            way_out="Say `method: lora`.",
        )
