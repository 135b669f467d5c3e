"""How fast merging is, and how much memory it takes: cp, mergekit 0.1.5 and Suture, in one run, by turns.

    python benchmarks/merge_speed.py [--gigabytes 2] [--rounds 3] [--folder DIR] [--out benchmarks/results]

Makes a base and two fine-tunes of the given size (a llama in bf16 with random weights, in 7 files as the published
merge; the fine-tunes differ from it by 1 % of its weights' spread), then runs each tool on each method as a whole
process, interleaved, so that a machine that slows down slows all of them. Ratios are of medians. Everything is read
once beforehand: all tools find the sources in the page cache.
"""

from __future__ import annotations

import argparse
import json
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import yaml
from peers import MERGEKIT, Run, environment_of, timed

from suture.checkpoint.floats import from_float32
from suture.checkpoint.writer import OutputTensor, write_checkpoint
from suture.progress import Silent

SHARDS = 7
HIDDEN, INTERMEDIATE, VOCABULARY, HEADS = 2048, 5632, 32_000, 16
CHUNK = 2**22


def main() -> None:
    """Measure, print the table, write it down."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gigabytes", type=float, default=2.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="where to work; a temporary folder if left out")
    parser.add_argument("--out", type=Path, help="folder that receives merge_speed.json and merge_speed.md")
    parser.add_argument("--methods", nargs="*", default=["passthrough", "linear", "slerp", "ties", "dare_ties"])
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=asked.folder) as folder:
        rows = measure(Path(folder), asked.gigabytes, asked.rounds, asked.methods)
    text = table(rows, asked.gigabytes, asked.rounds)
    print(text)
    if asked.out:
        asked.out.mkdir(parents=True, exist_ok=True)
        (asked.out / "merge_speed.md").write_text(text + "\n")
        (asked.out / "merge_speed.json").write_text(json.dumps(rows, indent=1) + "\n")


def measure(folder: Path, gigabytes: float, rounds: int, methods: list[str]) -> list[dict[str, object]]:
    """Return one row per method and tool."""
    mergekit = environment_of("mergekit-0.1.5", MERGEKIT) / "mergekit-yaml"
    suture = Path(sys.executable).with_name("suture")
    layers = max(2, round(gigabytes * 1e9 / 2 / layer_parameters()))
    shard_bytes = int(gigabytes * 1.05e9 / SHARDS)  # some room, since tensors are not cut
    models = {name: folder / name for name in ("base", "a", "b")}
    for number, path in enumerate(models.values()):
        write_model(path, layers, number, shard_bytes)
    files = [str(file) for path in models.values() for file in path.iterdir()]
    subprocess.run(["cat", *files], stdout=subprocess.DEVNULL, check=True)  # into the page cache
    rows: list[dict[str, object]] = []
    for method in methods:
        recipe = folder / f"{method}.yaml"
        recipe.write_text(yaml.safe_dump(mergekit_recipe(method, models, layers)))
        tools: dict[str, Callable[[Path], list[str | Path]]] = {
            "cp": lambda out: ["cp", "-r", models["a"], out],
            "mergekit": lambda out, recipe=recipe: [
                *(mergekit, recipe, out, "--copy-tokenizer", "--out-shard-size", str(shard_bytes)),
            ],
            "suture": lambda out, recipe=recipe: [
                *(suture, "merge", recipe, out, "--shard-size", str(shard_bytes / 1e9)),
            ],
        }
        runs: dict[str, list[Run]] = {tool: [] for tool in tools}
        for number in range(rounds):
            turn = number % len(tools)  # each tool comes first, in the middle and last alike: what went before tells
            for tool in [*tools][turn:] + [*tools][:turn]:
                out = folder / "out"
                runs[tool].append(
                    timed(tools[tool](out), log=folder / f"{tool}.log", environment={"HF_HUB_OFFLINE": "1"})
                )
                shutil.rmtree(out)
        rows += [row(method, tool, measured, runs) for tool, measured in runs.items()]
        print("\n".join(str(entry) for entry in rows[-3:]), file=sys.stderr)
    return rows


def row(method: str, tool: str, measured: list[Run], runs: dict[str, list[Run]]) -> dict[str, object]:
    """Return the medians of a tool's runs, and how they compare."""

    def median(of: list[Run]) -> float:
        return statistics.median(run.wall for run in of)

    return {
        "method": method,
        "tool": tool,
        "seconds": round(median(measured), 2),
        "times cp": round(median(measured) / median(runs["cp"]), 2),
        "faster than mergekit": round(median(runs["mergekit"]) / median(measured), 2),
        "cpu seconds": round(statistics.median(run.cpu for run in measured), 2),
        "peak RSS MB": round(max(run.rss for run in measured) / 1e6),
        "all seconds": [round(run.wall, 2) for run in measured],
    }


