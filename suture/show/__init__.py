"""What the terminal shows: plans, stores, inspected files and compared checkpoints as tables, data and plots.

    plan.py         the steps of a recipe
    store.py        artifacts
    runs.py         runs, and one run in full
    merge.py        the account of a merge
    gguf.py         an inspected GGUF
    checkpoint.py   an inspected checkpoint
    difference.py   two compared checkpoints
    heatmap.py      the same as a plot
    sweep.py        the points of a sweep, before, while and after they run
    numbers.py      counts, shares, distances, cosines

Nothing is computed or printed here.
"""
