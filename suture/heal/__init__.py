"""Healing: training data, training, and fusing what was learned into the 16-bit checkpoint.

    seam.py          which layers to train, which to damp: the recipe's heal as a training's spec
    data/            texts and conversations to rows of tokens
    train.py         step: starts and follows the training process
    training/        that process: `python -m suture.heal.training JOB.json`
    dry_run.py       two steps of it, and what all of them will take
    fusing/          what was trained into the checkpoint, tensor by tensor
    probing/         a look inside a checkpoint while it reads
    child.py         what the processes are told and answer
    names.py         names that training and fusing agree on

seam.py, train.py, dry_run.py, data/, fusing/ and training/launch.py need neither torch nor transformers: planning
imports them.
"""
