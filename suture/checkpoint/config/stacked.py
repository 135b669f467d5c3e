"""The config of a new stack of layers: everything in it that is per layer follows the layers.

number of layers    the new count, wherever the config states the old one
kinds of layers     in every form that `kinds.py` knows: lists, indices, texts, by number. Arithmetic
                    (`full_attention_interval`, `first_k_dense_replace`, ...) is kept if the new stack happens to obey
                    it; else a list says it instead, if the model's class reads one; else other numbers, if they say
                    it; else the stack is refused
depth               a residual scale that is divided by the root of the depth is scaled up again
places              what ties a layer to its place or to its neighbours is refused: `places.py`
"""

from __future__ import annotations

import copy
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import cast

from pydantic import JsonValue

from suture.checkpoint.config.forms import Entries
from suture.checkpoint.config.kinds import PLACE_FIELDS, Subject, subjects, unclear_lists
from suture.checkpoint.config.places import LayerOrigins, check_entries, check_places
from suture.checkpoint.config.rules import RULES, Config, Rule
from suture.checkpoint.layers import COUNT_KEYS, PREDICTION_KEYS, layer_count, section_path, text_section
from suture.errors import SourceError

__all__ = ["PLACE_FIELDS", "Config", "LayerOrigins", "agree_on_mtp", "stack_config"]

_COMPLETE = "Load and save {} once with a current transformers: it completes the config."
_PREDICTION = re.compile(r"(?:^|\.)(?:mtp|nextn)[a-z_]*\.(?:layers\.)?([0-9]+)\.")


def stack_config(configs: Mapping[str, Config], base: str, origins: LayerOrigins) -> dict[str, JsonValue]:
    """Return the base's config, changed to describe a stack of the sources' layers.

    Args:
        configs: Source -> its config.
        base: The source whose config everything else is taken from.
        origins: For each new layer, its source and its place there.

    Raises:
        SourceError: When a config cannot describe the stack, with the reason.
    """
    for source, config in configs.items():
        check_places(source, config, [layer if origin == source else None for origin, layer in origins])
    check_entries(configs[base], origins)
    config = copy.deepcopy(dict(configs[base]))
    stack = _Stack({source: text_section(config_) for source, config_ in configs.items()}, base, origins)
    section = stack.section()
    path = section_path(config)
    if path:  # a multimodal config may state the count at its top as well
        _count_anew(config, stack.counts[base], len(origins))
    _section_of(config, path).update(section)
    return config


def agree_on_mtp(config: dict[str, JsonValue], names: Iterable[str]) -> dict[str, JsonValue]:
    """Return the config with the number of multi-token-prediction layers that the tensors have.

    transformers leaves these layers out when it saves a model and keeps the number, and llama.cpp's server then
    refuses the converted file.
    """
    config = copy.deepcopy(config)
    section = _section_of(config, section_path(config))
    stated = [key for key in PREDICTION_KEYS if isinstance(section.get(key), int) and section[key]]
    if not stated and "mtp_num_hidden_layers" not in section:
        return config
    count, numbers, beyond = layer_count(section), set[str](), set[str]()
    for name in names:
        if found := _PREDICTION.search(name):
            numbers.add(found[1])
        elif (found := re.search(r"(?:^|\.)(?:layers|h|blocks)\.([0-9]+)\.", name)) and int(found[1]) >= count:
            beyond.add(found[1])
    for key in stated or ["mtp_num_hidden_layers"]:
        if not numbers and not beyond:
            section[key] = 0
        elif key == "mtp_num_hidden_layers":  # the others may count groups of layers
            section[key] = len(numbers or beyond)
    return config


def _section_of(config: dict[str, JsonValue], path: Sequence[str]) -> dict[str, JsonValue]:
    for key in path:
        config = cast("dict[str, JsonValue]", config[key])
    return config


