"""Whether the `mergekit` dialect computes what mergekit 0.1.5 computes: both run side by side on the same models.

    python benchmarks/merge_parity.py [--models BASE A B [C]] [--methods NAME ...] [--out benchmarks/results]

Makes a small llama and three children that differ from it by 0.1 to 1 % of its weights' spread: once in fp32 (hardly
a tie), once in bf16 (so coarse for such changes that most numbers tie); --models adds real ones. mergekit merges in
fp32 and stores bf16; so do our functions, tensor by tensor. Per method the table shows the largest difference in bf16
steps (ulps) away from ties, the share of numbers that differ there, and the share that lie at a tie: exactly at a
trimming threshold, where mergekit drops some of the equal ones and we keep all. Where a sum nearly cancels out, a
step of its own is no measure: one step of the largest number in it counts as one.

sce weighs the models by the numbers that are selected: where some of them tie, all numbers of the tensor differ a
little.

Left out: methods that draw at random, and arcee_fusion, whose divergences of real models' rows are smaller than the
rounding of the fp32 sums that mergekit takes them from.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from numpy.typing import NDArray
from peers import MERGEKIT, environment_of
from safetensors.torch import load_file, save_file

from suture.checkpoint.floats import from_float32
from suture.merge.stream import Floats, in_memory, numbers_per_chunk
from suture.merge.table import METHODS

HIDDEN, INTERMEDIATE, VOCABULARY, LAYERS = 256, 704, 2000, 3
Mask = NDArray[np.bool_]
Model = dict[str, Floats]


@dataclass(frozen=True)
class Case:
    """One method with settings, as mergekit's file has them and as our function takes them.

    Attributes:
        method: Its name, the same for both.
        models: How many children are merged.
        per_model: Settings with one value per model.
        common: Settings of the whole merge.
        ours: Settings that our function takes and mergekit does not, or not by this name.
        theirs: Settings that mergekit takes by another name.
        based: Whether there is a base that is none of the models.
        ties: Marks the numbers at a tie, given the task vectors; none if left out.
    """

    method: str
    models: int = 2
    per_model: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    common: Mapping[str, Any] = field(default_factory=dict)
    ours: Mapping[str, Any] = field(default_factory=dict)
    theirs: Mapping[str, Any] = field(default_factory=dict)
    based: bool = True
    ties: Callable[[Sequence[Floats]], Mask] | None = None


def at_trim(densities: Sequence[float]) -> Callable[[Sequence[Floats]], Mask]:
    """Return what marks numbers exactly at the threshold of ties."""

    def mark(deltas: Sequence[Floats]) -> Mask:
        marked = np.zeros(deltas[0].shape, bool)
        for delta, density in zip(deltas, densities, strict=True):
            marked |= at_rank(delta, delta.size - int(density * delta.size))
        return marked

    return mark


def at_ends(density: float, gamma: float) -> Callable[[Sequence[Floats]], Mask]:
    """Return what marks numbers exactly at either threshold of breadcrumbs."""

    def mark(deltas: Sequence[Floats]) -> Mask:
        marked = np.zeros(deltas[0].shape, bool)
        for delta in deltas:
            dropped = delta.size - int(density * delta.size)
            top = min(int(gamma * delta.size), dropped)
            marked |= at_rank(delta, dropped - top) | at_rank(delta, delta.size - 1 - top)
        return marked

    return mark


def at_variance(share: float) -> Callable[[Sequence[Floats]], Mask]:
    """Return what marks numbers whose variance is exactly at the threshold of sce."""

    def mark(deltas: Sequence[Floats]) -> Mask:
        variance = np.var(np.array(deltas, np.float64), axis=0)
        return at_rank(variance, variance.size - int(share * np.count_nonzero(variance)))

    return mark


def at_rank(values: NDArray[Any], rank: int) -> Mask:
    """Return which magnitudes are about equal to the one of that rank; mergekit's may differ by a rounding."""
    magnitudes = np.abs(values)
    cut = np.partition(magnitudes, min(rank, values.size - 1), axis=None)[min(rank, values.size - 1)]
    return np.abs(magnitudes - cut) <= 1e-5 * cut


