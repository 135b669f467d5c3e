"""Healing: training data, training, and fusing what was learned into the 16-bit checkpoint.

    dataset.py       step: texts and conversations to rows of tokens
    chat.py          one conversation in the model's chat template, and what of it is learned
    arrangement.py   which rows are held out, and which are read together
    seam.py          which layers to train, which to damp: the recipe's heal as a training's spec
    train.py         step: starts and follows the training process
    dry_run.py       two steps of it, and what all of them will take
    launch.py        how it is started: one process, or several that share the training
    child.py         what that process and the probing one are told and answer
    training.py      that process: answers with a result or a failure
    trainer.py       the transformers Trainer in it
    ranks.py         the other processes, as it sees them
    model.py         the model in it, and its adapter
    whole.py         the model's own weights, where they are what is trained
    unsloth_backend.py   the model as Unsloth loads it
    loss.py          its loss, without all logits at once
    gates.py         factors on repeated layers, trained beside the adapter or the weights
    rows.py          the rows in it
    recorder.py      losses, and the seal on each checkpoint
    held_out.py      the held-out loss, the adapter of the lowest, and when to stop
    memory.py        memory used and there is, and what to say when it runs out
    checkpoints.py   which checkpoint of a killed training can be trusted
    fuse.py          step: what was trained into the checkpoint
    adapter.py           what an adapter does to each tensor of a checkpoint
    adapter_names.py     which layers of the checkpoint its names mean
    adapter_config.py    what its config says, and which kinds are refused
    full.py              what trained weights do to each tensor
    update.py            the arithmetic
    names.py         names that both sides agree on

dataset.py, seam.py, train.py, dry_run.py, fuse.py and what fuse.py uses need neither torch nor transformers:
planning imports them.
"""
