"""The category `multilingual`: an explanation in Chinese, a translation into French."""

from __future__ import annotations

import re

from suture.bench.suite.form import Message, Request, Score, Test, Transcript, asks, right, wrong
from suture.bench.suite.reading import plain

# -- Chinese --------------------------------------------------------------------------------------------------

_CJK = re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]")
_KANA_OR_HANGUL = re.compile(r"[\u3040-\u30ff\uac00-\ud7af]")
_LATIN_WORD = re.compile(r"[A-Za-z\u00c0-\u024f]{2,}")
_FEWEST_CHARACTERS = 40
_FEWEST_DIFFERENT = 20
_TERMS = {
    "the Earth": re.compile("地球"),
    "its axis or orbit": re.compile("轴|軸|倾|傾|公转|公轉|绕|繞"),
    "the Sun": re.compile("太阳|太陽|日光|阳光|陽光"),
}


def score_chinese(transcript: Transcript) -> Score:
    """Written in Chinese, at some length and without going round in circles, with what an explanation takes."""
    text = transcript.text
    characters = _CJK.findall(text)
    count = f"{len(characters)} CJK characters"
    foreign = len(_LATIN_WORD.findall(text)) + len(_KANA_OR_HANGUL.findall(text))
    if not characters or foreign * 5 > len(characters):
        return wrong("language", f"not in Chinese: {count}, {foreign} words or letters of other scripts")
    if len(characters) < _FEWEST_CHARACTERS:
        return wrong("length" if transcript.cut_off else "wrong_answer", f"too short: {count}")
    if len(set(characters)) < _FEWEST_DIFFERENT:
        return wrong("wrong_answer", f"repeats itself: {count}, {len(set(characters))} different ones")
    lacking = [term for term, pattern in _TERMS.items() if not pattern.search(text)]
    if lacking:
        return wrong("wrong_answer", f"does not mention {', '.join(lacking)}: {count}")
    return right(f"explained in Chinese: {count}")


# -- English to French ----------------------------------------------------------------------------------------

_FRENCH_PARTS = {
    "the bakery": r"\bboulangerie\b",
    "opens": r"\bouvr(?:e|ait|ira)\b|\bouverte?\b",
    "at seven": r"\bsept\b|\b7\s?h",
    "on Sundays": r"\bdimanches?\b",
    "closed": r"\bferm[ée]e?s?\b|\bn['\u2019]ouvre\b|\bfermeture\b",
    "until nine": r"\bneuf\b|\b9\s?h",
    "but": r"\bmais\b|\bcependant\b|\btoutefois\b|\ben revanche\b|\bsauf\b",
}
_QUOTED = re.compile(r'["\u201c\u00ab]([^"\u201c\u201d\u00ab\u00bb]*)["\u201d\u00bb]')
_ENGLISH = re.compile(r"\b(?:the|bakery|opens?|at|seven|but|sundays?|stays?|closed|until|nine|and)\b", re.IGNORECASE)


def score_french(transcript: Transcript) -> Score:
    """Somewhere stands a French sentence that says all that the English one does; remarks around it do not count."""
    text = plain(transcript.text)
    pieces = [re.sub(r"\A[^:]*:\s", "", line) for line in re.split(r"[\n(]", text)] + _QUOTED.findall(text)
    sentences = [piece for piece in pieces if re.search("boulangerie", piece, re.IGNORECASE)]
    if not sentences:
        other = "length" if transcript.cut_off else "language"
        return wrong(other, "there is no French sentence about a bakery")
    scores = [_score_sentence(sentence) for sentence in sentences]
    return next((score for score in scores if score.passed), scores[0])


def _score_sentence(sentence: str) -> Score:
    english = _ENGLISH.findall(sentence)
    if english:
        return wrong("language", f"leaves English words: {', '.join(english)}")
    lacking = [part for part, pattern in _FRENCH_PARTS.items() if not re.search(pattern, sentence, re.IGNORECASE)]
    if lacking:
        return wrong("wrong_answer", f"the translation lacks {', '.join(lacking)}")
    return right("says in French all that the sentence says")


MULTILINGUAL: tuple[Test, ...] = (
    Test(
        id="chinese",
        category="multilingual",
        title="Chinese",
        talk=asks(
            Request((Message("user", "请用中文解释为什么一年有四季。写三到五句话,不要使用其他语言。"),)),
        ),
        score=score_chinese,
    ),
    Test(
        id="english-to-french",
        category="multilingual",
        title="English to French",
        talk=asks(
            Request(
                (
                    Message(
                        "user",
                        "Translate into French: "
                        "The bakery opens at seven, but on Sundays it stays closed until nine.",
                    ),
                )
            ),
        ),
        score=score_french,
    ),
)
