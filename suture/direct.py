"""`suture merge RECIPE OUT`: the merges of a recipe alone, from folders to a folder, without store or server.

Everything is written to OUT.partial and renamed at the end. A merge that was killed goes on from its last finished
file when the same command is given again.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Generator, Mapping, Set
from pathlib import Path

from pydantic import JsonValue

from suture.checkpoint.reader import Checkpoint, open_checkpoint
from suture.errors import HostError, SutureError, VerificationError
from suture.merge.step import CHECKPOINT, MergeSpec, write_merge
from suture.progress import Progress
from suture.recipe import Merge, Passthrough, Recipe, Source, is_path
from suture.store import canonical_json, durable, locks
from suture.store.disk import disk_full, free_bytes

ACCOUNT = "suture.json"
"""File beside the weights: the recipe, and the account of every merge."""


def merge_into(
    recipe: Recipe, out: Path, shard_bytes: int, progress: Progress, *, verified: bool = False
) -> dict[str, JsonValue]:
    """Make the merge of a recipe, and the stages that it needs, in a folder.

    Args:
        recipe: Its sources that are plain folders are read where they are; others are fetched into the store first.
        out: The new checkpoint's folder; it does not exist yet.
        shard_bytes: Bytes of tensors per file at most.
        progress: Is told the bytes written.
        verified: Also load the result in transformers, and compare it with the sources, before `out` appears.

    Returns:
        The account, as `suture.merge.step.merge` gives it.

    Raises:
        InputError: When the sources cannot be merged as asked, or `out` exists; nothing was written then.
        VerificationError: When transformers makes something else of the result than was meant.
    """
    _check_is_new(out)
    merges = _needed(recipe)
    scratch = out.with_name(f"{out.name}.partial")
    facts: dict[str, JsonValue] = {}
    with (
        _folders(recipe, {name for _, merge in merges for name in merge.sources}, progress) as known,
        _scratch_of(scratch, recipe, {name: open_checkpoint(folder) for name, folder in known.items()}),
    ):
        accounts: dict[str, JsonValue] = {}
        for name, merge in merges:
            folder = scratch / "stages" / name if name else scratch
            spec = MergeSpec(merge=merge, shard_bytes=shard_bytes)
            sources = {source: open_checkpoint(known[source]) for source in merge.sources}
            facts = write_merge(spec, sources, folder, progress, check_room=lambda size: _check_room(scratch, size))
            accounts[name or "merge"] = facts
            known[name] = folder / CHECKPOINT
        if verified:
            progress.say("loading the result in transformers")
            _verify(scratch / CHECKPOINT, recipe.merge, known)
        content = {"recipe": recipe.model_dump(mode="json", exclude_defaults=True), "merges": accounts}
        (scratch / CHECKPOINT / ACCOUNT).write_text(json.dumps(content, indent=1) + "\n")
        (scratch / CHECKPOINT).rename(out)
    durable.remove_tree(scratch)
    return facts


def _verify(folder: Path, merge: Merge, known: Mapping[str, Path]) -> None:
    from suture.merge.verify import StackedFrom, verify

    made_of = None
    if isinstance(merge, Passthrough):
        sources = {name: known[name] for name in merge.sources}
        made_of = StackedFrom(sources, merge.base, merge.origins)
    found = verify(folder, made_of, for_real=True)
    if not found.is_exact:
        raise VerificationError(
            "transformers makes something else of the merge than was meant.",
            where=found.model,
            expected="every tensor in its place, and each layer as in its source",
            found="; ".join(found.problems),
            way_out="Please report it with the recipe. Nothing was written.",
        )


def _needed(recipe: Recipe) -> list[tuple[str, Merge]]:
    """Return the stages that the merge depends on, in order, and the merge itself under an empty name."""
    wanted = set(recipe.merge.sources)
    stages: list[tuple[str, Merge]] = []
    for stage in reversed(recipe.stages):
        if stage.name in wanted:
            stages.insert(0, (stage.name, stage.merge))
            wanted.update(stage.merge.sources)
    return [*stages, ("", recipe.merge)]


@contextlib.contextmanager
def _folders(recipe: Recipe, names: Set[str], progress: Progress) -> Generator[dict[str, Path]]:
    """Yield where the sources of these names lie; those in the store are not collected while the block runs."""
    with contextlib.ExitStack() as held:
        yield {
            source.name: _folder(source, recipe, progress, held) for source in recipe.sources if source.name in names
        }


def _folder(source: Source, recipe: Recipe, progress: Progress, held: contextlib.ExitStack) -> Path:
    if is_path(source.model) and source.finetune is None and source.adapter is None:
        return Path(source.model).expanduser()
    # Only now: planning a fetch loads the hub's client
    from suture.plan import plan_source
    from suture.steps import build_all, store_of_this_machine

    store = store_of_this_machine()
    held.enter_context(store.in_use())
    return build_all(plan_source(source, recipe), store, progress).artifact.path


def _check_is_new(out: Path) -> None:
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise HostError(
            "The output exists already.",
            where=out,
            expected="a folder that does not exist yet",
            way_out="Name another folder, or remove this one.",
        )


def _check_room(folder: Path, size: int) -> None:
    if free_bytes(folder) < size:
        raise disk_full(folder, size)


@contextlib.contextmanager
def _scratch_of(scratch: Path, recipe: Recipe, sources: Mapping[str, Checkpoint]) -> Generator[None]:
    """Hold the scratch folder alone; what lies in it of another merge, or of other sources, is removed."""
    files = {file for source in sources.values() for file in {extent.file for extent in source.extents.values()}}
    stamps: list[JsonValue] = [_stamp(file) for file in sorted(files)]
    identity = canonical_json({"recipe": recipe.model_dump(mode="json"), "sources": stamps})
    scratch.mkdir(parents=True, exist_ok=True)
    with locks.try_locked(scratch / "lock") as alone:
        if not alone:
            raise HostError("Another process is making this merge.", where=scratch, way_out="Wait for its end.")
        mark = scratch / "of.json"
        if not mark.exists() or mark.read_text() != identity:
            _empty(scratch)
            mark.write_text(identity)
        try:
            yield
        except SutureError:
            if not any(scratch.rglob("*.safetensors")):  # refused: nothing was made that is worth keeping
                durable.remove_tree(scratch)
            raise


def _empty(scratch: Path) -> None:
    for path in scratch.iterdir():
        if path.is_dir():
            durable.remove_tree(path)
        elif path.name != "lock":
            path.unlink()


def _stamp(file: Path) -> list[JsonValue]:
    status = file.stat()
    return [str(file), status.st_ino, status.st_size, status.st_mtime_ns]
