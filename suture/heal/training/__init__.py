"""The training process: `python -m suture.heal.training JOB.json`.

__main__.py      answers with a result or a failure
launch.py        how it is started: one process, or several that share the training
trainer.py       the transformers Trainer
ranks.py         the other processes, as it sees them
model.py         the model, and its adapter
whole.py         the model's own weights, where they are what is trained
unsloth_backend.py   the model as Unsloth loads it
loss.py          its loss, without all logits at once
gates.py         factors on repeated layers, trained beside the adapter or the weights
rows.py          the rows
recorder.py      losses, and the seal on each checkpoint
held_out.py      the held-out loss, the adapter of the lowest, and when to stop
memory.py        memory used and there is, and what to say when it runs out
checkpoints.py   which checkpoint of a killed training can be trusted
"""
