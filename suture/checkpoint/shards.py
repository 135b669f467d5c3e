"""The safetensors files of a checkpoint, and the index that says which tensor is in which."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

from pydantic import JsonValue

from suture.checkpoint.header import Header, check_tensor_name, read_header
from suture.checkpoint.strict_json import read_json_object
from suture.checkpoint.tensors import TensorInfo
from suture.errors import CheckpointError, SourceError

INDEX = "model.safetensors.index.json"
SINGLE = "model.safetensors"
_WEIGHTS = ".safetensors"
PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".msgpack", ".h5")
"""How files end that hold weights in a form that can run code when it is read."""


def read_shards(folder: Path) -> dict[str, Header]:
    """Read the headers of a checkpoint's files, and check them against each other and the index.

    Returns:
        File name -> its header.

    Raises:
        SourceError: When the folder holds no weights in safetensors.
        CheckpointError: When the index or a file is malformed, or they do not agree.
    """
    files = list_files(folder)
    if find_weights(files, folder) == SINGLE:
        return {SINGLE: read_header(folder / SINGLE)}
    where = folder / INDEX
    weight_map = parse_weight_map(read_json_object(where), files, where)
    headers = {file: read_header(folder / file) for file in sorted(set(weight_map.values()))}
    check_shards(weight_map, {file: header.tensors for file, header in headers.items()}, where)
    return headers


def list_files(folder: Path) -> tuple[str, ...]:
    """Return the names of a folder's files, sorted.

    Raises:
        SourceError: When there is no such folder, it cannot be read, or a link in it leads astray.
    """
    try:
        if not folder.is_dir():
            raise SourceError("There is no such folder.", where=folder, expected="a folder with a checkpoint")
        files = [path for path in folder.iterdir() if path.is_file()]
    except OSError as error:  # no permission, or a name that is too long
        raise SourceError("The folder cannot be read.", where=folder, found=error.strerror) from error
    for path in files:
        _check_link(path)
    return tuple(sorted(path.name for path in files))


def _check_link(path: Path) -> None:
    """Refuse a link to a file of another name: what it leads to would be copied, and published, with the model.

    Models are made of links in the hub's cache, where the file is in a folder `blobs`, and by people who keep the
    same tokenizer.json once. Weights may lie anywhere: nothing but tensors is ever read from them.
    """
    if not path.is_symlink() or path.suffix == _WEIGHTS:
        return
    target = path.resolve()
    if target.name != path.name and target.parent.name != "blobs":
        raise SourceError(
            "A file of the model is a link to a file of another name.",
            where=path,
            expected=f"{path.name}, or a file of the hub's cache",
            found=target,
            way_out="Put a copy of the file there, if it is what you want.",
        )


def find_weights(files: Collection[str], where: str | Path) -> str:
    """Return the name of the one file to read first: the index of the shards, or the single file.

    Args:
        files: Names of the files of the folder or repository.
        where: What errors call it.

    Raises:
        SourceError: When there is neither, or both.
    """
    found = [name for name in (INDEX, SINGLE) if name in files]
    if len(found) == 1:
        return found[0]
    if found:
        raise SourceError(
            "The model's weights are there twice.",
            where=where,
            expected=f"either {INDEX} or {SINGLE}",
            found="both",
            way_out="Remove the one that is out of date.",
        )
    pickles = sorted(name for name in files if name.endswith(PICKLES))
    raise SourceError(
        "The model has no weights in safetensors.",
        where=where,
        expected=f"either {INDEX} or {SINGLE}",
        found=", ".join(pickles[:3]) or "neither",
        way_out="Pickled weights can run code and are never opened: use a revision with safetensors files."
        if pickles
        else None,
    )


def parse_weight_map(index: Mapping[str, JsonValue], files: Collection[str], where: str | Path) -> dict[str, str]:
    """Return an index's table: tensor -> file, every file known to lie in the folder itself.

    Args:
        index: The index's content.
        files: Names of the files of the folder or repository.
        where: What errors call it.

    Raises:
        CheckpointError: When it is malformed, or points to a file that is not in the folder.
    """
    weight_map = index.get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise CheckpointError(
            "The index has no table of tensors.", where=where, expected="weight_map: tensor -> file"
        )
    table: dict[str, str] = {}
    for name, file in weight_map.items():
        check_tensor_name(name, where)
        if not isinstance(file, str) or Path(file).name != file or not file.endswith(_WEIGHTS):
            raise _bad_entry(name, file, where, "the name of a safetensors file in the same folder")
        if file not in files:
            raise _bad_entry(name, file, where, "a file that is there")
        table[name] = file
    return table


def check_shards(
    weight_map: Mapping[str, str], shards: Mapping[str, Mapping[str, TensorInfo]], where: str | Path
) -> None:
    """Refuse shards that do not hold exactly what the index says.

    Args:
        weight_map: Tensor -> file, as the index says.
        shards: File -> the tensors that its header names.
        where: What errors call the index.

    Raises:
        CheckpointError: Naming the first tensor that is absent, unlisted, or in two files.
    """
    held = {(name, file) for file, tensors in shards.items() for name in tensors}
    listed = set(weight_map.items())
    for name, file in sorted(held - listed):
        if name in weight_map:
            raise _bad_entry(name, weight_map[name], where, f"each tensor in one file; this one is also in {file}")
        raise CheckpointError("A shard holds a tensor that the index lacks.", where=where, found=f"{name} in {file}")
    for name, file in sorted(listed - held):
        raise _bad_entry(name, file, where, "a file that holds it")


def _bad_entry(name: str, file: JsonValue, where: str | Path, expected: str) -> CheckpointError:
    return CheckpointError(
        "The index and the files do not agree.", where=where, expected=expected, found=ascii({name: file})
    )
