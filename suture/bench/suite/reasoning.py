"""The category `reasoning`: a small calculation, an order to be found, code to write, code to read."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Sequence

from suture.bench.suite.form import Message, Request, Score, Talk, Test, Transcript, asks, right, wrong
from suture.bench.suite.reading import code_blocks, final_answer, numbers, plain


def _ask(question: str) -> Callable[[], Talk]:
    return asks(Request((Message("user", question),)))


# -- math word problem ----------------------------------------------------------------------------------------

_PENS_LEFT = 31.0
"""7 * 12 - 35 - 18: neither a number of the question nor of a step on the way."""


def score_word_problem(transcript: Transcript) -> Score:
    """The first number after the last `Answer:` counts; without that line, the last number of the answer."""
    marked = final_answer(transcript.text)
    found = numbers(transcript.text)[-1:] if marked is None else numbers(marked)[:1]
    if marked is not None and re.search(r"\bor\s+\d", marked):
        return wrong("wrong_answer", f"leaves it open: {marked!r}")
    if found == [_PENS_LEFT]:
        return right("31 pens are left")
    if transcript.cut_off:
        return wrong("length", "cut off before an answer of 31")
    return wrong("wrong_answer", f"expected 31, found {found[0]:g}" if found else "names no number")


# -- logic puzzle ---------------------------------------------------------------------------------------------

_FINISHERS = ("Hana", "Ivo", "Emma", "Grace", "Farid")
"""In the only order that fits the clues."""
_FINISHER = re.compile(rf"\b(?:{'|'.join(_FINISHERS)})\b", re.IGNORECASE)


def score_logic_puzzle(transcript: Transcript) -> Score:
    """The names after the last `Answer:`, else in the last line that has all five, stand in the right order."""
    marked = final_answer(transcript.text)
    lines = [marked] if marked is not None else transcript.text.splitlines()
    orders = [tuple(name.capitalize() for name in _FINISHER.findall(line)) for line in lines]
    complete = [order for order in orders if set(order) == set(_FINISHERS)]
    if complete and complete[-1] == _FINISHERS:
        return right("the order is right")
    if transcript.cut_off:
        return wrong("length", "cut off before the right order")
    return wrong(
        "wrong_answer", f"the order is {', '.join(complete[-1])}" if complete else "gives no order of all five"
    )


# -- writes code ----------------------------------------------------------------------------------------------

_FUNCTION = "count_vowels"
_VOWELS = frozenset("aeiou")
_BOTH_CASES = _VOWELS | frozenset("AEIOU")
_FOLDING = frozenset({"lower", "upper", "casefold", "I", "IGNORECASE"})
_COUNTING = frozenset({"count", "map", "filter", "findall", "finditer", "subn", "translate", _FUNCTION})


def score_writes_code(transcript: Transcript) -> Score:
    """The code parses, defines the function, and has what any right version needs; it is not run.

    Code of a model runs only in a sandbox, and there is none yet. So this judges by reading alone, and a wrong
    function made of the right parts passes: a returned value, the argument in use, all vowels, both cases, a loop.
    """
    if transcript.cut_off:
        return wrong("length", "cut off before the code was complete")
    blocks = code_blocks(transcript.text)
    if not blocks:
        return wrong("no_fence", "there is no code block")
    modules = [module for module in map(_parse, blocks) if module is not None]
    if not modules:
        return wrong("syntax", "no code block is Python")
    functions = [(node, module) for module in modules for node in module.body if isinstance(node, ast.FunctionDef)]
    named = [(function, module) for function, module in functions if function.name == _FUNCTION]
    if not named:
        names = ", ".join(function.name for function, _ in functions)
        return wrong("name", f"defines {names or 'no function'}, not {_FUNCTION}")
    return _score_function(*named[-1])


def _parse(source: str) -> ast.Module | None:
    try:
        return ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):  # what ast.parse does with hostile text
        return None


def _score_function(function: ast.FunctionDef, module: ast.Module) -> Score:
    given = function.args
    parameters = [*given.posonlyargs, *given.args]
    required = len(parameters) - len(given.defaults) + given.kw_defaults.count(None)
    if not parameters or required > 1:
        return wrong("signature", f"takes {required} arguments, not one")
    there = _parts(list(ast.walk(function)), parameters[0].arg) | _vowel_parts(list(ast.walk(module)))
    lacking = [part for part, found in there.items() if not found]
    if lacking:
        return wrong("wrong_answer", f"lacks {', '.join(lacking)}")
    return right("has the parts of a right function; it was not run")


def _parts(nodes: Sequence[ast.AST], parameter: str) -> dict[str, bool]:
    """Return which parts of a right function stand in the function itself."""
    loops = any(isinstance(node, ast.For | ast.While | ast.comprehension) for node in nodes)
    called = {_called(node) for node in nodes if isinstance(node, ast.Call)}
    return {
        "a returned value": any(isinstance(node, ast.Return) and node.value is not None for node in nodes),
        "any use of its argument": any(
            isinstance(node, ast.Name) and node.id == parameter and isinstance(node.ctx, ast.Load) for node in nodes
        ),
        "a loop or a call that counts": loops or not called.isdisjoint(_COUNTING),
    }


def _vowel_parts(nodes: Sequence[ast.AST]) -> dict[str, bool]:
    """Return which parts stand anywhere: the vowels may be a constant beside the function, or in a helper."""
    strings = [node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    # strings with other letters are documentation or examples
    vowels = [string for string in strings if _BOTH_CASES.issuperset(filter(str.isalpha, string))]
    letters = set("".join(vowels))
    folds = any(isinstance(node, ast.Attribute) and node.attr in _FOLDING for node in nodes)
    return {
        "the five vowels": {letter.lower() for letter in letters} >= _VOWELS,
        "upper or lower case": folds or letters >= _BOTH_CASES or any("(?i)" in string for string in vowels),
    }


def _called(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")


# -- finds the bug --------------------------------------------------------------------------------------------

_BUGGY = '''\
1  def sum_to(n):
2      """Return 1 + 2 + ... + n."""
3      total = 0
4      for i in range(1, n):
5          total += i
6      return total'''
_BUGGY_LINE = "4"

_CLAIMED_LINE = re.compile(r"\bline\s*(?:number|no\.?)?\s*[:#]?\s*(\d+)", re.IGNORECASE)
_RANGE = re.compile(r"range\(([^()]*)\)")
_BUGGY_RANGE = "1,n"
_RIGHT_RANGE = re.compile(r"(?:[01],)?(?:n\+1|1\+n)(?:,1)?")
_CAUSE = re.compile(
    r"off[- ]by[- ]one|exclu|(?:not|n't) inclu|leaves out|misses|skips|(?:stops|ends) (?:at n ?- ?1|before n|one)",
    re.IGNORECASE,
)


def score_finds_bug(transcript: Transcript) -> Score:
    """The first line it blames is the faulty one, and the first new `range` is right; or it names the cause.

    A right `range` alone will do, for it says which line is meant.
    """
    text = plain(transcript.text)
    blamed = _CLAIMED_LINE.search(text)
    if blamed and blamed[1] != _BUGGY_LINE:
        return wrong("wrong_answer", f"blames line {blamed[1]}, not line {_BUGGY_LINE}")
    fixes = [found for found in _RANGE.findall(re.sub(r"\s", "", text)) if found != _BUGGY_RANGE]
    if fixes and not _RIGHT_RANGE.fullmatch(fixes[0]):
        return wrong("wrong_answer", f"would write range({fixes[0]})")
    if fixes or (blamed and _CAUSE.search(text)):
        return right("names the end of the loop's range")
    if transcript.cut_off:
        return wrong("length", "cut off before the bug was named")
    return wrong("wrong_answer", "names the line without the cause" if blamed else "names neither line nor cause")


REASONING: tuple[Test, ...] = (
    Test(
        id="math-word-problem",
        category="reasoning",
        title="math word problem",
        talk=_ask(
            "A shop has 7 boxes of 12 pens. It sells 35 pens in the morning and 18 pens in the afternoon. "
            "How many pens are left? Think step by step, and end with a line 'Answer: N'."
        ),
        score=score_word_problem,
    ),
    Test(
        id="logic-puzzle",
        category="reasoning",
        title="logic puzzle",
        talk=_ask(
            "Emma, Farid, Grace, Hana and Ivo ran a race. Farid came last. Grace came directly after Emma. "
            "Ivo came before Emma, but after Hana. In which order did they finish? "
            "End with a line 'Answer:' and the five names, from first to last, separated by commas."
        ),
        score=score_logic_puzzle,
    ),
    Test(
        id="writes-code",
        category="reasoning",
        title="writes code",
        talk=_ask(
            f"Write a Python function {_FUNCTION}(text) that returns how many characters of text are vowels "
            "(a, e, i, o, u), in upper or lower case. Reply with one Python code block."
        ),
        score=score_writes_code,
    ),
    Test(
        id="finds-bug",
        category="reasoning",
        title="finds the bug",
        talk=_ask(
            f"This Python function has one bug:\n\n{_BUGGY}\n\n"
            "Which line is wrong? Begin your answer with 'Line N:' and give the corrected line."
        ),
        score=score_finds_bug,
    ),
)
