from __future__ import annotations

import contextlib
import json
import re
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors
from hypothesis import example, given, settings
from hypothesis import strategies as st

from suture.checkpoint import header as header_module
from suture.checkpoint.header import LENGTH_BYTES, header_length, parse_header, read_header
from suture.checkpoint.tensors import TensorInfo
from suture.errors import CheckpointError

RawFile = Callable[..., Path]


def entry(begin: int = 0, end: int = 4, dtype: Any = "F16", shape: Any = (2,)) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


def test_a_header_is_read_from_its_literal_bytes(tmp_path: Path) -> None:
    text = b'{"__metadata__":{"format":"pt"},"b":{"dtype":"F32","shape":[1,2],"data_offsets":[2,10]},'
    text += b'"a":{"dtype":"BF16","shape":[],"data_offsets":[0,2]}}'
    path = tmp_path / "model.safetensors"
    path.write_bytes(len(text).to_bytes(8, "little") + text + b"0123456789")
    header = read_header(path)
    assert header.tensors == {"a": TensorInfo("BF16", ()), "b": TensorInfo("F32", (1, 2))}
    assert header.starts == {"a": 8 + len(text), "b": 8 + len(text) + 2}


def test_a_truncated_file_is_named_with_both_sizes(raw_file: RawFile) -> None:
    path = raw_file({"a": entry()}, b"1234")
    whole = path.stat().st_size
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(CheckpointError) as caught:
        read_header(path)
    assert (caught.value.where, caught.value.expected, caught.value.found) == (
        path,
        f"{whole} bytes",
        f"{whole - 1} bytes",
    )


@pytest.mark.parametrize("length", [0, 3, 7, 8, 30])
def test_a_file_cut_off_in_its_header(raw_file: RawFile, length: int) -> None:
    path = raw_file({"a": entry()}, b"1234")
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(CheckpointError, match="ends before its header"):
        read_header(path)


def test_a_pointer_of_gits_is_told_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    with pytest.raises(CheckpointError, match="git lfs pull"):
        read_header(path)


def test_a_name_given_twice_among_very_many_is_found_at_once(raw_file: RawFile) -> None:
    names = [*range(50_000), 49_999]  # comparing each name with all others would take minutes
    path = raw_file("{" + ",".join(f'"{name}":0' for name in names) + "}")
    with pytest.raises(CheckpointError, match=r"given twice[\s\S]*49999"):
        read_header(path)


MALFORMED = {
    "surplus bytes": ({"a": entry()}, b"12345", "surplus"),
    "hole": ({"a": entry(), "b": entry(6, 10)}, b"1234567890", "'b' is malformed"),
    "hole at the start": ({"a": entry(2, 6)}, b"123456", "'a' is malformed"),
    "overlap": ({"a": entry(), "b": entry(2, 6)}, b"123456", "'b' is malformed"),
    "the same bytes twice": ({"a": entry(), "b": entry()}, b"1234", "'b' is malformed"),
    "negative offset": ({"a": entry(-4, 0)}, b"1234", "data_offsets"),
    "offsets the wrong way round": ({"a": entry(4, 0)}, b"1234", "data_offsets"),
    "one offset": ({"a": {"dtype": "F16", "shape": [2], "data_offsets": [0]}}, b"1234", "data_offsets"),
    "a truth value for an offset": ({"a": entry(False, 4)}, b"1234", "data_offsets"),
    "bytes and shape disagree": ({"a": entry(shape=[3])}, b"1234", "to take 6 bytes"),
    "minus nought in a shape": ('{"a":{"dtype":"F16","shape":[-0],"data_offsets":[0,0]}}', b"", "shape"),
    "a shape that overflows on the way": ({"a": entry(0, 0, shape=[2**62, 2**62, 0])}, b"", "fewer than 2^63"),
    "metadata with half a character": ({"__metadata__": {"a": "\ud800"}}, b"", "metadata"),
    "a bomb of lists": ('{"a":[' + "[]," * 4_000_000 + "0]}", b"", "too many values"),
    "half a byte": ({"a": entry(0, 1, "F4", [1])}, b"1", "to take 0.5 bytes"),
    "unknown dtype": ({"a": entry(dtype="F17")}, b"1234", "dtype"),
    "dtype of another type": ({"a": entry(dtype=["F16"])}, b"1234", "dtype"),
    "negative shape": ({"a": entry(shape=[-1, -2])}, b"1234", "shape"),
    "fraction in a shape": ({"a": entry(shape=[2.0])}, b"1234", "shape"),
    "shape beyond 63 bits": ({"a": entry(shape=[2**63, 0])}, b"1234", "shape"),
    "too many dimensions": ({"a": entry(shape=[1] * 17)}, b"1234", "shape"),
    "unknown field": ({"a": entry() | {"device": "cuda"}}, b"1234", "dtype, shape and data_offsets"),
    "entry is a list": ({"a": [1]}, b"", "dtype, shape and data_offsets"),
    "metadata is a list": ({"__metadata__": []}, b"", "metadata"),
    "metadata holds a number": ({"__metadata__": {"format": 1}}, b"", "metadata"),
    "header is a list": ([], b"", "not a JSON object"),
    "header is not JSON": ("{'a': 1}", b"", "not JSON"),
    "endless nesting": ('{"a":' * 200_000, b"", "not JSON"),
    "a number without end": ('{"a":' + "1" * 10_000 + "}", b"", "not JSON"),
    "doubled name": (f'{{"a":{json.dumps(entry())},"a":{json.dumps(entry())}}}', b"1234", "given twice"),
    "doubled field": ('{"a":{"dtype":"F16","dtype":"F16","shape":[2],"data_offsets":[0,4]}}', b"1234", "given twice"),
}


