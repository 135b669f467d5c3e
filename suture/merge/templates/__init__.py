r"""Chat templates of well-known formats.

chatml      <|im_start|>user\n ... <|im_end|>
llama3      <|start_header_id|>user<|end_header_id|>\n\n ... <|eot_id|>
mistral     [INST] ... [/INST] ... </s>
alpaca      ### Instruction:\n ... ### Response:\n ...
exaone      [|user|] ...\n[|assistant|] ... [|endofturn|]

Each is a text in Jinja for system, user and assistant; a tokenizer without a token for the beginning or the end of a
text has none in the chat either.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Format:
    """What a format needs of a tokenizer.

    Attributes:
        marks: Tokens that a model knows as one each; text cut into pieces means nothing to it.
        end: The one among them that ends an answer; None where the end of a text does.
    """

    marks: tuple[str, ...] = ()
    end: str | None = None


FORMATS = {
    "chatml": Format(("<|im_start|>", "<|im_end|>"), "<|im_end|>"),
    "llama3": Format(("<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"), "<|eot_id|>"),
    "mistral": Format(),  # [INST] was plain text in the first models, and a token in later ones
    "alpaca": Format(),
    "exaone": Format(("[|endofturn|]",), "[|endofturn|]"),
}
"""Name in a recipe -> the format."""


def read_format(name: str) -> str:
    """Return the template of a format."""
    return Path(__file__).with_name(f"{name}.jinja").read_text()
