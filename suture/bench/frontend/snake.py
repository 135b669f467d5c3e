"""Task 6: the game of snake."""

from __future__ import annotations

from typing import TYPE_CHECKING

from suture.bench.frontend.common import COMMON, RULES
from suture.bench.frontend.form import BrowserCheck, NotAsAskedError, Task, require
from suture.bench.frontend.page import Page
from suture.bench.frontend.playing import KEYS, begin, crash, hunt, next_step, read_state, way_of

if TYPE_CHECKING:
    from playwright.sync_api import Locator

PROMPT = f"""\
Build the game of snake as a single HTML file.

- The board is a <canvas id="game"> with a grid of at least 15 x 15 cells, drawn in a loop by requestAnimationFrame.
- The snake begins in the middle, three cells long, heading to the right. The game starts when the first arrow key \
is pressed, which steers at once; nothing moves before. Arrow keys steer. One step takes between 80 and 250 ms.
- The snake cannot reverse into itself: a key for the opposite direction is ignored, also when two keys are pressed \
within one step.
- Running into a wall or into itself ends the game. Then nothing moves until Enter starts a new one.
- Food appears at random free cells. Eating it adds to the score in the element with id="score" and makes the \
snake one cell longer. Each food makes the game faster: it shortens a step by at least 5 percent, but never to less \
than 50 ms.
- The high score, in the element with id="high-score", is kept in localStorage and shown again after a reload.
- For an automatic test, window.game always shows the state of the game: window.game.snake is an array of {{x, y}} \
in cells with the head first and y growing downwards, window.game.food is {{x, y}}, window.game.score is a number, \
and window.game.over is true once the game has ended.

{RULES}"""

_CANVAS = ("canvas#game", "canvas")
_SCORE = ("#score", "[class*=score]:not([class*=high])", "[id*=score]:not([id*=high])")
_HIGH_SCORE = ("#high-score", "[id*=high], [id*=best]", "[class*=high], [class*=best]")

_TIMED = 3
"""Steps that must be timed together, since time is looked at in ticks."""
_MOST_MEALS = 8

_COLOURS = """canvas => {
    const copy = document.createElement("canvas");
    [copy.width, copy.height] = [canvas.width, canvas.height];
    const context = copy.getContext("2d");
    context.drawImage(canvas, 0, 0);
    const data = new Uint32Array(context.getImageData(0, 0, copy.width, copy.height).data.buffer);
    let sum = 0;
    for (let i = 0; i < data.length; i++) sum = (Math.imul(sum, 31) + data[i]) | 0;
    return [new Set(data).size, sum];
}"""


def paints(page: Page) -> str:
    """The board has more than one colour, and looks different when the snake has moved."""
    canvas = page.find(*_CANVAS)
    colours, before = _picture(canvas)
    state = begin(page)
    for _ in range(2):
        state, _ = next_step(page, state)
    page.tick(50)
    later, after = _picture(canvas)
    require(max(colours, later) >= 2, "the canvas has one colour")
    require(before != after, "the canvas looks the same after three steps")
    return f"{later} colours"


def _picture(canvas: Locator) -> tuple[int, int]:
    colours, digest = canvas.evaluate(_COLOURS)
    return colours, digest


def frames(page: Page) -> str:
    """The game asks for a frame again and again."""
    begin(page)
    before: int = page.ask("() => window.__spied.frames")
    page.tick(500)
    asked: int = page.ask("() => window.__spied.frames") - before
    require(asked >= 3, f"asks for {asked} frames in half a second of play")
    return f"asks for {asked} frames in half a second"


def steering(page: Page) -> str:
    """Each of the four keys sends the head its way, and the picture follows."""
    canvas = page.find(*_CANVAS)
    state = begin(page)
    pictures: list[int] = []
    for key, way in KEYS.items():
        page.press(key)
        after, _ = next_step(page, state)
        require(not after.over, f"the game ends at {key}")
        require(way_of(state, after) == way, f"{key} moves the head by {way_of(state, after)}")
        page.tick(20)
        pictures.append(_picture(canvas)[1])
        state = read_state(page)
    require(len(set(pictures)) == len(pictures), "the picture does not follow")
    return "all four keys steer"


