"""llama.cpp: `suture toolchain ...`."""

from __future__ import annotations

from typing import Annotated

import typer

from suture.errors import HostError

app = typer.Typer(no_args_is_help=True, help="Find or build llama.cpp.")


@app.command("show")
def show() -> None:
    """Print which llama.cpp is used, from where, and with which build flags."""
    from suture.gguf.toolchain import find
    from suture.settings import settings

    found = find(settings())
    if found is None:
        raise HostError("There is no llama.cpp here yet.", way_out="Build it: `suture toolchain install`.")
    typer.echo(str(found))


@app.command("install")
def build(
    *,
    cuda: Annotated[bool, typer.Option("--cuda", help="Build for NVIDIA GPUs; needs nvcc 12.8 or newer.")] = False,
) -> None:
    """Build llama.cpp from the pinned sources, unless it is built already."""
    from suture.gguf.toolchain import install
    from suture.progress import Lines

    typer.echo(str(install(cuda=cuda, progress=Lines("llama.cpp"))))
