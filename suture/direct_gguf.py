"""`suture quantize MODEL OUT`: a checkpoint or a 16-bit GGUF to a smaller GGUF, without store or server.

Everything is written to OUT.partial, and OUT appears when it is whole. What failed leaves its logs there.
"""

from __future__ import annotations

import contextlib
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

from suture.corpus import pin_text
from suture.errors import CheckpointError, HostError, InputError, ProcessError, RecipeError
from suture.gguf import metadata
from suture.gguf.convert import ConvertSpec, Provenance, write_gguf
from suture.gguf.imatrix import FILE, ImatrixSpec, write_imatrix
from suture.gguf.quantize import write_quantized
from suture.progress import Progress
from suture.recipe import NEED_IMATRIX, Imatrix, QuantType
from suture.store import Workspace, durable, locks
from suture.store.disk import disk_full, is_for_want_of_room

_UNQUANTIZED = ("F32", "F16", "BF16")


@dataclass(frozen=True)
class Quantized:
    """What came of it.

    Attributes:
        source: The 16-bit GGUF.
        result: The new file.
        fallback_tensors: Tensors that could not take the type and got another.
        weighted_by: The text of the importance matrix; empty without one.
    """

    source: metadata.Summary
    result: metadata.Summary
    fallback_tensors: int
    weighted_by: str


def quantize_into(model: Path, out: Path, type_: QuantType, imatrix: Imatrix | None, progress: Progress) -> Quantized:
    """Quantize a model to a file.

    Args:
        model: A folder with a checkpoint, which is converted first, or a GGUF.
        out: The new file; it does not exist yet.
        type_: What to quantize to.
        imatrix: Text whose importance matrix weights the rounding.
        progress: Gets the bytes, then the tensors.

    Raises:
        InputError: When the model cannot be quantized as asked, or `out` exists; nothing is left then.
        ProcessError: When one of llama.cpp's tools fails.
    """
    _check_is_possible(out, type_, imatrix)
    with _scratch_of(out) as scratch:
        source = _sixteen_bits(model, scratch, progress)
        matrix = None if imatrix is None else _matrix(source, imatrix, scratch, progress)
        work = _workspace(scratch, "quantized")
        facts = write_quantized(source, type_, work, progress, matrix)
        made = work.out / "model.gguf"
        result = Quantized(
            source=metadata.read(source),
            result=metadata.read(made),
            fallback_tensors=int(str(facts["fallback_tensors"])),
            weighted_by=imatrix.text.text if imatrix else "",
        )
        durable.sync_file(made)
        made.rename(out)
    return result


def _check_is_possible(out: Path, type_: QuantType, imatrix: Imatrix | None) -> None:
    if out.exists():
        raise HostError(
            "The output exists already.",
            where=out,
            expected="a file that does not exist yet",
            way_out="Name another file, or remove this one.",
        )
    if type_ in NEED_IMATRIX and imatrix is None:
        raise RecipeError(
            f"{type_} cannot be made without an importance matrix.",
            where="--type",
            expected="--imatrix TEXT with it",
            way_out="Name a text that the model is to be good at, such as --imatrix builtin:prose.",
        )


def _sixteen_bits(model: Path, scratch: Path, progress: Progress) -> Path:
    """Return the model as a 16-bit GGUF."""
    if model.is_dir():
        work = _workspace(scratch, "converted")
        provenance = Provenance(name=model.resolve().name, recipe="", sources=())
        write_gguf(model, ConvertSpec(type="bf16", provenance=provenance), work, progress)
        return work.out / "model.gguf"
    found = metadata.read(model).type
    if found not in _UNQUANTIZED:
        raise CheckpointError(
            "This GGUF is quantized already; to quantize it again would add one loss to another.",
            where=model,
            expected=f"a file of type {', '.join(_UNQUANTIZED)}",
            found=found,
            way_out="Quantize the checkpoint, or the 16-bit file that this was made of.",
        )
    return model


def _matrix(source: Path, asked: Imatrix, scratch: Path, progress: Progress) -> Path:
    work = _workspace(scratch, "imatrix")
    text = pin_text(asked.text, "train", alone=True)
    write_imatrix(source, ImatrixSpec(text=text, chunks=asked.chunks, context=asked.context), work, progress)
    return work.out / FILE


def _workspace(scratch: Path, name: str) -> Workspace:
    """Return folders for one step; the key is empty, for the file will lie in no store."""
    work = Workspace("", scratch / name, scratch / f"{name}.scratch")
    work.out.mkdir()
    work.scratch.mkdir()
    return work


@contextlib.contextmanager
def _scratch_of(out: Path) -> Generator[Path]:
    """Hold an empty folder beside the output alone; of what fails, the logs are left in it."""
    folder = out.absolute().with_name(f"{out.name}.partial")
    folder.mkdir(parents=True, exist_ok=True)
    with locks.try_locked(folder / "lock") as alone:
        if not alone:
            raise HostError("Another process is making this file.", where=folder, way_out="Wait for its end.")
        for left in folder.iterdir():
            if left.is_dir():
                durable.remove_tree(left)
        try:
            yield folder
        except (OSError, ProcessError) as error:
            full = is_for_want_of_room(error, folder)
            for model in folder.glob("*/*.gguf"):
                model.unlink()
            if full:
                raise disk_full(folder, None) from error
            raise
        except InputError:
            durable.remove_tree(folder)
            raise
        durable.remove_tree(folder)
