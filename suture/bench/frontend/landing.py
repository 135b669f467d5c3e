"""Task 3: the landing page of a SaaS product."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import TYPE_CHECKING

from suture.bench.frontend.common import COMMON, RULES
from suture.bench.frontend.document import Document
from suture.bench.frontend.form import BrowserCheck, NotAsAskedError, StaticCheck, Task, require
from suture.bench.frontend.page import Page
from suture.bench.frontend.syntax import animation_words, keyframes, width_queries

if TYPE_CHECKING:
    from playwright.sync_api import Locator

PROMPT = f"""\
Build the landing page of a SaaS product as a single HTML file.

- A fixed navigation bar <nav id="navbar"> that changes its look (background, shadow or height) once the page is \
scrolled by more than 50 px.
- A hero section with id="hero" whose background is a gradient that a CSS animation keeps moving.
- In the hero an element with id="typed" in which JavaScript types a phrase letter by letter, deletes it and types \
the next one, for ever.
- Below the hero, feature cards with class="reveal" that start invisible and fade or slide in when an \
IntersectionObserver sees them.
- A carousel of testimonials with id="carousel" that shows one at a time and advances by itself every 3 to 5 seconds.
- Three price tiers, each an element with class="tier" that shows its name and its price.
- At least two @keyframes rules that are used, and a media query for narrow windows.

