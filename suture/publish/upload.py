"""Which files are new, changed, or there already; and the whole way of a publication."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from suture.checkpoint.shards import INDEX
from suture.errors import HostError, SourceError
from suture.hub.download import RemoteFile
from suture.hub.files import is_weights
from suture.hub.provenance import FILE, SIGNATURE
from suture.progress import Progress, human_bytes
from suture.publish.draft import Draft, DraftFile
from suture.publish.remote import Remote, create, look, require_token, send
from suture.store import Store

Action = Literal["add", "replace", "keep", "delete"]


@dataclass(frozen=True)
class Change:
    """What becomes of one file of the repository.

    Attributes:
        name: The file.
        size: Bytes.
        action: `keep`: it is there already with this content, and is not sent.
    """

    name: str
    size: int
    action: Action


@dataclass(frozen=True)
class UploadPlan:
    """What a publication would do.

    Attributes:
        repo: The repository.
        exists: Whether it is there already.
        parent: Its newest commit; empty where there is none.
        changes: One for each file.
    """

    repo: str
    exists: bool
    parent: str
    changes: tuple[Change, ...]

    @property
    def is_empty(self) -> bool:
        """Whether nothing would change."""
        return self.exists and all(change.action == "keep" for change in self.changes)

    @property
    def size(self) -> int:
        """Bytes to be sent at most."""
        return sum(change.size for change in self.changes if change.action in ("add", "replace"))


@dataclass(frozen=True)
class Published:
    """What a publication did.

    Attributes:
        plan: What it was to do.
        commit: The repository's newest commit now.
        url: Its address; empty where nothing had to be committed.
    """

    plan: UploadPlan
    commit: str
    url: str


def plan_upload(draft: Draft) -> UploadPlan:
    """Compare a draft with what the repository holds; changes nothing.

    Raises:
        SourceError: When the name is none, or the network is forbidden.
        TransientError: When the hub cannot be reached.
    """
    return _plan(draft, look(draft.repo))


def publish(draft: Draft, store: Store, progress: Progress, *, public: bool) -> Published:
    """Verify, then make the repository if there is none, then send what it lacks in one commit.

    Args:
        draft: What to publish.
        store: Where its artifacts lie.
        progress: Is told what goes on.
        public: Whether everybody may see it.

    Raises:
        SourceError: When the licences forbid it, the repository changed meanwhile, or the token may not write.
        HostError: When there is no token, or the repository is public and `public` was not asked for.
        CorruptArtifactError: When a file is not what its manifest says; nothing was sent then.
        TransientError: When the upload broke off.
    """
    check_licences(draft)
    require_token()
    remote = look(draft.repo)
    _check_visibility(draft.repo, remote, public=public)
    for artifact in draft.release.artifacts:
        progress.say(f"verifying {artifact.key[:12]}")
        store.verify_or_set_aside(artifact.key, fully=True)
    if remote is None:
        remote = create(draft.repo, private=not public)
    plan = _plan(draft, remote)
    if plan.is_empty:
        return Published(plan, remote.commit, "")
    progress.say(f"sending up to {human_bytes(plan.size)} to {draft.repo}")
    content = {file.name: file.content for file in draft.files}
    commit, url = send(
        draft.repo,
        plan.parent,
        {change.name: content[change.name] for change in plan.changes if change.action in ("add", "replace")},
        [change.name for change in plan.changes if change.action == "delete"],
        f"Publish {draft.release.name}",
    )
    return Published(plan, commit, url)


def check_licences(draft: Draft) -> None:
    """Stop what the licences of its parts forbid, or may forbid, unless a reason was given.

    Raises:
        SourceError: With the reasons.
    """
    if draft.judgement.may_be_published or draft.override:
        return
    conflict = draft.judgement.verdict == "conflict"
    raise SourceError(
        "The licences of the parts do not go together." if conflict else "The licence of a part is not known.",
        where=draft.release.name,
        expected="licences that allow to publish what was made of them",
        found="; ".join(draft.judgement.problems),
        way_out="Read them. If you may publish it, say why: --override-licence 'REASON'; it goes into the card.",
    )


def _check_visibility(repo: str, remote: Remote | None, *, public: bool) -> None:
    if remote is not None and not remote.private and not public:
        raise HostError(
            "This repository is public, and publishing is private unless you say otherwise.",
            where=repo,
            way_out="Give --public, or make the repository private on the hub.",
        )


def _plan(draft: Draft, remote: Remote | None) -> UploadPlan:
    there: Mapping[str, RemoteFile] = {} if remote is None else remote.files
    actions: dict[str, Action] = {file.name: _action(file, there.get(file.name)) for file in draft.files}
    if actions.get(FILE) == "keep" and SIGNATURE in there and SIGNATURE in actions:
        actions[SIGNATURE] = "keep"  # of the same statement, though each signature is another one
    changes = [Change(file.name, file.size, actions[file.name]) for file in draft.files]
    stale = _stale(draft, list(there))
    return UploadPlan(
        repo=draft.repo,
        exists=remote is not None,
        parent="" if remote is None else remote.commit,
        changes=(*changes, *(Change(name, there[name].size, "delete") for name in stale)),
    )


def _action(file: DraftFile, there: RemoteFile | None) -> Action:
    if there is None:
        return "add"
    return "keep" if there.size == file.size and _digest(file, there) == there.digest else "replace"


def _digest(file: DraftFile, there: RemoteFile) -> str:
    """Return a file's digest in the kind that the hub lists it with."""
    if there.is_lfs:
        return file.sha256
    hasher = there.hasher()
    hasher.update(file.content.read_bytes() if isinstance(file.content, Path) else file.content)
    return hasher.hexdigest()


def _stale(draft: Draft, there: Sequence[str]) -> list[str]:
    """Return what of an earlier publication must not stay: shards that a loader might take, an outdated signature."""
    ours = {file.name for file in draft.files}
    outdated = [name for name in there if name not in ours]
    shards = [name for name in outdated if is_weights(name) or name == INDEX] if draft.release.has_checkpoint else []
    return [*shards, *(name for name in outdated if name == SIGNATURE)]
