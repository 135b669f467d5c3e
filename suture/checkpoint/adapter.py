"""A LoRA adapter in PEFT's format: a config and one file of tensors, checked like a checkpoint's before use."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from suture.checkpoint.header import read_header
from suture.checkpoint.layout import Layout
from suture.checkpoint.reader import Checkpoint, Extent
from suture.checkpoint.shards import list_files
from suture.checkpoint.strict_json import read_json_object
from suture.errors import SourceError

ADAPTER = "adapter_model.safetensors"
ADAPTER_CONFIG = "adapter_config.json"
_PICKLE = "adapter_model.bin"


def open_adapter(folder: Path) -> Checkpoint:
    """Read and check an adapter's config and header.

    Returns:
        A checkpoint whose config is that of the adapter, and whose tensors are named as PEFT names them.

    Raises:
        SourceError: When the folder holds no adapter that can be used.
        CheckpointError: When one of its two files is malformed.
    """
    files = list_files(folder)
    require_adapter(files, folder)
    header = read_header(folder / ADAPTER)
    extents = {
        name: Extent(folder / ADAPTER, start, header.tensors[name].nbytes) for name, start in header.starts.items()
    }
    return Checkpoint(folder, Layout(read_json_object(folder / ADAPTER_CONFIG), header.tensors, files), extents)


def require_adapter(files: Collection[str], where: str | Path) -> None:
    """Refuse a folder or repository that is no adapter.

    Args:
        files: Names of its files.
        where: What errors call it.

    Raises:
        SourceError: Naming the files that are missing.
    """
    missing = [name for name in (ADAPTER_CONFIG, ADAPTER) if name not in files]
    if not missing:
        return
    only_pickled = missing == [ADAPTER] and _PICKLE in files
    raise SourceError(
        "This is not a LoRA adapter that can be used.",
        where=where,
        expected=f"{ADAPTER_CONFIG} and {ADAPTER}",
        found=_PICKLE if only_pickled else f"no {', no '.join(missing)}",
        way_out="Pickled weights can run code and are never opened: load the adapter with PEFT where you trust it, "
        "and save it again with save_pretrained, which writes safetensors."
        if only_pickled
        else "Name the repository or folder that PEFT's save_pretrained wrote; a whole model is named as `model`.",
    )
