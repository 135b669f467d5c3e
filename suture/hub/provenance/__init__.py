"""provenance.json: which files were published, and what they were made of, by whom nobody need be trusted.

form.py     its form: an in-toto Statement (v1) with SLSA's provenance (v1) inside
state.py    from the manifests of artifacts to a statement
verify.py   whether a folder is what its statement says
signing.py  signing the statement, with the extra `signing`
"""

from suture.hub.provenance.form import FILE, Statement
from suture.hub.provenance.signing import SIGNATURE, sign, signature_problem
from suture.hub.provenance.state import state, without_paths
from suture.hub.provenance.verify import Problem, verify

__all__ = [
    "FILE",
    "SIGNATURE",
    "Problem",
    "Statement",
    "sign",
    "signature_problem",
    "state",
    "verify",
    "without_paths",
]
