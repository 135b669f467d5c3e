"""The training data.

dataset.py       step: texts and conversations to rows of tokens
talks.py         as many conversations of a data set as are needed
chat.py          one conversation in the model's chat template, and what of it is learned
arrangement.py   which rows are held out, and which are read together
"""
