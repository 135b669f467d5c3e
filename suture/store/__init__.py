"""Artifacts on disk: content that is complete, verified, read-only, and found again by key.

The folder, below `SUTURE_STORE`:

    artifacts/<key>/           files + manifest.json, read-only; its existence means complete
    partial/<key>/out/         what a step is writing; emptied at each attempt, renamed to artifacts/ when done
    partial/<key>/scratch/     what a step keeps for its next attempt (training checkpoints, part downloads)
    locks/                     flock files: one per key, one for collection; they die with their process
    verified/<key>.json        stat() of each file when its digest was last checked
    quarantine/<key>.<n>/      artifacts that failed verification, kept for a look
    mirrored/<remote>/<key>    empty; says that a remote has this artifact, so that it need not be asked
    runs/<run>/                run.json, report.html: what ran, and the roots of collection
    sweeps/<sweep>/            sweep.html, sweep.json: the points of a sweep side by side
"""

from suture.store.artifact import Artifact, FileEntry, Manifest
from suture.store.keys import artifact_key, canonical_json
from suture.store.runs import RunRecord, SourceRecord, StepRecord
from suture.store.store import Store
from suture.store.workspace import Workspace

__all__ = [
    "Artifact",
    "FileEntry",
    "Manifest",
    "RunRecord",
    "SourceRecord",
    "StepRecord",
    "Store",
    "Workspace",
    "artifact_key",
    "canonical_json",
]