BY_ROWS, BY_COLUMNS = ({"flatten": False, "row_wise": row_wise} for row_wise in (True, False))
BY_ROWS_OF_MERGEKIT, BY_COLUMNS_OF_MERGEKIT = (
    {"nuslerp_flatten": False, "nuslerp_row_wise": row_wise} for row_wise in (True, False)
)
"""What mergekit calls rows are the columns of the tensor as it is stored."""

CASES = (
    Case("linear", 3, {"weight": (0.5, 0.3, 0.7)}, {"normalize": True}, based=False),
    Case("slerp", 2, common={"t": 0.3}, based=False),
    Case("nuslerp", 2, {"weight": (0.6, 0.3)}, ours={"flatten": True, "row_wise": False}),
    Case("nuslerp", 2, {"weight": (0.6, 0.3)}, ours={"flatten": True, "row_wise": False}, based=False),
    Case("nuslerp", 2, {"weight": (0.6, 0.3)}, ours=BY_ROWS, theirs=BY_COLUMNS_OF_MERGEKIT),
    Case("nuslerp", 2, {"weight": (0.6, 0.3)}, ours=BY_COLUMNS, theirs=BY_ROWS_OF_MERGEKIT),
    Case("multislerp", 3, {"weight": (0.6, 0.3, 0.4)}),
    Case("multislerp", 3, {"weight": (0.6, 0.3, 0.4)}, based=False),
    Case("karcher", 3, {}, {"max_iter": 10, "tol": 1e-5}, {"weight": (1.0, 1.0, 1.0)}, based=False),
    Case("task_arithmetic", 2, {"weight": (0.8, -0.4)}, {"normalize": False, "lambda": 0.9}),
    Case(
        "ties",
        3,
        {"weight": (0.5, 0.3, 0.7), "density": (0.5, 0.3, 0.7)},
        {"normalize": True, "lambda": 0.9},
        ties=at_trim((0.5, 0.3, 0.7)),
    ),
    Case(
        "breadcrumbs",
        2,
        {"weight": (0.5, 0.3), "density": (0.6, 0.6), "gamma": (0.02, 0.02)},
        {"normalize": False, "lambda": 1.0},
        ties=at_ends(0.6, 0.02),
    ),
    Case(
        "breadcrumbs_ties",
        2,
        {"weight": (0.5, 0.3), "density": (0.6, 0.6), "gamma": (0.02, 0.02)},
        {"normalize": True, "lambda": 1.0},
        ties=at_ends(0.6, 0.02),
    ),
    Case("model_stock", 3, {}, {"filter_wise": False}),
    Case("model_stock", 3, {}, {"filter_wise": True}),
    Case("sce", 3, {}, {"select_topk": 0.6}, ties=at_variance(0.6)),
    Case("sce", 3, {}, {"select_topk": 1.0}),
    Case("nearswap", 1, {}, {"t": 0.002}),
)


def main() -> None:
    """Run all cases, print the table, write it down."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=Path, nargs="+", help="a base and two or more children of it")
    parser.add_argument("--methods", nargs="*", default=sorted({case.method for case in CASES}))
    parser.add_argument("--out", type=Path, help="folder that receives merge_parity.md")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        families = [made_models(Path(folder), kind) for kind in ("fp32", "bf16")]
        families += [asked.models] if asked.models else []
        rows = [row for paths in families for row in compare_all(paths, asked.methods, Path(folder))]
    text = table(rows)
    print(text)
    if asked.out:
        asked.out.mkdir(parents=True, exist_ok=True)
        (asked.out / "merge_parity.md").write_text(text + "\n")


def compare_all(paths: Sequence[Path], methods: Sequence[str], folder: Path) -> list[list[str]]:
    """Return the table's rows for one family of models."""
    cases = [case for case in CASES if case.method in methods and case.models < len(paths)]
    outs = merged_by_mergekit(cases, paths, folder)
    models = [load(path) for path in paths]
    rows = []
    for case, out in zip(cases, outs, strict=True):
        theirs = load(out)
        result = compare(case, models, theirs) if theirs else ["mergekit stops", "", ""]
        rows.append([paths[0].name, case.method, str(case.models), settings_of(case), *result])
        shutil.rmtree(out, ignore_errors=True)
    return rows


