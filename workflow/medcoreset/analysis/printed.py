"""The papers' own tables, as the plan and the long table that our writers and figures take."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from medcoreset.analysis import aggregate
from medcoreset.analysis.published import (
    PAPERS,
    REPORTING_RULE,
    RUNS,
    decimals,
    of_table,
    read_published,
)
from medcoreset.datasets import catalog
from medcoreset.methods import METHODS
from medcoreset.plan import FULL, NO_SURROGATE, Dataset, Plan, Reported
from medcoreset.reporting.rules import RULES

COLUMN = "as printed"
"""What stands for the protocol."""


@dataclass(frozen=True)
class Printed:
    """A published table: `table` has the columns of our own, without single runs."""

    plan: Plan
    table: pd.DataFrame
    notes: tuple[str, ...]
    decimals: int


def read(paths: Sequence[str | Path], name: str) -> Printed:
    """Return the table `name` of the published numbers; UserError if there is none.

    The full set, which DeepCore repeats in every row at 100 %, is one row.
    """
    rows = read_published(paths, [name])
    places = decimals(rows)
    whole = (rows["method"] == "random") & (rows["rate"] == 1)
    rows["method"] = rows["method"].mask(whole, FULL)
    rows = rows[(rows["method"] == FULL) | (rows["rate"] < 1)]
    rule, n = (of_table(name, known) for known in (REPORTING_RULE, RUNS))
    table = pd.DataFrame(
        {
            **rows[["dataset", "surrogate", "network", "method", "rate"]],
            "protocol": COLUMN,
            "metric": "accuracy",
            "mean": rows["accuracy_mean"],
            "std": rows["accuracy_std"],
            "n": n,
            "candidates": 1,
        }
    )
    table = table.reindex(columns=aggregate.COLUMNS)
    notes = (
        f"Accuracy in %, mean ± standard deviation over n = {n} runs, as the paper prints it; nothing is computed.",
        f"Obtained, as far as is known, under the reporting rule {rule}: {RULES[rule].summary}.",
    )
    return Printed(_plan(name, table, rule), table.reset_index(drop=True), notes, places)


def _plan(name: str, table: pd.DataFrame, rule: str) -> Plan:
    paper, _, number = name.partition("_table")
    rows = [method for method in dict.fromkeys(table["method"]) if method != FULL]
    labels = {method: METHODS[method].label for method in rows}
    if (table["method"] == FULL).any():
        labels[FULL] = "Full"
    return Plan(
        name=name,
        rehearsal=False,
        title=f"{PAPERS[paper]}, Table {number}, as printed",
        published=(),
        published_as={},
        tolerance=1.0,
        reference="random",
        notes=(),
        methods=labels,
        dynamic=(),
        datasets={
            key: Dataset(key, catalog.label(catalog.parse(key, {})), path="", recipe="")
            for key in dict.fromkeys(table["dataset"])
        },
        columns={COLUMN: rule},
        networks=tuple(dict.fromkeys(table["network"])),
        rates=tuple(sorted(set(table.loc[table["method"] != FULL, "rate"]) or {1.0})),
        runs=tuple(_run(row) for row in table.itertuples()),
        sources=(),
        scores=(),
        rankings=(),
        windows=(),
    )


def _run(row: Any) -> Reported:
    """Return the run that a number is of, of which nothing but its place is known."""
    known = row.surrogate != NO_SURROGATE
    return Reported(
        dataset=row.dataset,
        protocol=COLUMN,
        surrogate=f"{row.surrogate}+seed=0" if known else NO_SURROGATE,
        variant=row.method,
        rate=row.rate,
        network=row.network,
        seeds=(0,),
        trainings=1,
        balance="",
        column=COLUMN,
        method=row.method,
        metrics="",
        coresets="",
        recipe="",
    )
