"""The verdicts on claims, as a long table and as a page."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from medcoreset.analysis.aggregate import write_numbers
from medcoreset.analysis.claims import (
    NOT_RUN,
    Verdict,
    judge_printed,
    judge_runs,
    runs_of,
)
from medcoreset.analysis.predicates import Cell, Claim
from medcoreset.analysis.published import decimals, of_tables, printed
from medcoreset.analysis.tables import plain
from medcoreset.plan import Plan

COLUMNS = [
    *("claim", "paper", "place", "statement", "experiment", "source"),
    *("verdict", "holds", "comparisons", "deciding", "rounding", "seeds"),
]
"""Columns of the long table: a line per claim and `source`, `printed` or a column of an experiment."""
PRINTED, RUNS = "printed", "runs"

MEANING = [
    "Supported, contradicted: on printed numbers, all comparisons that the claim stands for (or most, or "
    "one, where it says so) hold as printed, or they do not. Below a verdict stands the comparison that is closest to failing, of a contradicted claim the one that fails by most.",
    "“Within rounding” marks a verdict on printed numbers that could be the other one before they were rounded.",
    "On runs, supported and contradicted ask that Student's intervals of the paired differences exclude the opposite (5 %; "
    "corrected by Holm where one comparison of several decides). Undecided names the seeds that would decide it, if the differences are as observed (80 % power).",
    "“By” is the paired difference less what is claimed, with its 95 % interval: above 0 is as claimed.",
    "A claim whose numbers are drawn and not printed is “not printed”. A verdict is on the sentence as it stands, not on the paper.",
]
"""How to read a page of verdicts."""


def judged(
    claims: Sequence[Claim],
    published: pd.DataFrame,
    plan: Plan | None = None,
    seeds: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Return the verdicts on printed numbers and, of an experiment, on the runs of each column.

    `published` has the rows of all tables that the claims name, `seeds` the single runs of `plan`.
    Without an experiment, claims are `NOT_RUN`. The columns are `COLUMNS`.
    """
    columns = {} if plan is None else {each: runs_of(seeds, plan, each) for each in plan.columns}
    lines = []
    for claim in claims:
        rows = of_tables(published, claim.tables)
        places = decimals(rows)
        means = {Cell(*place): mean for place, mean in printed(rows).items()}
        verdicts = {PRINTED: judge_printed(claim, means, places)}
        verdicts |= {name: judge_runs(claim, runs) for name, runs in columns.items()}
        if plan is None:
            verdicts[RUNS] = Verdict(NOT_RUN, count=len(claim.comparisons))
        lines += [_line(claim, source, verdict) for source, verdict in verdicts.items()]
    return pd.DataFrame(lines, columns=COLUMNS)


def _line(claim: Claim, source: str, found: Verdict) -> dict[str, object]:
    return {
        "claim": claim.name,
        "paper": claim.paper,
        "place": claim.place,
        "statement": claim.statement,
        "experiment": claim.experiment,
        "source": source,
        "verdict": found.verdict,
        "holds": found.holds,
        "comparisons": found.count,
        "deciding": found.deciding,
        "rounding": found.rounding,
        "seeds": found.seeds,
    }


def write(verdicts: pd.DataFrame, path: str | Path) -> None:
    """Write the long table; `seeds` is empty where no number is known, `inf` above a thousand."""
    write_numbers(verdicts, path, rehearsal=False)


def markdown(title: str, verdicts: pd.DataFrame, sources: Mapping[str, str]) -> str:
    """Return the verdicts as a page: a count, and a table per paper with a line per claim.

    `sources` maps the sources to what stands above their column.
    """
    parts = [f"# {plain(title)}", _counts(verdicts, sources)]
    for paper, rows in verdicts.groupby("paper", sort=False):
        parts.append(f"## {plain(paper)}")
        lines = [["Claim", *sources.values()], ["---"] * (1 + len(sources))]
        for _, of_claim in rows.groupby("claim", sort=False):
            first, by_source = of_claim.iloc[0], of_claim.set_index("source")
            claim = f"{plain(first['statement'])}<br>*{plain(first['place'])}*"
            lines.append([claim, *(_cell(by_source.loc[source]) for source in sources)])
        parts.append("\n".join(f"| {' | '.join(line)} |" for line in lines))
    parts.append("\n".join(f"- {plain(note)}" for note in MEANING))
    return "\n\n".join(parts) + "\n"


def _counts(verdicts: pd.DataFrame, sources: Mapping[str, str]) -> str:
    lines = []
    for source, heading in sources.items():
        found = Counter(verdicts.loc[verdicts["source"] == source, "verdict"])
        counts = ", ".join(f"{count} {verdict}" for verdict, count in found.most_common())
        lines.append(f"- {plain(heading)}: {counts}.")
    return "\n".join(lines)


def _cell(line: pd.Series) -> str:
    """Return what a source says of a claim."""
    verdict = f"**{line['verdict']}**"
    if line["verdict"] == NOT_RUN:
        return f"{verdict}<br>`{line['experiment']}`"
    if line["rounding"]:
        verdict += ", within rounding"
    if line["comparisons"] > 1 and line["deciding"]:
        verdict += f", {line['holds']} of {line['comparisons']} hold"
    if line["seeds"] == line["seeds"]:
        many = "more than 1,000" if np.isinf(line["seeds"]) else f"{line['seeds']:.0f}"
        verdict += f", {many} seeds"
    return "<br>".join(filter(None, [verdict, plain(line["deciding"])]))
