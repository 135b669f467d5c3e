"""One OpenAI-compatible endpoint: our own llama-server, or any other, known by its URL."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from dataclasses import replace
from typing import TypeVar

import httpx
from pydantic import BaseModel, ConfigDict, JsonValue, ValidationError

from suture.bench.stream import Broken, Stream
from suture.bench.suite import Answer, Message, Request, Server, Tool
from suture.errors import TransientError
from suture.recipe import Sampling
from suture.settings import settings

_ATTEMPTS = 3
_BACKOFF_SECONDS = 0.5  # doubled after each attempt
_QUICK_SECONDS = 10.0
"""Time limit of everything but an answer: connecting, health, names."""
_SILENCE_SECONDS = 120.0
"""Longest pause within an answer: even a large model on a small machine reads a prompt or makes a token in it."""
_NO_SUCH_PAGE = frozenset({404, 405, 501})
_TRANSIENT_STATUS = frozenset({408, 425, 429, 500, 502, 503, 504})


class Chat:
    """A connection to an endpoint; made by `connect`.

    Args:
        client: Knows the endpoint's address.
        server: What the endpoint says about itself.
        is_llama: Whether it is llama-server, which understands more than the OpenAI API.
    """

    def __init__(self, client: httpx.AsyncClient, server: Server, *, is_llama: bool) -> None:
        self.server = server
        self.is_llama = is_llama
        self._client = client

    async def ask(self, request: Request, sampling: Sampling, *, seed: int, to_the_limit: bool = False) -> Answer:
        """Ask one question, again if the server fails; a failure that stays is in the answer.

        Args:
            request: What to ask; its own temperature and limit go before those of `sampling`.
            sampling: How the answer is drawn.
            seed: Seed of the sampling.
            to_the_limit: Generate `max_tokens` even if the model would stop; only llama-server can.
        """
        body = self._body(request, sampling, seed)
        if to_the_limit and self.is_llama:
            body["ignore_eos"] = True
        attempt = 1
        while True:
            answer, again = await self._ask_once(body, request.seconds)
            if not again or attempt == _ATTEMPTS:
                return replace(answer, timing=replace(answer.timing, attempts=attempt))
            await asyncio.sleep(_BACKOFF_SECONDS * 2 ** (attempt - 1))
            attempt += 1

    async def check_alive(self) -> None:
        """Ask the endpoint for a sign of life.

        Raises:
            TransientError: When there is none.
        """
        await _get(self._client, "/health")

    def _body(self, request: Request, sampling: Sampling, seed: int) -> dict[str, JsonValue]:
        temperature = sampling.temperature if request.temperature is None else request.temperature
        body: dict[str, JsonValue] = {
            "model": next(iter(self.server.models), "default"),
            "messages": [_message(message) for message in request.messages],
            "temperature": temperature,
            "max_tokens": request.max_tokens or sampling.max_tokens,
            "seed": seed,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        if temperature:
            body["top_p"] = sampling.top_p
        if request.tools:
            body["tools"] = [_tool(tool) for tool in request.tools]
        return body | beyond_openai(sampling, temperature, is_llama=self.is_llama)

    async def _ask_once(self, body: Mapping[str, JsonValue], seconds: float) -> tuple[Answer, bool]:
        """Return the answer, and whether asking again may help."""
        stream = Stream()
        try:
            async with asyncio.timeout(seconds):
                await self._receive(stream, body)
        except TimeoutError:
            return stream.answer("timeout", f"not complete after {seconds:g} s"), False
        except httpx.TimeoutException:
            return stream.answer("timeout", f"silent for {_SILENCE_SECONDS:g} s"), False
        except (Broken, httpx.RequestError) as error:
            return stream.answer("server_error", _describe(error)), True
        except httpx.HTTPStatusError as error:
            return stream.answer("server_error", str(error)), error.response.status_code in _TRANSIENT_STATUS
        return stream.answer(), False

    async def _receive(self, stream: Stream, body: Mapping[str, JsonValue]) -> None:
        timeout = httpx.Timeout(_QUICK_SECONDS, read=_SILENCE_SECONDS)
        async with self._client.stream("POST", "/v1/chat/completions", json=body, timeout=timeout) as response:
            if not response.is_success:
                await response.aread()
                detail = f"HTTP {response.status_code}: {response.text[:500]}"
                raise httpx.HTTPStatusError(detail, request=response.request, response=response)
            async for line in _lines(response.aiter_text()):
                stream.take(line)
        stream.check_complete()


@contextlib.asynccontextmanager
async def connect(url: str) -> AsyncGenerator[Chat]:
    """Connect to an endpoint.

    Args:
        url: Its address, with or without `/v1`.

    Raises:
        TransientError: When it does not answer.
    """
    base = httpx.URL(url.rstrip("/").removesuffix("/v1"))
    is_local = base.host in ("127.0.0.1", "localhost", "::1")
    # a proxy that the environment names is for the outside: it cannot reach this machine's loopback
    # no kept connections: a server closes idle ones at will, which fails the next request
    limits = httpx.Limits(max_keepalive_connections=0)
    async with httpx.AsyncClient(
        base_url=base, timeout=_QUICK_SECONDS, limits=limits, trust_env=not is_local, headers=_authorization()
    ) as client:
        props = _parse(_Props, await _get(client, "/props"))
        yield Chat(client, await _server(client, props), is_llama=props is not None)


def beyond_openai(sampling: Sampling, temperature: float | None, *, is_llama: bool) -> dict[str, JsonValue]:
    """Return what a request says beyond the OpenAI API, where the endpoint understands it.

    Args:
        sampling: How answers are drawn.
        temperature: 0 draws nothing; None where it is not known.
        is_llama: Whether the endpoint is llama-server.
    """
    further: dict[str, JsonValue] = {}
    if sampling.thinking != "template":
        # what llama-server, vLLM and SGLang understand
        further["chat_template_kwargs"] = {"enable_thinking": sampling.thinking == "on"}
    if not is_llama:
        return further
    # A cached prefix is computed in other batches, which moves the last bits of the logits: without it, an answer
    # does not depend on what was asked before.
    further["cache_prompt"] = False
    if temperature != 0:
        further |= {"top_k": 0, "min_p": 0.0}  # its own defaults would cut further than was asked for
    if sampling.thinking_tokens is not None:
        further["thinking_budget_tokens"] = sampling.thinking_tokens
    return further


def _authorization() -> dict[str, str]:
    key = settings().api_key
    return {} if key is None else {"Authorization": f"Bearer {key.get_secret_value()}"}


async def _server(client: httpx.AsyncClient, props: _Props | None) -> Server:
    health = await _get(client, "/health")
    models = _parse(_Models, await _get(client, "/v1/models"))
    return Server(
        models=tuple(model.id for model in models.data) if models else (),
        healthy=None if health.status_code in _NO_SUCH_PAGE else health.is_success,
        template_has_tools=props.chat_template_caps.supports_tools if props else None,
        context=props.default_generation_settings.n_ctx if props else None,
    )


async def _get(client: httpx.AsyncClient, path: str) -> httpx.Response:
    try:
        return await client.get(path)
    except httpx.RequestError as error:
        raise TransientError(
            "The endpoint does not answer.",
            where=str(client.base_url.join(path)),
            found=_describe(error),
            way_out="Check that the server is running and has not run out of memory.",
        ) from error


def _message(message: Message) -> dict[str, JsonValue]:
    """Return a message as the API has it: without what it has not."""
    form: dict[str, JsonValue] = {"role": message.role, "content": message.content}
    if message.tool_calls:
        form["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            for call in message.tool_calls
        ]
    if message.tool_call_id:
        form["tool_call_id"] = message.tool_call_id
    return form


def _tool(tool: Tool) -> dict[str, JsonValue]:
    function: dict[str, JsonValue] = {
        "name": tool.name,
        "description": tool.description,
        "parameters": dict(tool.parameters),
    }
    return {"type": "function", "function": function}


def _describe(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


class _Page(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class _Model(_Page):
    id: str


class _Models(_Page):
    data: list[_Model]


class _TemplateCaps(_Page):
    supports_tools: bool | None = None


class _GenerationSettings(_Page):
    n_ctx: int | None = None


class _Props(_Page):
    """llama-server's `/props`; no other server has it."""

    default_generation_settings: _GenerationSettings
    chat_template_caps: _TemplateCaps = _TemplateCaps()


_P = TypeVar("_P", bound=_Page)


def _parse(kind: type[_P], response: httpx.Response) -> _P | None:
    if not response.is_success:
        return None
    try:
        return kind.model_validate_json(response.content)
    except ValidationError:
        return None


async def _lines(blocks: AsyncIterator[str]) -> AsyncGenerator[str]:
    """Yield the lines of a stream."""
    rest = ""
    async for block in blocks:
        *lines, rest = (rest + block).split("\n")
        for line in lines:
            yield line
    yield rest
