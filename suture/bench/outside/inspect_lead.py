"""Leads a test's conversation through inspect_ai, which asks, retries and logs."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from inspect_ai.dataset import Sample as Question
from inspect_ai.model import GenerateConfig, Model, get_model
from inspect_ai.solver import Generate, Solver, TaskState, solver
from inspect_ai.util import span

from suture.bench.chat import beyond_openai, connect
from suture.bench.outside.inspect_judge import keep
from suture.bench.outside.inspect_messages import answer_of, messages_of, tools_of
from suture.bench.runner import converse
from suture.bench.suite import Answer, Request, Server, Test, select, unfit
from suture.recipe import Sampling


def question_of(test: Test) -> Question:
    """Return a test as a sample of a dataset: what it asks first, and by what its result is grouped."""
    talk = test.talk()
    first = next(talk)
    talk.close()
    metadata = {"test": test.id, "category": test.category, "title": test.title}
    return Question(id=test.id, input=messages_of(first), metadata=metadata)


@dataclass(frozen=True)
class _Endpoint:
    server: Server
    is_llama: bool


@solver
def lead(sampling: Sampling) -> Solver:
    """Lead a test's conversation to its end.

    Args:
        sampling: Seed and thinking; inspect_ai itself knows the rest.
    """
    known: dict[str, _Endpoint] = {}

    async def solve(state: TaskState, generate: Generate) -> TaskState:  # noqa: ARG001 -- asks without limits of its own
        model = get_model()
        if str(model) not in known:
            known[str(model)] = await _look(model)
        endpoint = known[str(model)]
        (test,) = select((state.metadata["test"],))
        asker = _Asker(model, state, sampling, is_llama=endpoint.is_llama)
        answers = () if unfit(test, endpoint.server) else (await converse(test.talk(), asker.ask))[1]
        keep(state, answers, endpoint.server)
        return state

    return solve


async def _look(model: Model) -> _Endpoint:
    """Return what the endpoint says about itself; of a model that has no address, nothing but its name."""
    url: str | None = getattr(model.api, "base_url", None)
    if not url:
        return _Endpoint(Server(models=(model.name,)), is_llama=False)
    async with connect(url) as chat:
        return _Endpoint(chat.server, chat.is_llama)


class _Asker:
    def __init__(self, model: Model, state: TaskState, sampling: Sampling, *, is_llama: bool) -> None:
        self._model = model
        self._state = state
        self._sampling = sampling
        self._is_llama = is_llama
        self._asked = 0

    async def ask(self, request: Request) -> Answer:
        """Ask one question through inspect_ai, and leave the conversation where its viewer shows it."""
        self._asked += 1
        state, messages = self._state, messages_of(request)
        state.messages = messages
        try:
            async with asyncio.timeout(request.seconds), span(f"question {self._asked}"):
                state.output = await self._model.generate(messages, tools_of(request), config=self._config(request))
        except TimeoutError:
            return Answer("", failure="timeout", detail=f"not complete after {request.seconds:g} s")
        except RuntimeError as error:  # inspect_ai's form of a request that the server refused
            return Answer("", failure="server_error", detail=str(error)[:500])
        if not state.output.empty:
            state.messages = [*messages, state.output.message]
        return answer_of(state.output)

    def _config(self, request: Request) -> GenerateConfig:
        return GenerateConfig(
            temperature=request.temperature,
            max_tokens=request.max_tokens,
            seed=self._sampling.seed + self._state.epoch - 1,
            extra_body=beyond_openai(self._sampling, request.temperature, is_llama=self._is_llama) or None,
        )
