"""What a perfect endpoint and an adversary say to the tests of structured output."""

from __future__ import annotations

from suture.bench.suite import Answer

ORDER = """\
{
  "customer": "Ines Moreau",
  "express": false,
  "payment": "invoice",
  "items": [
    {"product": "desk lamp", "quantity": 3, "price": 19.5},
    {"product": "chair", "quantity": 12, "price": 80}
  ],
  "note": null
}"""

TABLE = """\
| City  | Visitors | Weather |
|-------|---------:|---------|
| Porto | 1500     | rain    |
| Oslo  | 640      | snow    |
| Cairo | 320      | sun     |
| Quito | 85       | fog     |"""

PERFECT: dict[str, tuple[Answer | str, ...]] = {"json-schema": (ORDER,), "markdown-table": (TABLE,)}

ADVERSARY: dict[str, tuple[Answer | str, ...]] = {
    "json-schema": (ORDER.replace("12", '"12"'),),
    "markdown-table": (TABLE.replace("1500", "150 "),),
}
