"""An OpenAI-compatible server that does what a test tells it to, over real HTTP."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from suture.bench.chat import _message
from suture.bench.suite import Answer, Test

JSON = dict[str, Any]
Act = Callable[["Handler"], None]


class Scripted(ThreadingHTTPServer):
    """Answers each question with the acts scripted for it, one per request; the last act repeats."""

    daemon_threads = True

    def __init__(self, *, pages: dict[str, tuple[int, JSON]]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.pages = pages
        self.acts: dict[str, list[Act]] = {}
        self.talks: dict[str, list[Act]] = {}
        self.default: Act = says("Yes.")
        self.bodies: list[JSON] = []
        self.headers: list[dict[str, str]] = []
        self.released = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def script(self, question: str, *acts: Act) -> None:
        self.acts[question] = list(acts)

    def script_talk(self, test: Test, answers: Sequence[Answer | str]) -> None:
        """Answer a whole conversation: each of its requests, known by all that was said before, with the next one."""
        rest = [Answer(answer) if isinstance(answer, str) else answer for answer in answers]
        talk = test.talk()
        request = next(talk, None)
        begun: set[str] = set()
        while request is not None:
            answer = rest.pop(0) if len(rest) > 1 else rest[0]
            key = _key([_message(message) for message in request.messages])
            if key not in begun:
                self.talks[key] = []
                begun.add(key)
            self.talks[key].append(tells(answer))
            try:
                request = talk.send(answer)
            except StopIteration:
                request = None

    def next_act(self, messages: list[JSON]) -> Act:
        acts = self.talks.get(_key(messages)) or self.acts.get(messages[-1]["content"], [self.default])
        return acts.pop(0) if len(acts) > 1 else acts[0]

    def die(self) -> None:
        """Close the port, so that later connections are refused."""
        self.shutdown()
        self.server_close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is no news."""


class Handler(BaseHTTPRequestHandler):
    server: Scripted  # pyright: ignore[reportIncompatibleVariableOverride] -- no other server makes it

    def do_GET(self) -> None:
        status, page = self.server.pages.get(self.path, (404, {"error": "no such page"}))
        self.send_json(status, page)

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path != "/v1/chat/completions":
            self.send_json(404, {"error": "no such page"})
            return
        self.server.bodies.append(body)
        self.server.headers.append(dict(self.headers))
        self.server.next_act(body["messages"])(self)

    def send_json(self, status: int, page: JSON) -> None:
        content = json.dumps(page).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def start_stream(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()  # HTTP/1.0: the stream ends with the connection

    def send(self, text: str) -> None:
        self.wfile.write(text.encode())
        self.wfile.flush()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 -- the name it overrides
        """Keep the test's output clean."""


def event(delta: JSON, finish: str | None = None) -> str:
    return f"data: {json.dumps({'choices': [{'index': 0, 'delta': delta, 'finish_reason': finish}]})}\n\n"


def says(text: str, *, thinking: str = "", finish: str = "stop", timings: JSON | None = None) -> Act:
    """Answer completely, a word at a time."""

    def act(handler: Handler) -> None:
        handler.start_stream()
        handler.send(": a comment\n\n" + event({"role": "assistant", "content": None}))
        for word in _words(thinking):
            handler.send(event({"reasoning_content": word}))
        for word in _words(text):
            handler.send(event({"content": word}))
        handler.send(event({}, finish))
        usage = {"prompt_tokens": 10, "completion_tokens": len(list(_words(text)))}
        handler.send(f"data: {json.dumps({'choices': [], 'usage': usage, 'timings': timings})}\n\ndata: [DONE]\n\n")

    return act


def tells(answer: Answer) -> Act:
    """Send an answer as a server would: its text a word at a time, or in one piece if its timing says so.

    With a pause after each word where the timing has pauses.
    """

    def act(handler: Handler) -> None:
        handler.start_stream()
        pieces = [answer.text] if answer.timing.pieces == 1 else list(_words(answer.text))
        for piece in filter(None, pieces):
            handler.send(event({"content": piece}))
            time.sleep(answer.timing.longest_gap or 0)
        for index, call in enumerate(answer.tool_calls):
            head = {
                "index": index,
                "id": call.id,
                "type": "function",
                "function": {"name": call.name, "arguments": ""},
            }
            handler.send(event({"tool_calls": [head]}))
            for half in (call.arguments[:5], call.arguments[5:]):
                handler.send(event({"tool_calls": [{"index": index, "function": {"arguments": half}}]}))
        handler.send(event({}, answer.finish))
        usage = {"prompt_tokens": 10, "completion_tokens": answer.timing.tokens or len(pieces)}
        timings = {"predicted_per_second": answer.timing.tokens_per_second or 50.0, "prompt_per_second": 300.0}
        handler.send(f"data: {json.dumps({'choices': [], 'usage': usage, 'timings': timings})}\n\ndata: [DONE]\n\n")

    return act


def _key(messages: list[JSON]) -> str:
    return json.dumps(messages, sort_keys=True)


def refuses(status: int) -> Act:
    return lambda handler: handler.send_json(status, {"error": {"message": f"scripted {status}"}})


def breaks_off(text: str) -> Act:
    """Begin to answer, then close the connection."""

    def act(handler: Handler) -> None:
        handler.start_stream()
        handler.send(event({"content": text}))

    return act


def dies(text: str) -> Act:
    """Begin to answer, then take the whole server down."""

    def act(handler: Handler) -> None:
        breaks_off(text)(handler)
        handler.server.die()

    return act


def fails_inside(text: str) -> Act:
    """Begin to answer, then report an error in the stream."""

    def act(handler: Handler) -> None:
        breaks_off(text)(handler)
        handler.send('data: {"error": {"code": 500, "message": "scripted failure"}}\n\n')

    return act


def hangs(text: str = "") -> Act:
    """Begin to answer, then say nothing until the test ends."""

    def act(handler: Handler) -> None:
        handler.start_stream()
        handler.send(event({"content": text}))
        handler.server.released.wait(30)

    return act


def trickles() -> Act:
    """Never stop, never complete a line."""

    def act(handler: Handler) -> None:
        handler.start_stream()
        while not handler.server.released.is_set():
            handler.send("data: ")
            time.sleep(0.02)

    return act


def sends(lines: Sequence[str]) -> Act:
    """Send a stream of any content."""

    def act(handler: Handler) -> None:
        handler.start_stream()
        for line in lines:
            handler.send(line)

    return act


def _words(text: str) -> Iterator[str]:
    for number, word in enumerate(text.split(" ") if text else []):
        yield word if number == 0 else f" {word}"
