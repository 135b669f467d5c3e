"""One Prefect task per kind of step: a few lines around one call of the library."""

from prefect import Task

from tasks.benchmark import benchmark
from tasks.convert import convert
from tasks.convert_lora import convert_lora
from tasks.dataset import dataset
from tasks.divergence import divergence
from tasks.fetch import fetch
from tasks.fetch_dataset import fetch_dataset
from tasks.finetune import finetune
from tasks.fuse import fuse
from tasks.heal import heal
from tasks.imatrix import imatrix
from tasks.logits import logits
from tasks.merge import merge
from tasks.perplexity import perplexity
from tasks.probe import probe
from tasks.quantize import quantize
from tasks.reference import reference
from tasks.speed import speed
from tasks.step import StepReference

STEP_TASKS: dict[str, Task[..., StepReference]] = {
    "fetch": fetch,
    "fetch_dataset": fetch_dataset,
    "dataset": dataset,
    "finetune": finetune,
    "heal": heal,
    "fuse": fuse,
    "merge": merge,
    "convert": convert,
    "convert_lora": convert_lora,
    "imatrix": imatrix,
    "quantize": quantize,
    "reference": reference,
    "perplexity": perplexity,
    "logits": logits,
    "divergence": divergence,
    "speed": speed,
    "probe": probe,
    "benchmark": benchmark,
}
"""Step -> the task that runs it; the names are those of `suture.steps.STEPS`."""

__all__ = ["STEP_TASKS"]
