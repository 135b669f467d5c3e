"""A cash book: entries, corrections of earlier ones, and a balance that must be right after each."""

from __future__ import annotations

import re

from suture.bench.suite.form import Score, right, wrong
from suture.bench.suite.reading import numbers, plain
from suture.bench.suite.scenarios.turns import Check, Scenario, Turn

_BALANCE = re.compile(r"balance\b[^\n:=]*[:=]([^\n]*)", re.IGNORECASE)


def _balance(expected: int, *, also: int | None = None) -> Check:
    """The last line with a balance has the right one; `also` must stand somewhere too."""

    def check(text: str) -> Score:
        lines = _BALANCE.findall(plain(text))
        found = numbers(re.sub("[€\u202f\xa0]", " ", lines[-1]))[:1] if lines else []
        if found != [expected]:
            named = f"{found[0]:g}" if found else "missing"
            return wrong("forgot", f"the balance is {named}, expected {expected}")
        if also is not None and also not in numbers(text):
            return wrong("forgot", f"{also} is missing")
        return right("balance right")

    return check


LEDGER = Scenario(
    system=(
        "You keep the cash book of a small club. The user tells you of entries and asks about them. End "
        "every reply with a line 'Balance: N', where N is the cash in euros after all entries so far, "
        "corrections included."
    ),
    turns=(
        Turn("We start with 240 euros in the cash box.", _balance(240)),
        Turn("I bought stamps for 18 euros.", _balance(222)),
        Turn("Anna paid her yearly fee in cash: 35 euros.", _balance(257)),
        Turn("The hall cost us 120 euros in rent, paid in cash.", _balance(137)),
        Turn("A correction: the stamps did not cost 18 but 28 euros.", _balance(127)),
        Turn("Two guests paid 15 euros each for the dinner.", _balance(157)),
        Turn("Without what we started with: how much cash has come in so far?", _balance(157, also=65)),
        Turn("The landlord gave us back 20 euros of the rent, in cash.", _balance(177)),
        Turn("Strike Anna's fee from the book: she paid it into the bank, not in cash.", _balance(142)),
        Turn("I bought three lamps at 14 euros each.", _balance(100)),
    ),
)
