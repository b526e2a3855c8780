"""The long table as the papers print theirs: methods × (dataset, rate), in Markdown, HTML and LaTeX."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from html import escape

import numpy as np
import pandas as pd

from medcoreset.analysis.aggregate import Choice
from medcoreset.analysis.comparison import LEVEL, MANY_PAIRS, Findings, is_better
from medcoreset.analysis.variance import seeds_for
from medcoreset.datasets.catalog import conditions_of
from medcoreset.plan import FULL, INDEPENDENT, NO_SURROGATE, Plan
from medcoreset.reporting.metrics import OF_CORESETS
from medcoreset.reporting.rules import RULES

STORED = "Stores all training samples"
"""What stands above the rows that select anew in every epoch, below those that keep a coreset."""

PAGE_COLUMNS = 10
"""Columns that fit a page; LaTeX gets more of them as several tables."""

METRICS = {
    "accuracy": ("", ""),
    "auc": ("AUC", "the area under the ROC curve, the mean over the labels"),
    "balanced_accuracy": ("Balanced accuracy", "the mean recall of the classes"),
    "worst_recall": ("Worst-class recall", "the lowest recall of a class, of each run its own"),
    "wrong_labels": ("Wrong labels", "the share of the coreset whose label was made wrong"),
    "repeated": (
        "Repeated samples",
        "the share of the coreset that repeats another of its samples",
    ),
}
"""Metric that has tables of its own → its title, and what it is; those but accuracy where they apply."""

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2em; color: #222 }
h1 { font-size: 1.3em } h2 { font-size: 1.05em; font-weight: 600; margin-top: 2em }
table { border-collapse: collapse; font-variant-numeric: tabular-nums }
th, td { padding: .25em .7em } th:first-child { text-align: left }
thead th { border-bottom: 1px solid #222 }
table { border-top: 2px solid #222; border-bottom: 2px solid #222 }
"""


@dataclass(frozen=True)
class Block:
    """One metric of one protocol, retrained network and surrogate: what may be compared.

    `rows` are the rows of the long table, those of random and full among them.
    """

    protocol: str
    network: str
    surrogate: str
    rows: pd.DataFrame
    metric: str = "accuracy"

    def cell(self, method: str, dataset: str, rate: float) -> pd.Series | None:
        """Return the row of one cell; the full training set is the same at every rate."""
        rows = self.rows[(self.rows["method"] == method) & (self.rows["dataset"] == dataset)]
        if method != FULL:
            rows = rows[rows["rate"] == rate]
        return None if rows.empty else rows.iloc[0]


def blocks(plan: Plan, table: pd.DataFrame, metric: str = "accuracy") -> list[Block]:
    """Split the table of a metric by protocol, network and surrogate, in the experiment's order."""
    of_metric = table[table["metric"] == metric]
    return [
        replace(block, metric=metric)
        for protocol in plan.columns
        for network in plan.networks
        for block in _blocks_of(
            of_metric[(of_metric["protocol"] == protocol) & (of_metric["network"] == network)],
            protocol,
            network,
        )
        if len(block.rows)
    ]


def shown_metrics(plan: Plan, table: pd.DataFrame) -> list[str]:
    """Return the metrics that have tables of their own: accuracy alone without conditions.

    Where a dataset has several labels per sample, of which most samples have few, AUC stands beside.
    """
    of_classes = table.loc[table["metric"] == "balanced_accuracy", "dataset"]
    given = [conditions_of(dataset) for dataset in plan.datasets]
    applies = dict.fromkeys(METRICS, any(each.given for each in given)) | {
        "accuracy": True,
        "auc": bool(set(table["dataset"]) - set(of_classes)),
        "wrong_labels": any(each.wrong for each in given),
        "repeated": any(each.duplicates for each in given),
    }
    there = set(table["metric"])
    return [metric for metric in METRICS if applies[metric] and metric in there]


def _every_block(plan: Plan, table: pd.DataFrame) -> list[Block]:
    metrics = shown_metrics(plan, table)
    return [block for metric in metrics for block in blocks(plan, table, metric)]


def _blocks_of(rows: pd.DataFrame, protocol: str, network: str) -> Iterator[Block]:
    independent = rows["method"].isin(INDEPENDENT) | (rows["surrogate"] == NO_SURROGATE)
    surrogates = rows["surrogate"][~independent].unique()
    if len(surrogates) == 0:
        surrogates = rows["surrogate"].unique()[:1]
    for surrogate in surrogates:
        own = (rows["surrogate"] == surrogate) & ~independent
        chosen = rows[own | independent]
        # Where random was run beside each of several surrogates, this surrogate's goes first.
        order = (chosen["surrogate"] != surrogate).sort_values(kind="stable").index
        chosen = chosen.loc[order].drop_duplicates(["dataset", "method", "rate"])
        yield Block(protocol, network, surrogate, chosen)


