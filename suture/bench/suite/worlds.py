"""Simulated worlds that a model acts in through tools: state machines, so that a transcript says all about them.

The same `react` answers the calls while the conversation goes on and rebuilds the world for the scorer.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from pydantic import JsonValue

from suture.bench.suite.calls import Arguments, Said, arguments_of, read_calls
from suture.bench.suite.form import Answer, Message, Request, Talk, Tool, ToolCall, Transcript

S = TypeVar("S")
"""A state; frozen, for it is never changed but replaced."""


@dataclass(frozen=True)
class World(Generic[S]):
    """A world and its tools.

    Attributes:
        opening: How the conversation begins.
        tools: What the model may call.
        start: The state before the first call.
        act: What a call makes of a state, and what the tool says. Its arguments hold all that the tool requires.
        steps: How many answers the model has at most.
    """

    opening: tuple[Message, ...]
    tools: tuple[Tool, ...]
    start: S
    act: Callable[[S, str, Arguments], tuple[S, str]]
    steps: int = 12

    def talk(self) -> Talk:
        """Let the model act until it calls no more tools, or has used up its steps."""
        messages, state = self.opening, self.start
        for turn in range(self.steps):
            answer = yield Request(messages, self.tools)
            reaction = react(self, state, answer, turn)
            if not reaction.said.calls:
                return
            messages, state = (*messages, *reaction.messages), reaction.state


@dataclass(frozen=True)
class Reaction(Generic[S]):
    """What an answer did.

    Attributes:
        state: The world after it.
        said: The answer, taken apart.
        messages: What it adds to the conversation: itself, and what the tools said.
    """

    state: S
    said: Said
    messages: tuple[Message, ...]


@dataclass(frozen=True)
class History(Generic[S]):
    """What became of a world.

    Attributes:
        state: The world at the end.
        calls: All calls, in order.
        ended: Whether the model came to an end by itself, within its steps.
        last: What it said at the end.
    """

    state: S
    calls: tuple[ToolCall, ...] = field(default=())
    ended: bool = False
    last: str = ""


def react(world: World[S], state: S, answer: Answer, turn: int) -> Reaction[S]:
    """Return what an answer does to a world."""
    said = read_calls(answer, world.tools, turn)
    replies: list[Message] = []
    for call in said.calls:
        state, reply = _perform(world, state, call)
        replies.append(Message("tool", reply, tool_call_id=call.id))
    return Reaction(state, said, (_spoken(said), *replies))


def replay(world: World[S], transcript: Transcript) -> History[S]:
    """Return what became of the world in a conversation."""
    history = History(world.start)
    for turn, answer in enumerate(transcript.answers):
        reaction = react(world, history.state, answer, turn)
        calls = reaction.said.calls
        history = History(reaction.state, (*history.calls, *calls), not calls, reaction.said.rest)
    return history


def problem(message: str, **facts: JsonValue) -> str:
    """Return how a tool says that it failed."""
    return json.dumps({"error": message, **facts})


def tool(
    name: str, description: str, required: Mapping[str, JsonValue], optional: Mapping[str, JsonValue] | None = None
) -> Tool:
    """Return a tool with these parameters, each given as its JSON schema."""
    schema: dict[str, JsonValue] = {
        "type": "object",
        "properties": {**required, **(optional or {})},
        "required": list(required),
    }
    return Tool(name, description, schema)


def string(description: str, choices: Sequence[str] = ()) -> dict[str, JsonValue]:
    """Return the schema of a text parameter, one of the choices if there are any."""
    schema: dict[str, JsonValue] = {"type": "string", "description": description}
    return {**schema, "enum": list(choices)} if choices else schema


def _spoken(said: Said) -> Message:
    """Return the model's turn for the conversation: servers refuse a history whose arguments are no JSON object."""
    calls = tuple(
        ToolCall(call.id, call.name, json.dumps(arguments_of(call) or {}, ensure_ascii=False), call.form)
        for call in said.calls
    )
    return Message("assistant", said.rest, tool_calls=calls)


def _perform(world: World[S], state: S, call: ToolCall) -> tuple[S, str]:
    found = next((each for each in world.tools if each.name == call.name), None)
    if found is None:
        return state, problem(f"there is no tool {call.name!r}", tools=[each.name for each in world.tools])
    arguments = arguments_of(call)
    if arguments is None:
        return state, problem("the arguments are not a JSON object")
    required = found.parameters["required"]
    missing = [name for name in required if arguments.get(str(name)) is None] if isinstance(required, list) else []
    if missing:
        return state, problem("missing arguments", missing=missing)
    return world.act(state, call.name, arguments)
