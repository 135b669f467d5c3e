"""What the published heal takes on one GPU: NF4 QLoRA on 64 layers of Qwen3.5-9B's shape, at 4096 tokens.

    python benchmarks/heal_gpu.py [--ways peft seam unsloth] [--steps 20] [--accumulation 4] [--folder FOLDER]
    python benchmarks/heal_gpu.py --tiny          the same on a CPU in a minute, with a model of no size

The checkpoint is made on the spot: 851 tensors of random bf16 weights, 32 GB on the disk, where it stays for the next
call. Each way is `suture.heal`'s own training process (its loading, adapter, Trainer and arguments) with the
published settings, on random tokens, all of which are learned. torch is held to --gigabytes of the GPU's memory: a
training that needs more fails on a larger card as well. `seam` trains the 4 layers on either side of layer 32.

Writes benchmarks/results/heal_gpu.{json,md}; with --tiny nothing.
"""

from __future__ import annotations

import argparse
import json
import math
import multiprocessing
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from importlib import metadata, util
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

    from suture.heal.train import TrainSpec

RESULTS = Path(__file__).parent / "results"
WAYS: dict[str, dict[str, Any]] = {
    "peft": {},
    "seam": {"layers": "seam"},
    "unsloth": {"backend": "unsloth"},
}
PUBLISHED_STEPS, PUBLISHED_ACCUMULATION, PUBLISHED_HOURS = 1000, 4, 14
KERNELS = ("flash-linear-attention", "causal-conv1d")
"""What transformers takes for the linear layers where it is installed; else it falls back to plain torch."""

SHAPE: dict[str, Any] = {
    "vocab_size": 248_320,
    "hidden_size": 4096,
    "intermediate_size": 12_288,
    "num_hidden_layers": 64,
    "num_attention_heads": 16,
    "num_key_value_heads": 4,
    "head_dim": 256,
    "linear_num_key_heads": 16,
    "linear_num_value_heads": 32,
    "linear_key_head_dim": 128,
    "linear_value_head_dim": 128,
    "max_position_embeddings": 262_144,
}
TINY = SHAPE | {
    "vocab_size": 512,
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 12,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 32,
    "linear_num_key_heads": 2,
    "linear_num_value_heads": 4,
    "linear_key_head_dim": 32,
    "linear_value_head_dim": 32,
}


# -- the model and the data ---------------------------------------------------------------------------------------


