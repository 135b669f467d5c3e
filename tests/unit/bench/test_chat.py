from __future__ import annotations

import socket
import time
from dataclasses import replace

import pytest

from suture.bench.suite import Answer, Message, Request
from suture.errors import TransientError
from suture.recipe import Sampling
from tests.unit.bench.blocking import connected
from tests.unit.bench.conftest import LLAMA, PLAIN, running
from tests.unit.bench.scripted import (
    Act,
    Scripted,
    breaks_off,
    dies,
    event,
    fails_inside,
    hangs,
    refuses,
    says,
    sends,
    trickles,
)

HELLO = Request((Message("system", "Be brief."), Message("user", "hello")))
SAMPLING = Sampling(max_tokens=50)
HASTY = replace(HELLO, seconds=0.3)


def ask(
    endpoint: Scripted, *acts: Act, request: Request = HELLO, path: str = "", to_the_limit: bool = False
) -> Answer:
    endpoint.script("hello", *acts)
    with connected(endpoint.url + path) as chat:
        return chat.ask(request, SAMPLING, to_the_limit=to_the_limit)


# -- a good answer --------------------------------------------------------------------------------------------


def test_an_answer_is_put_together_from_its_chunks(endpoint: Scripted) -> None:
    answer = ask(endpoint, says("Good day to you, é 中.", thinking="a greeting", finish="length"))
    assert (answer.text, answer.thinking, answer.finish) == ("Good day to you, é 中.", "a greeting", "length")
    assert (answer.failure, answer.detail) == ("", "")
    assert (answer.timing.prompt_tokens, answer.timing.tokens, answer.timing.attempts) == (10, 6, 1)


@pytest.mark.parametrize("path", ["", "/", "/v1", "/v1/"])
def test_the_address_is_taken_with_and_without_version(endpoint: Scripted, path: str) -> None:
    assert ask(endpoint, says("Hi."), path=path).text == "Hi."


