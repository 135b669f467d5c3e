"""One look at all sources of a recipe: compare, wait until the hub is quiet, start a build exactly once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from suture.errors import RecipeError
from suture.hub.watch import memory
from suture.hub.watch.compare import compare
from suture.hub.watch.fingerprint import Trouble, Watched, take, watched
from suture.hub.watch.form import TROUBLES, Fingerprint, Look, SourceLook, worst
from suture.hub.watch.memory import Claim, Memory, Pending, combination_of
from suture.recipe import Recipe, with_commits, with_dataset_commits
from suture.store import Store, canonical_json
from suture.store.runs import list_runs

QUIET = timedelta(minutes=15)
"""How long a change has to stay as it is: models are uploaded in several commits."""


@dataclass(frozen=True)
class Due:
    """A build that should start.

    Attributes:
        recipe: With commits for branches.
        combination: What it is made of, as one digest: the key under which it may start once.
    """

    recipe: Recipe
    combination: str


def look_at(
    recipe: Recipe, store: Store, *, quiet: timedelta = QUIET, now: datetime | None = None
) -> tuple[Look, Due | None]:
    """Ask the hub for each source of a recipe, and compare with what was seen.

    The first look remembers what is there. What changed since is `material` until a completed run was made of it; a
    change that no build depends on is remembered at once.

    Args:
        recipe: The recipe; its revisions are branches or tags.
        store: Keeps what was seen.
        quiet: How long a change has to stay as it is before it is due.
        now: The time; the clock's when None.

    Returns:
        What was found; and the build that is due, if one is.

    Raises:
        RecipeError: When no source of the recipe is a repository.
    """
    sources = watched(recipe)
    if not sources:
        raise RecipeError(
            "There is nothing to watch: no source of this recipe is a repository.",
            where=recipe.name,
            expected="a source whose model is owner/name",
        )
    at = now or datetime.now(UTC)
    with memory.remembering(store, recipe) as path:
        known = _with_builds(memory.read(path, recipe), store)
        found = _ask(sources, known, at)
        looks = tuple(_compare(source, known, found[source.name]) for source in sources)
        known, look = _judge(recipe, store, known, found, looks, at, quiet)
        memory.write(path, known)
    return look, _due(recipe, look, looks)


def accept_licences(recipe: Recipe, store: Store) -> None:
    """Remember the licences that the sources have now, so that a changed one no longer holds anything back."""
    with memory.remembering(store, recipe) as path:
        known = memory.read(path, recipe)
        seen = dict(known.seen)
        for source in watched(recipe):
            now = take(source, None)
            if source.name in seen and isinstance(now, Fingerprint):
                licence = {"licence": now.licence, "terms": now.terms, "card": now.card}
                seen[source.name] = seen[source.name].model_copy(update=licence)
        memory.write(path, known.model_copy(update={"seen": seen}))


def start_once(store: Store, due: Due, start: Callable[[Due], str]) -> str:
    """Start a build, unless it was started before or somebody else is starting it.

    A watcher that dies between starting and remembering it starts again: `start` has to find what it started before
    by the combination, or to go on with it.

    Args:
        store: Keeps the claims.
        due: What to build.
        start: Starts it; returns what it is called.

    Returns:
        What the build is called; empty while another watcher is starting it.
    """
    with memory.claiming(store, due.combination) as path:
        if path is None:
            return ""
        claim = memory.read_claim(store, due.combination)
        if claim is not None and claim.started:
            return claim.started
        if claim is None:
            asked = due.recipe.model_dump(mode="json")
            claim = Claim(combination=due.combination, recipe=asked, at=datetime.now(UTC))
            memory.write_claim(path, claim)
        name = start(Due(Recipe.model_validate(claim.recipe), due.combination))
        memory.write_claim(path, claim.model_copy(update={"started": name}))
        return name


def _compare(source: Watched, known: Memory, now: Fingerprint | Trouble) -> SourceLook:
    look = compare(source, known.seen.get(source.name), now)
    before = known.told.get(source.name, _told(look) if look.verdict == "unchanged" else "")
    return look.model_copy(update={"is_news": _told(look) != before})


def _told(look: SourceLook) -> str:
    return f"{look.verdict} {look.commit}"


def _ask(sources: tuple[Watched, ...], known: Memory, at: datetime) -> dict[str, Fingerprint | Trouble]:
    if known.not_before is not None and at < known.not_before:
        told = Trouble("rate_limited", f"the hub asked not to be asked before {known.not_before:%H:%M:%S} UTC")
        return {source.name: told for source in sources}
    return {source.name: take(source, known.seen.get(source.name)) for source in sources}


def _judge(
    recipe: Recipe,
    store: Store,
    known: Memory,
    found: Mapping[str, Fingerprint | Trouble],
    looks: tuple[SourceLook, ...],
    at: datetime,
    quiet: timedelta,
) -> tuple[Memory, Look]:
    """Return what is to be remembered, and what the look found."""
    verdict = worst(tuple(look.verdict for look in looks))
    look = Look(
        recipe=recipe.name, at=at, verdict=verdict, sources=looks, combination="", due=False, due_at=None, why=""
    )
    prints = {name: each for name, each in found.items() if isinstance(each, Fingerprint)}
    known = _remembered(known, prints, looks, _not_before(found, known, at))
    if verdict in TROUBLES:
        return known, look.model_copy(update={"why": "nothing starts while a source cannot be read"})
    look = look.model_copy(update={"combination": combination_of(recipe, prints)})
    if not any(each.changed for each in looks):
        known = known.model_copy(update={"pending": None})
        return known, look.model_copy(update={"why": _nothing_to_build(verdict)})
    if known.pending is None or known.pending.combination != look.combination:
        known = known.model_copy(
            update={"pending": Pending(combination=look.combination, since=at, fingerprints=prints)}
        )
    since = known.pending.since if known.pending else at
    return known, _waiting(look, store, since + quiet)


def _waiting(look: Look, store: Store, due_at: datetime) -> Look:
    """Return the look at something that has changed: whether its build is due, held back, or was started."""
    claim = memory.read_claim(store, look.combination)
    if claim is not None and claim.started:
        why = f"its build {claim.started} {'has completed' if _is_built(claim, store) else 'has not completed yet'}"
        return look.model_copy(update={"started": claim.started, "why": why})
    if look.verdict == "licence_changed":
        return look.model_copy(update={"why": "held back until the changed licence is accepted"})
    if look.at < due_at:
        why = f"built when nothing else changes until {due_at:%Y-%m-%d %H:%M:%S} UTC"
        return look.model_copy(update={"due_at": due_at, "why": why})
    return look.model_copy(update={"due": True, "due_at": due_at, "why": "the change has stayed: its build is due"})


def _remembered(
    known: Memory,
    prints: Mapping[str, Fingerprint],
    looks: tuple[SourceLook, ...],
    not_before: datetime | None,
) -> Memory:
    """Remember sources that are new, and commits that changed nothing."""
    noted = {
        look.name: prints[look.name] for look in looks if look.verdict in ("new", "cosmetic") and look.name in prints
    }
    told = {look.name: f"unchanged {look.commit}" if look.name in noted else _told(look) for look in looks}
    return known.model_copy(update={"seen": {**known.seen, **noted}, "told": told, "not_before": not_before})


def _not_before(found: Mapping[str, Fingerprint | Trouble], known: Memory, at: datetime) -> datetime | None:
    waits = [each.wait for each in found.values() if isinstance(each, Trouble) and each.wait is not None]
    if waits:
        return at + timedelta(seconds=max(waits))
    return known.not_before if known.not_before is not None and at < known.not_before else None


def _nothing_to_build(verdict: str) -> str:
    return {
        "new": "remembered; from now on changes are noticed",
        "licence_changed": "nothing to build; the changed licence waits to be accepted",
    }.get(verdict, "nothing to build")


def _with_builds(known: Memory, store: Store) -> Memory:
    """Return what is remembered, with the pending combination seen if a run of it has completed."""
    pending = known.pending
    claim = None if pending is None else memory.read_claim(store, pending.combination)
    if pending is None or claim is None or not _is_built(claim, store):
        return known
    return known.model_copy(update={"seen": {**known.seen, **pending.fingerprints}, "pending": None})


def _is_built(claim: Claim, store: Store) -> bool:
    wanted = canonical_json(claim.recipe)
    return any(record.state == "completed" and canonical_json(record.recipe) == wanted for record in list_runs(store))


def _due(recipe: Recipe, look: Look, looks: tuple[SourceLook, ...]) -> Due | None:
    if not look.due:
        return None
    commits = {each.name: each.commit for each in looks}
    return Due(with_dataset_commits(with_commits(recipe, commits), commits), look.combination)
