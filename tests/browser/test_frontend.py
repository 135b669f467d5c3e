"""The frontend stress test in a real Chromium: pages that do all, pages that look as if, and pages that do harm."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Generator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from suture.bench.capability import Asked, ask_url
from suture.bench.frontend import TASKS, Browser, Limits, examine, open_browser
from suture.bench.frontend.common import COMMON
from suture.bench.lab import open_lab
from suture.bench.samples import Sample, Samples
from suture.bench.suite import CheckResult, select
from suture.errors import HostError
from suture.progress import Silent
from suture.recipe import Sampling
from tests.unit.bench.answers.frontend import ADVERSARY, PERFECT, page
from tests.unit.bench.conftest import LLAMA
from tests.unit.bench.conftest import running as scripted

NO_CHROMIUM = "needs Chromium: apt install chromium"
TRUE_OF_ADVERSARIES = {
    "weather-dashboard": {"ends", "brackets", "garbled", "loads", "layout"},
    "shop-product-page": {"ends", "brackets", "garbled", "loads", "swatches"},
    "saas-landing-page": {"ends", "brackets", "garbled", "loads"},
    "analytics-dashboard": {"ends", "brackets", "garbled", "loads", "donut", "table"},
    "registration-wizard": {"ends", "brackets", "garbled", "loads", "steps", "inline-error"},
    "snake-game": {"ends", "brackets", "garbled", "loads"},
}
WEATHER = TASKS[0]
BARE = replace(WEATHER, checks=COMMON, interaction=lambda _: None)
"""The good weather page is only a place for scripts here."""
UNSEEN = {"loads", "dark-mode", "forecast", "layout", "no-overflow"}


@pytest.fixture(scope="module")
def browser() -> Generator[Browser]:
    with open_browser() as found:
        if found is None:
            pytest.skip(NO_CHROMIUM)
        yield found


@pytest.fixture
def shots(tmp_path: Path) -> Path:
    """Where the pictures go: below SUTURE_SCREENSHOTS, for people to look at."""
    return Path(os.environ.get("SUTURE_SCREENSHOTS", tmp_path)) / "frontend"


def failed(results: tuple[CheckResult, ...]) -> dict[str, str]:
    assert all(result.outcome != "skipped" for result in results)
    return {result.id: result.why for result in results if result.outcome == "failed"}


def with_script(script: str) -> str:
    """The good weather page, with a script before its own."""
    return page("weather-dashboard").replace("<script>", f"<script>{script}</script>\n<script>", 1)


# -- good and bad pages -------------------------------------------------------------------------------------------


def asked(answers: Mapping[str, str], folder: Path, shots: Path) -> dict[str, Sample]:
    """Return what a whole run against an endpoint with these answers gives, over HTTP and through the browser."""
    tests = select(["frontend"])
    with scripted(LLAMA) as server, open_lab(tests, shots) as examine:
        for test in tests:
            server.script_talk(test, (answers[test.id],))
        samples = Samples(folder, {})
        ask_url(server.url, Asked(tests, Sampling(), examine), samples, Silent())
    if any(check.outcome == "skipped" for sample in samples.taken for check in sample.checks):
        pytest.skip(NO_CHROMIUM)
    return {sample.test: sample for sample in samples.taken}


def test_a_perfect_endpoint_passes_71_of_71(tmp_path: Path, shots: Path) -> None:
    samples = asked(PERFECT, tmp_path, shots)
    assert {test: sample.score.why for test, sample in samples.items() if not sample.score.passed} == {}
    outcomes = [check.outcome for sample in samples.values() for check in sample.checks]
    assert outcomes == ["passed"] * 71
    for task in TASKS:
        pictures = [shots / f"{task.id}-{name}.png" for name in ("start", "interaction", "375")]
        widths = [struct.unpack(">I", picture.read_bytes()[16:20])[0] for picture in pictures]
        assert widths == [1280, 1280, 375]
        assert pictures[0].read_bytes() != pictures[1].read_bytes()


def test_an_endpoint_whose_pages_look_as_if_passes_what_is_true_of_them(tmp_path: Path, shots: Path) -> None:
    samples = asked(ADVERSARY, tmp_path, shots / "adversary")
    held = {
        test: {check.id for check in sample.checks if check.outcome == "passed"} for test, sample in samples.items()
    }
    assert held == TRUE_OF_ADVERSARIES
    assert {sample.score.error_class for sample in samples.values()} == {"checks"}


@pytest.mark.parametrize("name", ["weather-dashboard", "registration-wizard", "snake-game"])
def test_a_good_page_of_another_style_passes_all(name: str, browser: Browser, shots: Path) -> None:
    (task,) = [task for task in TASKS if task.id == name]
    assert failed(examine(task, page(f"{name}-other"), browser, shots / "other")) == {}


def test_all_of_an_empty_page(browser: Browser, tmp_path: Path) -> None:
    results = examine(WEATHER, "<!DOCTYPE html><html></html>", browser, tmp_path)
    assert {result.id for result in results} - set(failed(results)) == {"ends", "garbled"}


# -- errors -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("script", "why"),
    [
        ("nowhere();", "nowhere is not defined"),
        ("setTimeout(() => { throw new Error('later'); }, 500);", "later"),
        ("Promise.reject(new Error('refused'));", "refused"),
        ("let a = ;", "Unexpected token"),
    ],
)
def test_an_error_that_nobody_catches(script: str, why: str, browser: Browser, tmp_path: Path) -> None:
    found = failed(examine(BARE, with_script(script), browser, tmp_path))
    assert list(found) == ["loads"]
    assert why in found["loads"]


def test_noise_is_no_error(browser: Browser, tmp_path: Path) -> None:
    script = """
        console.error("only a message");
        try { nowhere(); } catch {}
        alert("hello"); confirm("sure?"); prompt("name?"); print(); window.open("about:blank");
        const link = document.createElement("a");
        [link.href, link.download] = ["data:application/octet-stream,x", "x.bin"];
        link.click();
        addEventListener("beforeunload", event => event.preventDefault());
        navigator.serviceWorker?.register("worker.js").catch(() => {});
        (function again() { setTimeout(again, 0); })();
    """
    assert failed(examine(BARE, with_script(script), browser, tmp_path)) == {}


# -- harm ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("script", ["while (true);", "while (true) alert('again');"])
def test_a_page_without_end_costs_its_own_checks_alone(
    script: str, browser: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as hurry:
        hurry.setattr(browser, "limits", Limits(check=3))
        found = failed(examine(WEATHER, with_script(script), browser, tmp_path))
    assert set(found) == UNSEEN
    assert {why for why in found.values() if "did not answer within 3 s" not in why} == set()
    assert failed(examine(BARE, PERFECT[WEATHER.id], browser, tmp_path)) == {}


def test_a_button_without_end_costs_its_own_check_alone(browser: Browser, tmp_path: Path) -> None:
    stuck = page("weather-dashboard").replace("const dark =", "while (true);\n  const dark =")
    assert set(failed(examine(WEATHER, stuck, browser, tmp_path))) == {"dark-mode"}


def test_memory_without_end(browser: Browser, tmp_path: Path) -> None:
    hog = "const hog = []; while (true) hog.push(new Uint8Array(2 ** 27));"
    assert "Array buffer allocation failed" in failed(examine(BARE, with_script(hog), browser, tmp_path))["loads"]


@contextlib.contextmanager
def listening() -> Generator[tuple[int, list[object]]]:
    """A port of this machine, and who called there."""
    callers: list[object] = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.1)
        over = threading.Event()

        def accept() -> None:
            while not over.is_set():
                with contextlib.suppress(TimeoutError):
                    connection, caller = server.accept()
                    callers.append(caller)
                    connection.close()

        thread = threading.Thread(target=accept)
        thread.start()
        try:
            yield server.getsockname()[1], callers
        finally:
            over.set()
            thread.join()


def test_nothing_gets_out(browser: Browser, tmp_path: Path) -> None:
    with listening() as (port, callers):
        script = f"""
            const [host, quiet] = ["127.0.0.1:{port}", () => {{}}];
            fetch("http://" + host).catch(quiet);
            fetch("http://localhost:{port}", {{mode: "no-cors"}}).catch(quiet);
            navigator.sendBeacon("http://" + host, "x");
            new Image().src = "http://" + host + "/x.png";
            new WebSocket("ws://" + host).onerror = quiet;
            new EventSource("http://" + host).onerror = quiet;
            const frame = document.createElement("iframe");
            frame.src = "http://" + host;
            frame.hidden = true;
            document.documentElement.append(frame);
            new Worker(URL.createObjectURL(new Blob([
                `fetch("http://${{host}}").catch(() => {{}}); new WebSocket("ws://${{host}}");`])));
            const peer = new RTCPeerConnection({{iceServers: [{{urls: "turn:" + host + "?transport=tcp",
                username: "a", credential: "b"}}]}});
            peer.createDataChannel("x");
            peer.createOffer().then(offer => peer.setLocalDescription(offer)).catch(quiet);
        """
        assert failed(examine(BARE, with_script(script), browser, tmp_path)) == {}
    assert callers == []


def test_nothing_is_kept_from_one_page_to_the_next(browser: Browser, tmp_path: Path) -> None:
    script = "if (localStorage.been) throw new Error('been here'); localStorage.been = document.cookie = 'yes';"
    assert failed(examine(BARE, with_script(script), browser, tmp_path)) == {}


# -- processes ----------------------------------------------------------------------------------------------------


def test_from_an_event_loop(browser: Browser, tmp_path: Path) -> None:
    async def both() -> list[tuple[CheckResult, ...]]:
        answer = PERFECT[WEATHER.id]
        return await asyncio.gather(
            *(asyncio.to_thread(examine, BARE, answer, browser, tmp_path / name) for name in ("a", "b"))
        )

    assert [failed(results) for results in asyncio.run(both())] == [{}, {}]


def test_a_driver_that_never_answers_is_started_anew(
    browser: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as deaf:
        deaf.setattr("suture.bench.frontend.browser._GRACE_SECONDS", 0.2)
        deaf.setattr(browser, "limits", Limits(check=2))
        deaf.setattr(browser, "_kill_chromium", lambda: None)  # as if Playwright did not notice its death
        assert "loads" in failed(examine(BARE, with_script("while (true);"), browser, tmp_path))
    assert failed(examine(BARE, PERFECT[WEATHER.id], browser, tmp_path)) == {}


def test_closing_ends_what_is_under_way(tmp_path: Path) -> None:
    with ThreadPoolExecutor(1) as elsewhere:
        with open_browser() as browser:
            if browser is None:
                pytest.skip(NO_CHROMIUM)
            waiting = elsewhere.submit(examine, BARE, with_script("while (true);"), browser, tmp_path)
            time.sleep(2)  # it is loading, and would for half a minute
        with pytest.raises(HostError, match="closed"):
            waiting.result()


PROGRAM = """
import sys, tempfile
from pathlib import Path
from suture.bench.frontend.common import COMMON
from suture.bench.lab import open_lab
from suture.bench.samples import Sample, Samples
from suture.bench.suite import CheckResult, select
from suture.errors import HostError
from suture.progress import Silent
from suture.recipe import Sampling
from suture.bench.frontend import TASKS, examine, open_browser

