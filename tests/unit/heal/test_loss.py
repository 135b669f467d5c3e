"""A loss that is made of some tokens' logits at a time is the same loss, with the same gradients."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from transformers import Gemma2Config, Gemma2ForCausalLM, LlamaConfig, LlamaForCausalLM

from suture.heal.training import loss

SIZES: dict[str, Any] = {
    "vocab_size": 96,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 16,
    "pad_token_id": 0,
}


@pytest.mark.parametrize("items", [None, 40])
@pytest.mark.parametrize("at_once", [1000, 7], ids=["all at once", "some at a time"])
def test_loss_and_gradients_are_those_of_transformers(
    monkeypatch: pytest.MonkeyPatch, at_once: int, items: int | None
) -> None:
    monkeypatch.setattr(loss, "_LOGITS", at_once * SIZES["vocab_size"])
    torch.manual_seed(0)
    plain = LlamaForCausalLM(LlamaConfig(**SIZES))
    sparing = copy.deepcopy(plain)
    assert loss.spare_logits(sparing)
    ids = torch.randint(0, SIZES["vocab_size"], (2, 16))
    labels = torch.where(torch.rand(ids.shape) < 0.3, -100, ids)
    kwargs: dict[str, Any] = {} if items is None else {"num_items_in_batch": torch.tensor(items)}
    losses = [model.train()(input_ids=ids, labels=labels, **kwargs).loss for model in (plain, sparing)]
    torch.testing.assert_close(losses[1], losses[0])
    for one in losses:
        one.backward()
    for (name, ours), theirs in zip(sparing.named_parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad, msg=name)


def test_no_more_logits_are_made_than_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loss, "_LOGITS", 5 * SIZES["vocab_size"])
    model = LlamaForCausalLM(LlamaConfig(**SIZES))
    made: list[int] = []
    forward = model.lm_head.forward

    def counted(hidden: torch.Tensor) -> torch.Tensor:
        made.append(len(hidden))
        return forward(hidden)

    assert loss.spare_logits(model)
    model.loss_function = loss.Sparing(counted)
    ids = torch.ones((1, 13), dtype=torch.long)
    model(input_ids=ids, labels=ids).loss.backward()
    assert made == [5, 5, 2, *reversed([5, 5, 2])]  # and again in the backward pass


def test_a_row_without_labels_has_a_loss_of_zero_and_a_gradient() -> None:
    model = LlamaForCausalLM(LlamaConfig(**SIZES))
    assert loss.spare_logits(model)
    ids = torch.ones((1, 4), dtype=torch.long)
    found = model(input_ids=ids, labels=torch.full_like(ids, -100), num_items_in_batch=torch.tensor(8)).loss
    found.backward()
    assert found.item() == 0


def test_a_model_that_caps_its_logits_is_left_alone() -> None:
    model = Gemma2ForCausalLM(Gemma2Config(**SIZES, final_logit_softcapping=30.0))
    assert not loss.spare_logits(model)
    ids = torch.ones((1, 4), dtype=torch.long)
    assert model(input_ids=ids, labels=ids).logits.shape == (1, 4, SIZES["vocab_size"])
