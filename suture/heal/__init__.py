"""Healing: training data, training, and fusing what was learned into the 16-bit checkpoint.

    dataset.py       step: texts to rows of tokens
    train.py         step: starts and follows the training process
    training.py      that process: answers with a result or a failure
    trainer.py       the transformers Trainer in it
    model.py         the model in it, and its adapter
    recorder.py      losses, and the seal on each checkpoint
    checkpoints.py   which checkpoint of a killed training can be trusted
    fuse.py          step: the adapter into the weights

dataset.py, train.py and fuse.py need neither torch nor transformers: planning imports them.
"""
