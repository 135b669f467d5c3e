"""What a checkpoint looks like in a terminal, and as data: the model, its layers by kind, the rest, problems."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from pydantic import JsonValue
from rich.markup import escape
from rich.table import Table

from suture.checkpoint.companions import is_companion
from suture.checkpoint.config import PLACE_FIELDS
from suture.checkpoint.inspection import Inspection
from suture.checkpoint.inspection.groups import GROUPS, group_of
from suture.checkpoint.inspection.problems import Problem, Severity
from suture.checkpoint.inspection.summary import Alike, LayerKind, Summary, TensorTotal, runs, total_of
from suture.checkpoint.layers import COUNT_KEYS, text_section
from suture.checkpoint.reader import NonFinite
from suture.progress import human_bytes
from suture.show.numbers import human_count, share_text

_FACTS = (
    ("width", ("hidden_size", "n_embd", "d_model")),
    ("MLP width", ("intermediate_size", "n_inner", "ffn_hidden_size")),
    ("attention heads", ("num_attention_heads", "n_head", "n_heads")),
    ("KV heads", ("num_key_value_heads", "num_kv_heads")),
    ("head size", ("head_dim",)),
    ("experts", ("num_experts", "num_local_experts", "n_routed_experts")),
    ("experts per token", ("num_experts_per_tok",)),
    ("vocabulary", ("vocab_size",)),
    ("context", ("max_position_embeddings", "n_positions")),
    ("sliding window", ("sliding_window",)),
)
"""What a model is known by, and what configs call it."""

_COLOURS: Mapping[Severity, str] = {"error": "bold red", "warning": "yellow", "note": "cyan"}
_PARTS = {"text": "language model", "vision": "vision", "audio": "audio", "mtp": "multi-token prediction"}


def checkpoint_tables(inspection: Inspection) -> list[Table]:
    """Return what a checkpoint holds, and what is wrong with it."""
    summary = inspection.summary
    tables = [_model_table(summary, inspection.nonfinite)]
    if summary.kinds:
        tables += [_kinds_table(summary), _layer_table(summary.kinds)]
    if summary.outside:
        tables.append(_outside_table(summary))
    return [*tables, _problems_table(inspection.problems)]


def checkpoint_data(inspection: Inspection) -> dict[str, JsonValue]:
    """Return the same as data."""
    summary, nonfinite = inspection.summary, inspection.nonfinite
    layout, stack = summary.layout, summary.stack
    return {
        "model_type": layout.config.get("model_type"),
        "architectures": layout.config.get("architectures"),
        "tensors": len(layout.tensors),
        "parameters": layout.parameters,
        "size_bytes": layout.size,
        "dtypes": {dtype: _total_data(total) for dtype, total in summary.dtypes.items()},
        "facts": dict(_facts(summary)),
        "files": list(layout.files),
        "layers": None if stack is None else {"prefix": stack.prefix, "count": stack.count},
        "kinds": [
            {
                "layers": list(kind.layers),
                "settings": dict(kind.settings),
                "parameters": kind.parameters,
                "size_bytes": kind.nbytes,
                "tensors": _alike_data(kind.tensors),
            }
            for kind in summary.kinds
        ],
        "outside": {part: _alike_data(tensors) for part, tensors in summary.outside.items()},
        "nonfinite": None if nonfinite is None else {"nan": nonfinite.nan, "inf": nonfinite.inf},
        "problems": [
            {"severity": problem.severity, "what": problem.what, "consequence": problem.consequence}
            for problem in inspection.problems
        ],
    }


def _total_data(total: TensorTotal) -> dict[str, JsonValue]:
    return {"tensors": total.tensors, "parameters": total.parameters, "size_bytes": total.nbytes}


def _alike_data(tensors: Iterable[Alike]) -> list[JsonValue]:
    return [
        {
            "name": alike.pattern,
            "count": alike.count,
            "dtype": alike.info.dtype,
            "shape": list(alike.info.shape),
            "parameters": alike.parameters,
            "size_bytes": alike.nbytes,
        }
        for alike in tensors
    ]


def _table(title: str, left: Sequence[str], right: Sequence[str] = (), *, header: bool = True) -> Table:
    """Return an empty table with columns of text, then columns of numbers."""
    table = Table(title=title, title_justify="left", show_header=header)
    for column in left:
        table.add_column(column, overflow="fold")
    for column in right:
        table.add_column(column, justify="right", no_wrap=True)
    return table


def _model_table(summary: Summary, nonfinite: NonFinite | None) -> Table:
    layout = summary.layout
    table = _table("Model", ("", ""), header=False)
    for name, value in _facts(summary):
        table.add_row(name, escape(f"{value:,}" if isinstance(value, int) and value >= 10_000 else str(value)))
    table.add_row("parameters", f"{human_count(layout.parameters)} ({layout.parameters:,})")
    dtypes = (f"{dtype} {human_bytes(total.nbytes)}" for dtype, total in summary.dtypes.items())
    size = human_bytes(layout.size)
    table.add_row("weights", f"{size} in {len(layout.tensors):,} tensors: {', '.join(dtypes)}")
    table.add_row("other files", escape(", ".join(filter(is_companion, layout.files)) or "none"))
    if nonfinite:
        table.add_row("NaN, infinities", f"{nonfinite.nan:,}, {nonfinite.inf:,}")
    return table


def _facts(summary: Summary) -> Iterator[tuple[str, JsonValue]]:
    """Yield what the config says of the model, and every rule by which it gives each layer its kind."""
    config = summary.layout.config
    section = text_section(config)
    classes = config.get("architectures")
    named = ", ".join(map(str, classes)) if isinstance(classes, list) else "no class named"
    yield "type", f"{config.get('model_type', 'not named')} ({named})"
    if summary.stack:
        yield "layers", f"{summary.stack.count} ({summary.stack.prefix})"
    for name, keys in _FACTS:
        value = next((section[key] for key in keys if section.get(key) is not None), None)
        if value is not None:
            yield name, value
    for key in sorted(PLACE_FIELDS & section.keys() - {*COUNT_KEYS}):
        value = section[key]
        if value and not isinstance(value, list | str):
            yield key, value


def _kinds_table(summary: Summary) -> Table:
    named = any(kind.settings for kind in summary.kinds)
    left = ("layers", "kind", "modules") if named else ("layers", "modules")
    table = _table("Layers by kind", left, ("count", "tensors", "parameters", "size"))
    window = text_section(summary.layout.config).get("sliding_window")
    for kind in summary.kinds:
        each = total_of(kind.tensors)
        table.add_row(
            runs(kind.layers),
            *([escape(_label(kind, window))] if named else []),
            escape(", ".join(_modules(kind))),
            str(len(kind.layers)),
            f"{each.tensors:,}",
            human_count(each.parameters),
            human_bytes(each.nbytes),
        )
    table.caption = "tensors, parameters and size of one layer"
    return table


def _label(kind: LayerKind, window: JsonValue) -> str:
    """Return what the config calls a kind of layers."""
    says = [
        value if isinstance(value, str) and len(value) > 1 else f"{field}: {value}"
        for field, value in kind.settings.items()
    ]
    texts = [f"{says_} ({window})" if "sliding" in str(says_) and window else str(says_) for says_ in says]
    return ", ".join(texts) or "-"


def _modules(kind: LayerKind) -> Iterator[str]:
    """Yield the names of a layer's modules: attention first, norms left out."""
    rests = [alike.pattern for alike in _by_group(kind.tensors) if group_of(alike.pattern) != "norm"]
    yield from dict.fromkeys(rest.split(".")[0] for rest in rests)


