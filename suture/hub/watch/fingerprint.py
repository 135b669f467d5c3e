"""Asking the hub which commit a source is at and what it holds there; no weights are fetched."""

from __future__ import annotations

from dataclasses import dataclass

from huggingface_hub import errors

from suture.checkpoint.adapter import ADAPTER_CONFIG
from suture.checkpoint.layout import CONFIG
from suture.errors import InputError, SutureError, TransientError
from suture.hub.client import headers, speaking_of, wait_asked_for
from suture.hub.datasets import pin_dataset
from suture.hub.download import RemoteFile, read_range
from suture.hub.files import is_terms
from suture.hub.licences import UNKNOWN, licence_of_card
from suture.hub.repository import Content, Listing, look_up, url_of
from suture.hub.watch.form import Fingerprint, Verdict
from suture.recipe import Data, Recipe, datasets_of, hub_adapter, hub_dataset, hub_model

CARD = "README.md"
_CARD_BYTES = 1 << 20  # of a card: the head is at its beginning


@dataclass(frozen=True)
class Watched:
    """A repository that a recipe depends on.

    Attributes:
        name: What the recipe calls it; an adapter's ends in `-adapter`, a data set's is its text.
        repo: The repository.
        revision: Branch, tag or commit.
        content: What is wanted of it.
        data: The data set that it is; None for a model or adapter.
    """

    name: str
    repo: str
    revision: str
    content: Content = "checkpoint"
    data: Data | None = None


@dataclass(frozen=True)
class Trouble:
    """Why nothing can be said of a source.

    Attributes:
        verdict: The kind.
        why: In words.
        wait: Seconds that the hub asks to wait; None where it does not say.
    """

    verdict: Verdict
    why: str
    wait: int | None = None


def watched(recipe: Recipe) -> tuple[Watched, ...]:
    """Return the repositories that a recipe depends on."""
    found: list[Watched] = []
    for source in recipe.sources:
        if hub_model(source):
            found.append(Watched(source.name, source.model, source.revision))
        adapter = hub_adapter(source)
        if adapter is not None:
            found.append(Watched(f"{source.name}-adapter", *adapter, "adapter"))
    found += [Watched(data.text, *hub_dataset(data), data=data) for data in dict.fromkeys(datasets_of(recipe))]
    return tuple(found)


def take(source: Watched, seen: Fingerprint | None) -> Fingerprint | Trouble:
    """Return a source's fingerprint as it is now, or why there is none.

    Args:
        source: The source.
        seen: An earlier fingerprint: its card is read again only if it changed.
    """
    try:
        if source.data is not None:
            return _of_dataset(source.data)
        listing = look_up(source.repo, source.revision, source.content)
        _require_access(listing)
        return _fingerprint(listing, seen)
    except (InputError, TransientError) as error:
        return _trouble(error)


def _require_access(listing: Listing) -> None:
    """Ask for one byte: the hub describes gated repositories to everybody, and hands out their files to few."""
    name = ADAPTER_CONFIG if listing.content == "adapter" else CONFIG
    with speaking_of(listing.repo, listing.commit):
        read_range(url_of(listing, name), headers(), 0, 1)


def _fingerprint(listing: Listing, seen: Fingerprint | None) -> Fingerprint:
    digests = {file.name: file.digest for file in listing.files}
    card = digests.pop(CARD, "")
    if seen is not None and seen.card == card:
        licence = seen.licence
    else:
        licence = _licence(listing, listing.file(CARD)) if card else UNKNOWN
    return Fingerprint(
        commit=listing.commit,
        files={name: digest for name, digest in sorted(digests.items()) if not is_terms(name)},
        terms={name: digest for name, digest in sorted(digests.items()) if is_terms(name)},
        card=card,
        licence=licence,
    )


def _of_dataset(data: Data) -> Fingerprint:
    pinned = pin_dataset(data)
    return Fingerprint(
        commit=pinned.listing.commit,
        files=pinned.spec.files,
        terms={},
        card="",
        licence=pinned.listing.licence,
    )


def _licence(listing: Listing, card: RemoteFile) -> str:
    with speaking_of(listing.repo, listing.commit):
        text = read_range(url_of(listing, card.name), headers(), 0, min(card.size, _CARD_BYTES) or 1)
    return licence_of_card(text.decode(errors="replace")) or UNKNOWN


def _trouble(error: SutureError) -> Trouble:
    why = error.problem if error.found is None else f"{error.problem} {error.found}"
    cause = error.__cause__
    wait = wait_asked_for(cause.response) if isinstance(cause, errors.HfHubHTTPError) else None
    return Trouble(_kind(error, cause), why, wait)


def _kind(error: SutureError, cause: BaseException | None) -> Verdict:
    match cause:
        case errors.GatedRepoError():
            return "gated"
        case errors.RepositoryNotFoundError() | errors.RevisionNotFoundError() | errors.EntryNotFoundError():
            return "gone"
        case errors.HfHubHTTPError():
            return _STATUSES.get(cause.response.status_code, "unreachable")
        case None if not isinstance(error, TransientError):
            return "gone"  # it holds no checkpoint that could be used: it is being filled, or was emptied
        case _:
            return "unreachable"


_STATUSES: dict[int, Verdict] = {429: "rate_limited", 401: "gated", 403: "gated"}
