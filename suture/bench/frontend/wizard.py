"""Task 5: a registration wizard."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from suture.bench.frontend.common import COMMON, RULES
from suture.bench.frontend.form import BrowserCheck, Task, require
from suture.bench.frontend.looks import new_texts
from suture.bench.frontend.page import Page
from suture.bench.frontend.states import STATES

if TYPE_CHECKING:
    from playwright.sync_api import Locator

PROMPT = f"""\
Build a registration wizard of three steps as a single HTML file.

- Each step is an element with class="step"; only the current one can be seen. Moving from one to another is \
animated, by a CSS transition or animation.
- Step 1, the account: inputs with id="name", id="email", id="password" and id="confirm-password". The password \
needs at least 8 characters. While it is typed, an element with id="password-strength" says Weak, Medium or Strong: \
a few small letters are weak; 12 or more characters with capital and small letters, digits and symbols are strong.
- Step 2, the address: inputs with id="street", id="city" and id="zip" (five digits), and <select id="state"> with \
exactly the 50 states of the USA by their full names, after an empty placeholder.
- Step 3, the confirmation: a summary of what was entered, and a checkbox with id="terms" that must be checked.
- Buttons with class="next", class="back" and class="submit" inside the steps. Next does not leave a step whose \
fields are not valid: it shows a message beside each such field, in an element with class="error" (the page's own \
message, not the browser's bubble). Back keeps everything that was entered.
- Submit opens a success message with role="dialog" and id="success-modal". Nothing is sent anywhere.

