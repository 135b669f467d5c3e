"""Models from elsewhere: pinned to exact content, then fetched and checked.

pins.py         a recipe's source -> which exact model it is, and what it holds
fetch.py        the step that puts it into the store
repository.py   what the hub tells of a repository
download.py     one file of it: resumed, verified, durable
folder.py       models in a folder of this machine
builtin.py      models that come as Python packages
dequantize.py   a package's 4-bit GGUF to a 16-bit checkpoint, in a process of its own
files.py        which files are fetched
licences.py     what a model says of its licence
"""
