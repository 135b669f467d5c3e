"""The model under training, in 4 bits."""

from __future__ import annotations

from pathlib import Path

import torch

from suture.heal.train import TrainSpec
from suture.heal.training.model import add_adapter, load_model

SPEC = TrainSpec(
    method="qlora",
    rank=2,
    alpha=2,
    targets=("q_proj", "down_proj"),
    learning_rate=1e-3,
    warmup_steps=0,
    steps=1,
    batch_size=1,
    gradient_accumulation=1,
    checkpoint_every=1,
    seed=0,
)


def test_an_evaluation_leaves_the_gradients_as_they_were(pico: Path) -> None:
    """On CPUs with AVX-512 BF16 bitsandbytes packs 4-bit weights for inference, and gives no gradients then."""
    model = add_adapter(load_model(pico, "qlora"), SPEC)
    ids = torch.arange(16)[None]

    def gradients() -> list[torch.Tensor]:
        model.train().zero_grad()
        model(input_ids=ids, labels=ids).loss.backward()
        return [parameter.grad.clone() for parameter in model.parameters() if parameter.grad is not None]

    before = gradients()
    with torch.no_grad():
        model.eval()(input_ids=ids)
    after = gradients()
    assert len(before) == 2 * 2 * 3
    torch.testing.assert_close(after, before, rtol=0, atol=0)
