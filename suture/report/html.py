"""The report as one HTML file."""

from __future__ import annotations

import base64
from collections.abc import Mapping

import yaml

from suture import __version__
from suture.report import numbers, plots, probe_plots, probes, tables, terms
from suture.report.data import ArmData, Finding, MergeData, ReportData, StepData, TestResult
from suture.report.document import document
from suture.report.markup import Markup, element
from suture.report.pages import Pictures
from suture.report.tables import Table

_TONES = {"gain": "better", "loss": "worse", "even": "no difference", "note": "note"}
_TEXT_COLUMNS = frozenset({"model", "role", "quant"})
"""Columns of the scoreboard that are not numbers."""


def html_page(data: ReportData, pictures: Pictures | None = None) -> str:
    """Return the whole page; `pictures` are of the pages that the models wrote."""
    main = element(
        "main",
        _header(data),
        _scoreboard(data),
        _findings(data),
        _figures(data),
        _seam(data),
        _standings(data),
        _losses(data),
        _speeds(data),
        _tests(data),
        _pages(data, pictures or {}),
        _merge(data),
        _trainings(data),
        _steps(data),
        _provenance(data),
        _recipe(data),
        _footer(data),
    )
    return document(f"{data.name} - Suture report", main)


def _header(data: ReportData) -> Markup:
    cached = sum(step.state == "cached" for step in data.steps)
    facts = {
        "started": f"{data.started:%Y-%m-%d %H:%M} UTC",
        "took": numbers.duration(data.seconds),
        "steps": f"{len(data.steps)}, {cached} of them cached",
        "run": data.run,
    }
    return element(
        "header",
        element("p", "Suture report", element("span", data.state, class_=f"state {data.state}"), class_="eyebrow"),
        element("h1", data.name),
        element("p", data.description, class_="lead") if data.description else "",
        _pairs(facts),
        element("pre", data.error, class_="error") if data.error else "",
    )


# -- results --------------------------------------------------------------------------------------------------


def _scoreboard(data: ReportData) -> Markup:
    heads = [element("th", column, scope="col", class_=_alignment(column)) for column in tables.SCOREBOARD]
    rows = [_arm_row(arm, data) for arm in data.arms]
    board = element("table", element("thead", element("tr", *heads)), element("tbody", *rows), class_="board")
    note = "± is one standard error. Speeds are those of the machine that measured them."
    return _section(
        "Scoreboard", element("div", board, class_="scroll wide", tabindex="0"), element("p", note, class_="small")
    )


def _arm_row(arm: ArmData, data: ReportData) -> Markup:
    cells = [_arm_cell(column, say(arm)) for column, say in tables.SCOREBOARD.items()]
    colour = f"--arm: var(--{plots.colour(arm.name, arm.role, data)})"
    return element("tr", *cells, class_=f"arm {arm.role}", style=colour)


def _arm_cell(column: str, text: str) -> Markup:
    if column == "model":
        return element("th", element("span", class_="dot"), text, scope="row")
    shown = element("span", "missing", class_="missing") if text == numbers.MISSING else text
    return element("td", shown, class_=_alignment(column), data_label=column)


def _alignment(column: str) -> str:
    return "" if column in _TEXT_COLUMNS else "number"


def _findings(data: ReportData) -> Markup:
    if not data.findings:
        return Markup()
    return _section("Findings", element("ul", *map(_finding, data.findings), class_="findings"))


def _finding(finding: Finding) -> Markup:
    words = element("p", element("strong", _unbroken(finding.text)), " ", element("span", _unbroken(finding.numbers)))
    tone = "missing" if finding.about == "missing" else _TONES[finding.tone]
    return element("li", element("span", tone, class_="tone"), words, class_=finding.tone)


def _unbroken(text: str) -> str:
    """Return text whose numbers no line break parts from their errors and units."""
    return text.replace(" ± ", "\N{NO-BREAK SPACE}±\N{NO-BREAK SPACE}").replace(" %", "\N{NO-BREAK SPACE}%")


def _figures(data: ReportData) -> Markup:
    tuned = any(training.role == "source" for training in data.trainings)
    dashed = " Dashed: fine-tuning of the sources." if tuned else ""
    drawn = [
        _figure(plots.loss_plot(data), "Training loss", f"Bold: moving average.{dashed}"),
        _figure(plots.perplexity_plot(data), "Perplexity on held-out text", "Whiskers of one standard error."),
        _figure(
            plots.gates_plot(data), "Gates of the repeated layers", "Share of what they add that is used; 1: all."
        ),
    ]
    by_text = _titled("Perplexity by text", _table(tables.text_rows(data)))
    return _section("Loss and perplexity", element("div", *drawn, class_="figures"), by_text)


