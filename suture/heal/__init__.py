"""Healing: training data, training, and fusing what was learned into the 16-bit checkpoint.

    dataset.py       step: texts and conversations to rows of tokens
    chat.py          one conversation in the model's chat template, and what of it is learned
    seam.py          which layers to train, which to damp: the recipe's heal as a training's spec
    train.py         step: starts and follows the training process
    training.py      that process: answers with a result or a failure
    trainer.py       the transformers Trainer in it
    model.py         the model in it, and its adapter
    gates.py         factors on repeated layers, trained beside the adapter
    recorder.py      losses, and the seal on each checkpoint
    checkpoints.py   which checkpoint of a killed training can be trusted
    fuse.py          step: the adapter into the weights
    adapter.py           what an adapter does to each tensor of a checkpoint
    adapter_names.py     which layers of the checkpoint its names mean
    adapter_config.py    what its config says, and which kinds are refused
    update.py            the arithmetic
    names.py         names that both sides agree on

dataset.py, seam.py, train.py, fuse.py and what fuse.py uses need neither torch nor transformers: planning imports
them.
"""
