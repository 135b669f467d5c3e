"""The common licences of models and data sets: name on the hub -> what they ask of a model made with them.

A summary of each licence's main conditions for weights that are passed on, so that nobody overlooks one. It leaves
out what never differs (no warranty, trade marks), and does not replace the text.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Duty = Literal[
    "notice",
    "attribution",
    "changes",
    "naming",
    "use_policy",
    "own_terms",
    "scale",
    "own_family",
    "non_commercial",
    "share_alike",
    "no_derivatives",
]

DUTIES: dict[Duty, str] = {
    "notice": "keep copyright notices and the licence's text with the files",
    "attribution": "name the authors, link the licence and say what was changed",
    "changes": "say that the files were changed",
    "naming": "show the name that the licence asks for",
    "use_policy": "pass on the licence's limits of use, and keep to them",
    "own_terms": "pass the model on under the licence's own terms",
    "scale": "ask the licensor for a licence above a number of users or a revenue that the licence names",
    "own_family": "do not use it to improve models of other families",
    "non_commercial": "no commercial use",
    "share_alike": "pass the model on under the same licence",
    "no_derivatives": "do not pass on what was made of it",
}
"""What a licence may ask for -> in words."""


@dataclass(frozen=True)
class Licence:
    """One licence.

    Attributes:
        name: Its name on the hub, which is its SPDX name in small letters where it has one.
        duties: What it asks for.
        family: Licences of one family go together, whatever they ask; empty for a licence that stands alone.
        shown: Words that must be shown; empty where there are none.
    """

    name: str
    duties: tuple[Duty, ...]
    family: str = ""
    shown: str = ""


_PERMISSIVE: tuple[Duty, ...] = ("notice",)
_RAIL: tuple[Duty, ...] = ("notice", "changes", "use_policy")
_COPYLEFT: tuple[Duty, ...] = ("notice", "changes", "share_alike")
_LLAMA: tuple[Duty, ...] = ("notice", "naming", "use_policy", "own_terms", "scale")
_RESEARCH: tuple[Duty, ...] = ("notice", "own_terms", "non_commercial")


def _same(names: str, duties: tuple[Duty, ...], family: str = "", shown: str = "") -> Iterable[Licence]:
    return (Licence(name, duties, family, shown) for name in names.split())


_TABLE: tuple[Iterable[Licence], ...] = (
    _same("cc0-1.0 unlicense wtfpl pddl 0bsd", ()),
    _same("mit bsd bsd-2-clause bsd-3-clause bsd-3-clause-clear isc zlib ncsa postgresql", _PERMISSIVE),
    _same("bsl-1.0 ms-pl afl-3.0 artistic-2.0 cdla-permissive-1.0 cdla-permissive-2.0 openmdw-1.0", _PERMISSIVE),
    _same("apache-2.0 ecl-2.0 psf-2.0", ("notice", "changes")),
    _same("cc-by-2.0 cc-by-2.5 cc-by-3.0 cc-by-4.0 odc-by etalab-2.0", ("attribution",)),
    _same("cc-by-nc-2.0 cc-by-nc-3.0 cc-by-nc-4.0", ("attribution", "non_commercial")),
    _same("cc-by-sa-3.0 cc-by-sa-4.0", ("attribution", "share_alike"), "cc-by-sa"),
    _same(
        "cc-by-nc-sa-2.0 cc-by-nc-sa-3.0 cc-by-nc-sa-4.0",
        ("attribution", "non_commercial", "share_alike"),
        "cc-by-nc-sa",
    ),
    _same("cc-by-nd-3.0 cc-by-nd-4.0", ("attribution", "no_derivatives")),
    _same("cc-by-nc-nd-3.0 cc-by-nc-nd-4.0", ("attribution", "non_commercial", "no_derivatives")),
    _same("gpl-3.0 agpl-3.0 lgpl-3.0 mpl-2.0", _COPYLEFT, "gpl-3.0"),
    _same("gpl-2.0 lgpl-2.1", _COPYLEFT, "gpl-2.0"),
    _same("eupl-1.1 eupl-1.2", _COPYLEFT, "eupl"),
    _same("epl-1.0 epl-2.0", _COPYLEFT, "epl"),
    _same("osl-3.0 odbl cdla-sharing-1.0 gfdl", _COPYLEFT),
    _same("openrail openrail++ creativeml-openrail-m bigscience-openrail-m bigcode-openrail-m", _RAIL, "rail"),
    _same("bigscience-bloom-rail-1.0", _RAIL, "rail"),
    _same("llama2", ("notice", "use_policy", "own_terms", "scale", "own_family"), "llama"),
    _same("llama3", (*_LLAMA, "own_family"), "llama", "Built with Meta Llama 3; a name that begins with Llama 3"),
    _same("llama3.1 llama3.2 llama3.3 llama4", _LLAMA, "llama", "Built with Llama; a name that begins with Llama"),
    _same("gemma", ("notice", "changes", "use_policy", "own_terms"), "gemma"),
    _same("health-ai-developer-foundations", ("notice", "changes", "use_policy", "own_terms"), "gemma"),
    _same("tongyi-qianwen", ("notice", "own_terms", "scale", "own_family"), "qwen"),
    _same("qwen", ("notice", "changes", "naming", "own_terms", "scale"), "qwen", "Built with Qwen"),
    _same("qwen-research", (*_RESEARCH, "changes", "naming"), "qwen", "Built with Qwen"),
    _same("deepseek", ("notice", "changes", "use_policy", "own_terms"), "deepseek"),
    _same("mrl mnpl", _RESEARCH, "mistral"),
    _same("nvidia-open-model-license", ("notice", "use_policy", "own_terms"), "nvidia"),
    _same("fair-noncommercial-research-license h-research intel-research apple-amlr", _RESEARCH),
)

LICENCES: dict[str, Licence] = {licence.name: licence for row in _TABLE for licence in row}
"""Name on the hub -> the licence."""

_ALIASES = {
    "apache 2.0": "apache-2.0",
    "apache license 2.0": "apache-2.0",
    "mit license": "mit",
    "cc0": "cc0-1.0",
    "gemma-terms-of-use": "gemma",
    "deepseek-license": "deepseek",
    "qwen-license": "qwen",
    "tongyi-qianwen-license-agreement": "tongyi-qianwen",
    "tongyi-qianwen-research": "qwen-research",
    "llama-2": "llama2",
    "llama-3": "llama3",
    "llama-3.1": "llama3.1",
    "llama-3.2": "llama3.2",
    "llama-3.3": "llama3.3",
    "llama-4": "llama4",
}
"""Other ways in which cards write the same -> the name."""

_BUILTIN_TEXTS = {"builtin:code": "psf-2.0", "builtin:prose": "psf-2.0"}
"""What Python itself and its documentation are under."""


def known(name: str) -> Licence | None:
    """Return the licence of this name, as a card may write it; None for one that the table lacks."""
    plain = " ".join(name.lower().split())
    return LICENCES.get(_ALIASES.get(plain, plain))


def of_builtin_text(text: str) -> str | None:
    """Return the name of a built-in text's licence; None for any other text."""
    return _BUILTIN_TEXTS.get(text)
