"""Noticing what changed at a recipe's sources, without fetching any weights.

form.py          verdicts, fingerprints, and what one look at a recipe found
fingerprint.py   asking the hub for the commit and files of a source
compare.py       what changed since a fingerprint that was seen before
memory.py        what was seen, kept in the store; and which builds were started
look.py          one look at all sources of a recipe: compare, wait until it is quiet, start a build once
"""

from suture.hub.watch.form import Look, SourceLook, Verdict
from suture.hub.watch.look import QUIET, Due, accept_licences, look_at, start_once

__all__ = ["QUIET", "Due", "Look", "SourceLook", "Verdict", "accept_licences", "look_at", "start_once"]
