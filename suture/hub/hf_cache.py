"""What the hub's own tools have fetched to this machine already: their cache is read, and never written to.

    models--owner--name/blobs/<digest>    contents, each under the digest that the hub lists

It does not tell what a repository holds, as it keeps only what somebody asked for. Nor is it believed: a file is
copied, not linked, as the store makes its files read-only, and the copy is verified like what a network brings.
"""

from __future__ import annotations

import re
from pathlib import Path

from suture.hub.download import RemoteFile, part_of
from suture.hub.folder import copy_file

_DIGEST = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")  # of git's blobs; of large files


def seed_part(repo: str, file: RemoteFile, target: Path) -> None:
    """Copy a file of the cache to where a download would go on from; not where one has begun already.

    Args:
        repo: The repository.
        file: What to look for.
        target: Where the file is to be.
    """
    part = part_of(target)
    blob = _folder(repo) / "blobs" / file.digest
    if part.exists() or not _DIGEST.fullmatch(file.digest):
        return
    if blob.is_file() and blob.stat().st_size == file.size:
        for _ in copy_file(blob, part):
            pass


def _folder(repo: str) -> Path:
    from huggingface_hub import constants
    from huggingface_hub.file_download import repo_folder_name

    return Path(constants.HF_HUB_CACHE) / repo_folder_name(repo_id=repo, repo_type="model")
