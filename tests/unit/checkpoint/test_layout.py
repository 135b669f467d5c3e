from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from suture.checkpoint.layers import find_layers
from suture.checkpoint.layout import Layout, TensorInfo, read_layout, require_tokenizer
from suture.checkpoint.shards import parse_weight_map
from suture.checkpoint.tensors import layer_order
from suture.errors import CheckpointError, SourceError

INDEX = "model.safetensors.index.json"


def change_index(folder: Path, **changes: Any) -> None:
    index = json.loads((folder / INDEX).read_text())
    index["weight_map"] |= changes
    index["weight_map"] = {name: file for name, file in index["weight_map"].items() if file is not None}
    (folder / INDEX).write_text(json.dumps(index))


def test_a_layout_says_what_the_library_reads(folder: Path, tensors: dict[str, torch.Tensor]) -> None:
    layout = read_layout(folder)
    dtypes = {torch.bfloat16: "BF16", torch.float16: "F16", torch.float32: "F32"}
    assert layout.tensors == {
        name: TensorInfo(dtypes[tensor.dtype], tuple(tensor.shape)) for name, tensor in tensors.items()
    }
    assert layout.size == sum(tensor.nbytes for tensor in tensors.values())
    assert layout.parameters == sum(tensor.numel() for tensor in tensors.values())
    assert layout.layers == 2
    assert layout.files == tuple(sorted(path.name for path in folder.iterdir()))


def test_a_single_file_needs_no_index(tmp_path: Path, tensors: dict[str, torch.Tensor]) -> None:
    save_file(tensors, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text('{"num_hidden_layers": 2}')
    assert read_layout(tmp_path).tensors.keys() == tensors.keys()


def test_a_layout_can_be_made_without_files() -> None:
    layout = Layout({"text_config": {"num_hidden_layers": 3}}, {"w": TensorInfo("F4", (3, 4))}, ())
    assert (layout.layers, layout.size, layout.parameters) == (3, 6, 12)


@pytest.mark.parametrize(
    "file", ["../outside.safetensors", "/etc/outside.safetensors", "sub/x.safetensors", "..", "", "x.bin", 3, ["x"]]
)
def test_an_index_that_points_outside_is_refused(folder: Path, file: Any) -> None:
    (folder.parent / "outside.safetensors").write_bytes((folder / "model-00001-of-00002.safetensors").read_bytes())
    (folder / "sub").mkdir()
    (folder / "sub/x.safetensors").write_bytes(b"")
    (folder / "x.bin").write_bytes(b"")
    change_index(folder, **{"model.norm.weight": file})
    with pytest.raises(CheckpointError) as caught:
        read_layout(folder)
    assert caught.value.where == folder / INDEX
    assert "model.norm.weight" in str(caught.value.found)


def test_an_index_may_not_name_files_in_folders_even_where_they_are_known() -> None:
    index: dict[str, Any] = {"weight_map": {"a": "sub/x.safetensors"}}
    with pytest.raises(CheckpointError, match="in the same folder"):
        parse_weight_map(index, ["sub/x.safetensors"], "a repository")


def test_a_shard_that_is_not_there(folder: Path) -> None:
    (folder / "model-00002-of-00002.safetensors").unlink()
    with pytest.raises(CheckpointError, match="a file that is there"):
        read_layout(folder)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"model.extra.weight": "model-00001-of-00002.safetensors"}, "a file that holds it"),
        ({"model.norm.weight": None}, "the index lacks"),
        ({"model.norm.weight": "model-00001-of-00002.safetensors"}, "also in model-00002"),
    ],
)
def test_index_and_shards_must_agree(folder: Path, changes: dict[str, Any], said: str) -> None:
    change_index(folder, **changes)
    with pytest.raises(CheckpointError, match=said):
        read_layout(folder)


def test_a_tensor_in_two_shards_is_refused(folder: Path, tensors: dict[str, torch.Tensor]) -> None:
    held = {name: tensors[name] for name in list(tensors)[4:]}
    save_file(held | {"model.layers.0.A_log": torch.zeros(3)}, folder / "model-00002-of-00002.safetensors")
    with pytest.raises(CheckpointError, match="also in model-00002"):
        read_layout(folder)


@pytest.mark.parametrize(
    "index",
    [
        "{}",
        '{"weight_map": []}',
        '{"weight_map": {}}',
        "[]",
        "",
        '{"weight_map": {"a": "x", "a": "x"}}',
        '{"weight_map": {"../a": "x.safetensors"}}',
    ],
)
def test_malformed_indexes_are_refused(folder: Path, index: str) -> None:
    (folder / INDEX).write_text(index)
    with pytest.raises(CheckpointError) as caught:
        read_layout(folder)
    assert caught.value.where == folder / INDEX


def test_pickles_are_never_opened(tmp_path: Path) -> None:
    (tmp_path / "pytorch_model.bin").write_bytes(b"")
    with pytest.raises(SourceError, match=r"no weights in safetensors[\s\S]*pytorch_model.bin[\s\S]*can run code"):
        read_layout(tmp_path)


