"""One OpenAI-compatible endpoint: our own llama-server, or any other, known by its URL."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Generator, Iterator, Mapping
from dataclasses import replace
from typing import TypeVar

import httpx
from pydantic import BaseModel, ConfigDict, JsonValue, ValidationError

from suture.bench.stream import Broken, Stream
from suture.bench.suite import Answer, Message, Request, Server, Tool
from suture.errors import TransientError

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

    def __init__(self, client: httpx.Client, server: Server, *, is_llama: bool) -> None:
        self.server = server
        self._client = client
        self._is_llama = is_llama

    def ask(self, request: Request, *, max_tokens: int, seed: int, to_the_limit: bool = False) -> Answer:
        """Ask one question, again if the server fails; a failure that stays is in the answer.

        Args:
            request: What to ask.
            max_tokens: Longest answer.
            seed: Seed of the sampling.
            to_the_limit: Generate `max_tokens` even if the model would stop; only llama-server can.
        """
        limit = max_tokens if request.max_tokens is None else min(max_tokens, request.max_tokens)
        body = self._body(request, limit, seed)
        if to_the_limit and self._is_llama:
            body["ignore_eos"] = True
        attempt = 1
        while True:
            answer, again = self._ask_once(body, request.seconds)
            if not again or attempt == _ATTEMPTS:
                return replace(answer, timing=replace(answer.timing, attempts=attempt))
            time.sleep(_BACKOFF_SECONDS * 2 ** (attempt - 1))
            attempt += 1

    def check_alive(self) -> None:
        """Ask the endpoint for a sign of life.

        Raises:
            TransientError: When there is none.
        """
        _get(self._client, "/health")

    def _body(self, request: Request, max_tokens: int, seed: int) -> dict[str, JsonValue]:
        body: dict[str, JsonValue] = {
            "model": next(iter(self.server.models), "default"),
            "messages": [_message(message) for message in request.messages],
            "temperature": 0.0 if request.temperature is None else request.temperature,
            "max_tokens": max_tokens,
            "seed": seed,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        if request.tools:
            body["tools"] = [_tool(tool) for tool in request.tools]
        if self._is_llama:
            # A cached prefix is computed in other batches, which moves the last bits of the logits: without it, an
            # answer does not depend on what was asked before.
            body["cache_prompt"] = False
        return body

    def _ask_once(self, body: Mapping[str, JsonValue], seconds: float) -> tuple[Answer, bool]:
        """Return the answer, and whether asking again may help."""
        stream = Stream()
        try:
            self._receive(stream, body, seconds)
        except TimeoutError:
            return stream.answer("timeout", f"not complete after {seconds:g} s"), False
        except httpx.TimeoutException:
            return stream.answer("timeout", f"silent for {min(seconds, _SILENCE_SECONDS):g} s"), False
        except (Broken, httpx.RequestError) as error:
            return stream.answer("server_error", _describe(error)), True
        except httpx.HTTPStatusError as error:
            return stream.answer("server_error", str(error)), error.response.status_code in _TRANSIENT_STATUS
        return stream.answer(), False

    def _receive(self, stream: Stream, body: Mapping[str, JsonValue], seconds: float) -> None:
        timeout = httpx.Timeout(_QUICK_SECONDS, read=min(seconds, _SILENCE_SECONDS))
        with self._client.stream("POST", "/v1/chat/completions", json=body, timeout=timeout) as response:
            if not response.is_success:
                response.read()
                detail = f"HTTP {response.status_code}: {response.text[:500]}"
                raise httpx.HTTPStatusError(detail, request=response.request, response=response)
            for line in _lines(response.iter_text(), deadline=stream.started + seconds):
                stream.take(line)
        stream.check_complete()


@contextlib.contextmanager
def connect(url: str) -> Generator[Chat]:
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
    with httpx.Client(base_url=base, timeout=_QUICK_SECONDS, limits=limits, trust_env=not is_local) as client:
        props = _parse(_Props, _get(client, "/props"))
        yield Chat(client, _server(client, props), is_llama=props is not None)


def _server(client: httpx.Client, props: _Props | None) -> Server:
    health = _get(client, "/health")
    models = _parse(_Models, _get(client, "/v1/models"))
    return Server(
        models=tuple(model.id for model in models.data) if models else (),
        healthy=None if health.status_code in _NO_SUCH_PAGE else health.is_success,
        template_has_tools=props.chat_template_caps.supports_tools if props else None,
        context=props.default_generation_settings.n_ctx if props else None,
    )


def _get(client: httpx.Client, path: str) -> httpx.Response:
    try:
        return client.get(path)
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


def _lines(blocks: Iterator[str], deadline: float) -> Iterator[str]:
    """Yield the lines of a stream; a server that keeps trickling is cut off at the deadline (monotonic)."""
    rest = ""
    for block in blocks:
        if time.monotonic() > deadline:
            raise TimeoutError
        *lines, rest = (rest + block).split("\n")
        yield from lines
    yield rest