with open_browser() as browser, tempfile.TemporaryDirectory() as shots:
    if browser is not None:
        answer = "<!DOCTYPE html><html><style>a{}</style><script>f()</script>" + sys.argv[1] + "</html>"
        examine(TASKS[0], answer, browser, Path(shots))
        print("examined", flush=True)
        sys.stdin.read()
"""


@contextlib.contextmanager
def examining(tmp_path: Path) -> Generator[subprocess.Popen[bytes]]:
    """A process that has used a browser, and still holds it."""
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", PROGRAM, "hi"], stdin=pipe, stdout=pipe, env=environment) as process:
        try:
            assert process.stdout is not None
            if process.stdout.readline() != b"examined\n":
                pytest.skip(NO_CHROMIUM)
            yield process
        finally:
            process.kill()


def descendants(ancestor: int) -> set[int]:
    parents: dict[int, int] = {}
    for folder in Path("/proc").iterdir():
        with contextlib.suppress(OSError, ValueError):
            parents[int(folder.name)] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
    found = {ancestor}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return found - {ancestor}


def running(processes: set[int]) -> set[int]:
    """Those that have not ended, whether or not someone has taken note of their end."""
    found = set[int]()
    for process in processes:
        with contextlib.suppress(OSError):
            if Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX":
                found.add(process)
    return found


def expect_gone(processes: set[int]) -> None:
    deadline = time.monotonic() + 10
    while running(processes) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert running(processes) == set()


def test_no_process_and_no_file_is_left(tmp_path: Path) -> None:
    with examining(tmp_path) as process:
        started = running(descendants(process.pid))
        assert len(started) > 3
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(30) == 0
        expect_gone(started)
    assert list(tmp_path.glob("suture-*")) == []


def test_no_process_is_left_by_kill_9(tmp_path: Path) -> None:
    with examining(tmp_path) as process:
        started = running(descendants(process.pid))
        assert len(started) > 3
        process.send_signal(signal.SIGKILL)
        process.wait(30)
        expect_gone(started)
