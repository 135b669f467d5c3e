"""What the terminal shows: plans, stores, inspected files and compared checkpoints as tables, data and plots.

    plan.py         the steps of a recipe
    store.py        artifacts
    merge.py        the account of a merge
    gguf.py         an inspected GGUF
    checkpoint.py   an inspected checkpoint
    difference.py   two compared checkpoints
    heatmap.py      the same as a plot
    numbers.py      counts, shares, distances, cosines

Nothing is computed or printed here.
"""