{RULES}"""

_STEPS = (".step", "[class*=form-step], [class*=wizard-step], [class*=step-content]", "fieldset", "form > section")
_NEXT = (".next", "#next", "role=button[name=/^\\W*(next|continue)/i]", "[class*=next], [id*=next]")
_BACK = (".back", "#back", "role=button[name=/^\\W*(back|previous)/i]", "[class*=prev], [class*=back]")
_SUBMIT = (
    ".submit",
    "#submit",
    "[type=submit]",
    "role=button[name=/submit|register|create|finish|complete|sign up/i]",
)
_MODAL = ("#success-modal", "[role=dialog]", "dialog", "[class*=modal]", "[class*=success]")
_STRENGTH = ("#password-strength", "[id*=strength]", "[class*=strength]")
_ERRORS = (".error", "[role=alert]", "[class*=error]", "[class*=invalid]")
_FIELDS = {
    "name": ("#name", "[name=name]", "[autocomplete=name]", "[id*=name], [name*=name]"),
    "email": ("#email", "[type=email]", "[id*=email], [name*=email]"),
    "password": ("#password", "[type=password]"),
}
_STATE = ("select#state", "#state", "select[name*=state]", "select")

_PERSON = {
    "name": "Ada Example",
    "email": "ada@example.com",
    "password": "Corr3ct-Horse!Battery",
    "street": "12 Main Street",
    "city": "Springfield",
    "zip": "62704",
    "phone": "217-555-0123",
    "date": "1990-05-17",
}
_KINDS = (
    ("email", r"e-?mail"),
    ("password", r"pass"),
    ("phone", r"phone|tel"),
    ("date", r"date|birth|dob"),
    ("zip", r"zip|postal"),
    ("city", r"city|town"),
    ("street", r"street|address"),
)
_DESCRIBED = """element => [element.type, element.id, element.name, element.autocomplete, element.placeholder,
    ...[...element.labels ?? []].map(label => label.innerText)].join(" ").toLowerCase()"""
_FILLABLE = (
    "input:enabled:not([type=hidden], [type=submit], [type=button], [readonly]), select:enabled, textarea:enabled"
)
_OPTIONS = "select => [...select.options].map(option => [option.text.trim(), option.value.trim()])"
_MOVES = """step => window.__suture.moved.filter(target =>
    target === step || target !== document.body && target.contains(step)).length"""
_FORGET_MOVES = "() => window.__suture.moved.splice(0)"


# -- finding one's way ----------------------------------------------------------------------------------------


def _current(page: Page) -> int:
    """Return which step can be seen, from 0."""
    steps = _steps(page)
    seen = [i for i, step in enumerate(steps) if page.is_seen(step)]
    require(len(seen) == 1, f"{len(seen)} of {len(steps)} steps can be seen")
    return seen[0]


def _steps(page: Page) -> list[Locator]:
    """Return the steps; only those with fields or buttons, since a page may call the marks of its progress so too."""
    found = page.all(*_STEPS)
    with_fields = found.filter(has=page.all("input, select, button"))
    return (with_fields if with_fields.count() else found).all()


def _step(page: Page) -> Locator:
    return _steps(page)[_current(page)]


def _fill_in(page: Page) -> None:
    """Fill in every field of the current step, as its type and its names say."""
    for field in page.find_all(_FILLABLE, within=_step(page)):
        kind: str = field.evaluate("element => element.tagName === 'SELECT' ? 'select' : element.type")
        if kind == "select":
            field.select_option(index=5)
        elif kind in ("checkbox", "radio"):
            if not page.selected(field):
                page.click(field)
        else:
            described: str = field.evaluate(_DESCRIBED)
            page.fill(field, _PERSON[next((key for key, names in _KINDS if re.search(names, described)), "name")])
    for hidden in _hidden_boxes(page):
        page.click(hidden)


def _hidden_boxes(page: Page) -> list[Locator]:
    """Return the boxes of the current step that are drawn by their label, and not checked."""
    boxes = _step(page).locator("input[type=checkbox]").all()
    return [box for box in boxes if not page.is_seen(box) and not page.selected(box)]


def _press(page: Page, *buttons: str) -> None:
    """Click a button of the current step, or one that serves all steps; if it cannot be clicked, nothing happens."""
    found = page.find_all(*buttons, within=_step(page)) or page.find_all(*buttons)
    require(found, f"no button {buttons[0]} can be seen")
    if found[0].is_enabled():
        page.click(found[0])


def _go_on(page: Page) -> None:
    """Fill in the current step and leave it."""
    before = _current(page)
    _fill_in(page)
    _press(page, *_NEXT)
    require(_current(page) == before + 1, f"next does not lead on from step {before + 1}, with all fields filled in")


# -- checks ---------------------------------------------------------------------------------------------------


def three_steps(page: Page) -> str:
    """Three there are, and one after the other can be seen."""
    require(len(_steps(page)) == 3, f"there are {len(_steps(page))} steps, not 3")
    require(_current(page) == 0, f"step {_current(page) + 1} can be seen first")
    for _ in range(2):
        _go_on(page)
    return "three, seen one after the other"


def blocked(page: Page) -> str:
    """Next stays where it is with nothing filled in, and with a wrong address, and leads on when all is right."""
    start = _current(page)
    _press(page, *_NEXT)
    require(_current(page) == start, "next leads on with nothing filled in")
    _fill_in(page)
    page.fill(page.find(*_FIELDS["email"]), "not-an-address")
    _press(page, *_NEXT)
    require(_current(page) == start, "next leads on with the e-mail address 'not-an-address'")
    _go_on(page)
    return "leads on only when all is filled in"


def inline_error(page: Page) -> str:
    """A message appears in the step, and goes when there is nothing to complain about."""
    before = page.texts(_step(page))
    page.fill(page.find(*_FIELDS["email"]), "not-an-address")
    _press(page, *_NEXT)
    messages = [page.text(error) for error in page.find_all(*_ERRORS, within=_step(page))]
    said = [text for text in messages if text] or new_texts(before, page.texts(_step(page)))
    require(said, "no message appears in the step")
    return f"says {said[0][:60]!r}"


def strength(page: Page) -> str:
    """Weak for a few letters, strong for a long mixture."""
    field = page.find(*_FIELDS["password"])
    said: list[str] = []
    for password in ("abc", _PERSON["password"]):
        field.fill("")
        field.press_sequentially(password)
        page.settle()
        said.append(page.text(page.find(*_STRENGTH)).lower())
    require("weak" in said[0], f"'abc' is called {said[0][:40]!r}")
    require("strong" in said[1] and "weak" not in said[1], f"a strong password is called {said[1][:40]!r}")
    return "from weak to strong"


def fifty_states(page: Page) -> str:
    """Exactly the fifty, by name; a placeholder may stand before them."""
    options: list[tuple[str, str]] = page.all(*_STATE).first.evaluate(_OPTIONS)
    names = [text for text, value in options if value and not re.match(r"(?i)\W*(select|choose|pick|state\b)", text)]
    missing = sorted(STATES - set(names))
    more = sorted(set(names) - STATES)
    require(not missing, f"{len(missing)} states are missing, first {missing[:3]}")
    require(not more, f"not states: {more[:3]}")
    require(len(names) == len(STATES), "a state is there twice")
    return "exactly the 50"


def transition(page: Page) -> str:
    """An animation or a transition runs on a step, or on what is around it, when another comes."""
    steps = _steps(page)
    _fill_in(page)
    page.ask(_FORGET_MOVES)
    _press(page, *_NEXT)
    require(_current(page) == 1, "next does not lead on")
    moved = sum(step.evaluate(_MOVES) for step in steps)
    require(moved, "the other step is there at once")
    return f"{moved} animations and transitions"


def back(page: Page) -> str:
    """What was entered is still there after going on and coming back."""
    _fill_in(page)
    fields = {name: page.find(*_FIELDS[name]) for name in ("name", "email")}
    before = {name: page.text(field) for name, field in fields.items()}
    _press(page, *_NEXT)
    require(_current(page) == 1, "next does not lead on")
    _press(page, *_BACK)
    require(_current(page) == 0, "back does not lead back")
    after = {name: page.text(field) for name, field in fields.items()}
    require(before == after, f"{before} became {after}")
    return "back, with all that was entered"


def success(page: Page) -> str:
    """After a complete and valid run, and not before, the message is there."""
    for _ in range(2):
        require(not page.find_all(*_MODAL[:3]), "the message of success can be seen before the end")
        _go_on(page)
    _fill_in(page)
    require(not page.find_all(*_MODAL[:3]), "the message of success can be seen before the end")
    texts = page.texts()
    _press(page, *_SUBMIT)
    page.advance(3000)  # some pretend to send something first
    modal = page.find(*_MODAL)
    said = page.texts(modal)
    require(new_texts(texts, said), "the message says nothing new")
    return f"says {said[0][:60]!r}"


def interact(page: Page) -> None:
    """Go to the second step, and try to leave it empty."""
    _go_on(page)
    _press(page, *_NEXT)


WIZARD = Task(
    id="registration-wizard",
    title="registration wizard",
    prompt=PROMPT,
    checks=(
        *COMMON,
        BrowserCheck("steps", "3 steps", three_steps),
        BrowserCheck("blocked", "next is blocked when invalid", blocked),
        BrowserCheck("inline-error", "inline error", inline_error),
        BrowserCheck("strength", "password strength goes weak to strong", strength),
        BrowserCheck("states", "50 states", fifty_states),
        BrowserCheck("transition", "transition between steps", transition),
        BrowserCheck("back", "back keeps values", back),
        BrowserCheck("success", "success modal", success),
    ),
    interaction=interact,
)
