"""Pinning: which exact model or adapter a source is, and what it holds, known before any weights are fetched."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from suture.checkpoint.layout import Layout
from suture.hub.builtin import builtin_layout, find_builtin
from suture.hub.fetch import AdapterFetch, BuiltinFetch, FetchSpec, HubFetch, LocalFetch
from suture.hub.folder import digests, read_adapter, read_folder
from suture.hub.licences import licence_of_folder
from suture.hub.repository import look_up, naming, skeleton
from suture.recipe import Source, is_path


@dataclass(frozen=True)
class Pinned:
    """A source of a recipe, or the adapter of one, pinned.

    Attributes:
        name: What the recipe calls it.
        model: The repository, the built-in model, or the folder's name.
        commit: The repository's commit, the package's version, or a digest of the folder's files.
        licence: What its card or licence file names; `unknown` else.
        layout: What the checkpoint holds; of an adapter, its tensors under PEFT's config.
        spec: How to fetch it.
        adapter: The adapter that is fused into it.
        folder: Where its files beside the weights lie already; None of a built-in model.
    """

    name: str
    model: str
    commit: str
    licence: str
    layout: Layout
    spec: FetchSpec
    adapter: Pinned | None = None
    folder: Path | None = None


def pin(source: Source) -> Pinned:
    """Pin a source, and its adapter if it has one.

    Raises:
        SourceError: When it is missing, incomplete, pickled or gated, or the network is needed and forbidden.
        CheckpointError: When its index or a header is malformed.
        TransientError: When the hub cannot be reached.
    """
    if source.model.startswith("builtin:"):
        pinned = _pin_builtin(source)
    elif is_path(source.model):
        pinned = _pin_folder(source)
    else:
        pinned = _pin_repository(source)
    return replace(pinned, adapter=_pin_adapter(f"{source.name}-adapter", source.adapter) if source.adapter else None)


def _pin_builtin(source: Source) -> Pinned:
    builtin = find_builtin(source.model)
    return Pinned(
        name=source.name,
        model=source.model,
        commit=builtin.package.version,
        licence=builtin.licence,
        layout=builtin_layout(builtin),
        spec=BuiltinFetch(name=source.model, package_sha256=builtin.package.sha256),
    )


def _pin_folder(source: Source) -> Pinned:
    folder = Path(source.model).expanduser().resolve()
    layout = read_folder(folder)
    spec = LocalFetch(files=digests(folder, layout.files), path=folder)
    return Pinned(
        name=source.name,
        model=folder.name,
        commit=spec.digest,
        licence=licence_of_folder(folder),
        layout=layout,
        spec=spec,
        folder=folder,
    )


def _pin_repository(source: Source) -> Pinned:
    listing = look_up(source.model, source.revision)
    folder = skeleton(listing)
    with naming(listing, folder):
        layout = read_folder(folder)
    return Pinned(
        name=source.name,
        model=listing.repo,
        commit=listing.commit,
        licence=licence_of_folder(folder),
        layout=layout,
        spec=HubFetch(repo=listing.repo, commit=listing.commit),
        folder=folder,
    )


def _pin_adapter(name: str, adapter: str) -> Pinned:
    """Pin an adapter: a folder, or a repository (`owner/name`, `owner/name@revision`)."""
    if is_path(adapter):
        folder = Path(adapter).expanduser().resolve()
        layout = read_adapter(folder)
        files = LocalFetch(files=digests(folder, layout.files), path=folder)
        model, commit = folder.name, files.digest
    else:
        model, _, revision = adapter.partition("@")
        listing = look_up(model, revision or "main", "adapter")
        folder, commit = skeleton(listing), listing.commit
        with naming(listing, folder):
            layout = read_adapter(folder)
        files = HubFetch(repo=model, commit=commit)
    return Pinned(name, model, commit, licence_of_folder(folder), layout, AdapterFetch(files=files))
