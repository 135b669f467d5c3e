"""Tasks of lm-evaluation-harness against our server: `python -m suture.bench.outside.lm_eval GGUF|URL --task gsm8k`.

What works with llama-server:

- Tasks that generate (`generate_until`: gsm8k, ifeval, triviaqa ...), through `/v1/chat/completions`, where the chat
  template of the GGUF is applied, or with `--plain` through `/v1/completions`, for base models.
- Not tasks that compare likelihoods (`multiple_choice`, `loglikelihood`: arc, hellaswag, mmlu ...). They need the
  probabilities of the prompt's own tokens. llama-server passes over `echo` and gives those of new tokens only, in
  another form than the harness reads. Such tasks are refused before anything is asked. Some have a variant that
  generates (arc_challenge_chat, mmlu_generative).

No tokenizer is needed: the harness sends text, and the server counts the tokens. A prompt that does not fit into
`--context` is an error of the server. Tasks bring their data sets from the Hugging Face hub; one's own need
`dataset_path: json` and files, and `--include FOLDER` to be found. An endpoint's key is read from SUTURE_API_KEY.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import json
import os
import tempfile
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from suture.bench.chat import beyond_openai, connect
from suture.bench.outside.extra import require
from suture.errors import InputError, SutureError
from suture.gguf.server import serving
from suture.recipe import Sampling
from suture.settings import settings

_GENERATES = "generate_until"


@dataclass(frozen=True)
class Asked:
    """What is asked of a model.

    Attributes:
        tasks: Names of tasks or groups of the harness.
        include: Folder with tasks of one's own.
        limit: Questions of each task; all when None.
        shots: Examples before each question; as the task has it when None.
        plain: Send the prompt as it is, without the chat template.
        concurrency: Questions asked at once.
        context: Tokens of context for each question, where a GGUF is served.
        seed: Seed of the sampling.
    """

    tasks: tuple[str, ...]
    include: Path | None = None
    limit: int | None = None
    shots: int | None = None
    plain: bool = False
    concurrency: int = 1
    context: int = 8192
    seed: int = 0


def evaluate(target: str, asked: Asked) -> dict[str, Any]:
    """Run tasks of the harness against a model.

    Args:
        target: A GGUF file, which is served for the time, or the URL of an endpoint.
        asked: What to ask.

    Returns:
        What the harness returns: `results` by task, `configs`, `samples`, `versions` ...

    Raises:
        HostError: When the harness is not installed.
        InputError: When a task needs the prompt's probabilities, or the target is no file.
        TransientError: When the endpoint does not answer.
        ProcessError: When our own server ends while it loads the model.
    """
    require("lm_eval")
    if settings().offline:
        os.environ |= {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"}
    manager = _module("lm_eval.tasks").TaskManager(include_path=asked.include)
    _require_generation(manager.load(list(asked.tasks))["tasks"])
    with _endpoint(target, asked) as url:
        model, further = asyncio.run(_look(url))
        results = _module("lm_eval").simple_evaluate(
            model="local-completions" if asked.plain else "local-chat-completions",
            model_args=_model_args(url, model, asked),
            tasks=list(asked.tasks),
            task_manager=manager,
            limit=asked.limit,
            num_fewshot=asked.shots,
            apply_chat_template=not asked.plain,
            gen_kwargs=further,
        )
    return dict(results or {})


def _module(name: str) -> Any:  # noqa: ANN401 -- the harness has no types
    return importlib.import_module(name)


def _require_generation(tasks: Mapping[str, Any]) -> None:
    """Refuse what the server cannot do, before hours of what it can."""
    others = [name for name, task in tasks.items() if task.OUTPUT_TYPE != _GENERATES]
    if others:
        raise InputError(
            "These tasks compare likelihoods of given answers, which llama-server does not tell.",
            where=", ".join(others),
            expected=f"tasks of the type {_GENERATES}",
            found=", ".join(sorted({str(tasks[name].OUTPUT_TYPE) for name in others})),
            way_out="Take the task's generative variant, if it has one (`lm-eval ls tasks`).",
        )


def _model_args(url: str, model: str, asked: Asked) -> dict[str, Any]:
    key = settings().api_key
    return {
        "model": model,
        "base_url": f"{url}/v1/completions" if asked.plain else f"{url}/v1/chat/completions",
        "tokenizer_backend": None,
        "tokenized_requests": False,
        "num_concurrent": asked.concurrency,
        "seed": asked.seed,
        "max_length": asked.context,
        # else it would send OPENAI_API_KEY to whatever endpoint
        "header": {} if key is None else {"Authorization": f"Bearer {key.get_secret_value()}"},
    }


async def _look(url: str) -> tuple[str, dict[str, Any]]:
    """Return the model's name at the endpoint, and what a request should say beyond the OpenAI API."""
    async with connect(url) as chat:
        further = beyond_openai(Sampling(), 0.0, is_llama=chat.is_llama)
        return next(iter(chat.server.models), "default"), dict(further)


@contextlib.contextmanager
def _endpoint(target: str, asked: Asked) -> Generator[str]:
    if target.lower().startswith(("http://", "https://")):
        yield target.rstrip("/").removesuffix("/v1")
        return
    if not Path(target).is_file():
        raise InputError("There is no such file.", where=target, expected="a GGUF file, or a URL")
    context = asked.context * asked.concurrency
    with (
        tempfile.TemporaryDirectory() as folder,
        serving(
            Path(target), context=context, slots=asked.concurrency, seed=asked.seed, log=Path(folder, "server.log")
        ) as server,
    ):
        yield server.url


def main(
    target: Annotated[str, typer.Argument(metavar="GGUF|URL", help="A file, or an OpenAI-compatible endpoint.")],
    *,
    task: Annotated[list[str], typer.Option(help="Task or group of the harness; may be given more than once.")],
    include: Annotated[Path | None, typer.Option(metavar="FOLDER", help="Holds tasks of your own.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Questions of each task; all if left out.")] = None,
    shots: Annotated[int | None, typer.Option(min=0, help="Examples before each question.")] = None,
    plain: Annotated[bool, typer.Option("--plain", help="Without the chat template, for base models.")] = False,
    concurrency: Annotated[int, typer.Option(min=1, help="Questions asked at once.")] = 1,
    context: Annotated[int, typer.Option(min=256, help="Tokens of context for each question.")] = 8192,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the sampling.")] = 0,
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="Receives the results as JSON.")] = None,
) -> None:
    """Run tasks of lm-evaluation-harness against a model."""
    asked = Asked(tuple(task), include, limit, shots, plain, concurrency, context, seed)
    try:
        results = evaluate(target, asked)
    except SutureError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(error.exit_code) from None
    typer.echo(_module("lm_eval.utils").make_table(results))
    if out:
        out.write_text(json.dumps(results, indent=1, default=str) + "\n")


if __name__ == "__main__":
    typer.run(main)