def compare(case: Case, models: Sequence[Model], theirs: Model) -> list[str]:
    """Return the last cells of a row: the largest difference, how many differ, how many are at ties."""
    base, children = models[0], models[1 : case.models + 1]
    largest = differ = at_ties = size = 0
    for name, result in theirs.items():
        inputs = [child[name] for child in children]
        ours = merged_by_us(case, inputs, base[name])
        tie = case.ties([child - base[name] for child in inputs]) if case.ties else np.zeros(ours.shape, bool)
        steps = np.where(tie, 0, distance(ours, result, [*inputs, base[name]]))
        largest = max(largest, int(np.ceil(steps.max())))
        differ += int(((ours != result) & ~tie).sum())
        at_ties += int(tie.sum())
        size += ours.size
    return [str(largest), f"{differ / size:.3%}", f"{at_ties / size:.2%}"]


def settings_of(case: Case) -> str:
    """Return the settings, as the table shows them."""
    settings = {**case.per_model, **case.common, **case.theirs, **({} if case.based else {"base": "none"})}
    return ", ".join(f"{name} {value}" for name, value in settings.items())


def merged_by_us(case: Case, models: Sequence[Floats], base: Floats) -> Floats:
    """Return one tensor, merged in the mergekit dialect and rounded to bf16."""
    method = METHODS[case.method]
    settings = {**case.per_model, **case.common, **case.ours}
    settings = {name + "_" * (name == "lambda"): value for name, value in settings.items()}
    if "dialect" in method.settings:
        settings["dialect"] = "mergekit"
    length = numbers_per_chunk(base.shape, by_rows=method.by_rows)
    inputs = in_memory(models, base if case.based else None, length=length)
    combine = method.function(inputs, **settings)
    whole = np.concatenate([combine(inputs.read(number)) for number in range(inputs.chunks)])
    return rounded(whole).reshape(base.shape)


MERGE_ALL = """
import sys, yaml
from mergekit.config import MergeConfiguration
from mergekit.merge import MergeOptions, run_merge
for recipe, out in zip(sys.argv[1::2], sys.argv[2::2]):
    config = MergeConfiguration.model_validate(yaml.safe_load(open(recipe)))
    try:
        run_merge(config, out, MergeOptions(copy_tokenizer=False, quiet=True))
    except ValueError as error:  # multislerp, of task vectors that are all 0
        print(error, file=sys.stderr)
"""
"""What mergekit-yaml does, for several recipes: starting it takes longer than merging."""


