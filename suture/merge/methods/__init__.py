"""What is done to tensors: one plain function per merge method, named after its paper.

average.py        passthrough (times a factor), linear
spherical.py      slerp, nuslerp, multislerp, karcher
stock.py          model_stock
ties.py           task_arithmetic, ties
dare.py           dare_linear, dare_ties
della.py          della, della_linear
breadcrumbs.py    breadcrumbs, breadcrumbs_ties
sce.py            sce
pairs.py          nearswap, arcee_fusion

gram.py           inner products of tensors; linear combinations of them
task_vectors.py   how thinned task vectors become one: their sum, or TIES' vote on each sign
ranks.py          exact order statistics of magnitudes, in two passes and bounded memory

Shapes: n numbers in a chunk, s models; always fp32, rounded once by whoever writes them; sums over a tensor in fp64.
Where a paper and mergekit differ, a method takes the `dialect` to follow.
"""
