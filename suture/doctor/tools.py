"""Outside tools: llama.cpp, the sandbox, the browser, node. Each is run, not only looked for."""

from __future__ import annotations

import importlib.util
import shlex
import shutil
import sys

from suture.bench.sandbox import Program, run_program
from suture.bench.sandbox.backend import backend
from suture.doctor.commands import output_of
from suture.doctor.form import Finding, broken, ok, warning
from suture.errors import ProcessError, ToolError
from suture.gguf.toolchain import Origin, Toolchain, find
from suture.settings import settings

_PYTHON = shlex.quote(sys.executable)
_COMPILERS = ("c++", "g++", "clang++")


def check_llama_cpp() -> Finding:
    """Run llama.cpp, and see whether it uses the GPU."""
    try:
        found = find(settings())
    except (ProcessError, OSError) as error:  # one that others built is run, to know its version
        return broken(_reason(error), _managed("path" if settings().llama_cpp is None else "folder"))
    if found is None:
        return _no_llama_cpp()
    try:
        output_of(found.binary("llama-server"), "--version")
    except (ProcessError, OSError) as error:
        remove = f"rm -r {shlex.quote(str(found.binaries))} && " if found.origin == "managed" else ""
        return broken(_reason(error), f"{remove}{_managed(found.origin)}")
    said = f"{found.version}, {found.origin}"
    if shutil.which("nvidia-smi") is None:
        return ok(said)
    if _uses_gpu(found):
        return ok(f"{said}, with CUDA")
    return warning(f"{said}, built without CUDA: it measures on the processor", _managed(found.origin, "--cuda"))


def _no_llama_cpp() -> Finding:
    if any(map(shutil.which, _COMPILERS)):
        return warning("not there yet: the first run builds it, in some minutes", "suture toolchain install")
    return broken("not there, and no C++ compiler to build it", "sudo apt install g++ && suture toolchain install")


def _reason(error: ProcessError | OSError) -> str:
    if isinstance(error, OSError):
        return f"llama.cpp does not run: {error}"
    return " ".join([error.problem, *error.tail.splitlines()[-1:]])


def _managed(origin: Origin, *options: str) -> str:
    """Return how to have the managed build; one that the user names, or that is on PATH, goes before it."""
    install = " ".join(["suture toolchain install", *options])
    if origin == "path":
        return f"# take {shutil.which('llama-server')} off PATH; then: {install}"
    return f"unset SUTURE_LLAMA_CPP && {install}" if origin == "folder" else install


def _uses_gpu(found: Toolchain) -> bool:
    return "-DGGML_CUDA=ON" in found.flags or "CUDA" in output_of(found.binary("llama-server"), "--list-devices")


def check_sandbox() -> Finding:
    """Run a program that tells what it can still do, in each sandbox until one holds."""
    here = backend()
    refused = "; ".join(f"not {name}: {why}" for name, why in here.refused.items())
    if not here.name:
        allow = "sudo sysctl -w kernel.unprivileged_userns_clone=1 kernel.apparmor_restrict_unprivileged_userns=0"
        return warning(f"none works, so that programs that models write are not run ({refused})", allow)
    return ok(f"{here.name}{f' ({refused})' if refused else ''}")


def check_browser() -> Finding:
    """Start Chromium, as the tests of pages do."""
    from suture.bench.frontend.browser import open_browser

    pip = f"{_PYTHON} -m pip install 'playwright>=1.65'"
    if importlib.util.find_spec("playwright") is None:
        return warning(
            "no Playwright: pages that models write are only read", f"{pip} && playwright install chromium"
        )
    try:
        with open_browser() as browser:
            if browser is None:
                fetch = f"{_PYTHON} -m playwright install --with-deps chromium"
                return warning("no Chromium: pages that models write are only read", fetch)
            return ok(browser.do(lambda: f"Chromium {browser.connection().version}"))
    except ToolError as error:
        fetch = f"unset SUTURE_CHROMIUM && {_PYTHON} -m playwright install --with-deps chromium"
        return broken(f"{error.problem} {error.found or error.where}", fetch)


def check_node() -> Finding:
    """Run a line of JavaScript, confined as the tests do it."""
    done = run_program(Program("javascript", {"main.js": "console.log(process.version)"}, "main.js"))
    if done.outcome == "no_runner":
        return warning("no node: tests of JavaScript count as not run", "sudo apt install nodejs")
    if done.outcome == "no_sandbox":
        return warning("no sandbox to run it in", "suture doctor --json")
    if done.status != 0:
        return broken(f"node fails: {done.outcome}, {done.errors}", "sudo apt install --reinstall nodejs")
    return ok(f"node {done.output.strip()}")
