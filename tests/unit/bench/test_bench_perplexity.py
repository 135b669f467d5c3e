from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from suture.bench.perplexity import PerplexitySpec, _by_name, combine
from suture.corpus import PinnedText
from suture.gguf.perplexity import Estimate

ESTIMATES = st.builds(Estimate, st.floats(1.5, 1e5), st.floats(1e-3, 10), st.integers(1, 10**6))


def text(name: str, sha256: str = "0" * 64, path: str | None = None) -> PinnedText:
    return PinnedText(name=name, part="heldout", sha256=sha256, weight=1.0, path=Path(path) if path else None)


def test_two_halves_of_one_text_make_its_perplexity() -> None:
    losses = np.random.default_rng(1).gamma(2.0, 1.5, size=6000)  # negative log-likelihoods of tokens

    def estimate(part: np.ndarray) -> Estimate:
        value = math.exp(part.mean())
        return Estimate(value, value * part.std(ddof=1) / math.sqrt(len(part)), len(part))

    both = combine([estimate(losses[:1500]), estimate(losses[1500:])])
    whole = estimate(losses)
    assert both.value == pytest.approx(whole.value, rel=1e-12)
    assert both.error == pytest.approx(whole.error, rel=0.01)  # the halves' means differ a little
    assert both.tokens == whole.tokens


def test_the_error_is_what_repeated_measurements_scatter_by() -> None:
    random = np.random.default_rng(2)
    truth = [Estimate(20.0, 0.6, 3000), Estimate(7.0, 0.1, 1000)]
    drawn = [
        combine([Estimate(random.normal(row.value, row.error), row.error, row.tokens) for row in truth])
        for _ in range(20_000)
    ]
    assert np.std([row.value for row in drawn]) == pytest.approx(combine(truth).error, rel=0.03)


@given(ESTIMATES)
def test_one_text_is_left_as_it_is(estimate: Estimate) -> None:
    alone = combine([estimate])
    assert (alone.value, alone.error) == (pytest.approx(estimate.value), pytest.approx(estimate.error))
    assert alone.tokens == estimate.tokens


@given(st.lists(ESTIMATES, min_size=2, max_size=5), st.randoms(use_true_random=False))
def test_neither_order_nor_grouping_matters(estimates: list[Estimate], random) -> None:  # noqa: ANN001 -- Random
    whole = combine(estimates)
    grouped = combine([combine(estimates[:1]), combine(estimates[1:])])
    random.shuffle(estimates)
    for other in (combine(estimates), grouped):
        assert other.value == pytest.approx(whole.value)
        assert other.error == pytest.approx(whole.error)
        assert other.tokens == whole.tokens


@given(st.lists(ESTIMATES, min_size=1, max_size=5))
def test_the_whole_lies_between_its_texts(estimates: list[Estimate]) -> None:
    values = [estimate.value for estimate in estimates]
    assert min(values) * (1 - 1e-9) <= combine(estimates).value <= max(values) * (1 + 1e-9)


def test_texts_of_one_name_are_told_apart() -> None:
    a, b, c = text("notes.txt", "a" * 64), text("notes.txt", "b" * 64), text("builtin:code")
    assert _by_name([a, b, c]) == {"notes.txt aaaaaaaa": a, "notes.txt bbbbbbbb": b, "builtin:code": c}


def test_where_a_text_lies_is_no_part_of_the_key() -> None:
    here, there = (PerplexitySpec(texts=(text("t.txt", path=path),), chunks=2, context=64) for path in ("/a", "/b"))
    assert here.model_dump(mode="json") == there.model_dump(mode="json")


@pytest.mark.parametrize("changes", [{"texts": ()}, {"chunks": 1}, {"context": 16}, {"stride": 2}])
def test_the_spec_has_limits(changes: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        PerplexitySpec.model_validate({"texts": (text("t.txt"),), "chunks": 2, "context": 64} | changes)
