"""Text to train on and to measure on, pinned by content and split so that no training sees what is measured.

The built-in texts are made of what every Python installation carries, and therefore depend on its version:

    builtin:code     the modules of the standard library that are one file each; split by file
    builtin:prose    the language reference (`pydoc_data.topics`), split by topic, and the English dialogues of
                     the PyPI package chatterbot-corpus (BSD licence), split by the question that opens them

A user's file is a .txt (passages, cut at blank lines), or a table of rows with a "text": .jsonl, .json or .parquet.
It is split by the hash of each document: equal documents fall on one side, wherever they stand. One document in eight
is held out. For training, rows may hold conversations instead (see conversations.py), and may be those of a data set
of the hub.

    form.py       what a pinned text is
    pin.py        a recipe's text -> a pinned one
    read.py       a pinned text -> its documents or conversations
    rows.py       the rows of .jsonl, .json and .parquet files
    parquet.py    those of .parquet alone
    builtin.py    the built-in texts
    passages.py   cutting a text, and dividing documents into parts
"""

from suture.corpus.form import NumberedConversation, PinnedConversations, PinnedDataset, PinnedText
from suture.corpus.passages import PASSAGE_CHARACTERS, cut_passages
from suture.corpus.pin import pin_data, pin_text
from suture.corpus.read import form_of, read_conversations, read_text

__all__ = [
    "PASSAGE_CHARACTERS",
    "NumberedConversation",
    "PinnedConversations",
    "PinnedDataset",
    "PinnedText",
    "cut_passages",
    "form_of",
    "pin_data",
    "pin_text",
    "read_conversations",
    "read_text",
]
