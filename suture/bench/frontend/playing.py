"""Plays snake in a page: reads the state it shows, presses arrow keys, and lets time pass step by step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from suture.bench.frontend.form import NotAsAskedError, require
from suture.bench.frontend.page import Page

_STATE = """() => {
    let state = window.game;
    try { state ??= game; } catch {}
    const whole = number => Number.isFinite(Number(number)) ? Math.round(Number(number)) : null;
    const cell = part => ({x: whole(part?.x ?? part?.[0]), y: whole(part?.y ?? part?.[1])});
    if (!state || !Array.isArray(state.snake) || !state.snake.length) return null;
    const {snake, food, score, over} = state;
    return {snake: snake.map(cell), food: food ? cell(food) : null, score: whole(score), over: !!over};
}"""

_TICK = 20  # ms
_PATIENCE = 600  # ms in which a moving snake must have made a step
_LONGEST_HUNT = 120  # steps

Cell = tuple[int, int]
KEYS: dict[str, Cell] = {"ArrowUp": (0, -1), "ArrowLeft": (-1, 0), "ArrowDown": (0, 1), "ArrowRight": (1, 0)}


@dataclass(frozen=True)
class State:
    """The game as the page shows it.

    Attributes:
        snake: Its cells, the head first.
        food: Where food lies; None where there is none.
        score: What the page counts.
        over: Whether the game has ended.
    """

    snake: tuple[Cell, ...]
    food: Cell | None
    score: float
    over: bool

    @property
    def head(self) -> Cell:
        """The cell that moves ahead."""
        return self.snake[0]


def read_state(page: Page) -> State:
    """Return the game as the page shows it now.

    Raises:
        NotAsAskedError: When it does not.
    """
    told: dict[str, Any] | None = page.ask(_STATE)
    require(told is not None, "window.game does not show the state of the game")
    assert told is not None  # noqa: S101 -- for the type checker
    food = told["food"]
    return State(
        snake=tuple(_cell(part) for part in told["snake"]),
        food=None if food is None else _cell(food),
        score=told["score"] or 0,
        over=told["over"],
    )


def _cell(part: dict[str, int | None]) -> Cell:
    x, y = part["x"], part["y"]
    if x is None or y is None:  # what was not a number
        raise NotAsAskedError("window.game shows a cell without x and y")
    return x, y


def next_step(page: Page, before: State, *, not_before: int = 0) -> tuple[State, int]:
    """Let time pass until the head has moved or the game is over; return the state and how long that took.

    Args:
        page: Where the game is.
        before: The state now.
        not_before: Milliseconds that the step is known to take at least, to save looking so often.

    Raises:
        NotAsAskedError: When nothing happens.
    """
    page.tick(not_before)
    for milliseconds in range(not_before + _TICK, _PATIENCE + _TICK, _TICK):
        page.tick(_TICK)
        now = read_state(page)
        if now.head != before.head or now.over:
            return now, milliseconds
    raise NotAsAskedError(f"the snake does not move within {_PATIENCE} ms")


def begin(page: Page, key: str = "ArrowRight") -> State:
    """Start the game, which by then may run already, or wait for Enter or a click."""
    before = read_state(page)
    page.press(key)
    for otherwise in ("Enter", "Space", None):
        try:
            return next_step(page, before)[0]
        except NotAsAskedError:
            if otherwise is None:
                _click_start(page)
            else:
                page.press(otherwise)
                page.press(key)
    return next_step(page, before)[0]


def _click_start(page: Page) -> None:
    buttons = page.find_all("role=button[name=/start|play|begin/i]")
    if buttons:
        page.click(buttons[0])


def way_of(before: State, after: State) -> Cell:
    """Return by how much the head moved."""
    return after.head[0] - before.head[0], after.head[1] - before.head[1]


def hunt(page: Page, state: State) -> tuple[State, list[int]]:
    """Steer to the food and eat it; return the state and how long each step took, in ms.

    Raises:
        NotAsAskedError: When that does not make the snake longer.
    """
    times: list[int] = []
    require(len(state.snake) > 1, "window.game shows a snake of one cell")
    (x, y), (neck_x, neck_y) = state.snake[:2]
    way: Cell = (x - neck_x, y - neck_y)
    for _ in range(_LONGEST_HUNT):
        require(state.food is not None, "window.game shows no food")
        key = _steer(state, way)
        page.press(key)
        after, took = next_step(page, state, not_before=_surely(times[-1] if times else 0))
        times.append(took)
        require(not after.over, f"the game ends at {after.head}, on the way to the food at {state.food}")
        way = way_of(state, after)
        if after.head == state.food or len(after.snake) > len(state.snake):
            return _grown(page, state, after), times
        state = after
    raise NotAsAskedError(f"the snake does not get to the food within {_LONGEST_HUNT} steps")


def _surely(took: int) -> int:
    """Return the time that a step takes at least if the one before took so long, in whole ticks."""
    return took // 2 // _TICK * _TICK


def _grown(page: Page, before: State, after: State) -> State:
    """Return the state after a meal; some games grow only with the next step."""
    if len(after.snake) == len(before.snake):
        after, _ = next_step(page, after)
    require(len(after.snake) > len(before.snake), "the snake gets to the food and does not grow")
    return after


def _steer(state: State, way: Cell) -> str:
    """Return the key for the step that leads closest to the food without biting or reversing."""
    assert state.food is not None  # noqa: S101 -- `hunt` has seen to it
    (x, y), (food_x, food_y) = state.head, state.food

    def distance(key: str) -> tuple[bool, int]:
        dx, dy = KEYS[key]
        cell = (x + dx, y + dy)
        return cell in state.snake or min(cell) < 0, abs(cell[0] - food_x) + abs(cell[1] - food_y)

    ways = [key for key, (dx, dy) in KEYS.items() if (dx, dy) != (-way[0], -way[1])]
    return min(ways, key=distance)


def crash(page: Page, state: State) -> State:
    """Go straight on until the game is over."""
    took = 0
    for _ in range(80):
        if state.over:
            return state
        state, took = next_step(page, state, not_before=_surely(took))
    raise NotAsAskedError("80 steps in one direction do not end the game")