def merged_by_mergekit(cases: Sequence[Case], paths: Sequence[Path], folder: Path) -> list[Path]:
    """Return the folders of mergekit's results: merged in fp32, stored as bf16."""
    outs, arguments = [], []
    for number, case in enumerate(cases):
        recipe, out = folder / f"recipe{number}.yaml", folder / f"merged{number}"
        recipe.write_text(yaml.safe_dump(recipe_of(case, paths)))
        outs.append(out)
        arguments += [recipe, out]
    python = environment_of("mergekit-0.1.5", MERGEKIT) / "python"
    done = subprocess.run([python, "-c", MERGE_ALL, *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"mergekit failed:\n{done.stderr[-3000:]}")
    return outs


def recipe_of(case: Case, paths: Sequence[Path]) -> dict[str, Any]:
    """Return a recipe for mergekit."""
    children = [str(path) for path in paths[1 : case.models + 1]]
    recipe: dict[str, Any] = {
        "merge_method": case.method,
        "models": [
            {"model": child, "parameters": {name: values[number] for name, values in case.per_model.items()}}
            for number, child in enumerate(children)
        ],
        "parameters": {**case.common, **case.theirs},
        "dtype": "float32",
        "out_dtype": "bfloat16",
    }
    if case.based or case.method == "slerp":
        recipe["base_model"] = str(paths[0]) if case.based else children[0]
    return recipe


def distance(ours: Floats, theirs: Floats, inputs: Sequence[Floats]) -> Floats:
    """Return by how many bf16 steps numbers differ: of the largest among them and the inputs."""
    largest = np.max(np.abs([ours, theirs, *inputs]), axis=0)
    step = np.exp2(np.floor(np.log2(np.maximum(largest, 2.0**-126))) - 7)
    return np.abs(ours - theirs) / step


def rounded(values: Floats) -> Floats:
    """Return numbers rounded to bf16, as fp32."""
    return torch.frombuffer(bytearray(from_float32(values, "BF16")), dtype=torch.bfloat16).float().numpy()


def load(folder: Path) -> Model:
    """Return a checkpoint's tensors as fp32."""
    found: Model = {}
    for file in sorted(folder.glob("*.safetensors")):
        found |= {name: tensor.float().numpy() for name, tensor in load_file(file).items()}
    return found


def made_models(folder: Path, kind: str) -> list[Path]:
    """Write a llama and three children of it, in fp32 or bf16; return their folders."""
    generator = torch.Generator().manual_seed(0)
    stored = torch.bfloat16 if kind == "bf16" else torch.float32
    base = {name: (0.02 * torch.randn(shape, generator=generator)).to(stored) for name, shape in shapes().items()}
    paths = []
    for number, share in enumerate((0.0, 0.01, 0.003, 0.001)):
        path = folder / (kind if number == 0 else f"{kind}-child{number}")
        path.mkdir()
        changes = {name: 0.02 * share * torch.randn(shape, generator=generator) for name, shape in shapes().items()}
        save_file({name: (base[name] + changes[name]).to(stored) for name in base}, path / "model.safetensors")
        (path / "config.json").write_text(json.dumps(CONFIG))
        paths.append(path)
    return paths


def shapes() -> dict[str, tuple[int, ...]]:
    """Return the tensors of a small llama."""
    square, up = (HIDDEN, HIDDEN), (INTERMEDIATE, HIDDEN)
    layer = {f"self_attn.{part}_proj.weight": square for part in "qkvo"}
    layer |= {"mlp.gate_proj.weight": up, "mlp.up_proj.weight": up, "mlp.down_proj.weight": (HIDDEN, INTERMEDIATE)}
    layer |= {"input_layernorm.weight": (HIDDEN,), "post_attention_layernorm.weight": (HIDDEN,)}
    whole = {f"model.layers.{number}.{name}": shape for number in range(LAYERS) for name, shape in layer.items()}
    embedding = (VOCABULARY, HIDDEN)
    return {
        "model.embed_tokens.weight": embedding,
        **whole,
        "model.norm.weight": (HIDDEN,),
        "lm_head.weight": embedding,
    }


CONFIG = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": HIDDEN,
    "intermediate_size": INTERMEDIATE,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
    "vocab_size": VOCABULARY,
    "hidden_act": "silu",
    "rms_norm_eps": 1e-5,
    "max_position_embeddings": 2048,
    "tie_word_embeddings": False,
    "dtype": "bfloat16",
}


def table(rows: Sequence[Sequence[str]]) -> str:
    """Return the rows as Markdown."""
    head = ["base", "method", "models", "settings", "largest difference, ulps", "differ", "at ties"]
    lines = ["| " + " | ".join(cells) + " |" for cells in ([*head], *rows)]
    notes = [
        "",
        "sce weighs the models by the selected numbers: where some tie, all of the tensor's differ a little.",
    ]
    return "\n".join([lines[0], "|" + "---|" * len(head), *lines[1:], *notes])


if __name__ == "__main__":
    main()