@pytest.mark.parametrize(("header", "data", "said"), MALFORMED.values(), ids=MALFORMED.keys())
def test_malformed_headers_are_refused(raw_file: RawFile, header: object, data: bytes, said: str) -> None:
    with pytest.raises(CheckpointError) as caught:
        read_header(raw_file(header, data))
    assert said in str(caught.value)
    assert len(str(caught.value)) < 2000


@pytest.mark.parametrize(
    "name", ["", "..", "../../etc/passwd", "a\0b", "a\nb", "\x1b[2J", "\ud800", "a" * 1001], ids=ascii
)
def test_names_that_could_do_harm_are_refused(raw_file: RawFile, name: str) -> None:
    with pytest.raises(CheckpointError) as caught:
        read_header(raw_file({name: entry()}, b"1234"))
    assert str(caught.value).isascii()
    assert not any(character < " " and character != "\n" for character in str(caught.value))


def test_a_header_beyond_the_limit_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "large.safetensors"
    path.write_bytes(struct.pack("<Q", 2**30))
    with path.open("r+b") as file:
        file.truncate(2**31)  # a hole: no disk is used
    with pytest.raises(CheckpointError, match="too large"):
        read_header(path)


def test_the_number_of_tensors_is_limited(raw_file: RawFile, monkeypatch: pytest.MonkeyPatch) -> None:
    path = raw_file({str(number): entry(0, 0, shape=[0]) for number in range(11)})
    assert len(read_header(path).tensors) == 11
    monkeypatch.setattr(header_module, "MAX_TENSORS", 10)
    with pytest.raises(CheckpointError, match="too many tensors"):
        read_header(path)


@given(st.binary(max_size=200), st.integers(0, 300))
@example(b"{}", 2)
def test_random_bytes_raise_nothing_but_a_checkpoint_error(content: bytes, file_bytes: int) -> None:
    with contextlib.suppress(CheckpointError):
        parse_header(content, file_bytes, "random")
    with contextlib.suppress(CheckpointError):
        header_length(content[:LENGTH_BYTES], file_bytes, "random")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
SIZES = st.lists(st.integers(-1, 4) | JSON, max_size=3)
ENTRIES = st.fixed_dictionaries(
    {
        "dtype": st.sampled_from(["F16", "BF16", "F32", "U8", "F4", "F17"]) | JSON,
        "shape": SIZES | JSON,
        "data_offsets": st.lists(st.integers(0, 12), min_size=2, max_size=2) | SIZES | JSON,
    }
)


