"""Hostile models: each is refused, with the file and the reason, and nothing of it is run, followed or read whole."""

from __future__ import annotations

import json
import os
import socket
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save, save_file

from suture.errors import InputError
from suture.hub import gates
from suture.hub.audit import audit
from suture.hub.fetch import HubFetch, fetch
from suture.hub.pins import pin
from suture.progress import Silent
from suture.recipe import Source
from suture.rendering import Limits
from suture.store import Workspace
from tests.unit.hub.checkpoint_files import REPO, TOKENIZER, write_files
from tests.unit.hub.local_hub import LocalHub

SINGLE = "model.safetensors"
INDEX = "model.safetensors.index.json"
SHARD = "one.safetensors"
CONFIG = {"model_type": "llama", "architectures": ["LlamaForCausalLM"], "num_hidden_layers": 1, "vocab_size": 2}
NUMBERS = np.ones((2, 4), np.float32)
NAMES = ("model.embed_tokens.weight", "model.layers.0.mlp.weight")

Damage = Callable[[Path], object]


def good_model() -> dict[str, bytes]:
    return {
        "config.json": json.dumps(CONFIG).encode(),
        "tokenizer.json": TOKENIZER,
        "tokenizer_config.json": b"{}",
        SINGLE: save(dict.fromkeys(NAMES, NUMBERS)),
    }


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A good model; its trials are short."""
    monkeypatch.setattr(gates, "_TRIAL_CPU", 3)
    monkeypatch.setattr(gates, "_TRIAL_MEMORY", 1 << 29)
    monkeypatch.setattr(gates, "_RENDERING", Limits(cpu=1))
    return write_files(tmp_path / "model", good_model())


# -- ways to do harm ----------------------------------------------------------------------------------------------


def written(name: str, content: bytes) -> Damage:
    return lambda folder: (folder / name).write_bytes(content)


def entry(begin: int = 0, end: int = 4, shape: Any = (2,), dtype: str = "F16") -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


def header(table: object, data: bytes = b"1234") -> Damage:
    text = table if isinstance(table, bytes) else json.dumps(table).encode()
    return written(SINGLE, struct.pack("<Q", len(text)) + text + data)


def many_tensors() -> bytes:
    row = json.dumps(entry(0, 0, [0]))
    return ("{" + ",".join(f'"{number:x}":{row}' for number in range(100_001)) + "}").encode()


def truncated(folder: Path) -> None:
    os.truncate(folder / SINGLE, (folder / SINGLE).stat().st_size - 1)


def index(content: object) -> Damage:
    """An index in place of the one file, which becomes a shard."""

    def damage(folder: Path) -> None:
        (folder / SINGLE).rename(folder / SHARD)
        text = content if isinstance(content, bytes) else json.dumps(content).encode()
        (folder / INDEX).write_bytes(text)

    return damage


def listed(file: str) -> Damage:
    """An index that has one tensor elsewhere."""
    return index({"weight_map": {NAMES[0]: SHARD, NAMES[1]: file}})


def beyond_the_folder(folder: Path) -> None:
    listed("../x.safetensors")(folder)
    save_file({NAMES[1]: NUMBERS}, folder.parent / "x.safetensors")


def in_two_shards(folder: Path) -> None:
    listed("two.safetensors")(folder)
    save_file({NAMES[1]: NUMBERS}, folder / "two.safetensors")


def config(content: bytes = b"", **fields: Any) -> Damage:
    return written("config.json", content or json.dumps(CONFIG | fields).encode())


def config_of(name: str, **fields: Any) -> Damage:
    return written(name, json.dumps(fields).encode())


def tokenizer(**fields: Any) -> Damage:
    return written("tokenizer.json", json.dumps(json.loads(TOKENIZER) | fields).encode())


def doubling() -> dict[str, Any]:
    """A normalizer that makes each letter 2^60 of them."""
    step = {"type": "Replace", "pattern": {"String": "a"}, "content": "aa"}
    return {"type": "Sequence", "normalizers": [step] * 60}


def slow_expression() -> dict[str, Any]:
    """A pre-tokenizer that tries a thousand letters in 2^1000 ways."""
    steps = [{"type": "Split", "pattern": {"Regex": "(a|aa|a?a)+$"}, "behavior": "Isolated", "invert": False}] * 50
    return {"type": "Sequence", "pretokenizers": steps}


def template(text: str) -> Damage:
    return written("chat_template.jinja", text.encode())


def linked(name: str, target: str) -> Damage:
    def damage(folder: Path) -> None:
        (folder / name).unlink(missing_ok=True)
        (folder / name).symlink_to(target)

    return damage


def listening(folder: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.path.relpath(folder / "socket"))  # its path may have 100 letters


def only_pickles(folder: Path) -> None:
    (folder / SINGLE).rename(folder / "pytorch_model.bin")


def a_name_that_is_no_text(folder: Path) -> None:
    Path(os.fsdecode(os.fsencode(folder) + b"/\xff\xfe.json")).touch()


def an_adapter_of_nan(folder: Path) -> None:
    for path in folder.iterdir():
        path.unlink()
    save_file({"a.lora_A.weight": NUMBERS * np.nan}, folder / "adapter_model.safetensors")
    (folder / "adapter_config.json").write_text('{"peft_type": "LORA"}')


MAP = {"AutoModel": "modeling.Evil"}
PICKLE = b"\x80\x04cposix\nsystem\n(S'touch owned'\ntR."
SLOW_TEMPLATE = "{% for a in range(9999) %}{% for b in range(9999) %}{{ messages }}{% endfor %}{% endfor %}"
LARGE_TEMPLATE = "{% set n = namespace(x='x' * 1000) %}{% for i in range(60) %}{% set n.x = n.x + n.x %}{% endfor %}"
LONG_LIST = b'{"a":[' + b"0," * 4_000_001 + b"0]}"

CASES: dict[str, tuple[Damage, str, str]] = {
    # the weights' header
    "a name twice": (header(b'{"a":%b,"a":%b}' % ((json.dumps(entry()).encode(),) * 2)), SINGLE, "given twice"),
    "a header of 2^60 bytes": (written(SINGLE, struct.pack("<Q", 2**60) + b"{}"), SINGLE, "ends before its header"),
    "a bomb of lists": (header(b'{"a":[' + b"[]," * 5_000_000 + b"[]]}"), SINGLE, "too many values"),
    "depth without end": (header(b'{"a":' * 200_000), SINGLE, "not JSON"),
    "100,001 tensors": (header(many_tensors(), b""), SINGLE, "too many tensors"),
    "overlapping tensors": (header({"a": entry(), "b": entry(2, 6)}, b"123456"), SINGLE, "to begin at 4"),
    "a hole": (header({"a": entry(), "b": entry(6, 10)}, b"1234567890"), SINGLE, "to begin at 4"),
    "a dtype that lies": (header({"a": entry(dtype="F32")}), SINGLE, "to take 8 bytes"),
    "a dtype of nobody": (header({"a": entry(dtype="F17")}), SINGLE, "a dtype out of"),
    "a shape that overflows": (header({"a": entry(0, 0, [2**62, 2**62, 0])}, b""), SINGLE, "fewer than 2^63"),
    "cut short": (truncated, SINGLE, "cut short"),
    "surplus bytes": (header({"a": entry()}, b"12345"), SINGLE, "surplus"),
    "a name that climbs": (header({"../../etc/passwd": entry()}), SINGLE, "not allowed"),
    "a name with NUL": (header({"a\0b": entry()}), SINGLE, "not allowed"),
    "a name that clears the screen": (header({"\x1b[2J": entry()}), SINGLE, "not allowed"),
    "metadata that is no text": (header({"__metadata__": {"a": 1}, "a": entry()}), SINGLE, "metadata"),
    # what is no safetensors
    "a pickle by another name": (written(SINGLE, PICKLE), SINGLE, "a pickle, which can run code"),
    "a zip by another name": (written(SINGLE, b"PK\3\4" + bytes(100)), SINGLE, "a zip archive"),
    "a GGUF by another name": (written(SINGLE, b"GGUF\3\0\0\0" + bytes(100)), SINGLE, "a GGUF"),
    "a gzip by another name": (written(SINGLE, b"\x1f\x8b\x08" + bytes(100)), SINGLE, "a gzip archive"),
    "a web page by another name": (written(SINGLE, b"<!DOCTYPE html><title>404"), SINGLE, "a web page"),
    "a pointer of git's": (written(SINGLE, b"version https://git-lfs.github.com/spec/v1\n"), SINGLE, "git lfs pull"),
    "only pickles": (only_pickles, "", "can run code"),
    # the index
    "a shard beyond the folder": (beyond_the_folder, INDEX, "in the same folder"),
    "a shard with an absolute path": (listed("/etc/x.safetensors"), INDEX, "in the same folder"),
    "a shard that is a pickle": (listed("x.bin"), INDEX, "in the same folder"),
    "a shard that is not there": (listed("two.safetensors"), INDEX, "a file that is there"),
    "a tensor in two shards": (in_two_shards, INDEX, "also in one.safetensors"),
    "a name twice in the index": (index(b'{"weight_map":{"a":"x","a":"y"}}'), INDEX, "given twice"),
    "a bomb for an index": (index(b'{"weight_map":[' + b"[]," * 5_000_000 + b"[]]}"), INDEX, "too many values"),
    # the config
    "code": (config(auto_map=MAP), "config.json", "never run"),
    "code in a section": (config(text_config={"auto_map": MAP}), "config.json", "never run"),
    "10^9 layers": (config(num_hidden_layers=10**9), "config.json", "at most 10,000"),
    "10^9 layers of prediction": (config(num_nextn_predict_layers=10**9), "config.json", "at most 10,000"),
    "10^12 tokens": (config(vocab_size=10**12), "config.json", "No model has such a vocab_size"),
    "-1 tokens": (config(vocab_size=-1), "config.json", "a positive number"),
    "tokens in words": (config(vocab_size="many"), "config.json", "a positive number"),
    "10^9 experts in a section": (config(text_config={"num_experts": 10**9}), "config.json", "num_experts"),
    "10^9 labels": (config(num_labels=10**9), "config.json", "num_labels"),
    "one layer without end": (config(intermediate_size=[8, float("inf")]), "config.json", "intermediate_size"),
    "a number of 10,000 digits": (config(b'{"a":' + b"1" * 10_000 + b"}"), "config.json", "not JSON"),
    "a field twice": (config(b'{"vocab_size": 2, "vocab_size": 3}'), "config.json", "given twice"),
    "a config without end": (config(b'{"a":' * 100_000), "config.json", "not JSON"),
    # the tokenizer
    "an id of 10^15": (tokenizer(model={"type": "BPE", "vocab": {"a": 10**15}}), "tokenizer.json", "malformed"),
    "a token twice": (written("tokenizer.json", b'{"model":{"vocab":{"a":0,"a":1}}}'), "tokenizer.json", "twice"),
    "a bomb for a tokenizer": (written("tokenizer.json", LONG_LIST), "tokenizer.json", "too many values"),
    "a tokenizer that no library knows": (tokenizer(normalizer={"type": "?"}), "tokenizer.json", "cannot be used"),
    "a tokenizer that fills the memory": (tokenizer(normalizer=doubling()), "tokenizer.json", "cannot be used"),
    "a tokenizer that takes for ever": (
        tokenizer(pre_tokenizer=slow_expression()), "tokenizer.json", "cannot be used",
    ),
    "a tokenizer with code": (
        config_of("tokenizer_config.json", auto_map=MAP), "tokenizer_config.json", "never run",
    ),
    # other small files
    "a processor with code": (
        config_of("preprocessor_config.json", a=[{"auto_map": MAP}]), "preprocessor_config.json", "never run",
    ),
    "a generation config twice": (
        written("generation_config.json", b'{"a":1,"a":2}'), "generation_config.json", "twice",
    ),
    "special tokens that are no text": (
        written("special_tokens_map.json", b'{"\xff":1}'), "special_tokens_map.json", "JSON",
    ),
    # chat templates
    "a template that takes for ever": (template(SLOW_TEMPLATE), "chat_template.jinja", "more time or memory"),
    "a template that fills the memory": (template(LARGE_TEMPLATE), "chat_template.jinja", "more time or memory"),
    "a template with a mistake": (template("{% for %}"), "chat_template.jinja", "cannot be used"),
    "a template that reaches out": (
        template("{{ messages.__class__.__mro__[1].__subclasses__() }}"), "chat_template.jinja", "cannot be used",
    ),
    "a template of 2 MB": (template("x" * 2**21), "chat_template.jinja", "longer than any"),
    "40 templates": (
        config_of("tokenizer_config.json", chat_template=[{"name": "x", "template": "x"}] * 40), "", "at most 32",
    ),
    # what is no file
    "a config that is a secret": (linked("config.json", "/etc/passwd"), "config.json", "a file of another name"),
    "a template that is a secret": (
        linked("chat_template.jinja", "/proc/self/environ"), "chat_template.jinja", "a file of another name",
    ),
    "weights without end": (linked(SINGLE, "/dev/zero"), SINGLE, "a device"),
    "a pipe that blocks": (
        lambda folder: os.mkfifo(folder / "generation_config.json"), "generation_config.json", "a pipe",
    ),
    "a socket": (listening, "socket", "a socket"),
    "a name that is no text": (a_name_that_is_no_text, "", "not a printable text"),
    "a name that clears the screen, of a file": (written("\x1b[2J.json", b"{}"), "", "not a printable text"),
    "an adapter of NaN": (an_adapter_of_nan, "adapter_model.safetensors", "numbers that are none"),
}  # fmt: skip


def test_there_are_forty() -> None:
    assert len(CASES) >= 40


@pytest.mark.parametrize(("damage", "file", "said"), CASES.values(), ids=CASES.keys())
def test_a_hostile_model_is_refused(folder: Path, damage: Damage, file: str, said: str) -> None:
    damage(folder)
    found = audit(folder, Silent())
    assert found.is_refused
    refused = [finding for finding in found.findings if finding.severity == "refused"]
    texts = [f"{each.file}| {each.problem} {each.expected} {each.found} {each.way_out}" for each in refused]
    assert any(text.startswith(f"{file}|") and said in text for text in texts), texts


def test_a_good_model_is_accepted(folder: Path) -> None:
    config_of("tokenizer_config.json", added_tokens_decoder={"9" * 5000: {"content": "x"}})(folder)
    (folder / "chat_template.jinja").write_text("{{ raise_exception('only with a system message') }}")
    assert not audit(folder, Silent()).is_refused


HUB_CASES = ("code in a section", "10^12 tokens", "a tokenizer with code", "a template with a mistake", "a hole")


@pytest.mark.parametrize("case", HUB_CASES)
def test_a_hostile_repository_is_refused_before_its_weights_come(
    hub: LocalHub, folder: Path, work: Workspace, case: str
) -> None:
    damage, file, said = CASES[case]
    damage(folder)
    sha = hub.commit(REPO, {path.name: path.read_bytes() for path in folder.iterdir()})
    with pytest.raises(InputError) as caught:
        fetch(HubFetch(repo=REPO, commit=sha), [], work, Silent())
    assert said in str(caught.value)
    assert f"{REPO} at {sha[:12]}/{file}" in str(caught.value)
    assert [request.range for request in hub.asked("hub", SINGLE)] == [f"bytes=0-{256 * 1024 - 1}"]  # its header
    assert not list(work.out.iterdir())


def test_a_hostile_folder_is_refused_by_a_fetch(folder: Path, work: Workspace) -> None:
    CASES["a template with a mistake"][0](folder)
    spec = pin(Source(name="a", model=str(folder))).spec
    with pytest.raises(InputError, match="cannot be used") as caught:
        fetch(spec, [], work, Silent())
    assert str(folder / "chat_template.jinja") in str(caught.value)  # not where the copy is
    assert not list(work.out.iterdir())