def _count_anew(section: dict[str, JsonValue], old: int, new: int) -> None:
    """State a new number of layers wherever a config states the old one, or passes through so many layers."""
    for key in COUNT_KEYS:
        value = section.get(key)
        if not isinstance(value, int):
            continue
        if value == old:
            section[key] = new
        elif (
            key == "num_hidden_layers"
            and value % old == 0
            and {"num_layers_per_stack", "num_layers"} & section.keys()
        ):
            section[key] = value // old * new


class _Stack:
    """Where each new layer comes from, and what the configs say of it there."""

    def __init__(self, sections: Mapping[str, Config], base: str, origins: LayerOrigins) -> None:
        self._sections = sections
        self._base = base
        self._origins = origins
        self.counts = {source: layer_count(section) for source, section in sections.items()}

    def section(self) -> dict[str, JsonValue]:
        """Return what the section for the language model becomes."""
        base = self._sections[self._base]
        new = copy.deepcopy(dict(base))
        _count_anew(new, self.counts[self._base], len(self._origins))
        self._check_lists()
        for subject in self._subjects():
            self._state(subject, new)
        for rule in RULES:
            self._keep(rule, new)
        self._keep_scale(new)
        return new

    def _subjects(self) -> Iterable[Subject]:
        found = {subject.field: subject for section in self._sections.values() for subject in subjects(section)}
        return found.values()

    def _state(self, subject: Subject, new: dict[str, JsonValue]) -> None:
        """Have the new section say of each layer what its source says."""
        base = self._sections[self._base]
        said = {source: subject.entries(section, self.counts[source]) for source, section in self._sections.items()}
        if subject.stated(base) is None and said[self._base] is None:
            self._require_uniform(subject, said)
            return
        wanted = self._follow(subject, said)
        if subject.stated(base) is not None:
            _put(new, subject.field, subject.value(base, wanted))
        elif subject.entries(new, len(wanted)) != wanted:
            self._say_otherwise(subject, new, wanted)

    def _follow(self, subject: Subject, said: Mapping[str, Entries | None]) -> list[JsonValue]:
        """Return what is said of each layer of the new stack."""
        used = dict.fromkeys(source for source, _ in self._origins)
        entries = {source: self._entries(subject, source, said) for source in used}
        return [entries[source][layer] for source, layer in self._origins]

    def _entries(self, subject: Subject, source: str, said: Mapping[str, Entries | None]) -> Entries:
        entries, value = said[source], subject.stated(self._sections[source])
        if entries is not None:
            return entries
        if value is None and (uniform := _only(said[self._base])):
            return uniform * self.counts[source]  # an older config that leaves out what is the same for all layers
        raise SourceError(
            f"The layers of {source} cannot be stacked: its config has no {subject.field} for each of them.",
            where="config.json",
            expected=f"{self.counts[source]} entries",
            found=f"{len(value)} entries" if isinstance(value, list | str) else value,
            way_out=_COMPLETE.format("the source"),
        )

    def _require_uniform(self, subject: Subject, said: Mapping[str, Entries | None]) -> None:
        """Refuse what the base's config does not say of each layer, unless the others say the same of all layers."""
        for source, entries in said.items():
            if entries is not None and not _only(entries) and any(entries):
                raise SourceError(
                    f"The config of {self._base} does not say of each layer what that of {source} does.",
                    where="config.json",
                    expected=f"{subject.field}, as in {source}",
                    way_out=_COMPLETE.format(self._base),
                )

    def _say_otherwise(self, subject: Subject, new: dict[str, JsonValue], wanted: Entries) -> None:
        """Say what a rule no longer says: in a list where the model's class reads one, else by other numbers."""
        base = self._sections[self._base]
        if subject.types is None or base.get("model_type") in subject.types:
            _put(new, subject.field, subject.form.write(wanted))
            return
        for rule in subject.rules:
            if rule.applies(base):
                self._renumber(rule, new, wanted)
                return
        raise SourceError(
            "The stack breaks the rhythm of the layers, which the model's class takes for granted.",
            where="config.json",
            expected=f"{subject.field}: {subject.entries(new, len(wanted))}",
            found=wanted,
            way_out=_COMPLETE.format("the sources"),
        )

    def _keep(self, rule: Rule, new: dict[str, JsonValue]) -> None:
        """Have a rule for which there is no list say the same of each layer as before."""
        has_it = {source: rule.applies(section) for source, section in self._sections.items()}
        if not all(has_it.values()):
            self._require_nowhere(rule, has_it)
            return
        wanted = [rule.entry(self._sections[source], layer) for source, layer in self._origins]
        if rule.entries(new, len(wanted)) == wanted:
            return
        if rule.name == "decoder_sparse_step":
            new["decoder_sparse_step"] = 1
            new["mlp_only_layers"] = [place for place, is_sparse in enumerate(wanted) if not is_sparse]
        else:
            self._renumber(rule, new, wanted)

    def _require_nowhere(self, rule: Rule, has_it: Mapping[str, bool]) -> None:
        """Refuse a rule that only some of the sources have: what the class makes of the others is not known."""
        if any(has_it.values()):
            source = next(source for source, has in has_it.items() if not has)
            raise SourceError(
                f"The config of {source} does not say of each layer what those of other sources do.",
                where="config.json",
                expected=rule.name,
                found="no such number",
                way_out=_COMPLETE.format(source),
            )

    def _renumber(self, rule: Rule, new: dict[str, JsonValue], wanted: Entries) -> None:
        values = rule.values(new, wanted)
        if values is not None:
            new.update(values)
            return
        base = self._sections[self._base]
        place = next(place for place, kind in enumerate(wanted) if rule.entry(new, place) != kind)
        source, layer = self._origins[place]
        raise SourceError(
            f"The stack breaks the rule {rule.name}: {base[rule.name]} of the config, which says what each layer is.",
            where="config.json",
            expected=f"layer {place} of the new stack to be of the kind of layer {layer} of {source}",
            found="the other kind",
            way_out="Choose slices that keep the rhythm of the layers.",
        )

    def _keep_scale(self, new: dict[str, JsonValue]) -> None:
        """Keep MiniCPM's residual scale, `scale_depth / sqrt(number of layers)`, however deep the stack is."""
        scale = new.get("scale_depth")
        if not isinstance(scale, int | float):
            return
        each: dict[str, float] = {}
        for source, section in self._sections.items():
            stated = section.get("scale_depth")
            each[source] = stated / math.sqrt(self.counts[source]) if isinstance(stated, int | float) else math.nan
        if len(set(each.values())) > 1:
            raise SourceError(
                "The sources scale what their layers add by different factors.",
                where="config.json",
                expected="one factor scale_depth / sqrt(number of layers)",
                found=", ".join(f"{factor:.6g} in {source}" for source, factor in each.items()),
            )
        new["scale_depth"] = _times_root(each[self._base], len(self._origins), scale, self.counts[self._base])

    def _check_lists(self) -> None:
        """Refuse a list that may be per layer or as long by chance."""
        for source, section in self._sections.items():
            for field in unclear_lists(section):
                raise SourceError(
                    f"The layers of {source} cannot be stacked: a list in its config may have an entry for each.",
                    where="config.json",
                    expected="lists whose meaning their names tell",
                    found=f"{field}: {section[field]}",
                )


def _times_root(factor: float, layers: int, old: float, old_layers: int) -> float:
    """Return the number that, divided by the root of the number of layers, gives the factor to the last bit."""
    if layers == old_layers:
        return old
    guess = factor * math.sqrt(layers)
    near = (guess, math.nextafter(guess, math.inf), math.nextafter(guess, -math.inf))
    return next((number for number in near if number / math.sqrt(layers) == factor), guess)


def _put(section: dict[str, JsonValue], field: str, value: JsonValue) -> None:
    *above, last = field.split(".")
    for key in above:
        section = cast("dict[str, JsonValue]", section[key])
    section[last] = value


def _only(entries: Entries | None) -> list[JsonValue]:
    """Return the one value that all entries have, in a list; an empty list if there is none such."""
    entries = entries or []
    return [entries[0]] if entries and all(entry == entries[0] for entry in entries) else []
