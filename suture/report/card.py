"""The model card: what a published model is, what it was made of, how good it is, and how to run it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import yaml
from pydantic import JsonValue

from suture.licences import Judgement
from suture.report import tables, terms
from suture.report.card_head import GgufFile, card_head
from suture.report.data import ReportData
from suture.report.markdown import escape, fenced, markdown_table
from suture.report.tables import Table


@dataclass(frozen=True)
class CardSource:
    """A model that went into the published one.

    Attributes:
        model: Repository, package or folder.
        commit: What pins it.
        licence: What it is under.
        repository: Its repository on the hub; empty for a model that has none.
    """

    model: str
    commit: str
    licence: str
    repository: str


@dataclass(frozen=True)
class CardInput:
    """What a card is made from.

    Attributes:
        name: Name of the model.
        repo: Where it is published.
        description: What its recipe is for.
        methods: How it was merged.
        sources: What it was made of.
        judgement: What their licences come to.
        override: Why it is published although the licences conflict or are unknown; empty where they allow it.
        checkpoint: Whether the 16-bit checkpoint is among the files.
        adapter: Whether what the heal learned lies beside it, and not in its weights.
        ggufs: The files for llama.cpp.
        lora: The heal's adapter, to be served beside one of them; None where it is in the weights.
        data: The report of its run; None where there is none.
        recipe: What was asked for; None where it is not known.
        plots: Title -> file in the repository.
    """

    name: str
    repo: str
    description: str
    methods: tuple[str, ...]
    sources: tuple[CardSource, ...]
    judgement: Judgement
    override: str
    checkpoint: bool
    adapter: bool
    ggufs: tuple[GgufFile, ...]
    lora: GgufFile | None
    data: ReportData | None
    recipe: JsonValue
    plots: Mapping[str, str]


def card(asked: CardInput) -> str:
    """Return the card's text; the same input gives the same text."""
    head = card_head(
        licence=asked.judgement.licence,
        base_models=[source.repository for source in asked.sources if source.repository],
        methods=asked.methods,
        name=asked.name,
        checkpoint=asked.checkpoint,
        ggufs=asked.ggufs,
        lora=asked.lora,
        data=asked.data,
    )
    blocks = [
        f"---\n{yaml.safe_dump(head, sort_keys=False, allow_unicode=True)}---",
        f"# {escape(asked.name)}",
        escape(asked.description),
        "Made with Suture: merged from the models below by the recipe at the end of this card.",
        _titled("Made of", markdown_table(_source_rows(asked.sources))),
        _titled("How to run it", _usage(asked)),
        *_results(asked),
        _titled("Licences", _licences(asked)),
        _titled("Provenance", _PROVENANCE),
        _titled("Recipe", _recipe(asked.recipe)),
    ]
    return "\n\n".join(block for block in blocks if block) + "\n"


_PROVENANCE = (
    "`provenance.json` states the digest of each file, the sources by commit and digest, and every step with its "
    "tools, as an [in-toto Statement](https://in-toto.io/Statement/v1). `suture provenance verify FOLDER` compares a "
    "download with it."
)


def _source_rows(sources: Sequence[CardSource]) -> Table:
    return [
        {"model": source.model, "commit": source.commit, "licence": source.licence or "not stated"}
        for source in sources
    ]


def _usage(asked: CardInput) -> str:
    blocks: list[str] = []
    if asked.ggufs:
        first = asked.ggufs[0]
        quant = f"{asked.repo}:{first.quant}"
        lora, beside = (f" --lora {asked.lora.file}", f"\nADAPTER ./{asked.lora.file}") if asked.lora else ("", "")
        blocks += [
            "With llama.cpp:",
            fenced(
                f"llama-server -hf {quant}{lora}\n# or, with the file at hand:\nllama-cli -m {first.file}{lora}",
                "bash",
            ),
            "With Ollama, by a Modelfile:" if lora else "With Ollama, directly or by a Modelfile:",
            "" if lora else fenced(f"ollama run hf.co/{quant}", "bash"),
            fenced(f"# Modelfile\nFROM ./{first.file}{beside}", "dockerfile"),
            f"What the heal learned is in `{asked.lora.file}`, beside the model." if asked.lora else "",
            markdown_table([{"file": each.file, "type": each.quant, "size": each.size} for each in asked.ggufs]),
        ]
    if asked.checkpoint:
        blocks += ["With transformers:", fenced(_TRANSFORMERS.format(repo=asked.repo), "python")]
    if asked.adapter:
        loading = f'model.load_adapter("{asked.repo}", adapter_kwargs={{"subfolder": "adapter"}})'
        blocks += [
            "This is the merge before the heal; what the heal learned is an adapter:",
            fenced(loading, "python"),
        ]
    return "\n\n".join(filter(None, blocks))


_TRANSFORMERS = """\
from transformers import AutoModelForCausalLM, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained("{repo}")
model = AutoModelForCausalLM.from_pretrained("{repo}", dtype="auto", device_map="auto")
prompt = tokenizer("The sea is", return_tensors="pt").to(model.device)
print(tokenizer.decode(model.generate(**prompt, max_new_tokens=64)[0]))"""


def _results(asked: CardInput) -> list[str]:
    data = asked.data
    if data is None:
        return []
    note = (
        "± is one standard error, intervals are 95 %. Speeds are those of the machine that measured them. "
        "Perplexity is over text that no training saw."
    )
    findings = "\n".join(f"- {escape(str(finding))}" for finding in data.findings)
    pictures = "\n\n".join(f"![{escape(title)}]({file})" for title, file in asked.plots.items())
    return [
        _titled("Scoreboard", f"{markdown_table(tables.scoreboard_rows(data))}\n\n{note}"),
        _titled("Findings", findings),
        pictures,
        _titled("Perplexity by text", markdown_table(tables.text_rows(data))),
        _titled("Merges against their parents", markdown_table(tables.standing_rows(data))),
        _titled("Quantization loss", markdown_table(tables.loss_rows(data))),
        _titled("Merge", markdown_table(tables.merge_rows(data))),
        _titled("Trainings", markdown_table(tables.training_rows(data))),
    ]


def _licences(asked: CardInput) -> str:
    blocks = [
        escape(terms.verdict_words(asked.judgement)),
        f"**It is published all the same, for this reason:** {escape(asked.override)}" if asked.override else "",
        markdown_table(terms.licence_rows(asked.judgement)),
        terms.NOTE,
    ]
    return "\n\n".join(filter(None, blocks))


def _recipe(recipe: JsonValue) -> str:
    return fenced(yaml.safe_dump(recipe, sort_keys=False, allow_unicode=True), "yaml") if recipe else ""


def _titled(title: str, content: str) -> str:
    return f"## {title}\n\n{content}" if content else ""
