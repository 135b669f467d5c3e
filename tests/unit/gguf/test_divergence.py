from __future__ import annotations

import struct
from pathlib import Path

import pytest

from suture.errors import VerificationError
from suture.gguf.divergence import Divergence, Logits, parse_divergence, read_logits
from suture.gguf.measured import Measured

Q4_K_M = """\
0.00.540.067 I kl_divergence: computing over 4 chunks, n_ctx=128, batch_size=2048, n_seq=16

====== Perplexity statistics ======
Mean PPL(Q)                   :   5.164294 ±   0.747124
Mean PPL(base)                :   4.880664 ±   0.702734
Cor(ln(PPL(Q)), ln(PPL(base))):  98.73%
Mean ln(PPL(Q)/PPL(base))     :   0.056487 ±   0.022975
Mean PPL(Q)/PPL(base)         :   1.058113 ±   0.024310
Mean PPL(Q)-PPL(base)         :   0.283630 ±   0.123544

====== KL divergence statistics ======
Mean    KLD:   0.050910 ±   0.004559
Maximum KLD:   0.701692
99.9%   KLD:   0.647525
99.0%   KLD:   0.296934
95.0%   KLD:   0.167890
90.0%   KLD:   0.112791
Median  KLD:   0.029627
10.0%   KLD:   0.002468
Minimum KLD:   0.000048

====== Token probability statistics ======
Mean    Δp: -1.603 ± 0.394 %
Median  Δp: -0.286%
RMS Δp    :  6.452 ± 0.689 %
Same top p: 87.698 ± 2.073 %
"""
"""What llama-perplexity writes, without its rows per chunk and some quantiles."""

FOUND = Divergence(
    mean=Measured(0.05091, 0.004559),
    median=0.029627,
    high=0.296934,
    ratio=Measured(1.058113, 0.02431),
    same_top=Measured(0.87698, 0.02073),
    tokens=252,
)


def test_the_tools_numbers() -> None:
    assert parse_divergence(Q4_K_M, 252) == FOUND


@pytest.mark.parametrize(
    "lacking", ["Mean PPL(Q)/PPL(base)", "Mean    KLD", "99.0%   KLD", "Median  KLD", "Same top p"]
)
def test_an_output_that_lacks_a_number_gives_none(lacking: str) -> None:
    lines = [line for line in Q4_K_M.splitlines() if not line.startswith(lacking)]
    assert parse_divergence("\n".join(lines), 252) is None


def test_an_output_that_was_cut_off_gives_none() -> None:
    end = Q4_K_M.index("====== Token")
    assert parse_divergence(Q4_K_M[:end], 252) is None
    assert parse_divergence("", 252) is None


@pytest.mark.parametrize("nan", ["nan", "-nan"])
def test_a_mean_that_is_no_number_gives_none(nan: str) -> None:
    assert parse_divergence(Q4_K_M.replace("  0.050910 ±   0.004559", f"       {nan} ±        {nan}"), 252) is None
    assert parse_divergence(Q4_K_M.replace("  1.058113 ±", f"       {nan} ±"), 252) is None


def test_models_that_agree_up_to_rounding_differ_by_nothing_without_error() -> None:
    """The tool takes a root of a difference of variances, which rounding makes negative."""
    same = Q4_K_M.replace("  1.058113 ±   0.024310", "  1.000000 ±       -nan")
    found = parse_divergence(same, 252)
    assert found is not None
    assert found.ratio == Measured(1.0, 0.0)


def test_a_divergence_may_lie_a_rounding_below_zero() -> None:
    found = parse_divergence(Q4_K_M.replace("  0.050910 ±", " -0.000001 ±"), 252)
    assert found is not None
    assert found.mean.value == -1e-6


@pytest.mark.parametrize(("vocabulary", "expected"), [(49152, 24_776_692), (7, 20 + 4 * 4 * 128 + 4 * 63 * 24)])
def test_the_size_is_known_beforehand(vocabulary: int, expected: int) -> None:
    """24,776,692 bytes is what the tool wrote for the small model; rows of an odd vocabulary are rounded up."""
    assert Logits(context=128, vocabulary=vocabulary, chunks=4).size == expected


def written(path: Path, logits: Logits, missing: int = 0) -> Path:
    head = struct.pack("<8s3i", b"_logits_", logits.context, logits.vocabulary, logits.chunks)
    path.write_bytes(head + bytes(logits.size - len(head) - missing))
    return path


def test_a_file_of_predictions_says_what_it_holds(tmp_path: Path) -> None:
    logits = Logits(context=32, vocabulary=7, chunks=3)
    assert read_logits(written(tmp_path / "x.logits", logits)) == logits
    assert logits.tokens == 3 * 15


def test_a_file_that_was_cut_off_is_refused_with_its_size(tmp_path: Path) -> None:
    logits = Logits(context=32, vocabulary=7, chunks=3)
    with pytest.raises(VerificationError, match="not whole") as caught:
        read_logits(written(tmp_path / "x.logits", logits, missing=1))
    assert caught.value.expected == f"{logits.size:,} bytes"
    assert caught.value.found == f"{logits.size - 1:,} bytes"


@pytest.mark.parametrize("content", [b"", b"_logits_", b"GGUF" + bytes(100)])
def test_other_files_are_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "x.logits"
    path.write_bytes(content)
    with pytest.raises(VerificationError, match="no file of predictions"):
        read_logits(path)
