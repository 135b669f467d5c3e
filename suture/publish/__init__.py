"""Publishing a run, or one artifact of the store, to a repository on the hub.

release.py   which artifacts, and which of their files under which names
draft.py     what goes with them: card, licences' texts, recipe, plots, provenance
remote.py    the repository: what it holds, and sending it a commit
upload.py    which files are new, changed or there already; and the whole way
"""

from suture.publish.draft import Draft, draft
from suture.publish.release import Only, Release, pick
from suture.publish.upload import Change, Published, UploadPlan, plan_upload, publish

__all__ = [
    "Change",
    "Draft",
    "Only",
    "Published",
    "Release",
    "UploadPlan",
    "draft",
    "pick",
    "plan_upload",
    "publish",
]