def make_model(shape: dict[str, Any], folder: Path) -> None:
    """Write a checkpoint of random weights, a file per layer, unless it is there already."""
    import torch
    from safetensors.torch import save_file
    from transformers import Qwen3_5ForCausalLM, Qwen3_5TextConfig

    config = Qwen3_5TextConfig(
        **shape,
        full_attention_interval=4,
        layer_types=(["linear_attention"] * 3 + ["full_attention"]) * (shape["num_hidden_layers"] // 4),
        tie_word_embeddings=False,
    )
    index = folder / "model.safetensors.index.json"
    if index.exists():
        return
    with torch.device("meta"):
        shapes = {name: tensor.shape for name, tensor in Qwen3_5ForCausalLM(config).state_dict().items()}
    size = 2 * sum(map(math.prod, shapes.values()))
    folder.mkdir(parents=True, exist_ok=True)
    if shutil.disk_usage(folder).free < 1.1 * size:
        sys.exit(f"{folder} has no room for a checkpoint of {size / 1e9:.0f} GB: name another with --folder.")
    device = "cuda" if torch.cuda.is_available() else "cpu"
    random = torch.Generator(device).manual_seed(0)
    files: dict[str, dict[str, Any]] = {}
    for name in shapes:
        part = name.split(".")[2] if ".layers." in name else "outside"
        files.setdefault(f"model-{part}.safetensors", {})[name] = None
    for number, (file, names) in enumerate(files.items(), start=1):
        print(f"\rmaking the model: {number} of {len(files)} files", end="", flush=True)
        tensors = {name: draw(name, shapes[name], random, device) for name in names}
        save_file(tensors, folder / file, metadata={"format": "pt"})
    print()
    content = config.to_dict() | {"architectures": ["Qwen3_5ForCausalLM"], "dtype": "bfloat16"}
    (folder / "config.json").write_text(json.dumps(content))
    weight_map = {name: file for file, names in files.items() for name in names}
    index.write_text(json.dumps({"metadata": {"total_size": size}, "weight_map": weight_map}))


def draw(name: str, shape: torch.Size, random: torch.Generator, device: str) -> torch.Tensor:
    """Draw a tensor about as a new model would have it: the stream neither fades nor grows through 64 layers."""
    import torch

    noise = torch.randn(shape, generator=random, device=device, dtype=torch.float32 if len(shape) == 1 else None)
    if name.endswith("A_log"):
        noise = noise.abs()
    elif len(shape) == 1:
        noise = 0.02 * noise + name.endswith("linear_attn.norm.weight")
    else:
        noise = 0.02 * noise
    return noise.to(torch.bfloat16).cpu().contiguous()


def make_rows(rows: int, length: int, vocabulary: int, path: Path) -> Path:
    """Write random tokens as the step `dataset` writes its rows; all are learned."""
    import numpy as np
    from safetensors.numpy import save_file

    ids = np.random.default_rng(0).integers(0, vocabulary, rows * length, dtype=np.int32)
    save_file({"input_ids": ids, "labels": ids, "lengths": np.full(rows, length, np.int32)}, path)
    return path


# -- one way ------------------------------------------------------------------------------------------------------


def spec_of(way: str, options: argparse.Namespace) -> TrainSpec:
    """Return the published settings, as far as the way and the options leave them."""
    from suture.heal.seam import near_seams, plain_spec
    from suture.recipe import Heal

    heal = Heal.model_validate(
        {
            "data": [{"text": "builtin:code"}],
            "steps": options.steps,
            "gradient_accumulation": options.accumulation,
            "sequence_length": options.length,
            "checkpoint_every": options.steps,
            **WAYS[way],
        }
    )
    assert (heal.method, heal.rank, heal.alpha, heal.batch_size) == ("qlora", 64, 32, 2)
    layers = options.shape["num_hidden_layers"]
    near = near_seams([layers // 2], layers, heal.seam_layers) if heal.layers == "seam" else None
    return plain_spec(heal).model_copy(update={"layers": near})


def run_way(way: str, model: Path, rows: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Train in a process of its own, and return what it took, or why it failed."""
    from suture.heal.child import JOB, RESULT, environment
    from suture.heal.train import LOSSES, TrainJob
    from suture.settings import settings

    with tempfile.TemporaryDirectory(dir=options.folder) as place:
        out, scratch = Path(place, "out"), Path(place, "scratch")
        out.mkdir()
        scratch.mkdir()
        threads = settings().threads
        job = TrainJob(spec=spec_of(way, options), model=model, rows=rows, out=out, scratch=scratch, threads=threads)
        (scratch / JOB).write_text(job.model_dump_json())
        command = [sys.executable, __file__, "--job", str(scratch / JOB), "--gigabytes", str(options.gigabytes)]
        done = subprocess.run(command, env=environment(threads), cwd=scratch, check=False)
        if done.returncode != 0:
            failure = scratch / "failure.json"
            why = json.loads(failure.read_text()) if failure.exists() else {"problem": f"status {done.returncode}"}
            return {"failed": why}
        history = [json.loads(line) for line in (out / LOSSES).read_text().splitlines()]
        facts = json.loads((scratch / RESULT).read_text())
        memory = json.loads((scratch / "memory.json").read_text())
    tokens = job.spec.batch_size * options.accumulation * options.length
    seconds = [tokens / row["tokens_per_second"] for row in history]
    step = statistics.median(seconds[1:] or seconds)  # the first one warms up
    published = PUBLISHED_STEPS * step * PUBLISHED_ACCUMULATION / options.accumulation
    assert all(math.isfinite(row["loss"]) for row in history)
    return {
        "steps": len(history),
        "trainable_parameters": facts["trainable_parameters"],
        "tokens_per_second": tokens / step,
        "seconds_per_step": step,
        "hours": published / 3600,
        "optimizer": facts["optimizer"],
        "device": facts["device"],
        **memory,
    }


def train_alone(job: Path, gigabytes: float) -> None:
    """Be the training process: hold torch to so much memory, run the job, and write down what was used."""
    import torch

    if torch.cuda.is_available():
        share = gigabytes * 1e9 / torch.cuda.mem_get_info()[1]
        torch.cuda.set_per_process_memory_fraction(min(1.0, share))
    from suture.heal.training.__main__ import main as train

    sys.argv = ["training", str(job)]
    train()
    from suture.heal.training.memory import memory_bytes

    on_gpu = torch.cuda.is_available()
    allocated = torch.cuda.max_memory_allocated() if on_gpu else None
    content = {"allocated_bytes": allocated, "reserved_bytes": memory_bytes()}
    (job.parent / "memory.json").write_text(json.dumps(content))


# -- the results --------------------------------------------------------------------------------------------------


def rows_of(results: dict[str, Any]) -> Iterator[str]:
    """Yield the lines of the table."""
    yield "| way | trained | tokens/s | s/step | GPU memory allocated / reserved | hours for 1000 published steps |"
    yield "|---|---|---|---|---|---|"
    for way, found in results.items():
        if "failed" in found:
            yield f"| {way} | failed: {found['failed']['problem']} | | | | |"
            continue
        allocated = f"{found['allocated_bytes'] / 1e9:.1f}" if found["allocated_bytes"] else "-"
        yield (
            f"| {way} | {found['trainable_parameters'] / 1e6:.1f} M | {found['tokens_per_second']:,.0f} | "
            f"{found['seconds_per_step']:.2f} | {allocated} / {found['reserved_bytes'] / 1e9:.1f} GB | "
            f"{found['hours']:.1f} |"
        )


def page(results: dict[str, Any], about: dict[str, Any]) -> str:
    """Return the results as Markdown."""
    kernels = ", ".join(f"{name} {version}" for name, version in about["kernels"].items()) or "none (plain torch)"
    table = "\n".join(rows_of(results))
    versions = ", ".join(f"{name} {version}" for name, version in about["versions"].items())
    device = ", ".join(dict.fromkeys(found["device"] for found in results.values() if "device" in found))
    return f"""# The published heal on one GPU

{device}, held to {about["gigabytes"]:g} GB. 64 layers of Qwen3.5-9B's shape with random weights, NF4,
rank 64, {about["length"]} random tokens per row, batch 2, accumulation {about["accumulation"]},
{about["steps"]} steps; medians without the first. Kernels for the linear layers: {kernels}.
With {versions}. Made by `benchmarks/heal_gpu.py`.

{table}

The hours are those of {PUBLISHED_STEPS} steps of {PUBLISHED_ACCUMULATION} x 2 full rows. The published run took
{PUBLISHED_HOURS} on an RTX 5090 (32 GB), with rows as long as its conversations were.
"""


def installed(names: tuple[str, ...]) -> dict[str, str]:
    """Return those packages that are installed, and their versions."""
    found: dict[str, str] = {}
    for name in names:
        if util.find_spec({"flash-linear-attention": "fla"}.get(name, name.replace("-", "_"))):
            found[name] = metadata.version(name)
    return found


def main() -> None:
    """Measure each way, show the table, and write the page."""
    options = parse()
    if options.job:
        train_alone(options.job, options.gigabytes)
        return
    import torch

    if not (torch.cuda.is_available() or options.tiny):
        sys.exit("There is no GPU here. --tiny tries the script out on a CPU.")
    options.folder.mkdir(parents=True, exist_ok=True)
    model = options.folder / ("tiny" if options.tiny else "published-shape")
    # in a process of its own: what that allocates on the GPU is gone when it ends
    made = multiprocessing.get_context("spawn").Process(target=make_model, args=(options.shape, model))
    made.start()
    made.join()
    if made.exitcode != 0:
        sys.exit("The model could not be made.")
    rows = 2 * options.accumulation * options.steps
    data = make_rows(rows, options.length, options.shape["vocab_size"], options.folder / "rows.safetensors")
    ways = [way for way in options.ways if way != "unsloth" or util.find_spec("unsloth")]
    results = {way: run_way(way, model, data, options) for way in ways}
    print("\n".join(rows_of(results)))
    if not options.tiny:
        about: dict[str, Any] = {
            "host": platform.platform(),
            "kernels": installed(KERNELS),
            "versions": installed(("torch", "transformers", "peft", "bitsandbytes", "unsloth")),
            **{name: getattr(options, name) for name in ("gigabytes", "length", "accumulation", "steps")},
        }
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / "heal_gpu.json").write_text(json.dumps({"about": about, "ways": results}, indent=1) + "\n")
        (RESULTS / "heal_gpu.md").write_text(page(results, about))
    for way, found in results.items():
        assert "failed" not in found, f"{way}: {found['failed']}"
        assert options.tiny or found["reserved_bytes"] < 1e9 * options.gigabytes, way


def parse() -> argparse.Namespace:
    """Return the options, and the shape that they ask for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS), help="unsloth only where it is there")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument(
        "--accumulation", type=int, default=PUBLISHED_ACCUMULATION, help="1 takes a quarter of the time"
    )
    parser.add_argument("--length", type=int, default=4096)
    parser.add_argument("--gigabytes", type=float, default=32.0)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir(), "suture-heal-gpu"))
    parser.add_argument("--tiny", action="store_true")
    parser.add_argument("--job", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    options.folder = options.folder.absolute()
    options.shape = TINY if options.tiny else SHAPE
    if options.tiny:
        options.steps, options.accumulation, options.length = 2, 1, 64
    return options


if __name__ == "__main__":
    main()
