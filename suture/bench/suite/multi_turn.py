"""The category `multi_turn`: long conversations in which something accumulates, checked in every turn."""

from __future__ import annotations

from suture.bench.suite.form import Test
from suture.bench.suite.scenarios.adventure import ADVENTURE
from suture.bench.suite.scenarios.document import DOCUMENT
from suture.bench.suite.scenarios.ledger import LEDGER
from suture.bench.suite.scenarios.persona import PERSONA
from suture.bench.suite.scenarios.questions import QUESTIONS
from suture.bench.suite.scenarios.review import REVIEW
from suture.bench.suite.scenarios.schedule import SCHEDULE
from suture.bench.suite.scenarios.turns import as_test

CONVERSATIONS: tuple[Test, ...] = (
    as_test("turns-ledger", "cash book with corrections", LEDGER),
    as_test("turns-adventure", "text adventure with rules", ADVENTURE),
    as_test("turns-schedule", "meetings that change", SCHEDULE),
    as_test("turns-persona", "rules of form in every turn", PERSONA),
    as_test("turns-review", "code that keeps what was agreed", REVIEW, context=8192),
    as_test("turns-document", "JSON edited step by step", DOCUMENT, context=8192),
    as_test("turns-questions", "guessing game, consistent answers", QUESTIONS),
)