def _figure(svg: str | None, title: str, note: str) -> Markup:
    if svg is None:
        return Markup()
    caption = element("figcaption", element("strong", title), " ", note)
    return element("figure", caption, element("div", Markup(plots.themed(svg)), role="img", aria_label=title))


def _seam(data: ReportData) -> Markup:
    """Return what the probes saw in the models in 16 bits."""
    if not data.probes:
        return Markup()
    seams = probes.seams_of(data.merges[-1])
    dotted = " Dotted: the seams. Dashed: the sources, their layers where the merge has them." if seams else ""
    stream = f"What flows from layer to layer: its size, and how far each layer turns it (1: not at all).{dotted}"
    drawn = [
        _figure(probe_plots.seam_plot(data), "Residual stream", stream),
        _figure(probe_plots.position_plot(data), "Perplexity by position", "Whiskers of one standard error."),
    ]
    first = data.probes[0]
    read = f"{first.chunks} chunks of {first.context} tokens of {first.text}"
    note = f"The models in 16 bits, on {read}. All read the same, so that their errors rise and fall together."
    return _section(
        "Seam" if seams else "Residual stream",
        element("div", *drawn, class_="figures"),
        _titled("Perplexity by position", _table(tables.position_rows(data))),
        element("p", note, class_="small"),
    )


def _standings(data: ReportData) -> Markup:
    if not data.standings:
        return Markup()
    note = (
        "Difference of the perplexity to that of the parent that is best on the text; 95 % intervals, "
        "over the chunks that both read."
    )
    figure = _figure(
        plots.standings_plot(data), "Change of perplexity to the best parent", "Whiskers: 95 % intervals."
    )
    table = _table(tables.standing_rows(data))
    return _section("Merges against their parents", figure, table, element("p", note, class_="small"))


def _losses(data: ReportData) -> Markup:
    rows = tables.loss_rows(data)
    if not rows:
        return Markup()
    note = (
        "KLD: Kullback-Leibler divergence of the predictions from those of the same model's 16-bit file, in nats per "
        "token. It compares quantizations of one model; between models it says nothing."
    )
    return _section("Quantization loss", _table(rows), element("p", note, class_="small"))


def _speeds(data: ReportData) -> Markup:
    rows = tables.speed_rows(data)
    if not rows:
        return Markup()
    note = "By llama-bench: the model without a server, on an empty context, on a machine that did nothing else."
    return _section("Bare speed", _table(rows), element("p", note, class_="small"))


def _tests(data: ReportData) -> Markup:
    rows = tables.test_rows(data)
    if not rows:
        return Markup()
    every = element("details", element("summary", "Test by test"), _table(rows))
    pairs = tables.rivalry_rows(data.rivalries)
    note = (
        "Each pair is compared test by test. Interval: of the difference, over other tests of the kind (bootstrap "
        "over tests). h: Cohen's, 0.2 is a small effect and 0.8 a large one. p: exact McNemar's, corrected for "
        f"{len(pairs)} comparisons by Holm's method."
    )
    compared = (_titled("Pairs of models", _table(pairs)), element("p", note, class_="small")) if pairs else ()
    return _section("Tests passed", _table(tables.category_rows(data)), *compared, every)


def _pages(data: ReportData, pictures: Pictures) -> Markup:
    """Return what the models' pages look like, each with how many of its checks hold."""
    blocks: list[Markup] = []
    for arm in data.arms:
        shown = [test for test in arm.tests if test.checks]
        figures = [_page(test, pictures.get(arm.name, {}).get(test.id)) for test in shown]
        if figures:
            held, made = sum(test.checks_passed for test in shown), sum(test.checks_made for test in shown)
            blocks.append(
                _titled(f"{arm.name}: {held} of {made} checks hold", element("div", *figures, class_="pages"))
            )
    if not blocks:
        return Markup()
    note = "Each page as it looked when it was opened. A check that needs a browser is skipped where there was none."
    return _section("Pages", *blocks, element("p", note, class_="small"))


def _page(test: TestResult, picture: bytes | None) -> Markup:
    skipped = f", {test.checks_skipped} skipped" if test.checks_skipped else ""
    caption = element(
        "figcaption", element("strong", test.id), f"{test.checks_passed} of {test.checks_made}{skipped}"
    )
    if picture is None:
        return element("figure", caption)
    source = f"data:image/webp;base64,{base64.b64encode(picture).decode()}"
    return element("figure", element("img", src=source, alt=f"Screenshot of {test.id}", loading="lazy"), caption)


# -- how it was made ------------------------------------------------------------------------------------------


