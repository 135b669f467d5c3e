"""What a merge will do, known before anything is fetched: it needs the sources' layouts alone."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import cast

from pydantic import JsonValue

from suture.checkpoint.companions import is_companion
from suture.checkpoint.layers import text_section
from suture.checkpoint.layout import TensorInfo
from suture.checkpoint.tokenizer import read_tokenizer
from suture.merge.account import COPY, Draft, Input, MergePlan, Output, account
from suture.merge.blend import draft_blend
from suture.merge.chat import chat_notes
from suture.merge.companions import companion_files, vocabulary_config
from suture.merge.fit import Layouts
from suture.merge.stack import draft_stack
from suture.merge.vocabulary import Folders, MergedVocabulary, check_vocabularies, merge_vocabulary
from suture.recipe import Blend, ChatTemplate, Merge, Passthrough

_DTYPES = {"bfloat16": "BF16", "float16": "F16", "float32": "F32"}


def plan_merge(merge: Merge, layouts: Layouts, shard_bytes: int, folders: Folders | None = None) -> MergePlan:
    """Return the account of a merge.

    Args:
        merge: What the recipe asks for.
        layouts: The sources in use, by name.
        shard_bytes: Bytes of tensors per file at most.
        folders: Where the sources' tokenizers are. As long as they are not at hand, the account has the vocabulary
            of the base.

    Raises:
        RecipeError: When a slice goes past a source's last layer, or a setting cannot be.
        SourceError: When the sources are not of one shape, their vocabularies do not fit, or no config can describe
            the result.
        CheckpointError: When a source's layers cannot be found.
    """
    vocabulary = merge_vocabulary(merge, layouts, folders) if merge.vocabulary and folders else None
    draft = _draft(merge, layouts, vocabulary)
    if vocabulary is not None:
        draft = _with_vocabulary(draft, merge, layouts, vocabulary)
    if merge.dtype is not None:
        draft = _stored_as(draft, merge.dtype)
    if folders is None:
        return account(draft, layouts, filter(is_companion, layouts[merge.base].files), {}, shard_bytes)
    if merge.vocabulary is None:
        notes = check_vocabularies(merge.base, _sharing_rows(merge), layouts, folders)
        draft = replace(draft, notes=(*draft.notes, *notes))
    if isinstance(merge.chat_template, ChatTemplate) and merge.chat_template.jinja:
        result = vocabulary.tokenizer if vocabulary else read_tokenizer(folders[merge.base], merge.base)
        draft = replace(draft, notes=(*draft.notes, *chat_notes(merge.chat_template, result)))
    companions = companion_files(merge, layouts, folders, vocabulary)
    return account(draft, layouts, companions, companions, shard_bytes)


def _draft(merge: Merge, layouts: Layouts, vocabulary: MergedVocabulary | None) -> Draft:
    match merge:
        case Passthrough():
            return draft_stack(merge, layouts)
        case Blend():
            return draft_blend(merge, layouts, vocabulary.tensors[merge.base].names if vocabulary else ())


def _sharing_rows(merge: Merge) -> list[str]:
    """Return the sources whose rows stand for the tokens of the base."""
    if isinstance(merge, Passthrough):
        return [merge.head] if merge.head and merge.head != merge.base else []
    models = dict.fromkeys(model.source for part in merge.plain_slices for model in part.models)
    return [name for name in models if name != merge.base]


def _with_vocabulary(draft: Draft, merge: Merge, layouts: Layouts, vocabulary: MergedVocabulary) -> Draft:
    def seen(made_of: Input) -> Input:
        is_of_base = vocabulary.is_by_token(made_of.tensor)
        rows = vocabulary.row_map(made_of.source, made_of.tensor, merge.base if is_of_base else made_of.source)
        return replace(made_of, rows=rows)

    def aligned(output: Output) -> Output:
        first = output.all_inputs[-1]
        if first.tensor not in vocabulary.tensors[first.source].names:
            return output
        info = TensorInfo(output.info.dtype, (vocabulary.rows, *output.info.shape[1:]))
        base = None if output.base is None else seen(output.base)
        changed = replace(output, info=info, inputs=tuple(map(seen, output.inputs)), base=base)
        (only, *others) = changed.inputs
        before = layouts[only.source].tensors.get(only.tensor)
        if output.is_copy and not others and only.rows and before and only.rows.is_copy(before.shape[0]):
            return output
        return replace(changed, parameters={"scale": 1.0}) if output.is_copy else changed

    config = vocabulary_config(draft.config, merge, layouts, vocabulary)
    outputs = tuple(map(aligned, draft.outputs))
    return replace(draft, config=config, outputs=outputs, notes=(*draft.notes, *vocabulary.notes))


def _stored_as(draft: Draft, dtype: str) -> Draft:
    """Return the draft with the tensors of the model's usual dtype, and all 16-bit ones, stored as another."""
    sizes: Counter[str] = Counter()
    for output in draft.outputs:
        sizes[output.info.dtype] += output.info.parameters
    changed = {sizes.most_common(1)[0][0], "BF16", "F16"} & set(_DTYPES.values())
    target = _DTYPES[dtype]

    def stored(output: Output) -> Output:
        if output.info.dtype not in changed or output.info.dtype == target:
            return output
        info = TensorInfo(target, output.info.shape)
        parameters = output.parameters if output.method != COPY else {"scale": 1.0, **output.parameters}
        return replace(output, info=info, parameters=parameters)

    return replace(draft, config=_named_dtype(draft.config, dtype), outputs=tuple(map(stored, draft.outputs)))


def _named_dtype(config: Mapping[str, JsonValue], dtype: str) -> dict[str, JsonValue]:
    changed = copy.deepcopy(dict(config))
    for section in (changed, cast("dict[str, JsonValue]", text_section(changed))):
        section.update({key: dtype for key in ("dtype", "torch_dtype") if key in section})
    return changed