def test_the_request_says_what_was_asked(endpoint: Scripted) -> None:
    ask(endpoint, says("Hi."), request=replace(HELLO, temperature=0.5), to_the_limit=True)
    assert endpoint.bodies == [
        {
            "model": "scripted",
            "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "hello"}],
            "temperature": 0.5,
            "top_p": 1.0,
            "max_tokens": 50,
            "seed": 3,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
    ]


@pytest.mark.parametrize(("own", "sent"), [(None, 50), (20, 20), (80, 80)])
def test_a_request_may_want_an_answer_of_its_own_length(endpoint: Scripted, own: int, sent: int) -> None:
    ask(endpoint, says("Hi."), request=replace(HELLO, max_tokens=own))
    assert endpoint.bodies[0]["max_tokens"] == sent


def test_only_llama_server_is_asked_for_more_than_the_api_has(llama: Scripted) -> None:
    ask(llama, says("Hi."))
    ask(llama, says("Hi."), to_the_limit=True)
    plain, to_the_limit = llama.bodies
    assert plain["cache_prompt"] is False
    assert "ignore_eos" not in plain
    assert to_the_limit == plain | {"ignore_eos": True}


def test_the_speed_is_the_servers_own_account_where_it_gives_one(llama: Scripted) -> None:
    timings = {"prompt_per_second": 340.5, "predicted_per_second": 108.25}
    timing = ask(llama, says("One two three", timings=timings)).timing
    assert (timing.prompt_tokens_per_second, timing.tokens_per_second) == (340.5, 108.25)


def test_elsewhere_the_speed_is_clocked(endpoint: Scripted) -> None:
    def slowly(handler) -> None:  # noqa: ANN001 -- Handler
        handler.start_stream()
        handler.send(event({"role": "assistant"}))
        for word in ("a", "b", "c", "d", "e"):
            time.sleep(0.05)
            handler.send(event({"content": word}))
        handler.send(event({}, "stop"))

    timing = ask(endpoint, slowly).timing
    assert timing.time_to_first_token is not None
    assert timing.tokens_per_second is not None
    assert timing.prompt_tokens_per_second is None
    assert timing.tokens == 5
    assert 0.05 <= timing.time_to_first_token <= timing.seconds - 0.2
    assert 4 / timing.seconds < timing.tokens_per_second <= 4 / 0.2  # sleep() never ends early


def test_an_answer_without_text_still_has_a_first_sign(endpoint: Scripted) -> None:
    timing = ask(endpoint, says("")).timing
    assert timing.time_to_first_token is not None
    assert timing.tokens_per_second is None


# -- what the endpoint says about itself ----------------------------------------------------------------------


def test_the_server_is_known_by_its_pages(endpoint: Scripted, llama: Scripted) -> None:
    with connected(endpoint.url) as chat:
        assert (chat.server.models, chat.server.healthy, chat.server.template_has_tools) == (
            ("scripted",),
            None,
            None,
        )
    with connected(llama.url) as chat:
        assert (chat.server.models, chat.server.healthy, chat.server.template_has_tools) == (
            ("scripted",),
            True,
            True,
        )


def test_odd_pages_are_not_taken_for_more_than_they_are() -> None:
    pages = LLAMA | {
        "/health": (503, {"error": "loading"}),
        "/props": (200, {"default_generation_settings": {}}),
        "/v1/models": (200, {"models": 7}),
    }
    with running(pages) as server, connected(server.url) as chat:
        assert (chat.server.models, chat.server.healthy, chat.server.template_has_tools) == ((), False, None)
    with running(PLAIN | {"/props": (200, {"page": "of another server"})}) as server:
        ask(server, says("Hi."))
        assert "cache_prompt" not in server.bodies[0]


def test_a_proxy_of_the_environment_is_not_asked_for_this_machine(
    endpoint: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    assert ask(endpoint, says("Hi.")).text == "Hi."


# -- what goes wrong ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("act", [refuses(500), refuses(503), refuses(429), breaks_off("Goo"), fails_inside("Goo")])
def test_a_passing_failure_is_asked_again(endpoint: Scripted, act: Act) -> None:
    answer = ask(endpoint, act, says("Good day."))
    assert (answer.text, answer.failure, answer.timing.attempts) == ("Good day.", "", 2)


@pytest.mark.parametrize(
    ("act", "text", "detail"),
    [
        (refuses(500), "", "HTTP 500"),
        (breaks_off("Goo"), "Goo", "ended in the middle"),
        (fails_inside("Goo"), "Goo", "scripted failure"),
        (sends(["data: {not json\n\n"]), "", "not a chunk"),
        (sends(["<html>Gateway</html>"]), "", "ended in the middle"),
    ],
)
def test_a_failure_that_stays_is_reported_with_what_had_come(
    endpoint: Scripted, act: Act, text: str, detail: str
) -> None:
    answer = ask(endpoint, act)
    assert (answer.text, answer.failure, answer.timing.attempts) == (text, "server_error", 3)
    assert detail in answer.detail
    assert len(endpoint.bodies) == 3


def test_a_refused_request_is_not_sent_again(endpoint: Scripted) -> None:
    answer = ask(endpoint, refuses(400))
    assert (answer.failure, len(endpoint.bodies)) == ("server_error", 1)
    assert "HTTP 400" in answer.detail
    assert "scripted 400" in answer.detail


@pytest.mark.parametrize(("act", "text"), [(hangs(), ""), (hangs("Goo"), "Goo"), (trickles(), "")])
def test_an_answer_that_does_not_end_is_given_up(endpoint: Scripted, act: Act, text: str) -> None:
    answer = ask(endpoint, act, request=HASTY)
    assert (answer.text, answer.failure, len(endpoint.bodies)) == (text, "timeout", 1)
    assert "0.3 s" in answer.detail


def test_a_dead_server_is_noticed(endpoint: Scripted) -> None:
    endpoint.script("hello", dies("Goo"))
    with connected(endpoint.url) as chat:
        chat.run(chat.chat.check_alive())
        assert chat.ask(HELLO, SAMPLING).failure == "server_error"
        with pytest.raises(TransientError, match="does not answer"):
            chat.run(chat.chat.check_alive())


def test_nobody_there() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and never listens
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(TransientError) as caught, connected(url):
            pass
    assert url in str(caught.value)
