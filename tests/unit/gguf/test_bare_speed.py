from __future__ import annotations

import json
import math
import statistics

import pytest

from suture.gguf.speed import BareSpeed, parse_speed

COMMON = '"build_commit": "sdist-0.3.36", "cpu_info": "AMD EPYC", "gpu_info": "", "backends": "CPU", "n_threads": 2'
PROMPT = (
    f'{{{COMMON}, "n_prompt": 32, "n_gen": 0, "n_depth": 0, "avg_ts": 51.087136, "stddev_ts": 12.360212, '
    '"samples_ns": [ 495346292, 792961952, 662455761 ],"samples_ts": [ 64.6013, 40.355, 48.3051 ]}'
)
GENERATION = (
    f'{{{COMMON}, "n_prompt": 0, "n_gen": 4, "n_depth": 0, "avg_ts": 13.921417, "stddev_ts": 0.596450, '
    '"samples_ns": [ 279985594, 280806494, 302271922 ],"samples_ts": [ 14.2864, 14.2447, 13.2331 ]}'
)
OUTPUT = f"""\
llama-bench: benchmark 1/2: starting
llama-bench: benchmark 1/2: warmup prompt run
llama-bench: benchmark 1/2: prompt run 1/3
{PROMPT}
llama-bench: benchmark 2/2: starting
llama-bench: benchmark 2/2: generation run 3/3
{GENERATION}
"""
"""What llama-bench writes, without most of the fields."""


def found(output: str) -> BareSpeed:
    speed = parse_speed(output)
    assert speed is not None
    return speed


def test_means_are_the_tools_and_errors_those_of_means() -> None:
    speed = found(OUTPUT)
    assert speed.prompt.value == pytest.approx(51.087136, rel=1e-6)
    assert speed.prompt.error == pytest.approx(12.360212 / math.sqrt(3), rel=1e-5)
    assert speed.generation.value == pytest.approx(13.921417, rel=1e-5)
    assert speed.generation.error == pytest.approx(statistics.stdev([14.2864, 14.2447, 13.2331]) / math.sqrt(3))
    assert (speed.threads, speed.device) == (2, "AMD EPYC")


def test_a_gpu_is_what_it_ran_on() -> None:
    assert found(OUTPUT.replace('"gpu_info": ""', '"gpu_info": "Some GPU"')).device == "Some GPU"


def test_the_order_of_the_tests_does_not_matter() -> None:
    assert found(f"{GENERATION}\n{PROMPT}\n") == found(OUTPUT)


@pytest.mark.parametrize("cut", [0, 100, OUTPUT.index(GENERATION), OUTPUT.index(GENERATION) + 200])
def test_an_output_that_was_cut_off_gives_none(cut: int) -> None:
    assert parse_speed(OUTPUT[:cut]) is None


@pytest.mark.parametrize("samples", [[], [50.0], [50.0, float("nan")], [50.0, float("inf")], [50.0, 0.0]])
def test_samples_without_a_number_or_an_error_give_none(samples: list[float]) -> None:
    row = json.loads(PROMPT) | {"samples_ts": samples}
    assert parse_speed(f"{json.dumps(row)}\n{GENERATION}\n") is None


def test_runs_that_took_equally_long_have_no_error() -> None:
    row = json.loads(PROMPT) | {"samples_ts": [50.0, 50.0, 50.0]}
    assert found(f"{json.dumps(row)}\n{GENERATION}\n").prompt.error == 0.0