def _merge(data: ReportData) -> Markup:
    rows = tables.merge_rows(data)
    if not rows:
        return Markup()
    stacks = [_stack(merge, data) for merge in data.merges]
    if len(data.merges) > 1:
        return _section("Merges", *stacks, _table(rows))
    return _section("Merge", *stacks, _pairs({row["what"]: row["value"] for row in rows}))


def _stack(merge: MergeData, data: ReportData) -> Markup:
    """Return the layers of a stack side by side, each part as wide as it has layers, sewn together at the seams."""
    if not merge.stack:
        return Markup()
    seams = merge.account.seams if merge.account else ()
    parts: list[Markup] = []
    start = 0
    for part in merge.stack:
        count = part.last - part.first + 1
        where = f"layers {part.first} to {part.last}"
        label = element("div", element("strong", part.source), " ", element("span", where))
        style = f"--arm: var(--{plots.colour(part.source, 'source', data)}); flex-grow: {count}"
        seam = "seam" if start in seams else ""
        parts.append(element("li", label, class_=seam, style=style, title=f"{part.source}, {where}"))
        start += count
    stack = element("ol", *parts, class_="stack")
    return _titled(merge.name, stack) if len(data.merges) > 1 else stack


def _trainings(data: ReportData) -> Markup:
    if not data.trainings:
        return Markup()
    note = (
        "update: size of the fused update relative to the weights it changed; "
        "survived: share of it that is left after the cast to 16 bits."
    )
    return _section("Trainings", _table(tables.training_rows(data)), element("p", note, class_="small"))


def _steps(data: ReportData) -> Markup:
    heads = [element("th", column, scope="col") for column in tables.STEPS]
    longest = max((step.seconds or 0 for step in data.steps if step.state == "built"), default=0)
    rows = [_step_row(step, longest) for step in data.steps]
    table = element("table", element("thead", element("tr", *heads)), element("tbody", *rows), class_="steps")
    return _section("Steps", element("div", table, class_="scroll", tabindex="0"))


def _step_row(step: StepData, longest: float) -> Markup:
    cells = {column: element("td", say(step)) for column, say in tables.STEPS.items()}
    share = (step.seconds or 0) / longest if longest and step.state == "built" else 0
    took = tables.STEPS["in this run"](step)
    cells["in this run"] = element("td", took, class_="time", style=f"--share: {100 * share:.0f}%")
    cells["state"] = element("td", element("span", tables.STEPS["state"](step), class_=f"badge {step.state}"))
    cells["key"] = element("td", element("code", tables.STEPS["key"](step)))
    return element("tr", *cells.values())


def _provenance(data: ReportData) -> Markup:
    versions = element("details", element("summary", "Versions"), _table(tables.version_rows(data)))
    return _section("Provenance", _table(tables.source_rows(data)), _licences(data), versions)


def _licences(data: ReportData) -> Markup:
    if data.licences is None:
        return Markup()
    verdict = element("p", terms.verdict_words(data.licences))
    asked = terms.licence_rows(data.licences)
    return element(
        "div",
        element("h3", "Licences"),
        verdict,
        _table(asked) if asked else "",
        element("p", terms.NOTE, class_="small"),
    )


def _recipe(data: ReportData) -> Markup:
    text = yaml.safe_dump(data.recipe, sort_keys=False, allow_unicode=True, width=100)
    return _section("Recipe", element("details", element("summary", "Every field"), element("pre", text)))


def _footer(data: ReportData) -> Markup:
    flow = (", Prefect flow run ", _flow_run(data)) if data.flow_run else ()
    beside = ". In a terminal: suture show ", data.run, ". The same as data: report.json beside this file."
    return element("footer", f"Suture {__version__}, run {data.run}", *flow, *beside)


def _flow_run(data: ReportData) -> str:
    """Return the flow run's id, as a link where its page has an address that a browser may follow."""
    if not data.flow_url.startswith(("http://", "https://")):
        return data.flow_run
    return element("a", data.flow_run, href=data.flow_url)


# -- parts ----------------------------------------------------------------------------------------------------


def _section(title: str, *content: str) -> Markup:
    return element("section", element("h2", title), *content)


def _titled(title: str, content: Markup) -> Markup:
    return element("div", element("h3", title), content) if content else Markup()


def _pairs(values: Mapping[str, str]) -> Markup:
    return element(
        "dl", *(element("div", element("dt", name), element("dd", value)) for name, value in values.items())
    )


def _table(rows: Table) -> Markup:
    if not rows:
        return Markup()
    heads = [element("th", column, scope="col") for column in rows[0]]
    body = [element("tr", *(_cell(value) for value in row.values())) for row in rows]
    table = element("table", element("thead", element("tr", *heads)), element("tbody", *body))
    return element("div", table, class_="scroll", tabindex="0")


def _cell(value: str) -> Markup:
    return element("td", value, class_="missing" if value == numbers.MISSING else "")
