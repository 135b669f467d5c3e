"""llama-server, up for the length of a block."""

from __future__ import annotations

import contextlib
import http.client
import re
import signal
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path

from suture.errors import ProcessError, TransientError
from suture.gguf import toolchain
from suture.gguf.runner import environment
from suture.process import start_process, tail
from suture.settings import settings

_POLL_SECONDS = 0.05
_LISTENING = re.compile(r"listening on http://127\.0\.0\.1:(\d+)")


@dataclass(frozen=True)
class Endpoint:
    """A server that has loaded its model.

    Attributes:
        url: `http://127.0.0.1:PORT`, without a slash at the end.
        log: What the server writes.
    """

    url: str
    log: Path
    _poll: Callable[[], int | None]

    def require_alive(self) -> None:
        """Check that the server still runs; for a caller whose request was cut off.

        Raises:
            ProcessError: With the end of its log, when it does not.
        """
        status = self._poll()
        if status is not None:
            raise _ended(status, self.log, "answering")


@contextlib.contextmanager
def serving(
    gguf: Path,
    *,
    context: int,
    seed: int,
    log: Path,
    slots: int = 1,
    threads: int | None = None,
    startup_timeout: float = 600.0,
    lora: Path | None = None,
) -> Generator[Endpoint]:
    """Serve a model on a free port of the loopback interface; the server ends with the block, however it is left.

    Args:
        gguf: The model.
        context: Tokens of context, of all slots together.
        seed: Seed of the sampling, for requests that bring none.
        log: File that receives what the server writes.
        slots: Conversations at one time.
        threads: Threads for prompts and generation; those of the settings when None.
        startup_timeout: Seconds to load the model in.
        lora: An adapter that is applied beside the model, to all requests.

    Raises:
        ProcessError: When the server ends while it loads the model.
        TransientError: When it was killed from outside, or does not come up in time.
    """
    log.touch()
    written = log.stat().st_size  # a log is appended to
    with start_process(_command(gguf, context, seed, slots, threads, lora), log=log, env=environment()) as server:
        deadline = time.monotonic() + startup_timeout
        while (port := _listening_port(log, written)) is None or not _is_healthy(port):
            _require_coming(server.poll(), log, deadline)
            time.sleep(_POLL_SECONDS)
        yield Endpoint(f"http://127.0.0.1:{port}", log, server.poll)


def _command(
    gguf: Path, context: int, seed: int, slots: int, threads: int | None, lora: Path | None
) -> list[str | Path]:
    return [
        toolchain.ensure().binary("llama-server"),
        *("--model", gguf),
        *(("--lora", lora) if lora else ()),
        # The system picks the port and the log tells it: a port found free beforehand may be taken by then.
        *("--host", "127.0.0.1", "--port", "0"),
        *("--ctx-size", str(context), "--parallel", str(slots)),
        *("--seed", str(seed), "--threads", str(threads or settings().threads)),
        *("--jinja", "--no-webui"),
    ]


def _listening_port(log: Path, start: int) -> int | None:
    """Return the port once the server says that it has loaded the model and listens."""
    with log.open("rb") as file:
        file.seek(start)
        match = _LISTENING.search(file.read().decode(errors="replace"))
    return match and int(match[1])


def _is_healthy(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _require_coming(status: int | None, log: Path, deadline: float) -> None:
    if status is not None:
        raise _ended(status, log, "loading the model")
    if time.monotonic() > deadline:
        raise TransientError(
            "llama-server did not come up in time.",
            where=log,
            found=tail(log),
            way_out="Is the machine busy, or short of memory? Run the same command again.",
        )


def _ended(status: int, log: Path, doing: str) -> ProcessError | TransientError:
    if status == -signal.SIGKILL:
        return TransientError(
            f"llama-server was killed while {doing}.",
            where=log,
            found=tail(log),
            way_out="The kernel kills what uses up the memory: free some, then run the same command again.",
        )
    return ProcessError(f"llama-server ended while {doing}.", status=status, tail=tail(log), where=log)
