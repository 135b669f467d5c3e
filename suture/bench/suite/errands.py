"""Three small worlds for the category `agentic`: a release, a restaurant whose server stumbles, a shop of cases."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from pydantic import JsonValue

from suture.bench.suite.calls import Arguments
from suture.bench.suite.form import Message
from suture.bench.suite.worlds import World, problem, string, tool

_SYSTEM = Message(
    "system",
    "You act for the user by calling the tools. Do not ask back: nobody is there to answer. "
    "When the task is done, say so in one sentence.",
)


def _opening(task: str) -> tuple[Message, ...]:
    return (_SYSTEM, Message("user", task))


def _json(value: JsonValue) -> str:
    return json.dumps(value, ensure_ascii=False)


# -- a release: jobs that need each other ---------------------------------------------------------------------

_GOAL = "publish"
_NEEDS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "benchmark": ("build",),
        "build": ("fetch-sources",),
        "changelog": (),
        "deploy-demo": ("package",),
        "fetch-sources": (),
        "package": ("unit-tests",),
        "publish": ("changelog", "sign"),
        "sign": ("package",),
        "unit-tests": ("build",),
    }
)
_PATH = frozenset(_NEEDS) - {"benchmark", "deploy-demo"}


@dataclass(frozen=True)
class Jobs:
    """What has run.

    Attributes:
        done: Jobs that ran, in order.
        refused: Jobs that were started before what they need was done.
    """

    done: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()

    @property
    def published(self) -> bool:
        """Whether the release is out."""
        return _GOAL in self.done

    @property
    def needless(self) -> tuple[str, ...]:
        """What ran though publishing does not take it."""
        return tuple(job for job in self.done if job not in _PATH)


def _release(state: Jobs, name: str, arguments: Arguments) -> tuple[Jobs, str]:
    if name == "list_jobs":
        return state, _json([{"job": job, "needs": list(needs)} for job, needs in _NEEDS.items()])
    job = str(arguments["job"])
    if job not in _NEEDS:
        return state, problem(f"there is no job {job!r}", jobs=list(_NEEDS))
    if job in state.done:
        return state, _json({"job": job, "status": "already done"})
    open_needs = [need for need in _NEEDS[job] if need not in state.done]
    if open_needs:
        return replace(state, refused=(*state.refused, job)), problem("not started", job=job, waits_for=[*open_needs])
    return replace(state, done=(*state.done, job)), _json({"job": job, "status": "succeeded"})


RELEASE = World(
    opening=_opening(
        "Publish version 2.4.0: run the job 'publish' and, before it, every job it depends on, directly or "
        "indirectly. Every run costs money: run no other job, and never start a job before what it needs is done."
    ),
    tools=(
        tool("list_jobs", "List all jobs of the release, with the jobs that each one needs done before.", {}),
        tool("run_job", "Run one job and wait for its end.", {"job": string("Name of the job.")}),
    ),
    start=Jobs(),
    act=_release,
    steps=14,
)


# -- a restaurant: a server that stumbles, and a time that is taken -------------------------------------------

_FREE = ("18:15", "20:15", "21:30")
_DATE = re.compile(r"\d{4}-\d\d-\d\d")


@dataclass(frozen=True)
class Reservations:
    """What the restaurant knows.

    Attributes:
        asked: How often it was asked to reserve.
        made: Reservations: date, time, guests, name.
    """

    asked: int = 0
    made: tuple[tuple[str, str, int, str], ...] = ()


def _restaurant(state: Reservations, _name: str, arguments: Arguments) -> tuple[Reservations, str]:
    state = replace(state, asked=state.asked + 1)
    if state.asked == 1:
        return state, problem("503 Service Unavailable: the booking system is restarting, try again")
    date, time = str(arguments["date"]).strip(), str(arguments["time"]).strip()[:5]
    guests = _whole(arguments["guests"])
    if guests is None or not _DATE.fullmatch(date):
        return state, problem("guests must be a number, and date YYYY-MM-DD")
    if time not in _FREE:
        return state, problem(f"no table for {guests} at {time} on {date}", free_times=list(_FREE))
    booked = (date, time, guests, str(arguments["name"]).strip())
    return replace(state, made=(*state.made, booked)), _json({"status": "confirmed", "code": f"R-{7 + state.asked}"})


TABLE = World(
    opening=_opening(
        "Reserve a table for six at Osteria Lume on 3 September 2027 at 19:00, in the name of Okafor. "
        "If 19:00 is taken, take the next later time that is free."
    ),
    tools=(
        tool(
            "reserve_table",
            "Reserve a table at Osteria Lume.",
            {
                "date": string("Day, YYYY-MM-DD."),
                "time": string("Time, HH:MM, 24 hours."),
                "guests": {"type": "integer", "description": "Number of guests."},
                "name": string("Surname of the guest."),
            },
        ),
    ),
    start=Reservations(),
    act=_restaurant,
    steps=8,
)


# -- a shop: what is counted in cases -------------------------------------------------------------------------


@dataclass(frozen=True)
class _Product:
    name: str
    bottles: int  # in a case
    cents: int  # for a case


_PRODUCTS: Mapping[str, _Product] = MappingProxyType(
    {
        "AQ-075": _Product("Aquila sparkling water 0.75 l", 6, 540),
        "AQ-100": _Product("Aquila still water 1.0 l", 6, 480),
        "LM-033": _Product("Lumo lemonade 0.33 l", 24, 1680),
    }
)


@dataclass(frozen=True)
class Cart:
    """What is in the cart.

    Attributes:
        cases: Cases by article.
        ordered: Whether it was ordered; an order is final.
    """

    cases: tuple[tuple[str, int], ...] = ()
    ordered: bool = False

    @property
    def bottles(self) -> dict[str, int]:
        """Bottles by article."""
        return {article: count * _PRODUCTS[article].bottles for article, count in self.cases}

    def shown(self) -> JsonValue:
        """Return the cart as the shop shows it."""
        cents = sum(count * _PRODUCTS[article].cents for article, count in self.cases)
        rows: list[JsonValue] = [
            {
                "article": article,
                "product": _PRODUCTS[article].name,
                "quantity": f"{count} cases of {_PRODUCTS[article].bottles}",
                "bottles": count * _PRODUCTS[article].bottles,
            }
            for article, count in self.cases
        ]
        return {"cart": rows, "total": f"{cents / 100:.2f} EUR"}


def _shop(state: Cart, name: str, arguments: Arguments) -> tuple[Cart, str]:
    if state.ordered:
        return state, problem("the order has been placed and cannot be changed")
    if name == "search_products":
        return state, _json([{"article": article, "product": each.name} for article, each in _PRODUCTS.items()])
    if name == "place_order":
        if not state.cases:
            return state, problem("the cart is empty")
        return replace(state, ordered=True), _json({"status": "ordered", "number": "40817"})
    return _set_quantity(state, arguments)


def _set_quantity(state: Cart, arguments: Arguments) -> tuple[Cart, str]:
    article, quantity = str(arguments["article"]).strip(), _whole(arguments["quantity"])
    if article not in _PRODUCTS:
        return state, problem(f"there is no article {article!r}")
    if quantity is None or quantity < 0:
        return state, problem("quantity must be a whole number, 0 to remove the article")
    others = tuple(pair for pair in state.cases if pair[0] != article)
    state = replace(state, cases=(*others, (article, quantity)) if quantity else others)
    return state, _json(state.shown())


SHOP = World(
    opening=_opening(
        "Order exactly 24 bottles of Aquila sparkling water for the office party. "
        "Before you place the order, make sure that the cart holds 24 bottles; if it does not, put it right."
    ),
    tools=(
        tool("search_products", "Search the shop.", {"query": string("What to look for.")}),
        tool(
            "set_quantity",
            "Set the quantity of an article in the cart, and show the cart. 0 removes it.",
            {"article": string("Article."), "quantity": {"type": "integer", "description": "The new quantity."}},
        ),
        tool("place_order", "Order what is in the cart. This cannot be undone.", {}),
    ),
    start=Cart(),
    act=_shop,
    steps=10,
)


def _whole(value: JsonValue) -> int | None:
    """Return a whole number, given as a number or in words of digits; else None."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except ValueError:
        return None
    return int(number) if number.is_integer() else None
