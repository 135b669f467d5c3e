"""mergekit's YAML files, read as recipes.

    node.py         a value that knows its place in the file
    models.py       model strings and the sources they become
    settings.py     parameters: which level counts, filters, gradients
    methods.py      what mergekit reads for each method
    vocabulary.py   tokenizer and chat template
    inputs.py       one merge: its models, slices and parameters
    stack.py        passthrough
    blend.py        every other method
    documents.py    a file of one or several documents
    text.py         the recipe as YAML

Written from mergekit's documentation, published files, and what mergekit 0.1.5 was seen to do. What a recipe cannot
say is refused by name; what has no effect is told in notes.
"""

from suture.recipe.mergekit.documents import Translation, is_mergekit, translate
from suture.recipe.mergekit.text import to_yaml

__all__ = ["Translation", "is_mergekit", "to_yaml", "translate"]
