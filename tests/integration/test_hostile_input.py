"""Whatever is wrong with a model or a recipe: status 2, one screen with the file and the way out, no trace left.

A table of malformed and hostile inputs, each given to `suture merge`'s own function; some to the command itself, in a
process that may take little memory.
"""

from __future__ import annotations

import json
import os
import re
import resource
import shutil
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from safetensors.numpy import save_file

from suture.direct import merge_into
from suture.errors import InputError
from suture.progress import Silent
from suture.recipe import load_recipe

pytestmark = pytest.mark.timeout(60)

LINES = 25
MEMORY = 3 * 2**29  # bytes of address space; a merge itself needs a third of it
SINGLE = "model.safetensors"
INDEX = "model.safetensors.index.json"
CONFIG = {"model_type": "llama", "architectures": ["LlamaForCausalLM"], "num_hidden_layers": 2, "hidden_size": 4}
RECIPE: dict[str, Any] = {
    "name": "stack",
    "sources": [{"name": "a", "model": "./a"}, {"name": "b", "model": "./b"}],
    "merge": {
        "method": "passthrough",
        "base": "a",
        "slices": [{"source": "a", "layers": [0, 2]}, {"source": "b", "layers": [0, 2]}],
    },
}
LINEAR = RECIPE | {
    "merge": {
        "method": "linear",
        "base": "a",
        "models": [{"source": "a", "weight": 1.0}, {"source": "b", "weight": 1.0}],
    }
}
MERGEKIT: dict[str, Any] = {
    "merge_method": "linear",
    "models": [{"model": "./a", "parameters": {"weight": 1}}, {"model": "./b", "parameters": {"weight": 1}}],
}