def heading(block: Block) -> str:
    """Return the title of a block: how the numbers were obtained, and with which networks."""
    trained = f"{block.network} trained on coresets selected with {block.surrogate}"
    title, _ = METRICS[block.metric]
    return "; ".join(filter(None, [title, block.protocol, trained]))


def percent(rate: float) -> str:
    """Return a selection rate in percent with all of its digits: different rates look different."""
    return format((Decimal(repr(rate)) * 100).normalize(), "f")


@dataclass(frozen=True)
class _Entry:
    """One cell: its number as text, whether it is shown to be better, and the paper's number."""

    text: str = ""
    better: bool = False
    published: str = ""


@dataclass(frozen=True)
class _Grid:
    """A block laid out: entries by method and column, a column being a dataset and a rate."""

    columns: list[tuple[str, float]]
    entries: dict[str, list[_Entry]] = field(default_factory=dict)

    @classmethod
    def of(cls, plan: Plan, block: Block, decimals: int) -> "_Grid":
        columns = [
            (dataset, rate)
            for dataset in plan.datasets
            if (block.rows["dataset"] == dataset).any()
            for rate in plan.rates
        ]
        cells = {
            method: [block.cell(method, *column) for column in columns] for method in plan.methods
        }
        present = {m: row for m, row in cells.items() if any(cell is not None for cell in row)}
        entries = {
            method: [_entry(cell, decimals) for cell in row] for method, row in present.items()
        }
        return cls(columns, entries)

    def split(self) -> list["_Grid"]:
        """Return the grid in parts of at most `PAGE_COLUMNS` columns, about equally wide."""
        count = -(-len(self.columns) // PAGE_COLUMNS)
        width = -(-len(self.columns) // count)
        return [
            _Grid(
                self.columns[first : first + width],
                {method: row[first : first + width] for method, row in self.entries.items()},
            )
            for first in range(0, len(self.columns), width)
        ]


MARKS = {"agrees": "", "differs": "†", "undecided": "‡"}
"""What stands after a published number."""


def _entry(cell: pd.Series | None, decimals: int) -> _Entry:
    if cell is None:
        return _Entry("–")
    published = ""
    if pd.notna(cell["published_mean"]):
        number = _number(cell["published_mean"], cell["published_std"], decimals)
        published = f"[{number}]{MARKS[cell['agreement']]}"
    better = is_better(cell) and cell["metric"] not in OF_CORESETS
    return _Entry(_number(cell["mean"], cell["std"], decimals), better, published)


def _number(mean: float, std: float, decimals: int) -> str:
    text = f"{mean:.{decimals}f}"
    return text if pd.isna(std) else f"{text} ± {std:.{decimals}f}"


def notes(plan: Plan, table: pd.DataFrame, choices: Sequence[Choice], found: Findings) -> list[str]:
    """Return the sentences below the table: how to read it, choices made, the experiment's own."""
    accuracy = table[table["metric"] == "accuracy"]
    n = _span(accuracy["n"])
    lines = [f"Accuracy in %, mean ± standard deviation over n = {n} runs. {_varied(found)}"]
    if plan.dynamic:
        named = ", ".join(plan.methods[key] for key in plan.dynamic)
        lines.append(
            f"{STORED}: {named}. At a selection rate such a row takes as many steps as the rows that "
            "keep a coreset of that share; of the full training set it can delete nothing."
        )
    lines += [
        f"Reported under {column}: {RULES[rule].summary}." for column, rule in plan.columns.items()
    ]
    further = shown_metrics(plan, table)[1:]
    lines += [f"{title}: {meaning}, in %." for title, meaning in map(METRICS.__getitem__, further)]
    lines += [_bold(plan, accuracy), *_gains(plan, accuracy)]
    compared = accuracy[accuracy["published_mean"].notna()]
    if len(compared):
        counts = compared["agreement"].value_counts()
        agree, differ, undecided = (int(counts.get(verdict, 0)) for verdict in MARKS)
        lines.append(
            "In brackets: the published number, where the paper obtained it under the same "
            f"reporting rule, a mean over {_span(compared['published_n'])} seeds. By the 90 % "
            "interval of the difference of means (Welch; two one-sided tests at 5 %) "
            f"{agree} of {len(compared)} agree within ±{plan.tolerance:g} points, "
            f"{differ} differ by more (†), and {undecided} are undecided with so few seeds (‡)."
        )
        if compared[["std", "published_std"]].isna().any(axis=None):
            lines.append(
                "Where a number has no deviation, that beside it stands for both; where neither "
                "has one, the comparison is undecided."
            )
    lines += [*_tuned(plan, accuracy), *_chosen(plan, choices)]
    return [*lines, *plan.notes]


def _span(numbers: pd.Series) -> str:
    low, high = (int(number) for number in (numbers.min(), numbers.max()))
    return f"{low}" if low == high else f"{low} to {high}"


VARIED = {
    frozenset({"one run"}): "A single seed has no deviation.",
    frozenset({"shared"}): (
        "The seeds repeat selection and training with one surrogate: deviations and differences "
        "hold for this surrogate, and do not include what another one would change."
    ),
    frozenset({"paired"}): (
        "Every seed has a surrogate of its own: deviations and differences are of surrogate, "
        "selection and training together."
    ),
}
"""What the repetitions of a table's cells vary, in words, where that takes no numbers."""


def _varied(found: Findings) -> str:
    """Return what repeated runs differ in, and what no repetition shows."""
    by_source = ", ".join(f"{name} {value:.2f}" for name, value in found.deviations.items())
    words = VARIED.get(
        found.designs,
        "Deviations and differences are of all that the runs repeat together. By source, median standard "
        f"deviation over the cells: {by_source} points.",
    )
    return (
        f"{words} The test images alone give an accuracy a standard error of "
        f"{found.test_set:.1f} points (binomial, median), which all rows share."
    )


def _bold(plan: Plan, accuracy: pd.DataFrame) -> str:
    """Return what bold print stands for, or why nothing is bold."""
    reference = plan.methods.get(plan.reference, plan.reference)
    if accuracy["p"].isna().all():
        return f"Nothing is bold: there are no repeated runs to compare with {reference}'s."
    if accuracy.apply(is_better, axis=1).any():
        return f"Bold: better than {reference} by the paired comparison, corrected (next note)."
    return f"Nothing is bold: no row is shown to be better than {reference} (next note)."


def _gains(plan: Plan, accuracy: pd.DataFrame) -> list[str]:
    """Return what the differences to the reference row show, and what so few seeds can show."""
    tested = accuracy[accuracy["p"].notna()]
    if tested.empty:
        return []
    reference = plan.methods[plan.reference]
    pairs = int(tested["pairs"].max())
    deviation = float((tested["gain_se"] * np.sqrt(tested["pairs"])).median())
    better, worse = (
        int(((tested["p_holm"] < LEVEL) & (sign * tested["gain"] > 0)).sum()) for sign in (1, -1)
    )
    lines = [
        f"Paired with {reference}, seed by seed, {better} of {len(tested)} cells are better and "
        f"{worse} worse (Student's t, corrected by Holm over these, 5 %; columns gain to p_holm of "
        f"table.csv). The differences have a standard deviation of {deviation:.2f} points "
        f"(median), with which {seeds_for(1.0, deviation)} seeds show a difference of 1 point in "
        "one comparison (80 % power)."
    ]
    if pairs < MANY_PAIRS:
        lines.append(
            f"With {pairs} pairs no signed-rank test can go below p = {2 / 2**pairs:g}; "
            "Student's p values rest on normally distributed differences."
        )
    return lines


def _tuned(plan: Plan, accuracy: pd.DataFrame) -> list[str]:
    """Return among how many candidates each row's options were chosen, if any row had several.

    Columns of the experiment, under which a row may have other candidates, share a sentence if they can.
    """
    columns: dict[str, list[str]] = {}
    for column in plan.columns:
        rows = accuracy[(accuracy["protocol"] == column) & (accuracy["method"] != FULL)]
        counts = {
            label: _span(rows.loc[rows["method"] == method, "candidates"])
            for method, label in plan.methods.items()
            if (rows["method"] == method).any()
        }
        columns.setdefault(_counted(counts), []).append(column)
    return [
        (f"Under {', '.join(named)}: " if len(named) < len(plan.columns) else "") + sentence
        for sentence, named in columns.items()
        if sentence
    ]


def _counted(candidates: dict[str, str]) -> str:
    """Return a sentence on the numbers of candidates, by row; none where every row has one."""
    rows: dict[str, list[str]] = {}
    for label, count in candidates.items():
        rows.setdefault(count, []).append(label)
    fixed = rows.pop("1", [])
    if not rows:
        return ""
    among = "; ".join(f"{', '.join(labels)} among {count}" for count, labels in rows.items())
    text = f"Options chosen on validation data among candidates, for every cell: {among}."
    if len(rows) > 1:
        text += " The numbers differ: a row with more candidates had more to choose from."
    return text + (f" Not tuned: {', '.join(fixed)}." if fixed else "")


def _chosen(plan: Plan, choices: Sequence[Choice]) -> list[str]:
    """Return what was chosen in each cell: a sentence for the rates of a row, dataset and column."""
    along: dict[tuple[str, ...], list[Choice]] = {}
    for choice in choices:
        along.setdefault(choice.run.cell[:-1], []).append(choice)
    return [_said(plan, where, of_rates) for where, of_rates in along.items()]


def _said(plan: Plan, where: tuple[str, ...], choices: Sequence[Choice]) -> str:
    dataset, column, surrogate, network, method = where
    found = ", ".join(
        f"{choice.run.variant} at {percent(choice.run.rate)} % ({choice.val_accuracy:.1f} %)"
        for choice in choices
    )
    split = "same validation" if choices[0].reports == "val" else choices[0].reports
    return (
        f"{plan.methods[method]}, {plan.datasets[dataset].label}, {column}, {network} selected with "
        f"{surrogate}, by mean validation accuracy (in brackets): {found}; the numbers are of the "
        f"{split} split."
    )


def markdown(plan: Plan, table: pd.DataFrame, below: Sequence[str], decimals: int = 1) -> str:
    """Return the tables in Markdown, one per block, the published number below each of ours.

    `below` are the sentences below them, `decimals` those of the numbers.
    """
    parts = [f"# {plain(plan.title)}"]
    for block in _every_block(plan, table):
        parts.append(f"## {plain(heading(block))}")
        parts.append(_markdown_grid(plan, _Grid.of(plan, block, decimals)))
    parts.append("\n".join(f"- {plain(note)}" for note in below))
    return "\n\n".join(parts) + "\n"


def html(plan: Plan, table: pd.DataFrame, below: Sequence[str], decimals: int = 1) -> str:
    """Return the Markdown tables as a page of their own."""
    return page(plan.title, markdown(plan, table, below, decimals))


def page(title: str, text: str) -> str:
    """Return Markdown as an HTML page of its own."""
    import markdown as renderer

    body, title = renderer.markdown(text, extensions=["tables"]), escape(title)
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f"<style>{STYLE}</style></head>\n<body>\n{body}\n</body></html>\n"
    )


def _markdown_grid(plan: Plan, grid: _Grid) -> str:
    def cell(entry: _Entry) -> str:
        text = f"**{entry.text}**" if entry.better else entry.text
        return f"{text}<br>{entry.published}" if entry.published else text

    head = [f"{plain(plan.datasets[d].label)} {percent(rate)} %" for d, rate in grid.columns]
    lines = [["Method", *head], ["---", *["---:"] * len(head)]]
    for method, entries in grid.entries.items():
        if method == _first(plan.dynamic, grid):
            lines.append([f"*{STORED}*", *[""] * len(entries)])
        lines.append([plain(plan.methods[method]), *map(cell, entries)])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _first(methods: Sequence[str], grid: _Grid) -> str | None:
    """Return the first of `methods` that the grid has."""
    return next((method for method in methods if method in grid.entries), None)


def plain(text: str) -> str:
    """Return text, in one line, that Markdown shows as it stands: no markup, no HTML, no links.

    An underscore within a word is none, and `mean (ci_low)` better read without a backslash.
    """
    line = re.sub(r"&(?=#?\w+;)", "&amp;", " ".join(text.split()))
    line = line.replace("<", "&lt;").replace(">", "&gt;")
    line = re.sub(r"([\\`*\[\]|])|(?<![^\W_])_|_(?![^\W_])", r"\\\g<0>", line)
    return re.sub(r"^(\d*)([#+.-])(?=[\s#])", r"\1\\\2", line)  # no heading or list in a list


def latex(plan: Plan, table: pd.DataFrame, below: Sequence[str], decimals: int = 1) -> str:
    r"""Return the tables in LaTeX, a `table*` per block and page of columns.

    They are to be `\input` into a document that loads booktabs.
    """
    parts = ["% \\usepackage{booktabs} in the preamble."]
    sentences = "\\\\\n".join(map(_tex, below))
    pages = [
        (f"{plan.title}. {heading(block)}.", part)
        for block in _every_block(plan, table)
        for part in _Grid.of(plan, block, decimals).split()
    ]
    for number, (caption, grid) in enumerate(pages, start=1):
        parts += [
            "\\begin{table*}[tbp]",
            "\\centering\\footnotesize\\setlength{\\tabcolsep}{3pt}",
            f"\\caption{{{_tex(caption)}}}",
            f"\\label{{tab:{plan.name.replace('_', '-')}-{number}}}",
            _latex_grid(plan, grid),
            "\\par\\smallskip\n\\begin{minipage}{\\textwidth}\\scriptsize\\raggedright",
            sentences,
            "\\end{minipage}",
            "\\end{table*}",
        ]
    return "\n".join(parts) + "\n"


def _latex_grid(plan: Plan, grid: _Grid) -> str:
    widths = Counter(dataset for dataset, _ in grid.columns)
    spans, rules, last = [], [], 1
    for dataset, width in widths.items():
        spans.append(f"\\multicolumn{{{width}}}{{c}}{{{_tex(plan.datasets[dataset].label)}}}")
        rules.append(f"\\cmidrule(lr){{{last + 1}-{last + width}}}")
        last += width
    head = [f"{percent(rate)}\\,\\%" for _, rate in grid.columns]
    lines = [
        f"\\begin{{tabular}}{{l*{{{len(grid.columns)}}}{{c}}}}",
        "\\toprule",
        " & ".join(["", *spans]) + r" \\",
        " ".join(rules),
        " & ".join(["Method", *head]) + r" \\",
        "\\midrule",
    ]
    for method, entries in grid.entries.items():
        if method == _first(plan.dynamic, grid):
            span = len(grid.columns) + 1
            lines += ["\\midrule", f"\\multicolumn{{{span}}}{{l}}{{\\emph{{{STORED}}}}} \\\\"]
        label = _tex(plan.methods[method])
        full = list(widths.values())
        lines += _latex_row(label, entries, full if method == FULL else [1] * len(entries))
    return "\n".join([*lines, "\\bottomrule", "\\end{tabular}"])


def _latex_row(label: str, entries: Sequence[_Entry], spans: Sequence[int]) -> Iterator[str]:
    """Yield a method's line and, where anything is published, the line of the paper's numbers.

    An entry that is the same in several columns spans them.
    """
    shown = [entries[sum(spans[:i])] for i in range(len(spans))]

    def line(first: str, texts: Sequence[str]) -> str:
        cells = [
            text if span == 1 else f"\\multicolumn{{{span}}}{{c}}{{{text}}}"
            for text, span in zip(texts, spans, strict=True)
        ]
        return " & ".join([first, *cells]) + r" \\"

    yield line(label, [_tex_bold(entry) for entry in shown])
    if any(entry.published for entry in shown):
        yield line("", [_tex_number(entry.published) for entry in shown]) + "\\addlinespace[2pt]"


def _tex_bold(entry: _Entry) -> str:
    number = _tex_number(entry.text)
    return f"\\textbf{{{number}}}" if entry.better else number


def _tex_number(text: str) -> str:
    """Return `mean ± std` with a small deviation, so that ten columns fit a page."""
    marks = str.maketrans({mark: _TEX[mark] for mark in "†‡"})
    return re.sub(r" ± ([\d.]+)", r"{\\tiny$\\pm$\1}", text).translate(marks)


_TEX = {
    "\\": r"\textbackslash{}",
    **{character: f"\\{character}" for character in "&%$#_{}"},
    "[": "{[}",  # at the start of a row it would be read as the argument of \\
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": "$<$",
    ">": "$>$",
    "|": "$|$",
    "±": r"$\pm$",
    "×": r"$\times$",
    "−": "$-$",
    "–": "--",
    "≤": r"$\leq$",
    "≥": r"$\geq$",
    "α": r"$\alpha$",
    "β": r"$\beta$",
    "√": r"$\surd$",
    "·": r"$\cdot$",
    "→": r"$\to$",
    "†": r"$^\dagger$",
    "‡": r"$^\ddagger$",
    "“": "``",
    "”": "''",
    "’": "'",
    "…": r"\ldots{}",
}


def _tex(text: str) -> str:
    """Escape `text` for LaTeX; the few symbols that labels and notes use become commands."""
    return "".join(_TEX.get(character, character) for character in text)
