from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from suture.errors import DataError
from suture.gguf.perplexity import chunk_losses, require_long_enough, tokens_per_chunk

TEXT = Path("prose.txt")


@pytest.mark.parametrize("context", [32, 33, 512, 4096])
def test_the_second_half_of_a_chunk_is_predicted_but_for_what_has_no_successor(context: int) -> None:
    predicted = [position for position in range(context) if position >= context // 2 and position + 1 < context]
    assert tokens_per_chunk(context) == len(predicted)


def test_too_few_tokens_are_refused_with_their_number() -> None:
    line = "0.00.360.084 E perplexity: the data file you provided tokenizes to only 250 tokens"
    with pytest.raises(DataError) as caught:
        require_long_enough(line, TEXT, 4, 512)
    assert caught.value.found == "250 tokens"
    assert caught.value.expected == "4 chunks of 512 tokens"
    assert caught.value.where == TEXT


def test_fewer_chunks_than_asked_for_are_refused_with_their_number() -> None:
    line = "0.00.207 I perplexity: calculating perplexity over 3 chunks, n_ctx=512, batch_size=2048, n_seq=4"
    with pytest.raises(DataError) as caught:
        require_long_enough(line, TEXT, 4, 512)
    assert caught.value.found == "3 chunks"


def test_enough_chunks_pass() -> None:
    line = "0.00.207 I perplexity: calculating perplexity over 4 chunks, n_ctx=512, batch_size=2048, n_seq=4"
    require_long_enough(line, TEXT, 4, 512)
    require_long_enough("0.00.193 I cmn  init: llama threadpool init, n_threads = 2", TEXT, 4, 512)


@given(st.lists(st.floats(0.01, 15), min_size=2, max_size=200))
def test_each_chunk_is_as_exact_as_it_says(losses: list[float]) -> None:
    running = [round(sum(losses[:count]) / count, 6) for count in range(1, len(losses) + 1)]  # as the tool prints
    found = chunk_losses(running)
    assert len(found) == len(losses)
    for number, (chunk, loss) in enumerate(zip(found, losses, strict=True), start=1):
        assert abs(chunk - loss) <= (2 * number - 1) * 5e-7 + 1e-6
    assert sum(found) / len(found) == pytest.approx(running[-1], abs=1e-6)