def _by_group(tensors: Iterable[Alike]) -> list[Alike]:
    """Return a layer's tensors: attention first, then MLP, norms, others."""
    return sorted(tensors, key=lambda alike: GROUPS.index(group_of(alike.pattern)))


def _layer_table(kinds: Sequence[LayerKind]) -> Table:
    """Return the tensors of a layer of each kind; kinds that only the config tells apart share a section."""
    layers: dict[tuple[Alike, ...], list[int]] = {}
    for kind in kinds:
        layers.setdefault(kind.tensors, []).extend(kind.layers)
    several = len(layers) > 1
    table = _table("Tensors of a layer", ("tensor", "shape", "dtype"), ("parameters", "share"))
    for tensors, numbers in layers.items():
        total = total_of(tensors).parameters
        if several:
            table.add_row(f"[bold]{runs(sorted(numbers))}[/bold]", "", "", f"[bold]{human_count(total)}[/bold]", "")
        for alike in _by_group(tensors):
            _add_alike(table, alike, total)
        table.add_section()
    return table


def _outside_table(summary: Summary) -> Table:
    table = _table("Outside of the layers", ("tensor", "shape", "dtype"), ("parameters", "share"))
    total = summary.layout.parameters
    for part, tensors in summary.outside.items():
        if part == "text":
            for alike in tensors:
                _add_alike(table, alike, total)
            continue
        all_ = total_of(tensors)
        dtypes = ", ".join(dict.fromkeys(alike.info.dtype for alike in tensors))
        table.add_row(
            f"{_PARTS[part]}: {escape(_common_prefix(tensors))}",
            f"{all_.tensors:,} tensors",
            dtypes,
            human_count(all_.parameters),
            share_text(all_.parameters / total) if total else "",
        )
    table.caption = "share of the whole model"
    return table


def _add_alike(table: Table, alike: Alike, total: int) -> None:
    times = f" [dim]x {alike.count:,}[/dim]" if alike.count > 1 else ""
    shape = " x ".join(f"{size}" for size in alike.info.shape) or "one number"
    share = share_text(alike.parameters / total) if total else ""
    table.add_row(escape(alike.pattern) + times, shape, alike.info.dtype, human_count(alike.parameters), share)


def _common_prefix(tensors: Sequence[Alike]) -> str:
    """Return the modules that all names begin with, and a star."""
    parts = [alike.pattern.split(".") for alike in tensors]
    common = [names[0] for names in zip(*parts, strict=False) if len(set(names)) == 1]
    return ".".join([*common, "*"]) if len(tensors) > 1 else tensors[0].pattern


def _problems_table(problems: Sequence[Problem]) -> Table:
    if not problems:
        table = _table("Problems", ("",), header=False)
        table.add_row("[green]none found[/green]")
        return table
    table = _table("Problems", ("", "what", "what comes of it"))
    for problem in problems:
        severity = f"[{_COLOURS[problem.severity]}]{problem.severity}[/]"
        table.add_row(severity, escape(problem.what), escape(problem.consequence))
    return table
