"""Merging checkpoints into one.

step.py         the step `merge`: from folders to a folder
plan.py         what a merge will do, known before anything is fetched; it is carried out as it stands
stack.py        what becomes of the tensors of a stack: slices of layers, copied
blend.py        what becomes of the tensors of a blend: computed from several models
account.py      the account: what each tensor is made of, what is dropped and why
engine.py       carries out an account: copies bytes, or streams tensors through a method
workers.py      threads that take the chunks of a tensor in turn

methods/        one plain function per method, named after its paper
table.py        name -> method
stream.py       one tensor of several models, a chunk at a time: what methods work on
settings.py     what a setting is for one tensor: a number, a gradient over the depth, values by name

fit.py          whether models are of one shape
outside.py      what lies outside a model's layers, told apart by name
vocabulary.py   the tokens of the result, and which row of which source stands for each of them
rows.py         the tensors with a row for each token
union.py        one tokenizer with the tokens of several
companions.py   the files beside the weights, and what the config says of tokens
verify.py       whether transformers makes of the result what was meant
"""
