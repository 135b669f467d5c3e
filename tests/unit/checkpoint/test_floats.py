from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from suture.checkpoint.floats import from_float32, to_float32

DTYPES = {"BF16": torch.bfloat16, "F16": torch.float16, "F32": torch.float32}
EVERY_16_BITS = np.arange(2**16, dtype=np.uint16).tobytes()


@pytest.mark.parametrize("name", ["BF16", "F16"])
def test_every_16_bit_number_becomes_what_torch_says_and_comes_back(name: str) -> None:
    numbers = to_float32(EVERY_16_BITS, name)
    theirs = torch.frombuffer(bytearray(EVERY_16_BITS), dtype=DTYPES[name]).float().numpy()
    np.testing.assert_array_equal(numbers, theirs)
    back = np.frombuffer(from_float32(numbers, name), np.uint16)
    is_number = ~np.isnan(numbers)
    np.testing.assert_array_equal(back[is_number], np.frombuffer(EVERY_16_BITS, np.uint16)[is_number])
    assert np.isnan(to_float32(back.tobytes(), name)[~is_number]).all()


@pytest.mark.parametrize("name", DTYPES)
@given(bits=st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=20))
def test_any_number_is_rounded_as_torch_rounds(name: str, bits: list[int]) -> None:
    numbers = np.array(bits, np.uint32).view(np.float32)
    theirs = torch.from_numpy(numbers).to(DTYPES[name]).float().numpy()
    np.testing.assert_array_equal(to_float32(from_float32(numbers, name), name), theirs)


@pytest.mark.parametrize("name", ["BF16", "F16"])
def test_halfway_between_two_numbers_goes_to_the_even_one(name: str) -> None:
    positive = to_float32(EVERY_16_BITS, name)[: 0x7C00 if name == "F16" else 0x7F80]
    halfway = ((positive[:-1].astype(np.float64) + positive[1:].astype(np.float64)) / 2).astype(np.float32)
    halfway = halfway[np.isfinite(halfway)]
    rounded = np.frombuffer(from_float32(halfway, name), np.uint16)
    assert (rounded % 2 == 0).all()
