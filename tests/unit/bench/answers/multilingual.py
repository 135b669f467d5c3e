"""Answers to the tests of the category `multilingual`."""

from __future__ import annotations

from suture.bench.suite import Answer

SEASONS = (
    "地球的自转轴是倾斜的。地球绕太阳公转时,太阳光照射各地的角度会随时间变化。"
    "夏天阳光直射,白天长,所以天气热;冬天阳光斜射,白天短,所以天气冷。因此一年有四季。"
)

PERFECT: dict[str, tuple[Answer | str, ...]] = {
    "chinese": (SEASONS,),
    "english-to-french": (
        "La boulangerie ouvre à sept heures, mais le dimanche elle reste fermée jusqu'à neuf heures.",
    ),
}
ADVERSARY: dict[str, tuple[Answer | str, ...]] = {
    "chinese": ("四季春夏秋冬。" * 20,),
    "english-to-french": ("La boulangerie ouvre à sept heures, mais le dimanche elle reste closed until nine.",),
}
