"""What was seen of a recipe's sources, and which builds were started; kept in the store, and locked.

Below `SUTURE_STORE`:

    watch/<recipe>-<digest>.json      what was seen, and what waits for a quiet hub
    watch/claims/<combination>.json   the build of a combination; its lock is held by who starts it
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Generator
from datetime import datetime
from pathlib import Path

from pydantic import Field, JsonValue

from suture.hub.watch.form import Fingerprint, Row
from suture.recipe import Recipe, datasets_of, hub_adapter, hub_model, with_dataset_commits
from suture.store import Store, canonical_json, durable, locks


class Pending(Row):
    """A combination that differs from what was seen, and has to stay as it is for a while before it is built."""

    combination: str
    since: datetime
    fingerprints: dict[str, Fingerprint]


class Memory(Row):
    """What was seen of a recipe's sources."""

    recipe: str
    seen: dict[str, Fingerprint] = Field(default_factory=dict[str, Fingerprint])
    """Source -> what the last build was made of, or what the first look found."""
    told: dict[str, str] = Field(default_factory=dict[str, str])
    """Source -> verdict and commit that are no news: those of the last look, or what follows from it by itself."""
    pending: Pending | None = None
    not_before: datetime | None = None
    """When the hub may be asked again: it said so."""


class Claim(Row):
    """The build of one combination."""

    combination: str
    recipe: JsonValue
    """With commits for branches."""
    at: datetime
    started: str = ""
    """What the build is called; empty until it was surely started."""


def unpinned(recipe: Recipe) -> JsonValue:
    """Return a recipe without its revisions: what it asks for, whatever its sources hold at the moment."""
    sources = [
        source.model_copy(
            update={
                "revision": "" if hub_model(source) else source.revision,
                "adapter": adapter[0] if (adapter := hub_adapter(source)) else source.adapter,
            }
        )
        for source in recipe.sources
    ]
    without = recipe.model_copy(update={"sources": tuple(sources)})
    return with_dataset_commits(without, {data.text: "" for data in datasets_of(recipe)}).model_dump(mode="json")


def combination_of(recipe: Recipe, fingerprints: dict[str, Fingerprint]) -> str:
    """Return one digest of what a build is made of: the recipe, and the files of all sources."""
    content: JsonValue = {
        "recipe": unpinned(recipe),
        "sources": {name: dict(found.files) for name, found in fingerprints.items()},
    }
    return hashlib.sha256(canonical_json(content).encode()).hexdigest()


@contextlib.contextmanager
def remembering(store: Store, recipe: Recipe) -> Generator[Path]:
    """Hold what is remembered of a recipe alone; yields its file."""
    digest = hashlib.sha256(canonical_json(recipe.model_dump(mode="json")).encode()).hexdigest()
    folder = _folder(store)
    with locks.locked(folder / f"{recipe.name}-{digest[:12]}.lock"):
        yield folder / f"{recipe.name}-{digest[:12]}.json"


def read(path: Path, recipe: Recipe) -> Memory:
    """Return what is remembered; nothing at first."""
    if not path.is_file():
        return Memory(recipe=recipe.name)
    return Memory.model_validate_json(path.read_bytes())


def write(path: Path, memory: Memory) -> None:
    """Remember durably."""
    durable.write_atomically(path, memory.model_dump_json(indent=1).encode())


@contextlib.contextmanager
def claiming(store: Store, combination: str) -> Generator[Path | None]:
    """Hold a combination's claim alone; yields its file, or None while somebody else holds it."""
    folder = _folder(store) / "claims"
    with locks.try_locked(folder / f"{combination}.lock") as mine:
        yield folder / f"{combination}.json" if mine else None


def read_claim(store: Store, combination: str) -> Claim | None:
    """Return the claim on a combination, if there is one."""
    path = _folder(store) / "claims" / f"{combination}.json"
    return Claim.model_validate_json(path.read_bytes()) if path.is_file() else None


def write_claim(path: Path, claim: Claim) -> None:
    """Write a claim durably."""
    durable.write_atomically(path, claim.model_dump_json(indent=1).encode())


def _folder(store: Store) -> Path:
    folder = store.root / "watch"
    (folder / "claims").mkdir(parents=True, exist_ok=True)
    return folder
