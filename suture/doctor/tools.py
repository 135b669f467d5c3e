"""Outside tools: llama.cpp, the sandbox, the browser, node. Each is run, not only looked for."""

from __future__ import annotations

import importlib.util
import shutil
import sys

from suture.bench.sandbox import Program, run_program
from suture.bench.sandbox.backend import backend
from suture.doctor.commands import output_of
from suture.doctor.form import Finding, broken, ok, warning
from suture.errors import ProcessError, ToolError
from suture.gguf.toolchain import Toolchain, find
from suture.settings import settings

_COMPILERS = ("c++", "g++", "clang++")


def check_llama_cpp() -> Finding:
    """Run llama.cpp, and see whether it uses the GPU."""
    found = find(settings())
    if found is None:
        return _no_llama_cpp()
    try:
        output_of(found.binary("llama-server"), "--version")
    except (ProcessError, OSError) as error:
        reason = error.tail.splitlines()[-1:] if isinstance(error, ProcessError) else [str(error)]
        return broken(f"{found.binaries} does not run: {' '.join(reason)}", _rebuild(found))
    said = f"{found.version}, {found.origin}"
    if shutil.which("nvidia-smi") is None:
        return ok(said)
    if _uses_gpu(found):
        return ok(f"{said}, with CUDA")
    return warning(f"{said}, built without CUDA: it measures on the processor", "suture toolchain install --cuda")


def _no_llama_cpp() -> Finding:
    if any(map(shutil.which, _COMPILERS)):
        return warning("not there yet: the first run builds it, in some minutes", "suture toolchain install")
    return broken("not there, and no C++ compiler to build it", "sudo apt install g++ && suture toolchain install")


def _rebuild(found: Toolchain) -> str:
    if found.origin == "managed":
        return f"rm -r {found.binaries} && suture toolchain install"
    return "unset SUTURE_LLAMA_CPP && suture toolchain install"


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

    pip = f"{sys.executable} -m pip install 'playwright>=1.65'"
    if importlib.util.find_spec("playwright") is None:
        return warning(
            "no Playwright: pages that models write are only read", f"{pip} && playwright install chromium"
        )
    try:
        with open_browser() as browser:
            if browser is None:
                fetch = f"{sys.executable} -m playwright install --with-deps chromium"
                return warning("no Chromium: pages that models write are only read", fetch)
            return ok(browser.do(lambda: f"Chromium {browser.connection().version}"))
    except ToolError as error:
        fetch = f"unset SUTURE_CHROMIUM && {sys.executable} -m playwright install --with-deps chromium"
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
