"""A log of a harbour, long and dull, in which a fact can be hidden: the same text each time."""

from __future__ import annotations

_SHIPS = ("Aurelia", "Brigid", "Corvo", "Dagny", "Estrela", "Fjordlys", "Galatea", "Halcyon", "Isolde")
_PORTS = ("Bergen", "Cork", "Gdynia", "Leith", "Malmö", "Ostend", "Porto")
_GOODS = ("barley", "roof tiles", "dried fish", "engine parts", "paper", "salt", "timber", "cork", "glass")
_PEOPLE = ("Anselm", "Birte", "Colm", "Dorota", "Edvin", "Freya", "Gustav", "Hedda")
_WINDS = ("a light wind from the west", "fog until noon", "rain and gusts", "a calm sea", "frost on the quay")
_SENTENCES = (
    "The {ship} came in from {port} with {tons} tons of {goods} and was moored at berth {berth}.",
    "{person} inspected the crane at berth {berth} and found nothing to repair.",
    "The day brought {wind}, and the {ship} waited outside for the pilot.",
    "{person} signed for {tons} crates of {goods}, of which {few} were damaged.",
    "The {ship} left for {port} on the evening tide, with {person} as pilot.",
    "The master of the {ship} complained to {person} about the price of water and was shown the tariff.",
    "{person} and the night watch counted {few} gulls' nests on the roof of the customs house.",
    "A letter from {port} announced {tons} tons of {goods} for next week.",
    "Berth {berth} stayed empty, for the buoy there had drifted; {person} put it back with the launch.",
    "The pump of the {ship} failed, and {person} lent out number {few} of the store.",
    "Two sailors of the {ship} were taught knots by {person} in exchange for {goods}.",
)


def entries(count: int) -> list[str]:
    """Return the entries of so many days."""
    return [
        f"Day {day}. " + " ".join(_sentence(day * 4 + place) for place in range(4)) for day in range(1, count + 1)
    ]


def _sentence(number: int) -> str:
    # steps without common divisors: sentences and words meet in ever new combinations
    return _SENTENCES[number * 7 % len(_SENTENCES)].format(
        ship=_SHIPS[number * 5 % len(_SHIPS)],
        port=_PORTS[number * 3 % len(_PORTS)],
        goods=_GOODS[number * 4 % len(_GOODS)],
        person=_PEOPLE[number * 3 % len(_PEOPLE)],
        wind=_WINDS[number * 2 % len(_WINDS)],
        tons=20 + number * 37 % 180,
        berth=1 + number * 5 % 12,
        few=2 + number * 3 % 7,
    )
