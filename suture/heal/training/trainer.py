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

import torch
import transformers
from pydantic import JsonValue
from transformers import PrinterCallback, Trainer, TrainingArguments, set_seed

from suture.heal.names import GATES
from suture.heal.train import LOSSES, TrainJob, TrainSpec
from suture.heal.training import checkpoints, ranks
from suture.heal.training.gates import GateSet
from suture.heal.training.held_out import HeldOut
from suture.heal.training.memory import is_for_want_of_memory, memory_there_is, too_little_memory
from suture.heal.training.model import Trainee, make_trainee
from suture.heal.training.recorder import Recorder
from suture.heal.training.rows import Row, collate, read_rows


def run_job(job: TrainJob) -> dict[str, JsonValue]:
    """Train, write what was trained and the losses, and return the facts; nothing where another process does.

    Raises:
        RecipeError: When the model has none of the layers that are to be trained, or the training breaks down.
        HostError: When there is too little memory.
    """
    try:
        return _run(job)
    except (RuntimeError, MemoryError, OSError) as error:
        if not is_for_want_of_memory(error):
            raise
        raise too_little_memory(error, job.spec.method) from error


def _run(job: TrainJob) -> dict[str, JsonValue]:
    torch.set_num_threads(job.threads)
    torch.use_deterministic_algorithms(mode=True, warn_only=torch.cuda.is_available())
    transformers.utils.logging.disable_progress_bar()
    ranks.check_gpus(job.spec.processes)
    args = arguments(job.spec, job.scratch)
    ranks.shard(args)
    set_seed(job.spec.seed)
    rows = read_rows(job.rows)
    trainee = make_trainee(job, rows)
    resumed = ranks.first_says(lambda: checkpoints.newest_sound(job.scratch))
    gates = GateSet(trainee.model, job.spec.gates) if job.spec.gates else None
    if gates and resumed:
        gates.load(resumed)

    def save(folder: Path) -> None:
        trainee.save(folder)
        if gates:
            gates.save(folder)

    held_out = None
    if job.held_out:
        held_out = HeldOut(trainee.model, job.spec, read_rows(job.held_out), job.scratch, resumed, save)
    recorder = Recorder(job, [len(row["input_ids"]) for row in rows], resumed, gates, held_out)
    if held_out is None or not held_out.is_at_plateau:
        _train(args, job.spec, trainee, rows, gates, recorder, resumed)
    is_best_kept = held_out is not None and held_out.best.exists()
    if not is_best_kept:
        save(job.out)
    if not ranks.is_first():
        return {}
    if held_out and is_best_kept:
        shutil.copytree(held_out.best, job.out, dirs_exist_ok=True)
    shutil.copyfile(recorder.path, job.out / LOSSES)
    return facts(job, trainee, rows, resumed)


def _train(
    args: TrainingArguments,
    spec: TrainSpec,
    trainee: Trainee,
    rows: list[Row],
    gates: GateSet | None,
    recorder: Recorder,
    resumed: Path | None,
) -> None:
    trainer = Trainer(
        model=trainee.model,
        args=args,
        train_dataset=rows,  # pyright: ignore[reportArgumentType] -- a list has what the sampler needs
        data_collator=collate,
        callbacks=[recorder],
    )
    if gates and gates.trainable:
        trainer.optimizer = _two_speeds(trainee, gates, spec, args)  # as an argument, it is refused with FSDP
    trainer.remove_callback(PrinterCallback)
    trainer.train(resume_from_checkpoint=None if resumed is None else str(resumed))


def arguments(spec: TrainSpec, scratch: Path) -> TrainingArguments:
    """Return the Trainer's settings."""
    on_gpu = torch.cuda.is_available()
    return TrainingArguments(
        output_dir=str(scratch),
        max_steps=spec.steps,
        per_device_train_batch_size=spec.batch_size,
        gradient_accumulation_steps=spec.gradient_accumulation // spec.processes,  # they read it side by side
        learning_rate=spec.learning_rate,
        lr_scheduler_type="cosine",
        warmup_steps=spec.warmup_steps,
        optim=_optimizer(spec),
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
        # on a CPU the weights' own dtype is what is computed in; for several GPUs see model.py
        bf16=on_gpu and spec.processes == 1,
        # memory is scarce on a GPU, and Unsloth has a way of its own; on a CPU it only costs time
        gradient_checkpointing=on_gpu and spec.backend == "peft",
        gradient_checkpointing_kwargs={"use_reentrant": False},
        # else each process would keep the whole model's gradients until the last of a step's passes
        accelerator_config={"gradient_accumulation_kwargs": {"sync_each_batch": spec.processes > 1}},
    )


def _optimizer(spec: TrainSpec) -> str:
    """Return what the Trainer calls the optimizer."""
    fits = torch.cuda.is_available() and spec.processes == 1  # its moments cannot be shared out
    in_8_bits = fits if spec.optimizer == "auto" else spec.optimizer == "paged_adamw_8bit"
    return "paged_adamw_8bit" if in_8_bits else "adamw_torch"


def _two_speeds(trainee: Trainee, gates: GateSet, spec: TrainSpec, args: TrainingArguments) -> torch.optim.Optimizer:
    """Return the optimizer that the Trainer would make, with a learning rate of their own for the gates."""
    apart = {id(gate) for gate in gates.trainable}
    others = [p for p in trainee.model.parameters() if p.requires_grad and id(p) not in apart]
    assert spec.gates is not None  # noqa: S101 -- there are gates
    kind, settings = Trainer.get_optimizer_cls_and_kwargs(args)
    groups = [{"params": others}, {"params": gates.trainable, "lr": spec.gates.learning_rate}]
    return kind(groups, weight_decay=args.weight_decay, **settings)


def facts(job: TrainJob, trainee: Trainee, rows: list[Row], resumed: Path | None) -> dict[str, JsonValue]:
    """Return what is worth knowing about the training."""
    history = [json.loads(line) for line in (job.out / LOSSES).read_text().splitlines()]
    per_step = job.spec.batch_size * job.spec.gradient_accumulation
    tokens = sum(len(row["input_ids"]) for row in rows[: len(history) * per_step])
    speeds = sorted(row["tokens_per_second"] for row in history)
    return {
        "steps": len(history),
        "stopped_early": len(history) < job.spec.steps,
        "first_loss": history[0]["loss"],
        "final_loss": history[-1]["loss"],
        "trainable_parameters": sum(p.numel() for p in trainee.model.parameters() if p.requires_grad),
        "gates": json.loads((job.out / GATES).read_bytes()) if job.spec.gates else {},
        "tokens": tokens,
        "tokens_per_second": speeds[len(speeds) // 2],
        **_held_out_facts(history),
        "resumed_from": None if resumed is None else checkpoints.step_of(resumed),
        "optimizer": _optimizer(job.spec),
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else _processor(),
        "device_memory_bytes": memory_there_is(),
        "threads": job.threads,
        "processes": job.spec.processes,
        "versions": {name: metadata.version(name) for name in ("torch", "transformers", "peft", "bitsandbytes")},
    }


def _processor() -> str:
    return f"{platform.machine()} {torch.backends.cpu.get_cpu_capability()}"


def _held_out_facts(history: list[dict[str, float]]) -> dict[str, JsonValue]:
    """Return the last and the lowest held-out loss, if any was measured."""
    measured = [row for row in history if "held_out_loss" in row]
    if not measured:
        return {}
    best = min(measured, key=lambda row: row["held_out_loss"])
    return {
        "held_out_loss": measured[-1]["held_out_loss"],
        "best_held_out_loss": best["held_out_loss"],
        "best_step": int(best["step"]),
    }
