"""One training: the plain transformers Trainer with peft.

Its own resume is exact here, and is used: the rows are in their final order on disk and are taken in that order,
there is no dropout, and adapter, optimizer, schedule and random state are in the checkpoint. What the Trainer does
not do is tell a whole checkpoint from one that was cut off: see checkpoints.py.
"""

# torch, transformers and peft are partly untyped; what they return is given a type where it is kept.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import json
import platform
import shutil
from importlib import metadata
from pathlib import Path

import safetensors.torch
import torch
import transformers
from peft import PeftModel
from pydantic import JsonValue
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from transformers import PrinterCallback, Trainer, TrainingArguments, set_seed

from suture.errors import HostError
from suture.heal import checkpoints
from suture.heal.chat import NO_LOSS
from suture.heal.gates import GateSet
from suture.heal.model import add_adapter, load_model, save_adapter
from suture.heal.recorder import Recorder
from suture.heal.train import LOSSES, TrainJob, TrainSpec

Row = dict[str, Tensor]


def run_job(job: TrainJob) -> dict[str, JsonValue]:
    """Train, write the adapter and the losses, and return the facts."""
    torch.set_num_threads(job.threads)
    torch.use_deterministic_algorithms(mode=True, warn_only=torch.cuda.is_available())
    transformers.utils.logging.disable_progress_bar()
    set_seed(job.spec.seed)
    model = add_adapter(load_model(job.model, job.spec.method), job.spec)
    rows = read_rows(job.rows)
    resumed = checkpoints.newest_sound(job.scratch)
    gates = GateSet(model, job.spec.gates) if job.spec.gates else None
    if gates and resumed:
        gates.load(resumed)
    recorder = Recorder(job, [len(row["input_ids"]) for row in rows], resumed, gates)
    trainer = Trainer(
        model=model,
        args=arguments(job.spec, job.scratch),
        train_dataset=rows,  # pyright: ignore[reportArgumentType] -- a list has what the sampler needs
        data_collator=collate,
        callbacks=[recorder],
        optimizers=(_two_speeds(model, gates, job.spec) if gates and gates.trainable else None, None),
    )
    trainer.remove_callback(PrinterCallback)
    try:
        trainer.train(resume_from_checkpoint=None if resumed is None else str(resumed))
    except torch.OutOfMemoryError as error:
        raise _out_of_memory(error) from error
    save_adapter(model, job.out)
    if gates:
        gates.save(job.out)
    shutil.copyfile(recorder.path, job.out / LOSSES)
    return facts(job, model, rows, resumed, gates)


def read_rows(path: Path) -> list[Row]:
    """Return the training rows, each with its `input_ids` and `labels`, int64, (length,)."""
    tensors = safetensors.torch.load_file(path)
    lengths = tensors["lengths"].tolist()
    ids, labels = (tensors[name].long().split(lengths) for name in ("input_ids", "labels"))
    return [{"input_ids": row, "labels": wanted} for row, wanted in zip(ids, labels, strict=True)]


def collate(rows: list[Row]) -> Row:
    """Return a batch, padded on the right to its longest row."""
    return {
        "input_ids": pad_sequence([row["input_ids"] for row in rows], batch_first=True),
        "labels": pad_sequence([row["labels"] for row in rows], batch_first=True, padding_value=NO_LOSS),
        "attention_mask": pad_sequence([torch.ones_like(row["input_ids"]) for row in rows], batch_first=True),
    }


def arguments(spec: TrainSpec, scratch: Path) -> TrainingArguments:
    """Return the Trainer's settings."""
    on_gpu = torch.cuda.is_available()
    return TrainingArguments(
        output_dir=str(scratch),
        max_steps=spec.steps,
        per_device_train_batch_size=spec.batch_size,
        gradient_accumulation_steps=spec.gradient_accumulation,
        learning_rate=spec.learning_rate,
        lr_scheduler_type="cosine",
        warmup_steps=spec.warmup_steps,
        optim="adamw_torch",
        weight_decay=0.0,
        max_grad_norm=1.0,
        seed=spec.seed,
        train_sampling_strategy="sequential",  # the rows were put in order when they were made
        save_strategy="steps",
        save_steps=spec.checkpoint_every,
        save_total_limit=None,  # older ones are removed once the new one is sealed, not before
        logging_strategy="steps",
        logging_steps=1,
        logging_nan_inf_filter=False,
        label_names=["labels"],
        remove_unused_columns=False,
        report_to="none",
        disable_tqdm=True,
        dataloader_pin_memory=on_gpu,
        use_cpu=not on_gpu,
        bf16=on_gpu,  # on a CPU the weights' own dtype is what is computed in
        gradient_checkpointing=on_gpu,  # memory is scarce there; on a CPU it only costs time
        gradient_checkpointing_kwargs={"use_reentrant": False},
    )


def _two_speeds(model: PeftModel, gates: GateSet, spec: TrainSpec) -> torch.optim.Optimizer:
    """Return the optimizer that the Trainer would make, with a learning rate of their own for the gates."""
    apart = {id(gate) for gate in gates.trainable}
    adapter = [p for p in model.parameters() if p.requires_grad and id(p) not in apart]
    assert spec.gates is not None  # noqa: S101 -- there are gates
    return torch.optim.AdamW(
        [{"params": adapter}, {"params": gates.trainable, "lr": spec.gates.learning_rate}],
        lr=spec.learning_rate,
        weight_decay=0.0,
    )


def facts(
    job: TrainJob, model: PeftModel, rows: list[Row], resumed: Path | None, gates: GateSet | None
) -> dict[str, JsonValue]:
    """Return what is worth knowing about the training."""
    history = [json.loads(line) for line in (job.out / LOSSES).read_text().splitlines()]
    per_step = job.spec.batch_size * job.spec.gradient_accumulation
    tokens = sum(len(row["input_ids"]) for row in rows[: len(history) * per_step])
    speeds = sorted(row["tokens_per_second"] for row in history)
    return {
        "steps": len(history),
        "first_loss": history[0]["loss"],
        "final_loss": history[-1]["loss"],
        "trainable_parameters": sum(p.numel() for p in model.parameters() if p.requires_grad),
        "gates": dict(gates.values) if gates else {},
        "tokens": tokens,
        "tokens_per_second": speeds[len(speeds) // 2],
        "resumed_from": None if resumed is None else checkpoints.step_of(resumed),
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else _processor(),
        "threads": job.threads,
        "versions": {name: metadata.version(name) for name in ("torch", "transformers", "peft", "bitsandbytes")},
    }


def _processor() -> str:
    return f"{platform.machine()} {torch.backends.cpu.get_cpu_capability()}"


def _out_of_memory(error: torch.OutOfMemoryError) -> HostError:
    return HostError(
        "The GPU has too little memory for this training.",
        where=torch.cuda.get_device_name(),
        found=str(error).splitlines()[0],
        way_out="Use method qlora, or a smaller batch_size (with a larger gradient_accumulation) or sequence_length.",
    )
