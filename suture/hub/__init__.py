"""Models from elsewhere: pinned to exact content, then fetched and checked.

pins.py         a recipe's source -> which exact model it is, and what it holds
fetch.py        the step that puts it into the store
client.py       how the hub is spoken to: address, token, what its errors mean
repository.py   what the hub tells of a repository
download.py     one file of it: resumed, verified, durable
transfer.py     several files at once, and how far each is
bandwidth.py    how fast files may come in
hf_cache.py     what the hub's own tools have fetched already
folder.py       models in a folder of this machine
builtin.py      models that come as Python packages
dequantize.py   a package's 4-bit GGUF to a 16-bit checkpoint, in a process of its own
files.py        which files are fetched
gates.py        what every model must pass before it is merged
audit.py        all that the gates and an inspection say of a folder
tokenizer_trial.py  a process of little memory and time that tries a tokenizer
licences.py     what a model says of its licence
datasets.py     data sets: pinned, and the step that puts them into the store
dataset_files.py    which files of a data set are read
watch/          what changed at a recipe's sources, and which builds that starts
provenance/     the statement of what was published, and whether a folder fits it
"""