{RULES}"""

_HERO = ("#hero", "[class*=hero]", "header", "main > section")
_TYPED = ("#typed", "[class*=typed], [class*=typing], [class*=typewriter]", "[id*=typ]")
_REVEAL = (".reveal", "[class*=reveal], [class*=fade-in], [class*=animate-on-scroll]")
_CAROUSEL = ("#carousel", "[class*=carousel], [class*=slider]", "[id*=carousel], [id*=slider]", "#testimonials")
_TIERS = (
    ".tier",
    "[class*=price-card], [class*=pricing-card], [class*=plan-card]",
    "[class*=pricing] > [class*=card]",
)
_NAVBAR = ("#navbar", "nav", "header")
_PRICE = re.compile(r"[$\u20ac\u00a3]\s*\d|\d\s*[$\u20ac\u00a3]|\bfree\b|\bcustom\b", re.IGNORECASE)

_NAVBAR_STYLES = (
    "backgroundColor", "backgroundImage", "boxShadow", "paddingTop", "paddingBottom", "height", "borderBottomColor",
    "backdropFilter", "transform", "opacity", "color", "top",
)  # fmt: skip
_MOVING_GRADIENTS = """selectors => document.getAnimations().filter(animation => {
    const {target, pseudoElement} = animation.effect ?? {};
    return target && animation.playState === "running" && target.closest(selectors)
        && getComputedStyle(target, pseudoElement).backgroundImage.includes("gradient");
}).map(animation => animation.animationName ?? "an animation by JavaScript")"""

_BELOW = """elements => elements.findIndex(element => {
    const box = element.getBoundingClientRect();
    return box.width > 0 && box.top > innerHeight;
})"""
_REVEALED = ("opacity", "transform", "visibility", "translate", "scale", "clipPath", "filter")

_LEAST_TYPED = 5


def gradient(page: Page) -> str:
    """An animation runs on something whose background is a gradient."""
    page.find(*_HERO)
    names: list[str] = page.ask(_MOVING_GRADIENTS, ", ".join(_HERO))
    require(names, "no animation runs on a gradient in the hero")
    return f"{names[0]} moves a gradient"


def two_keyframes(document: Document) -> str:
    """Rules with content, that some animation names."""
    defined = keyframes(document.styles)
    code = "\n".join(document.scripts)
    used = animation_words([*document.styles, *document.inline_styles])
    used |= {name for name in defined if re.search(rf"\b{re.escape(name)}\b", code)}
    require(len(defined & used) >= 2, f"{len(defined)} keyframe rules, {len(defined & used)} of them used")
    return f"{len(defined & used)} keyframe rules are used"


def typing(page: Page) -> str:
    """The text grows or shrinks by few letters at a time, again and again."""
    typed = page.all(*_TYPED).first
    said: list[str] = []
    for _ in range(40):
        page.tick(100)
        said.append(page.text(typed))
    steps = sum(a != b and (a.startswith(b) or b.startswith(a)) for a, b in pairwise(said))
    require(steps >= _LEAST_TYPED, f"in 4 s the text changes letter by letter {steps} times: {sorted(set(said))[:3]}")
    return f"in 4 s the text changes letter by letter {steps} times"


def observer(page: Page) -> str:
    """It is not only there, it watches something."""
    watched: int = page.ask("() => window.__spied.observed")
    require(watched, "no IntersectionObserver watches anything")
    return f"watches {watched} elements"


def reveal(page: Page) -> str:
    """What is below the window looks different once it has been scrolled to."""
    cards = page.all(*_REVEAL)
    below: int = cards.evaluate_all(_BELOW)
    require(below >= 0, "all of them are in the window from the beginning")
    card = cards.nth(below)
    before = page.styles(card, *_REVEALED)
    page.scroll(page.box(card)["top"] - 200)
    page.advance(2000)
    after = page.styles(card, *_REVEALED)
    require(before != after, "it looks the same before and after")
    require(page.is_seen(card) and float(after[0]) > 0.9, f"it cannot be seen: opacity {after[0]}")
    return f"opacity goes from {before[0]} to {after[0]}"


def carousel(page: Page) -> str:
    """What is seen in its box changes without a click; more than once, so that it was no accident."""
    box = page.find(*_CAROUSEL)
    page.scroll(page.box(box)["top"] - 100)
    shown = [_shown(page, box)]
    for _ in range(26):
        page.advance(600)
        now = _shown(page, box)
        if now and now != shown[-1]:
            shown.append(now)
        if len(shown) > 2:
            return f"shows {shown[1][:40]!r} and {shown[2][:40]!r} by itself"
    raise NotAsAskedError(f"in 15 s what it shows changes {len(shown) - 1} times")


def _shown(page: Page, box: Locator) -> str:
    return " ".join(page.texts(box))


def tiers(page: Page) -> str:
    """Exactly three, with different prices."""
    found = page.find_all(*_TIERS)
    said = [page.text(tier) for tier in found]
    require(len(found) == 3, f"{len(found)} tiers can be seen, not 3")
    require(all(map(_PRICE.search, said)), "a tier shows no price")
    require(len(set(said)) == 3, "the tiers do not differ")
    return "three tiers with their prices"


def navbar(page: Page) -> str:
    """It stays in the window, and looks different than at the top of the page."""
    bar = page.find(*_NAVBAR)
    before = page.styles(bar, *_NAVBAR_STYLES)
    page.scroll(600)
    require(page.ask("() => scrollY") > 100, "the page cannot be scrolled")
    after = page.styles(bar, *_NAVBAR_STYLES)
    changed = [name for name, a, b in zip(_NAVBAR_STYLES, before, after, strict=True) if a != b]
    require(changed, "it looks the same as at the top of the page")
    require(page.box(bar)["bottom"] > 0, "it is scrolled out of the window")
    return f"changes {', '.join(changed)}"


def media(document: Document) -> str:
    """A rule for narrow, or wide, windows."""
    conditions = width_queries(document.styles)
    require(conditions, "no media query for a width")
    return f"{len(conditions)}, first: {conditions[0][:60]}"


def interact(page: Page) -> None:
    """Scroll down to the cards."""
    page.scroll(900)


LANDING = Task(
    id="saas-landing-page",
    title="SaaS landing page",
    prompt=PROMPT,
    checks=(
        *COMMON,
        BrowserCheck("gradient", "gradient animation", gradient),
        StaticCheck("keyframes", "at least 2 keyframes", two_keyframes),
        BrowserCheck("typing", "typing effect changes text", typing),
        BrowserCheck("observer", "IntersectionObserver used", observer),
        BrowserCheck("reveal", "reveal on scroll", reveal),
        BrowserCheck("carousel", "carousel advances by itself", carousel),
        BrowserCheck("tiers", "3 price tiers", tiers),
        BrowserCheck("navbar", "navbar changes on scroll", navbar),
        StaticCheck("media-query", "media query", media),
    ),
    interaction=interact,
)