Damage = Callable[[Path], object]
"""Spoils a model's folder."""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with two good models, `a` and `b`, and a recipe that stacks them."""
    folder = tmp_path / "place"
    for name in "ab":
        write_model(folder / name)
    (folder / "recipe.yaml").write_text(yaml.safe_dump(RECIPE))
    return folder


def write_model(folder: Path) -> None:
    folder.mkdir(parents=True)
    names = ["model.embed_tokens.weight", "model.norm.weight", "lm_head.weight"]
    names += [f"model.layers.{layer}.mlp.weight" for layer in range(2)]
    save_file({name: np.ones((3, 4), np.float32) for name in names}, folder / SINGLE)
    (folder / "config.json").write_text(json.dumps(CONFIG))
    for file in ("tokenizer.json", "tokenizer_config.json"):
        (folder / file).write_text("{}")
    (folder / "LICENSE").write_text("MIT License")


def snapshot(folder: Path) -> Iterator[tuple[str, int]]:
    for path in sorted(folder.rglob("*")):
        yield str(path.relative_to(folder)), path.lstat().st_mtime_ns


def assert_refused(message: str, *words: str) -> None:
    lines = message.splitlines()
    assert len(lines) <= LINES, message
    assert all(len(line) < 1010 and (line.isprintable() or "\t" in line) for line in lines), message
    for word in ("where:", "way out:", *words):
        assert word in message, message


def merge(place: Path, *words: str) -> str:
    """Ask for the merge; it is refused, and leaves no trace. Returns what is said."""
    before, out = list(snapshot(place)), place.parent / "out"
    with pytest.raises(InputError) as caught:
        merge_into(load_recipe(place / "recipe.yaml"), out, 5_000_000_000, Silent())
    assert caught.value.exit_code == 2
    assert_refused(str(caught.value), *words)
    assert list(snapshot(place)) == before
    assert [path.name for path in place.parent.iterdir()] == [place.name]  # neither result, scratch nor store
    return str(caught.value)


# -- safetensors headers ------------------------------------------------------------------------------------------


def entry(begin: Any = 0, end: Any = 4, shape: Any = (2,), dtype: Any = "F16") -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


def raw(content: bytes) -> Damage:
    return lambda folder: (folder / SINGLE).write_bytes(content)


def header(table: object, data: bytes = b"1234") -> Damage:
    text = table if isinstance(table, bytes) else json.dumps(table).encode()
    return raw(struct.pack("<Q", len(text)) + text + data)


def hole(length: int, size: int) -> Damage:
    """A file that claims a header of so many bytes, and is that large; it takes no room."""

    def damage(folder: Path) -> None:
        (folder / SINGLE).write_bytes(struct.pack("<Q", length))
        os.truncate(folder / SINGLE, size)

    return damage


def many(count: int, last: str = "") -> bytes:
    """A header of so many empty tensors; the last one under a name of its own."""
    empty = json.dumps(entry(0, 0, [0]))
    names = [*(f"{number:x}" for number in range(count - 1)), last or "last"]
    return ("{" + ",".join(f'"{name}":{empty}' for name in names) + "}").encode()


HEADERS: dict[str, tuple[Damage, str]] = {
    "an empty file": (raw(b""), "ends before its header"),
    "seven bytes": (raw(b"\2\0\0\0\0\0\0"), "ends before its header"),
    "a header longer than the file": (raw(struct.pack("<Q", 100) + b"{}"), "ends before its header"),
    "a header of 2^63 bytes": (raw(struct.pack("<Q", 2**63) + b"{}"), "ends before its header"),
    "a header of 1 GiB": (hole(2**30, 2**31), "too large"),
    "zeros": (hole(0, 100), "JSON object"),
    "a pointer of git's": (raw(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n"), "git lfs pull"),
    "a page of HTML": (raw(b"<!DOCTYPE html><title>404</title>"), "a web page"),
    "a pickle": (raw(b"\x80\x02}q\x00." + bytes(100)), SINGLE),
    "no JSON": (header(b"{'a': 1}"), "not JSON"),
    "no UTF-8": (header(b'{"\xff": 1}'), "not JSON"),
    "UTF-16": (header('{"a": 1}'.encode("utf-16")), "JSON"),
    "a list": (header([entry()]), "JSON object"),
    "a number": (header(7), "JSON object"),
    "depth without end": (header(b'{"a":' * 200_000), "not JSON"),
    "a bomb of lists": (header(b'{"a":[' + b"[]," * 5_000_000 + b"[]]}"), "too many values"),
    "a bomb of objects": (header(b'{"a":[' + b'{"":0},' * 4_000_000 + b"{}]}"), "too many values"),
    "a number of 10,000 digits": (header(b'{"a":' + b"1" * 10_000 + b"}"), "not JSON"),
    "not a number": (header(b'{"a":NaN}'), "malformed"),
    "100,001 tensors": (header(many(100_001), b""), "too many tensors"),
    "a name twice": (header(b'{"a":%b,"a":%b}' % ((json.dumps(entry()).encode(),) * 2)), "given twice"),
    "a name twice among 50,000": (header(many(50_000, last="c34e"), b""), "given twice"),
    "a field twice": (header(b'{"a":{"dtype":"F16","dtype":"F16","shape":[2],"data_offsets":[0,4]}}'), "given twice"),
    "an entry that is a list": (header({"a": [1]}), "malformed"),
    "an entry with a field too many": (header({"a": entry() | {"device": "cuda"}}), "malformed"),
    "an entry without a shape": (header({"a": {"dtype": "F16", "data_offsets": [0, 4]}}), "malformed"),
    "an unknown dtype": (header({"a": entry(dtype="F17")}), "dtype"),
    "a dtype that is a number": (header({"a": entry(dtype=16)}), "dtype"),
    "a negative shape": (header({"a": entry(shape=[-1, -2])}), "shape"),
    "minus nought in a shape": (header(b'{"a":{"dtype":"F16","shape":[-0],"data_offsets":[0,0]}}', b""), "shape"),
    "a fraction in a shape": (header({"a": entry(shape=[2.0])}), "shape"),
    "a truth value in a shape": (header({"a": entry(shape=[True, 2])}), "shape"),
    "a shape beyond 63 bits": (header({"a": entry(shape=[2**63, 0])}), "shape"),
    "a shape that overflows on the way": (header({"a": entry(0, 0, [2**62, 2**62, 0])}, b""), "fewer than 2^63"),
    "17 dimensions": (header({"a": entry(shape=[1] * 17)}), "shape"),
    "shape and bytes that disagree": (header({"a": entry(shape=[3])}), "to take 6 bytes"),
    "half a byte": (header({"a": entry(0, 1, [1], "F4")}, b"1"), "to take 0.5 bytes"),
    "a negative offset": (header({"a": entry(-4, 0)}), "data_offsets"),
    "offsets the wrong way round": (header({"a": entry(4, 0)}), "data_offsets"),
    "one offset": (header({"a": entry() | {"data_offsets": [4]}}), "data_offsets"),
    "overlapping tensors": (header({"a": entry(), "b": entry(2, 6)}, b"123456"), "to begin at 4"),
    "the same bytes twice": (header({"a": entry(), "b": entry()}), "to begin at 4"),
    "a hole": (header({"a": entry(), "b": entry(6, 10)}, b"1234567890"), "to begin at 4"),
    "a hole at the start": (header({"a": entry(2, 6)}, b"123456"), "to begin at 0"),
    "data cut short": (header({"a": entry()}, b"123"), "cut short"),
    "surplus data": (header({"a": entry()}, b"12345"), "surplus"),
    "offsets beyond any disk": (header({"a": entry(0, 2**62, [2**61])}), "cut short"),
    "a name without letters": (header({"": entry()}), "not allowed"),
    "a name that climbs": (header({"../../etc/passwd": entry()}), "not allowed"),
    "a name with NUL": (header({"a\0b": entry()}), "not allowed"),
    "a name that clears the screen": (header({"\x1b[2J": entry()}), "not allowed"),
    "a name of half a character": (header({"\ud800": entry()}), "not allowed"),
    "a name of 100,000 letters": (header({"a" * 100_000: entry()}), "not allowed"),
    "metadata that is a list": (header({"__metadata__": [], "a": entry()}), "metadata"),
    "metadata that holds a number": (header({"__metadata__": {"a": 1}, "a": entry()}), "metadata"),
    "metadata of half a character": (header({"__metadata__": {"a": "\ud800"}, "a": entry()}), "metadata"),
}


@pytest.mark.parametrize(("damage", "said"), HEADERS.values(), ids=HEADERS.keys())
def test_headers(place: Path, damage: Damage, said: str) -> None:
    damage(place / "a")
    merge(place, said, str(place / "a" / SINGLE))


# -- indexes ------------------------------------------------------------------------------------------------------


def index(content: object) -> Damage:
    """Put an index in the place of the single file, whose content becomes the shard `one.safetensors`."""

    def damage(folder: Path) -> None:
        (folder / SINGLE).rename(folder / "one.safetensors")
        text = content if isinstance(content, bytes) else json.dumps(content).encode()
        (folder / INDEX).write_bytes(text)

    return damage


def listed(**changes: Any) -> Damage:
    """An index that fits the shard, but for what is changed; a name of null is left out."""
    names = ["model.embed_tokens.weight", "model.norm.weight", "lm_head.weight"]
    names += [f"model.layers.{layer}.mlp.weight" for layer in range(2)]
    table = dict.fromkeys(names, "one.safetensors") | {name.replace("__", "."): at for name, at in changes.items()}
    return index({"weight_map": {name: file for name, file in table.items() if file is not None}})


def and_also(damage: Damage, further: Damage) -> Damage:
    return lambda folder: (damage(folder), further(folder))


def copy_out(target: str) -> Damage:
    return lambda folder: shutil.copyfile(folder / "one.safetensors", folder / target)


def huge_index(folder: Path) -> None:
    listed()(folder)
    os.truncate(folder / INDEX, 2**33)


def swallow_another_tensor(folder: Path) -> None:
    listed()(folder)
    save_file({"model.norm.weight": np.ones((3, 4), np.float32)}, folder / "two.safetensors")
    content = json.loads((folder / INDEX).read_text())
    content["weight_map"]["model.norm.weight"] = "two.safetensors"
    (folder / INDEX).write_text(json.dumps(content))


INDEXES: dict[str, tuple[Damage, str]] = {
    "a list": (index([]), "not a JSON object"),
    "nothing": (index(b""), "not JSON"),
    "no table": (index({}), "weight_map"),
    "a table that is a list": (index({"weight_map": ["one.safetensors"]}), "weight_map"),
    "an empty table": (index({"weight_map": {}}), "weight_map"),
    "8 GiB": (huge_index, "too large"),
    "a bomb": (index(b'{"weight_map":[' + b"[]," * 5_000_000 + b"[]]}"), "too many values"),
    "a name twice": (index(b'{"weight_map":{"a":"one.safetensors","a":"one.safetensors"}}'), "given twice"),
    "a file above": (
        and_also(listed(lm_head__weight="../x.safetensors"), copy_out("../x.safetensors")),
        "the name of a safetensors file in the same folder",
    ),
    "an absolute path": (listed(lm_head__weight="/etc/x.safetensors"), "in the same folder"),
    "a file in a folder": (listed(lm_head__weight="sub/x.safetensors"), "in the same folder"),
    "a file with NUL": (listed(lm_head__weight="a\0.safetensors"), "a file that is there"),
    "a pickle": (and_also(listed(lm_head__weight="one.bin"), copy_out("one.bin")), "in the same folder"),
    "a number for a file": (listed(lm_head__weight=7), "in the same folder"),
    "a list of files": (listed(lm_head__weight=["one.safetensors"]), "in the same folder"),
    "a shard that is missing": (listed(lm_head__weight="two.safetensors"), "a file that is there"),
    "a tensor that is in no shard": (listed(more="one.safetensors"), "a file that holds it"),
    "a tensor that is not listed": (listed(lm_head__weight=None), "the index lacks"),
    "a tensor in two shards": (swallow_another_tensor, "also in one.safetensors"),
    "a name with NUL": (listed(**{"a\0": "one.safetensors"}), "not allowed"),
    "a name that climbs": (index({"weight_map": {"../a": "one.safetensors"}}), "not allowed"),
}


@pytest.mark.parametrize(("damage", "said"), INDEXES.values(), ids=INDEXES.keys())
def test_indexes(place: Path, damage: Damage, said: str) -> None:
    damage(place / "a")
    merge(place, said, str(place / "a" / INDEX))


# -- configs ------------------------------------------------------------------------------------------------------


def config(content: object = None, **fields: Any) -> Damage:
    text = content if isinstance(content, bytes) else json.dumps(CONFIG | fields if content is None else content)
    return lambda folder: (folder / "config.json").write_bytes(text if isinstance(text, bytes) else text.encode())


KINDS = ["full_attention", "linear_attention"]
CONFIGS: dict[str, tuple[Damage, str]] = {
    "missing": (lambda folder: (folder / "config.json").unlink(), "no config.json"),
    "nothing": (config(b""), "not JSON"),
    "a list": (config([]), "not a JSON object"),
    "cut short": (config(b'{"num_hidden_layers": 2'), "not JSON"),
    "depth without end": (config(b'{"a":' * 100_000), "not JSON"),
    "a name twice": (config(b'{"num_hidden_layers": 2, "num_hidden_layers": 2}'), "given twice"),
    "Python code of its own": (config(auto_map={"AutoModel": "modeling.Evil"}), "never run"),
    "no count of layers": (config({"model_type": "llama"}), "how many layers"),
    "10^9 layers": (config(num_hidden_layers=10**9), "numbers 0 to 999999999"),
    "10^4000 layers": (config(num_hidden_layers=10**4000), "layers"),
    "no layers": (config(num_hidden_layers=0), "how many layers"),
    "-2 layers": (config(num_hidden_layers=-2), "how many layers"),
    "true layers": (config(num_hidden_layers=True), "how many layers"),
    "2.0 layers": (config(num_hidden_layers=2.0), "how many layers"),
    "two layers, in a text": (config(num_hidden_layers="2"), "how many layers"),
    "layers that are not a number": (config(num_hidden_layers=float("nan")), "how many layers"),
    "a list of layers": (config(num_hidden_layers=[2]), "how many layers"),
    "more layers than there are": (config(num_hidden_layers=3), "numbers 0 to 2"),
    "fewer layers than there are": (config(num_hidden_layers=1), "past the last layer of a"),
    "too few kinds": (config(layer_types=KINDS[:1]), "layer_types"),
    "too many kinds": (config(layer_types=KINDS * 2), "layer_types"),
    "kinds in a text": (config(layer_types="full_attention"), "layer_types"),
    "kinds by number": (config(layer_types={"0": "full_attention", "1": "full_attention"}), "layer_types"),
    "kinds that are numbers": (config(layer_types=7), "layer_types"),
    "a text_config of nonsense": (config(text_config={"num_hidden_layers": "many"}), "how many layers"),
    "a text_config of -1 layers": (config(text_config={"num_hidden_layers": -1}), "how many layers"),
}


@pytest.mark.parametrize(("damage", "said"), CONFIGS.values(), ids=CONFIGS.keys())
def test_configs(place: Path, damage: Damage, said: str) -> None:
    damage(place / "a")
    message = merge(place, said)
    assert str(place / "a") in message or re.search(r"\b(of|source) a\b", message), message


# -- files --------------------------------------------------------------------------------------------------------


def without(*names: str) -> Damage:
    return lambda folder: [(folder / name).unlink() for name in names]


def written(name: str, content: bytes) -> Damage:
    return lambda folder: (folder / name).write_bytes(content)


def linked(name: str, target: str) -> Damage:
    def damage(folder: Path) -> None:
        (folder / name).unlink(missing_ok=True)
        (folder / name).symlink_to(target)

    return damage


def only_pickles(folder: Path) -> None:
    (folder / SINGLE).unlink()
    (folder / "pytorch_model.bin").write_bytes(b"\x80\x02cposix\nsystem\n(S'touch /tmp/owned'\ntR.")


def a_file_for_a_folder(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.write_text("")


def a_loop_of_links(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.symlink_to(folder.name)


FILES: dict[str, tuple[Damage, str]] = {
    "no folder": (shutil.rmtree, "no such folder"),
    "a file in its place": (a_file_for_a_folder, "no such folder"),
    "a link to itself": (a_loop_of_links, "leads nowhere"),
    "no weights": (without(SINGLE), "no weights"),
    "only pickles": (only_pickles, "can run code"),
    "weights twice": (written(INDEX, b"{}"), "there twice"),
    "a link to nothing for weights": (linked(SINGLE, "/nothing"), "no weights"),
    "a folder for weights": (and_also(without(SINGLE), lambda folder: (folder / SINGLE).mkdir()), "no weights"),
    "no tokenizer.json": (without("tokenizer.json"), "no tokenizer.json"),
    "no tokenizer_config.json": (without("tokenizer_config.json"), "no tokenizer_config.json"),
    "a tokenizer cut short": (written("tokenizer.json", b'{"model": {"vocab": {'), "tokenizer.json"),
    "a pointer for a tokenizer": (written("tokenizer.json", b"version https://git-lfs"), "tokenizer.json"),
    "a tokenizer of nothing": (written("tokenizer.json", b""), "tokenizer.json"),
    "a tokenizer_config that is a list": (written("tokenizer_config.json", b"[]"), "tokenizer_config.json"),
    "a tokenizer_config that is no JSON": (written("tokenizer_config.json", b"{"), "tokenizer_config.json"),
    "a licence that is a secret": (linked("LICENSE", "/etc/passwd"), "a file of another name"),
    "a template that is a secret": (linked("chat_template.jinja", "/proc/self/environ"), "a file of another name"),
    "a config that is a secret": (linked("config.json", "/etc/passwd"), "a file of another name"),
}


@pytest.mark.parametrize(("damage", "said"), FILES.values(), ids=FILES.keys())
def test_files(place: Path, damage: Damage, said: str) -> None:
    damage(place / "a")
    merge(place, said, str(place / "a"))


def test_links_of_the_hubs_cache_are_followed(place: Path) -> None:
    """There a snapshot holds links into `blobs`; and people keep weights on another disk."""
    snapshot, blobs = place / "a", place / "blobs"
    blobs.mkdir()
    for number, path in enumerate(sorted(snapshot.iterdir())):
        path.rename(blobs / f"{number:064x}")
        path.symlink_to(f"../blobs/{number:064x}")
    (place / "b" / SINGLE).rename(place / "weights-of-b")
    (place / "b" / SINGLE).symlink_to(place / "weights-of-b")
    account = merge_into(load_recipe(place / "recipe.yaml"), place / "out", 5_000_000_000, Silent())
    assert account["tensors_out"] == 7
    assert (place / "out" / "LICENSE").read_text() == "MIT License"


# -- recipes ------------------------------------------------------------------------------------------------------


def recipe(path: str = "", value: object = None, of: dict[str, Any] = RECIPE) -> bytes:
    """A recipe with one value replaced or added: `merge.slices.0.layers`."""
    content = json.loads(json.dumps(of))
    *parents, last = path.split(".")
    at: Any = content
    for name in parents:
        at = at[int(name)] if isinstance(at, list) else at.setdefault(name, {})
    at[int(last) if isinstance(at, list) else last] = value
    return yaml.safe_dump(content).encode()


def bomb(joint: str) -> bytes:
    """Thirty levels, each ten of the one below: a billion billion values in a thousand characters."""
    levels = [f"l{i}: &l{i} {joint % ', '.join([f'*l{i - 1}'] * 10)}" for i in range(1, 30)]
    return "\n".join(["l0: &l0 {x: 1}", *levels, "name: *l29"]).encode()


def staged(*uses: str) -> bytes:
    """Stages `one`, `two`, ... that are each made of `a` and another model."""
    stages = [
        {"name": name, "merge": LINEAR["merge"] | {"models": [{"source": "a"}, {"source": use}]}}
        for name, use in zip(("one", "two", "three"), uses, strict=False)
    ]
    return yaml.safe_dump(RECIPE | {"stages": stages}).encode()


ENTRY = "merge.slices.0"
RECIPES: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", "not a mapping"),
    "binary": (bytes(range(256)), "cannot be read"),
    "zeros": (bytes(1000), "cannot be read"),
    "no UTF-8": (b"name: \xff\xfe", "cannot be read"),
    "10 MB": (b"name: stack\n# " + b"x" * 10_000_000, "more than"),
    "10 MB of lists": (b"[" * 10_000_000, "more than"),
    "depth without end": (b"[" * 100_000, "too deeply"),
    "words": (b"stack these models, please", "not a mapping"),
    "a list": (b"- a\n- b\n", "not a mapping"),
    "two documents": (recipe("name", "x") + b"---\n" + recipe("name", "y"), "more than one document"),
    "an unclosed list": (b"name: [", "cannot be read"),
    "a tab": (b"\tname: x", "cannot be read"),
    "an alias of nothing": (b"name: *nowhere", "cannot be read"),
    "a Python object": (b"name: !!python/object/apply:os.system ['touch /tmp/owned']", "cannot be read"),
    "a bomb of aliases": (bomb("[%s]"), "each alias counted"),
    "a bomb of merged mappings": (bomb("{<<: [%s]}"), "each alias counted"),
    "a loop of aliases": (b"name: &loop [*loop]", "each alias counted"),
    "no such date": (b"name: 2026-13-45", "cannot be read"),
    "a number of 5,000 digits": (b"name: " + b"1" * 5000, "cannot be read"),
    "a list for a name": (b"? [a, b]\n: 1", "cannot be read"),
    "a field twice": (b"name: one\nname: two\n", "more than once"),
    "a field twice among 20,000": (b"".join(b"a%d: 1\n" % i for i in range(20_000)) + b"a7: 1\n", "a7: given more"),
    "an unknown field": (recipe("heel", {}), "heel: Extra inputs"),
    "10,000 unknown fields": (recipe("merge", {f"f{i}": i for i in range(10_000)}), "merge"),
    "an unknown field that clears the screen": (recipe("\x1b[2J", 1), "\\x1b[2J"),
    "a name that climbs": (recipe("name", "../../etc/passwd"), "name: String should match"),
    "a source's name that climbs": (recipe("sources.0.name", "../a"), "sources.0.name"),
    "a name of 100,000 letters": (recipe("name", "x" * 100_000), "name: String should match"),
    "no sources": (recipe("sources", []), "at least 1"),
    "sources that are a text": (recipe("sources", "a, b"), "sources"),
    "two sources of one name": (recipe("sources.1.name", "a"), "a more than once"),
    "a source nobody named": (recipe(f"{ENTRY}.source", "c"), "found c"),
    "a base nobody named": (recipe("merge.base", "c"), "found c"),
    "a model of nothing": (recipe("sources.0.model", ""), "sources.0.model"),
    "a model with NUL": (recipe("sources.0.model", "./a\0b"), "leads nowhere"),
    "a model of nobody": (recipe("sources.0.model", "~nobody-of-this-name/a"), "leads nowhere"),
    "a model of 5,000 letters": (recipe("sources.0.model", "./" + "a" * 5000), "aaa"),
    "a method nobody knows": (recipe("merge.method", "slurp"), "slurp"),
    "layers from the end": (recipe(f"{ENTRY}.layers", [2, 1]), "the first layer before the end"),
    "no layers": (recipe(f"{ENTRY}.layers", [1, 1]), "the first layer before the end"),
    "layers below 0": (recipe(f"{ENTRY}.layers", [-1, 1]), "greater than or equal"),
    "layers past the last": (recipe(f"{ENTRY}.layers", [0, 3]), "at most 2"),
    "10^12 layers": (recipe(f"{ENTRY}.layers", [0, 10**12]), "layers"),
    "10^12 layers, interleaved": (recipe(ENTRY, {"interleave": ["a", "b"], "layers": [0, 10**12]}), "layers"),
    "layers in words": (recipe(f"{ENTRY}.layers", ["first", "last"]), "layers"),
    "layers that are fractions": (recipe(f"{ENTRY}.layers", [0, 1.5]), "layers"),
    "a scale that is no number": (recipe(f"{ENTRY}.scale", float("nan")), "scale"),
    "a weight that is no number": (recipe("merge.models.0.weight", float("nan"), of=LINEAR), "weight"),
    "a weight without end": (recipe("merge.models.0.weight", float("inf"), of=LINEAR), "weight"),
    "weights that give no mean": (recipe("merge.models.0.weight", -1.0, of=LINEAR), "give no mean"),
    "a stage of itself": (staged("one"), "found one"),
    "stages in a circle": (staged("two", "one"), "found two"),
    "a stage of a later one": (staged("three", "b", "b"), "found three"),
}  # fmt: skip


@pytest.mark.parametrize(("content", "said"), RECIPES.values(), ids=RECIPES.keys())
def test_recipes(place: Path, content: bytes, said: str) -> None:
    (place / "recipe.yaml").write_bytes(content)
    message = merge(place, said)
    assert str(place / "recipe.yaml") in message or re.search("where: +merge|a{500}", message), message


@pytest.mark.parametrize("target", ["nothing", "/dev/zero", "."], ids=["nothing", "a file without end", "a folder"])
def test_recipes_that_are_no_files(place: Path, target: str) -> None:
    (place / "recipe.yaml").unlink()
    (place / "recipe.yaml").symlink_to(target)
    merge(place, "cannot be read", str(place / "recipe.yaml"))


# -- mergekit files -----------------------------------------------------------------------------------------------


def mergekit(path: str, value: object) -> bytes:
    return recipe(path, value, of=MERGEKIT)


SLICED = {"slices": [{"sources": [{"model": "./a", "layer_range": [0, 2]}]}], "merge_method": "passthrough"}
MERGEKIT_FILES: dict[str, tuple[bytes, str]] = {
    "a method nobody knows": (mergekit("merge_method", "slurp"), "no merge method of this name"),
    "a method that is a list": (mergekit("merge_method", ["linear"]), "merge_method"),
    "models and slices": (mergekit("slices", SLICED["slices"]), "slices"),
    "models that are a text": (mergekit("models", "a, b"), "models"),
    "no models": (mergekit("models", []), "models"),
    "a model of nothing": (mergekit("models.0", {}), "models.0"),
    "a model that is a number": (mergekit("models.0.model", 7), "models.0.model"),
    "a model that is not there": (mergekit("models.0.model", "./nothing"), "nothing"),
    "a weight in words": (mergekit("models.0.parameters.weight", "heavy"), "weight"),
    "a weight that is no number": (mergekit("models.0.parameters.weight", float("nan")), "weight"),
    "a weight without end": (mergekit("models.0.parameters.weight", float("inf")), "weight"),
    "a mixture of experts": (mergekit("experts", []), "mergekit-moe"),
    "modules that differ": (recipe("modules", {"a": {"models": []}, "b": SLICED}, of=SLICED), "modules"),
    "layers from the end": (recipe("slices.0.sources.0.layer_range", [2, 0], of=SLICED), "layer"),
    "layers past the last": (recipe("slices.0.sources.0.layer_range", [0, 9], of=SLICED), "layer"),
    "10^12 layers": (recipe("slices.0.sources.0.layer_range", [0, 10**12], of=SLICED), "layer"),
    "layers in words": (recipe("slices.0.sources.0.layer_range", ["a", "b"], of=SLICED), "layer_range"),
    "merges in a circle": (
        b"---\n".join(
            mergekit("models.0.model", other) + b"name: %s\n" % name
            for name, other in ((b"one", "two"), (b"two", "one"))
        ),
        "circle",
    ),
    "a dtype nobody knows": (mergekit("dtype", "float7"), "dtype"),
    "a tokenizer of a model nobody named": (mergekit("tokenizer_source", "./c"), "c"),
    "a bomb of aliases": (b"merge_method: linear\n" + bomb("[%s]"), "each alias counted"),
}  # fmt: skip


@pytest.mark.parametrize(("content", "said"), MERGEKIT_FILES.values(), ids=MERGEKIT_FILES.keys())
def test_mergekit_files(place: Path, content: bytes, said: str) -> None:
    (place / "recipe.yaml").write_bytes(content)
    merge(place, said)


# -- the command itself -------------------------------------------------------------------------------------------


def suture(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))

    return subprocess.run(
        [sys.executable, "-m", "suture", *map(str, arguments)],
        env=os.environ | {"OPENBLAS_NUM_THREADS": "1"},  # each thread reserves address space
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        preexec_fn=limit,
    )


COMMANDS: dict[str, tuple[Damage | bytes, str]] = {
    **{f"header: {name}": HEADERS[name] for name in ("a header of 1 GiB", "a bomb of objects", "100,001 tensors")},
    **{f"index: {name}": INDEXES[name] for name in ("8 GiB", "a file above")},
    **{f"config: {name}": CONFIGS[name] for name in ("10^9 layers", "Python code of its own")},
    **{f"file: {name}": FILES[name] for name in ("only pickles", "a licence that is a secret")},
    **{f"recipe: {name}": RECIPES[name] for name in ("10 MB", "a bomb of aliases", "10^12 layers, interleaved")},
    "mergekit: merges in a circle": MERGEKIT_FILES["merges in a circle"],
}


@pytest.mark.parametrize(("damage", "said"), COMMANDS.values(), ids=COMMANDS.keys())
def test_the_command(place: Path, damage: Damage | bytes, said: str) -> None:
    if isinstance(damage, bytes):
        (place / "recipe.yaml").write_bytes(damage)
    else:
        damage(place / "a")
    before = list(snapshot(place))
    result = suture("merge", place / "recipe.yaml", place.parent / "out")
    assert (result.returncode, result.stdout) == (2, ""), result.stderr
    assert_refused(result.stderr, said)
    assert list(snapshot(place)) == before
    assert [path.name for path in place.parent.iterdir()] == [place.name]


def test_the_command_merges_what_is_good_in_that_much_memory(place: Path) -> None:
    result = suture("merge", place / "recipe.yaml", place.parent / "out")
    assert result.returncode == 0, result.stderr
    assert (place.parent / "out" / SINGLE).exists()