def no_reversal(page: Page) -> str:
    """The opposite key changes nothing, neither alone nor as the second of two within a step."""
    start = read_state(page)
    state = begin(page)
    way = way_of(start, state)
    opposite = next((key for key, other in KEYS.items() if other == (-way[0], -way[1])), None)
    if opposite is None:
        raise NotAsAskedError(f"the first step moves the head by {way}")
    page.press(opposite)
    after, _ = next_step(page, state)
    require(not after.over, "the opposite key ends the game")
    require(way_of(state, after) == way, f"the opposite key moves the head by {way_of(state, after)}, not {way}")
    page.press("ArrowUp" if way[0] else "ArrowLeft")
    page.press(opposite)
    for _ in range(2):
        state = after
        after, _ = next_step(page, state)
        require(not after.over, "two keys within one step turn the snake into itself")
        require(after.head not in state.snake[:-1], "with two keys within one step the snake runs through itself")
    return "the opposite key changes nothing"


def game_over(page: Page) -> str:
    """The wall ends the game, and then the snake stands still."""
    state = begin(page)
    require(not state.over, "the game is over at its first step")
    over = crash(page, state)
    page.tick(1000)
    require(read_state(page).head == over.head, "the snake moves on after the game has ended")
    return f"ends at {over.head}"


def food_scores(page: Page) -> str:
    """Food adds to the score, in the state and on the page, and lies elsewhere afterwards."""
    state = begin(page)
    shown = page.number(page.find(*_SCORE))
    after, _ = hunt(page, state)
    page.tick(50)
    later = page.number(page.find(*_SCORE))
    require(after.score > state.score, f"the state's score goes from {state.score:g} to {after.score:g}")
    require(later > shown, f"the score on the page goes from {shown:g} to {later:g}")
    require(after.food != state.food, "no new food appears")
    return f"from {shown:g} to {later:g}"


def high_score(page: Page) -> str:
    """What a game brought is still shown after a reload."""
    state = begin(page)
    state, _ = hunt(page, state)
    crash(page, state)
    page.tick(500)
    before = page.number(page.find(*_HIGH_SCORE))
    require(before > 0, f"the high score is {before:g} after a game with food")
    page.reload()
    after = page.number(page.find(*_HIGH_SCORE))
    require(after == before, f"the high score goes from {before:g} to {after:g} by a reload")
    return f"{after:g} after a reload"


def faster(page: Page) -> str:
    """After three meals a step takes less time."""
    state = begin(page)
    early: list[int] = []
    for _ in range(_TIMED):
        state, took = next_step(page, state)
        early.append(took)
    late: list[int] = []
    for meals in range(_MOST_MEALS):
        state, late = hunt(page, state)
        if meals >= 3 and len(late) >= _TIMED:
            break
    before, after = _mean(early), _mean(late)
    require(after < before * 0.95, f"a step takes {before:.0f} ms, after three meals {after:.0f} ms")
    return f"a step takes {before:.0f} ms, after three meals {after:.0f} ms"


def _mean(times: list[int]) -> float:
    return sum(times) / len(times)


def interact(page: Page) -> None:
    """Play for a while."""
    state = begin(page)
    state, _ = hunt(page, state)
    hunt(page, state)


SNAKE = Task(
    id="snake-game",
    title="snake game",
    prompt=PROMPT,
    checks=(
        *COMMON,
        BrowserCheck("canvas", "canvas paints", paints),
        BrowserCheck("frames", "requestAnimationFrame", frames),
        BrowserCheck("steering", "arrows steer", steering),
        BrowserCheck("no-reversal", "no reversal into itself", no_reversal),
        BrowserCheck("game-over", "wall or self ends the game", game_over),
        BrowserCheck("food", "food scores", food_scores),
        BrowserCheck("high-score", "high score persists", high_score),
        BrowserCheck("faster", "speed rises", faster),
    ),
    interaction=interact,
)
