"""Which files of a model are fetched: what a checkpoint is made of, and nothing that could be run."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from suture.checkpoint.adapter import ADAPTER, ADAPTER_CONFIG
from suture.checkpoint.companions import is_companion
from suture.checkpoint.layout import CONFIG
from suture.checkpoint.shards import INDEX

_WEIGHTS = ".safetensors"
_BESIDE = {CONFIG, INDEX, "README.md"}
_ADAPTER = {ADAPTER, ADAPTER_CONFIG, "README.md"}
_TERMS = ("LICENSE", "LICENCE", "NOTICE", "USE_POLICY", "COPYING")


def is_beside_weights(name: str) -> bool:
    """Return whether a file is fetched along with the weights; one in a folder of the repository never is."""
    return _is_plain(name) and not is_weights(name) and (name in _BESIDE or is_companion(name) or is_terms(name))


def is_of_adapter(name: str) -> bool:
    """Return whether a file of an adapter is fetched: its two files, its card and its terms."""
    return "/" not in name and (name in _ADAPTER or is_terms(name))


def is_weights(name: str) -> bool:
    """Return whether a file holds tensors in the one form that cannot run code."""
    return name.endswith(_WEIGHTS) and _is_plain(name)


def chosen(names: Iterable[str], weights: Collection[str]) -> tuple[str, ...]:
    """Return the files to fetch, sorted.

    Args:
        names: All files of the model.
        weights: Those of the weights that belong to the checkpoint: some repositories hold them twice, for
            instance as `consolidated.safetensors` too.
    """
    return tuple(sorted(name for name in names if name in weights or is_beside_weights(name)))


def _is_plain(name: str) -> bool:
    """Return whether a name leads nowhere but into the folder itself; no NUL, which ends a name in C."""
    return "/" not in name and name.isprintable()


def is_terms(name: str) -> bool:
    """Return whether a file holds a licence or what belongs to one."""
    return name.startswith(_TERMS)