@given(st.dictionaries(st.text(max_size=3), ENTRIES | JSON, max_size=3), st.integers(0, 16))
def test_random_headers_are_refused_or_are_what_the_library_reads(table: dict[str, Any], data_bytes: int) -> None:
    content = json.dumps(table).encode()
    try:
        header = parse_header(content, LENGTH_BYTES + len(content) + data_bytes, "random")
    except CheckpointError:
        return
    data = bytes(range(data_bytes))
    raw = struct.pack("<Q", len(content)) + content + data
    theirs = dict(safetensors.deserialize(raw))
    assert {name: (info.dtype, list(info.shape)) for name, info in header.tensors.items()} == {
        name: (tensor["dtype"], tensor["shape"]) for name, tensor in theirs.items()
    }
    for name, start in header.starts.items():
        assert raw[start : start + header.tensors[name].nbytes] == bytes(theirs[name]["data"])


GOOD = json.dumps(
    {"__metadata__": {"f": "pt"}, "a": entry(), "b": entry(4, 12, "F32"), "e": entry(12, 12, shape=[0, 3])}
).encode()
TOKENS = re.findall(rb'"[^"]*"|-?[0-9]+|[^"0-9]', GOOD)
NUMBERS = [
    b"-0", b"-1", b"00", b"1e0", b"2.0", b"0,0", b"9" * 20, b"9223372036854775807", b"NaN", b"null", b"true", b'"2"',
    b"4611686018427387904,4611686018427387904,0", b"0,4611686018427387904,4611686018427387904",
]  # fmt: skip
TEXTS = [
    b'"\\ud800"', b'"\\ud83d\\ude00"', b'"\\u0000"', b'"\xff"', b'"\0"', b'"\n"', b'"\x7f"', b'"a"', b'"b"',
    b'"__metadata__"', b'"shape"', b'"U8"', b'"F4"', b'"\xf0\x9f\x98\x80"', b'""', b'"\\x"', b"1", b"null",
]  # fmt: skip
SIGNS = [
    b"",
    b" ",
    b"\t",
    *(bytes([sign]) for sign in b",:[]{}"),
    b"[],",
    b'"a":{},',
    b"\0",
    b"\xef\xbb\xbf",
    b"/**/",
]
EXCHANGES = {b"0123456789": NUMBERS, b'"': TEXTS, b"{}[],:": SIGNS}
"""What a token begins with -> what stands there instead."""


@st.composite
def mutated_files(draw: st.DrawFn) -> bytes:
    """A good file with another number, text or sign here and there in its header; or with bytes more, or fewer."""
    tokens, data, surplus = list(TOKENS), bytes(range(12)), 0
    for _ in range(draw(st.integers(1, 3))):
        kind = draw(st.sampled_from([*EXCHANGES, *EXCHANGES, "any", "data", "length"]))
        if kind == "data":
            data = draw(st.binary(max_size=16))
        elif kind == "length":
            surplus = draw(st.sampled_from([-1, 1, 2**40]))
        elif kind == "any":
            tokens[draw(st.integers(0, len(tokens) - 1))] = draw(st.sampled_from(TOKENS) | st.binary(max_size=3))
        else:
            places = [place for place, token in enumerate(TOKENS) if token[0] in kind]
            tokens[draw(st.sampled_from(places))] = draw(st.sampled_from(EXCHANGES[kind]))
    header = b"".join(tokens)
    return struct.pack("<Q", len(header) + surplus) + header + data


@settings(max_examples=1000)
@given(mutated_files())
@example(struct.pack("<Q", len(GOOD)) + GOOD + bytes(range(12)))
def test_a_changed_file_is_refused_or_means_what_the_library_reads(whole: bytes) -> None:
    """What the library refuses is refused as well; where both read it, they read the same."""
    try:
        length = header_length(whole[:LENGTH_BYTES], len(whole), "changed")
        header = parse_header(whole[LENGTH_BYTES : LENGTH_BYTES + length], len(whole), "changed")
    except CheckpointError:
        return
    theirs = dict(safetensors.deserialize(whole))
    assert {name: (info.dtype, list(info.shape)) for name, info in header.tensors.items()} == {
        name: (tensor["dtype"], tensor["shape"]) for name, tensor in theirs.items()
    }
    for name, start in header.starts.items():
        assert whole[start : start + header.tensors[name].nbytes] == bytes(theirs[name]["data"])
