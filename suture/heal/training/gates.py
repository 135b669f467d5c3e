"""Gates: factors on what repeated layers add to the residual stream, trained beside the adapter.

With W the projection's weights and b its bias, g its gate, and s B A the adapter's update, the layer computes

    g (W x + b) + s B A x

so that it can be fused exactly: g W + s B A, g b. The adapter itself is not damped: it starts at zero anyway.
"""

# peft is partly untyped.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from peft import PeftModel
from torch import Tensor, nn
from transformers import PreTrainedModel

from suture.errors import RecipeError
from suture.heal.names import GATED, GATES, layer_of
from suture.heal.train import Gates
from suture.heal.training import ranks

_WRAPPED = ".base_layer"


class GateSet:
    """The gates of a model under training.

    Args:
        model: The model, with its adapter if it has one.
        asked: Which layers, and how they start.

    Raises:
        RecipeError: When those layers have no projection that could be gated.
    """

    def __init__(self, model: PreTrainedModel | PeftModel, asked: Gates) -> None:
        self._gated = dict(_projections(model, asked.layers))
        for linear in self._gated.values():
            _attach(linear, asked)
        if not self._gated:
            raise RecipeError(
                "The model's repeated layers have nothing that could be damped.",
                where="heal.start",
                expected=f"projections called {', '.join(GATED)}",
                way_out="Say `start: raw`.",
            )

    @property
    def trainable(self) -> list[nn.Parameter]:
        """The gates that learn."""
        return [gate for gate in map(_gate, self._gated.values()) if gate.requires_grad]

    @property
    def values(self) -> dict[str, float]:
        """Module -> its gate now."""
        return {name: float(ranks.whole(_gate(linear))) for name, linear in self._gated.items()}

    def save(self, folder: Path) -> None:
        """Write the gates to a folder; processes that share the training all call it."""
        text = json.dumps(self.values, indent=1) + "\n"  # a float32 survives this exactly
        if ranks.is_first():
            (folder / GATES).write_text(text)

    def load(self, folder: Path) -> None:
        """Take the gates from a folder that `save` wrote to."""
        values: Mapping[str, float] = json.loads((folder / GATES).read_bytes())
        with torch.no_grad():
            for name, linear in self._gated.items():
                _gate(linear).fill_(values[name])


def _projections(model: PreTrainedModel | PeftModel, layers: tuple[int, ...]) -> Iterator[tuple[str, nn.Linear]]:
    """Yield the linear layers to be gated, by their names in the model without its adapter."""
    base = model.get_base_model() if isinstance(model, PeftModel) else model
    decoder = {id(module) for module in base.get_decoder().modules()}  # pyright: ignore[reportCallIssue]
    for name, module in base.named_modules():
        plain = name.removesuffix(_WRAPPED)
        if (
            isinstance(module, nn.Linear)
            and id(module) in decoder
            and plain.rpartition(".")[2] in GATED
            and layer_of(plain) in layers
        ):
            yield plain, module


def _attach(linear: nn.Linear, asked: Gates) -> None:
    """Multiply what a projection gives by a gate of its own."""
    # of one number, and not a number alone: FSDP shares nothing else out
    start = torch.full((1,), asked.start, dtype=torch.float32, device=linear.weight.device)
    linear.register_parameter("gate", nn.Parameter(start, requires_grad=asked.learning_rate > 0))

    def scale(module: nn.Module, _inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        return output * _gate(module).to(output.dtype)

    linear.register_forward_hook(scale)


def _gate(linear: nn.Module) -> nn.Parameter:
    """Return a projection's gate as it is now: FSDP exchanges it."""
    return linear.gate  # pyright: ignore[reportReturnType]
