"""Whether a text is a chat template. It is parsed and never run, nor compiled: that would compute its constants."""

from __future__ import annotations

from jinja2 import Environment, TemplateSyntaxError, nodes
from jinja2.ext import Extension, LoopControlExtension
from jinja2.parser import Parser


class _Generation(Extension):
    """The block `{% generation %}`, with which transformers marks what the model is to learn."""

    tags = {"generation"}  # noqa: RUF012 -- as the base class has it

    def parse(self, parser: Parser) -> list[nodes.Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


def find_mistake(text: str) -> str | None:
    """Return why a text is no chat template, or None if it is one."""
    environment = Environment(extensions=[LoopControlExtension, _Generation])  # noqa: S701 -- nothing is rendered
    try:
        tree = environment.parse(text)
    except TemplateSyntaxError as error:
        return f"a mistake in line {error.lineno}: {error.message}"
    except RecursionError:
        return "blocks or brackets that lie too deep in each other"
    filters, tests = {*environment.filters}, {*environment.tests}  # pyright: ignore[reportUnknownMemberType]
    for kind, known in ((nodes.Filter, filters), (nodes.Test, tests)):
        for node in tree.find_all(kind):
            if node.name not in known:
                return f"no such {kind.__name__.lower()} in line {node.lineno}: {node.name}"
    if not any(node.name == "messages" for node in tree.find_all(nodes.Name)):
        return "a text that never looks at `messages`"
    return None