def table(rows: list[dict[str, object]], gigabytes: float, rounds: int) -> str:
    """Return the rows as Markdown."""
    columns = ["method", "tool", "seconds", "times cp", "faster than mergekit", "cpu seconds", "peak RSS MB"]
    versions = f"Python {platform.python_version()}, numpy {np.__version__}"
    lines = [
        f"Merging models of {gigabytes:g} GB, median of {rounds} rounds, {platform.machine()}, {versions}.",
        "",
        "| " + " | ".join(columns) + " |",
        "|" + "---|" * len(columns),
    ]
    lines += ["| " + " | ".join(str(entry[column]) for column in columns) + " |" for entry in rows]
    return "\n".join(lines)


def mergekit_recipe(method: str, models: dict[str, Path], layers: int) -> dict[str, object]:
    """Return a recipe that both tools read."""
    names = {name: str(path) for name, path in models.items()}
    recipe: dict[str, object] = {"merge_method": method, "dtype": "bfloat16"}
    if method == "passthrough":
        halves = {"a": [0, layers // 2], "b": [layers // 2, layers]}
        return recipe | {
            "slices": [{"sources": [{"model": names[name], "layer_range": part}]} for name, part in halves.items()]
        }
    if method == "slerp":
        return recipe | {
            "base_model": names["a"],
            "models": [{"model": names["a"]}, {"model": names["b"]}],
            "parameters": {"t": 0.4},
        }
    settings: dict[str, float] = {"weight": 0.5} if method == "linear" else {"weight": 0.5, "density": 0.5}
    recipe["models"] = [{"model": names[name], "parameters": settings} for name in "ab"]
    return recipe if method == "linear" else recipe | {"base_model": names["base"]}


def layer_parameters() -> int:
    """Return how many numbers a layer has."""
    return sum(int(np.prod(shape)) for shape in layer_shapes().values())


def layer_shapes() -> dict[str, tuple[int, ...]]:
    """Return the tensors of a layer."""
    square, up = (HIDDEN, HIDDEN), (INTERMEDIATE, HIDDEN)
    return {
        **{f"self_attn.{part}_proj.weight": square for part in "qkvo"},
        "mlp.gate_proj.weight": up,
        "mlp.up_proj.weight": up,
        "mlp.down_proj.weight": (HIDDEN, INTERMEDIATE),
        "input_layernorm.weight": (HIDDEN,),
        "post_attention_layernorm.weight": (HIDDEN,),
    }


def write_model(folder: Path, layers: int, number: int, shard_bytes: int) -> None:
    """Write a llama: the base (0), or a fine-tune of it."""
    folder.mkdir()
    shapes = {
        f"model.layers.{layer}.{name}": shape for layer in range(layers) for name, shape in layer_shapes().items()
    }
    shapes |= dict.fromkeys(("model.embed_tokens.weight", "lm_head.weight"), (VOCABULARY, HIDDEN))
    shapes["model.norm.weight"] = (HIDDEN,)

    def numbers(seed: int, size: int) -> Callable[[], object]:
        def chunks():  # noqa: ANN202
            base, change = np.random.default_rng([0, seed]), np.random.default_rng([number, seed])
            for start in range(0, size, CHUNK):
                count = min(CHUNK, size - start)
                values = 0.02 * base.standard_normal(count, np.float32)
                if number:
                    values += 0.0002 * change.standard_normal(count, np.float32)
                yield from_float32(values, "BF16")

        return chunks

    tensors = [
        OutputTensor(name, "BF16", shape, numbers(seed, int(np.prod(shape))))
        for seed, (name, shape) in enumerate(shapes.items(), 1)
    ]
    write_checkpoint(folder, tensors, shard_bytes, Silent())
    config = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_size": HIDDEN,
        "intermediate_size": INTERMEDIATE,
        "num_hidden_layers": layers,
        "num_attention_heads": HEADS,
        "num_key_value_heads": HEADS,
        "vocab_size": VOCABULARY,
        "hidden_act": "silu",
        "rms_norm_eps": 1e-5,
        "max_position_embeddings": 2048,
        "tie_word_embeddings": False,
        "dtype": "bfloat16",
    }
    (folder / "config.json").write_text(json.dumps(config))
    tokenizer = {"version": "1.0", "added_tokens": [], "model": {"type": "BPE", "vocab": {"a": 0}, "merges": []}}
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "PreTrainedTokenizerFast"}))


if __name__ == "__main__":
    main()
