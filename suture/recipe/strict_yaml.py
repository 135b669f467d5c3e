"""YAML written by strangers: of limited size, with no field given twice, and no alias that unfolds without end."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Iterator
from typing import Any

import yaml

MAX_BYTES = 2**18
"""A recipe of 64 single layers takes 3 kB; the reader takes a second for 100 kB."""
_MAX_VALUES = 100_000


def parse_documents(content: bytes) -> list[object]:
    """Parse a YAML file: its documents.

    Raises:
        ValueError: When it is too large, not in UTF-8, not YAML, gives a field twice, or unfolds into too much.
    """
    if len(content) > MAX_BYTES:
        msg = f"more than {MAX_BYTES} bytes"
        raise ValueError(msg)
    try:
        return list(yaml.load_all(content.decode(), _Loader))
    except RecursionError as error:
        msg = "nested too deeply"
        raise ValueError(msg) from error
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from error


class _Loader(yaml.SafeLoader):
    """Refuses what YAML's own loaders take: the last of two fields of one name, and aliases of aliases."""

    def compose_document(self) -> yaml.Node:
        node = super().compose_document()
        assert node is not None  # noqa: S101 -- an empty document is a node too
        if _unfolded(node, {}) > _MAX_VALUES:
            problem = f"more than {_MAX_VALUES} values, each alias counted as what it stands for"
            raise yaml.MarkedYAMLError(None, None, problem, node.start_mark)
        return node

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:  # noqa: FBT001, FBT002
        keys = [key for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        names = Counter(key.value for key in keys if key.tag != "tag:yaml.org,2002:merge")
        doubled = sorted(name for name, count in names.items() if count > 1)
        if doubled:
            raise yaml.constructor.ConstructorError(
                None, None, f"{', '.join(doubled[:3])}: given more than once in one mapping", node.start_mark
            )
        return super().construct_mapping(node, deep)


def _unfolded(node: yaml.Node, sizes: dict[int, float]) -> float:
    """Return how many values a node stands for, those of its aliases counted each time.

    Args:
        node: With all that it holds.
        sizes: What is known of other nodes; an alias of what it lies in has no end.
    """
    if id(node) not in sizes:
        sizes[id(node)] = math.inf
        sizes[id(node)] = 1 + sum(_unfolded(part, sizes) for part in _parts(node))
    return sizes[id(node)]


def _parts(node: yaml.Node) -> Iterator[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield key
            yield value
    elif isinstance(node, yaml.SequenceNode):
        yield from node.value
