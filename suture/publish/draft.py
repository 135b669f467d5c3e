"""What is published beside the model's own files: card, licences' texts, recipe, plots and provenance."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml
from pydantic import BaseModel, JsonValue

from suture.hub.builtin import find_builtin
from suture.hub.files import is_terms
from suture.hub.licences import UNKNOWN, licence_of_text
from suture.hub.provenance import FILE, SIGNATURE, sign, state, without_paths
from suture.licences import Judgement, Licensed, judge, of_builtin_text
from suture.progress import human_bytes
from suture.publish.release import Release
from suture.recipe import Recipe, datasets_of, hub_dataset, is_path, with_commits, with_dataset_commits
from suture.report import plots
from suture.report.card import CardInput, CardSource, card
from suture.report.card_head import GgufFile
from suture.report.data import ReportData
from suture.store import Artifact

CARD = "README.md"
RECIPE = "recipe.yaml"


@dataclass(frozen=True)
class DraftFile:
    """A file to publish.

    Attributes:
        name: Its name in the repository.
        content: Where it lies, or its bytes.
        size: Bytes.
        sha256: Digest of its content.
    """

    name: str
    content: Path | bytes
    size: int
    sha256: str


@dataclass(frozen=True)
class Draft:
    """All that is to be published.

    Attributes:
        repo: Where to.
        release: The model.
        judgement: What the licences of its parts come to.
        override: Why it is published all the same where they conflict or are unknown.
        card: The card's text.
        files: Every file.
    """

    repo: str
    release: Release
    judgement: Judgement
    override: str
    card: str
    files: tuple[DraftFile, ...]


def draft(release: Release, repo: str, override: str = "", private_key: Path | None = None) -> Draft:
    """Write everything that goes with a release; the same release gives the same bytes, but for the signature.

    Args:
        release: The model.
        repo: Where it is to be published.
        override: Why it is published even if the licences conflict or are unknown; it goes into the card.
        private_key: Signs the statement of provenance; it is not signed where there is none.

    Raises:
        HostError: When it is to be signed and cannot be.
    """
    judgement = judge([*_models(release.made_of), *_texts(release)])
    recipe = None if release.recipe is None else _shown_recipe(release)
    drawn = [] if release.report is None else _plots(release.report)
    text = card(_card_input(release, repo, judgement, override, recipe, {title: name for title, name, _ in drawn}))
    written = {
        CARD: text.encode(),
        **({} if recipe is None else {RECIPE: _yaml(recipe)}),
        **{name: svg.encode() for _, name, svg in drawn},
        **_terms(release),
    }
    files = [
        *(DraftFile(file.name, file.path, file.size, file.sha256) for file in release.files),
        *(_in_memory(name, content) for name, content in written.items()),
    ]
    asked = None if release.recipe is None else release.recipe.model_dump(mode="json")
    statement = state({file.name: file.sha256 for file in files}, release.made_of, asked)
    stated = f"{statement.model_dump_json(indent=1)}\n".encode()
    files.append(_in_memory(FILE, stated))
    if private_key is not None:
        files.append(_in_memory(SIGNATURE, sign(stated, private_key)))
    return Draft(repo, release, judgement, override, text, tuple(files))


def _in_memory(name: str, content: bytes) -> DraftFile:
    return DraftFile(name, content, len(content), hashlib.sha256(content).hexdigest())


def _yaml(recipe: JsonValue) -> bytes:
    return yaml.safe_dump(recipe, sort_keys=False, allow_unicode=True).encode()


# -- what it was made of ------------------------------------------------------------------------------------------


def _models(made_of: Iterable[Artifact]) -> Iterator[Licensed]:
    for artifact in _fetched(made_of):
        facts = artifact.facts
        yield Licensed(name=str(facts["model"]), kind="model", licence=str(facts["licence"]))


def _fetched(made_of: Iterable[Artifact]) -> Iterator[Artifact]:
    return (artifact for artifact in made_of if artifact.manifest.step == "fetch")


def _texts(release: Release) -> Iterator[Licensed]:
    """Yield the texts that were trained on, with the licence that the folder of each file states today."""
    files = {Path(text).name: text for text in _trained_on(release.recipe)}
    for artifact in release.made_of:
        if artifact.manifest.step == "fetch_dataset":
            facts = artifact.facts
            yield Licensed(name=str(facts["dataset"]), kind="data", licence=str(facts["licence"]))
        if artifact.manifest.step == "dataset":
            for text in _Blend.model_validate(artifact.manifest.spec).texts:
                if text.files is None:  # others were fetched
                    known = licence_of_text(files[text.name]) if text.name in files else UNKNOWN
                    yield Licensed(name=text.name, kind="data", licence=of_builtin_text(text.name) or known)


class _BlendText(BaseModel):
    """What is read of a text in the spec of the step `dataset`."""

    name: str
    files: tuple[str, ...] | None = None


class _Blend(BaseModel):
    """What is read of that spec."""

    texts: tuple[_BlendText, ...]


def _trained_on(recipe: Recipe | None) -> Iterator[str]:
    if recipe is None:
        return
    for training in (*(source.finetune for source in recipe.sources), recipe.heal):
        yield from (data.text for data in training.data) if training else ()


def _terms(release: Release) -> dict[str, bytes]:
    """Return the licences' texts of all models, each below its model's name."""
    return {
        f"licences/{_as_folder(str(artifact.facts['model']))}/{file.path}": (artifact.path / file.path).read_bytes()
        for artifact in _fetched(release.made_of)
        for file in artifact.manifest.files
        if is_terms(file.path)
    }


def _as_folder(model: str) -> str:
    return model.replace("/", "--").replace(":", "-")


def _shown_recipe(release: Release) -> JsonValue:
    """Return the recipe with commits for branches, and without a path of this machine."""
    assert release.recipe is not None  # noqa: S101 -- asked by the caller
    commits = {source.name: source.commit for source in release.report.sources} if release.report else {}
    fetched = [each.facts for each in release.made_of if each.manifest.step == "fetch_dataset"]
    of_data = {str(facts["dataset"]): str(facts["commit"]) for facts in fetched}
    named = {
        data.text: of_data[repo] for data in datasets_of(release.recipe) if (repo := hub_dataset(data)[0]) in of_data
    }
    pinned = with_dataset_commits(with_commits(release.recipe, commits), named)
    return without_paths(pinned.model_dump(mode="json", exclude_defaults=True))


# -- the card -----------------------------------------------------------------------------------------------------


def _card_input(
    release: Release, repo: str, judgement: Judgement, override: str, recipe: JsonValue, drawn: Mapping[str, str]
) -> CardInput:
    return CardInput(
        name=release.name,
        repo=repo,
        description=release.recipe.description if release.recipe else "",
        methods=_methods(release.recipe),
        sources=tuple(_source(artifact) for artifact in _fetched(release.made_of)),
        judgement=judgement,
        override=override,
        checkpoint=release.has_checkpoint,
        adapter=any(file.name.startswith("adapter/") for file in release.files),
        ggufs=tuple(
            GgufFile(file.name, file.name.removesuffix(".gguf").rpartition("-")[2], human_bytes(file.size), file.key)
            for file in release.ggufs
        ),
        lora=None if release.lora is None else GgufFile(release.lora.name, "", "", release.lora.key),
        data=release.report,
        recipe=recipe,
        plots=drawn,
    )


def _methods(recipe: Recipe | None) -> tuple[str, ...]:
    return () if recipe is None else tuple(dict.fromkeys(merge.method for _, merge in recipe.merges))


def _source(fetched: Artifact) -> CardSource:
    model = str(fetched.facts["model"])
    spec = fetched.manifest.spec
    kind = spec.get("kind") if isinstance(spec, dict) else ""
    if kind == "builtin":
        repository = find_builtin(model).origin
    else:
        repository = model if "/" in model and not is_path(model) else ""
    return CardSource(model, str(fetched.facts["commit"]), str(fetched.facts["licence"]), repository)


def _plots(report: ReportData) -> list[tuple[str, str, str]]:
    """Return title, file and SVG of each plot."""
    drawn = (
        ("Perplexity on held-out text, whiskers of one standard error", "perplexity", plots.perplexity_plot(report)),
        ("Training loss", "loss", plots.loss_plot(report)),
        ("Merges against their parents, 95 % intervals", "standings", plots.standings_plot(report)),
    )
    return [(title, f"plots/{name}.svg", svg) for title, name, svg in drawn if svg]
