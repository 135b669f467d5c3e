from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import median_abs_deviation

from suture.bench.speed import REPEATS, TOKENS, measure_speed, median
from suture.errors import TransientError
from tests.unit.bench.blocking import connected
from tests.unit.bench.scripted import Act, Scripted, refuses, says

VALUES = st.lists(st.floats(0.01, 1e4), min_size=1, max_size=9)


def timed(prompt: float, generating: float) -> Act:
    return says("One two.", timings={"prompt_per_second": prompt, "predicted_per_second": generating})


@given(VALUES)
def test_median_as_numpy_and_scipy_have_it(values: list[float]) -> None:
    found = median(values)
    spread = median_abs_deviation(values, scale="normal")  # pyright: ignore[reportArgumentType] -- its stub
    assert found.value == pytest.approx(np.median(values))
    assert found.error == pytest.approx(np.sqrt(np.pi / 2) * spread / np.sqrt(len(values)), rel=1e-4, abs=1e-9)


def test_the_error_is_that_of_the_median_of_normal_values() -> None:
    samples = np.random.default_rng(0).normal(100, 5, size=(4000, 25))
    rows = [median(row.tolist()) for row in samples]
    assert np.std([row.value for row in rows]) == pytest.approx(np.mean([row.error for row in rows]), rel=0.1)


def test_the_first_generation_only_warms_up(llama: Scripted) -> None:
    llama.default = timed(1.0, 1.0)
    acts = [timed(300.0 + number, 100.0 + number) for number in (5, 3, 1, 2, 4)]
    with connected(llama.url) as chat:
        llama.script(_question(llama), timed(1.0, 1.0), *acts)
        llama.bodies.clear()
        speed = chat.run(measure_speed(chat.chat))
    assert speed.tokens_per_second.value == 103
    assert speed.prompt_tokens_per_second is not None
    assert speed.prompt_tokens_per_second.value == 303
    assert speed.time_to_first_token.value > 0
    assert len(llama.bodies) == 1 + REPEATS
    assert {(body["max_tokens"], body["ignore_eos"], body["temperature"]) for body in llama.bodies} == {
        (TOKENS, True, 0.0)
    }


def test_an_endpoint_that_says_nothing_of_its_prompt_speed_has_none(endpoint: Scripted) -> None:
    endpoint.default = says("one two three four")
    with connected(endpoint.url) as chat:
        speed = chat.run(measure_speed(chat.chat, repeats=2))
    assert speed.prompt_tokens_per_second is None
    assert speed.tokens_per_second.value > 0


def test_answers_too_short_to_time_have_no_speed(endpoint: Scripted) -> None:
    endpoint.default = says("one")
    with connected(endpoint.url) as chat:
        assert chat.run(measure_speed(chat.chat)) is None


def test_an_answer_that_fails_is_an_error(endpoint: Scripted) -> None:
    endpoint.default = refuses(400)
    with connected(endpoint.url) as chat, pytest.raises(TransientError, match="could not be measured"):
        chat.run(measure_speed(chat.chat))


def _question(llama: Scripted) -> str:
    """Return what is asked, as the endpoint gets it."""
    with connected(llama.url) as chat:
        chat.run(measure_speed(chat.chat, repeats=1))
    return llama.bodies[0]["messages"][-1]["content"]