def test_one_file_and_an_index_are_one_too_many(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes((folder / "model-00001-of-00002.safetensors").read_bytes())
    with pytest.raises(SourceError, match="there twice"):
        read_layout(folder)


def test_a_folder_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no such folder"):
        read_layout(tmp_path / "nothing")


@pytest.mark.parametrize(
    ("config", "error", "said"),
    [
        (None, SourceError, "no config.json"),
        ('{"auto_map": {"AutoModel": "modeling.Model"}}', SourceError, "code of its own"),
        ('{"a": 1, "a": 2}', CheckpointError, "given twice"),
        ("\xff", CheckpointError, "not JSON"),
    ],
)
def test_configs_that_cannot_be_used(folder: Path, config: str | None, error: type[Exception], said: str) -> None:
    (folder / "config.json").unlink()
    if config is not None:
        (folder / "config.json").write_text(config, encoding="latin-1")
    with pytest.raises(error, match=said):
        read_layout(folder)


@pytest.mark.parametrize("missing", ["tokenizer.json", "tokenizer_config.json"])
def test_a_missing_tokenizer_is_named_with_the_way_out(folder: Path, missing: str) -> None:
    require_tokenizer(read_layout(folder), folder)
    (folder / missing).unlink()
    with pytest.raises(SourceError) as caught:
        require_tokenizer(read_layout(folder), folder)
    assert caught.value.found == f"no {missing}"
    assert "save_pretrained" in str(caught.value.way_out)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("tokenizer.json", b""),
        ("tokenizer.json", b'{"model": {"vocab": {'),
        ("tokenizer.json", b"version https://git-lfs.github.com/spec/v1\n"),
        ("tokenizer.json", b"<html></html>" * 1000),
        ("tokenizer_config.json", b"[]"),
        ("tokenizer_config.json", b'{"eos_token": "a", "eos_token": "b"}'),
    ],
)
def test_a_damaged_tokenizer_is_named(folder: Path, name: str, content: bytes) -> None:
    (folder / name).write_bytes(content)
    with pytest.raises(CheckpointError) as caught:
        require_tokenizer(read_layout(folder), folder)
    assert caught.value.where == folder / name


def test_a_tokenizer_may_be_long_and_end_in_a_newline(folder: Path) -> None:
    (folder / "tokenizer.json").write_text('\n{"a": "%s"}\n' % ("x" * 10_000))
    require_tokenizer(read_layout(folder), folder)


@pytest.mark.parametrize(
    ("name", "target"),
    [
        ("LICENSE", "../blobs/0a1b"),  # as in the hub's cache
        ("tokenizer.json", "../other/tokenizer.json"),
        ("model.safetensors.index.json", "../blobs/0a1c"),
        ("model-00001-of-00002.safetensors", "../other/anything"),
    ],
)
def test_links_to_the_same_file_elsewhere_are_followed(folder: Path, name: str, target: str) -> None:
    file = folder / target
    file.parent.mkdir(parents=True, exist_ok=True)
    if (folder / name).exists():
        (folder / name).rename(file)
    else:
        file.write_text("")
    (folder / name).symlink_to(target)
    assert name in read_layout(folder).files


@pytest.mark.parametrize("name", ["LICENSE", "chat_template.jinja", "config.json", "model.safetensors.index.json"])
def test_a_link_to_a_file_of_another_name_is_refused(folder: Path, name: str) -> None:
    """It would be copied into the result, and published with it."""
    (folder.parent / "id_rsa").write_text("secret")
    (folder / name).unlink(missing_ok=True)
    (folder / name).symlink_to("../id_rsa")
    with pytest.raises(SourceError, match="a link to a file of another name") as caught:
        read_layout(folder)
    assert caught.value.where == folder / name


def test_a_folder_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="cannot be read"):
        read_layout(tmp_path / ("a" * 300))


def test_an_error_of_the_config_names_its_file(folder: Path) -> None:
    (folder / "config.json").write_text('{"num_hidden_layers": -1}')
    with pytest.raises(CheckpointError) as caught:
        _ = read_layout(folder).layers
    assert caught.value.where == folder / "config.json"


@pytest.mark.parametrize("count", [None, 0, -1, True, "2", 2.0])
def test_a_config_must_count_its_layers(count: Any) -> None:
    with pytest.raises(CheckpointError, match="how many layers"):
        _ = Layout({"num_hidden_layers": count}, {}, ()).layers


def names(prefix: str, count: int) -> list[str]:
    return [f"{prefix}.{layer}.mlp.experts.7.weight" for layer in range(count)]


@pytest.mark.parametrize(
    ("others", "prefix"),
    [
        ([], "model.layers"),
        (names("model.visual.blocks", 12) + names("mtp.layers", 12), "model.language_model.layers"),
        (names("model.other", 11), "h"),
    ],
)
def test_the_stack_of_layers_is_found_among_others(others: list[str], prefix: str) -> None:
    found = find_layers({"n_layer": 12}, [*names(prefix, 12), *others], "x")
    assert (found.prefix, found.count) == (prefix, 12)
    assert found.split(f"{prefix}.11.a.3.b") == (11, "a.3.b")
    assert found.split("lm_head.weight") is None
    assert found.name(5, "a.b") == f"{prefix}.5.a.b"


@pytest.mark.parametrize(
    "found",
    [
        names("model.layers", 11),
        names("model.layers", 13),
        names("model.layers", 13)[1:],
        names("a", 12) + names("b", 12),
        [],
    ],
)
def test_a_stack_that_cannot_be_told_is_refused(found: list[str]) -> None:
    with pytest.raises(CheckpointError, match="the numbers 0 to 11"):
        find_layers({"num_hidden_layers": 12}, found, "x")


def test_tensors_are_ordered_by_layer() -> None:
    shuffled = ["b.1", "a.10.b", "c1.10", "a.2.b", "b", "a.10.a", "c1.2", "a.x"]
    ordered = ["a.2.b", "a.10.a", "a.10.b", "a.x", "b", "b.1", "c1.2", "c1.10"]
    assert sorted(shuffled, key=layer_order) == ordered
    assert min(["٣", "3", "a٣b3"], key=layer_order) == "3"  # digits of other scripts are letters here
