"""What a checkpoint holds: everything but the numbers. Known before any of its weights are fetched."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import JsonValue

from suture.checkpoint.header import Header
from suture.checkpoint.layers import layer_count
from suture.checkpoint.shards import list_files, read_shards
from suture.checkpoint.strict_json import read_json_object
from suture.checkpoint.tensors import TensorInfo
from suture.checkpoint.tokenizer import TOKENIZER, TOKENIZER_CONFIG
from suture.errors import CheckpointError, SourceError

__all__ = ["CONFIG", "Layout", "TensorInfo", "check_config", "layout_of", "read_layout", "require_tokenizer"]

CONFIG = "config.json"
_END_BYTES = 100


@dataclass(frozen=True)
class Layout:
    """A checkpoint without its numbers. It can be made from a folder or from what a hub tells.

    Attributes:
        config: Content of config.json.
        tensors: Every tensor of every shard.
        files: Names of all the files of the folder or repository, of the tokenizer's too.
        where: What errors call config.json.
    """

    config: dict[str, JsonValue]
    tensors: Mapping[str, TensorInfo]
    files: tuple[str, ...]
    where: str | Path = field(default=CONFIG, compare=False)

    @property
    def size(self) -> int:
        """Bytes of all tensors."""
        return sum(info.nbytes for info in self.tensors.values())

    @property
    def parameters(self) -> int:
        """How many numbers the tensors hold."""
        return sum(info.parameters for info in self.tensors.values())

    @property
    def layers(self) -> int:
        """How many layers the language model has, as the config says."""
        return layer_count(self.config, self.where)


def read_layout(folder: Path) -> Layout:
    """Read config.json, the index and every shard's header, and check them; reads no weights.

    Raises:
        SourceError: When the folder holds no checkpoint that can be used.
        CheckpointError: When one of these files is malformed.
    """
    return layout_of(folder, read_shards(folder))


def layout_of(folder: Path, shards: Mapping[str, Header]) -> Layout:
    """Return the layout of a folder whose headers were read already."""
    files = list_files(folder)
    if CONFIG not in files:
        raise SourceError("The model has no config.json.", where=folder)
    config = read_json_object(folder / CONFIG)
    check_config(config, folder / CONFIG)
    tensors = {name: info for header in shards.values() for name, info in header.tensors.items()}
    return Layout(config, tensors, files, folder / CONFIG)


def check_config(config: Mapping[str, JsonValue], where: str | Path) -> None:
    """Refuse a model that needs code of its own.

    Raises:
        SourceError: When the config names such code under `auto_map`.
    """
    if config.get("auto_map"):
        raise SourceError(
            "The model needs Python code of its own, which is never run.",
            where=where,
            expected="a model class that transformers knows",
            found=f"auto_map: {config['auto_map']}",
            way_out="If transformers knows this model_type, remove auto_map from a local copy's config.json.",
        )


def require_tokenizer(layout: Layout, folder: Path) -> None:
    """Refuse a checkpoint without a tokenizer; without it the conversion to GGUF goes wrong, partly in silence.

    Args:
        layout: The checkpoint.
        folder: Where it is.

    Raises:
        SourceError: Naming the files that are missing.
        CheckpointError: When one of them is damaged.
    """
    missing = [name for name in (TOKENIZER, TOKENIZER_CONFIG) if name not in layout.files]
    if missing:
        raise SourceError(
            "The model's tokenizer is missing.",
            where=folder,
            expected=f"{TOKENIZER} and {TOKENIZER_CONFIG}",
            found=f"no {', no '.join(missing)}",
            way_out="Copy the files from the model it was made of. A tokenizer of the older kind becomes a "
            "tokenizer.json by AutoTokenizer.from_pretrained(FOLDER).save_pretrained(FOLDER).",
        )
    read_json_object(folder / TOKENIZER_CONFIG)
    _check_ends(folder / TOKENIZER)


def _check_ends(path: Path) -> None:
    """Refuse a file that is no JSON object from its first and last characters; it is too long to be parsed here.

    That tells a download that was cut off, a pointer of git's, and a page that says why there is no such file.
    """
    with path.open("rb") as file:
        start = file.read(_END_BYTES)
        file.seek(max(0, path.stat().st_size - _END_BYTES))
        end = file.read(_END_BYTES)
    if not start.lstrip().startswith(b"{") or not end.rstrip().endswith(b"}"):
        raise CheckpointError(
            "This is not a JSON object.",
            where=path,
            expected="{ at its beginning, } at its end",
            found=f"{start[:20]!r} ... {end[-20:]!r}",
        )
