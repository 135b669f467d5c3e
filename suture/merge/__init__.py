"""Merging checkpoints of one shape into one.

methods.py   what is done to tensors: one plain function per method, named after its paper
table.py     name -> method
fit.py       whether the sources are of one shape
plan.py      the account: where each output comes from, what is dropped and why; known before anything is fetched
engine.py    the step: streams the tensors through the method, or copies their bytes
"""
