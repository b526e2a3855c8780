"""The papers' numbers beside ours, where they are of the same kind."""

import math
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from medcoreset.errors import UserError
from medcoreset.identity import Surrogate
from medcoreset.plan import FULL, INDEPENDENT, NO_SURROGATE, Plan

REPORTING_RULE = {
    "eva": "published",
    "eva_tableA3": "deepcore",
    "eva_tableA4": "deepcore",
    "deepcore": "deepcore",
}
"""How each paper obtained its numbers, and tables whose numbers it cannot have obtained so.

A table's name starts with its paper's. CIFAR has no validation split, so that EVA's numbers on it
(Tables A3 and A4) can only be of the test split, at its best epoch.
"""

SURROGATE_EPOCHS = 10
"""DeepCore trains its selection models this long, unless a table says otherwise (Table 4)."""


def read_published(paths: Sequence[str | Path], tables: Sequence[str]) -> pd.DataFrame:
    """Return the rows of `tables` in `paths`, in the order of `tables`, numbers in percent.

    Columns: table, dataset, surrogate, network, method, rate, accuracy_mean, accuracy_std. A
    selection model that was trained for another time than its paper's usual has the surrogate
    `NETWORK+epochs=T`, as ours has under that paper's protocol. A table that no file has is a `UserError`.
    """
    try:
        every = [pd.read_csv(path, keep_default_na=False, na_values=[""]) for path in paths]
    except FileNotFoundError as problem:
        raise UserError(f"{problem.filename}: no such file of published numbers") from None
    rows = pd.concat(every, ignore_index=True) if every else pd.DataFrame(columns=["table"])
    if unknown := [table for table in tables if table not in set(rows["table"])]:
        files = ", ".join(map(str, paths)) or "no file"
        raise UserError(f"published: {unknown[0]!r} is in none of the published tables ({files})")
    rows = pd.concat([rows[rows["table"] == table] for table in tables] or [rows.iloc[:0]])
    if "surrogate_epochs" in rows:
        epochs = rows["surrogate_epochs"].fillna(SURROGATE_EPOCHS).astype(int)
        named = rows["surrogate"] + "+epochs=" + epochs.astype(str)
        rows["surrogate"] = rows["surrogate"].where(epochs == SURROGATE_EPOCHS, named)
    return rows.reset_index(drop=True)


def compare(table: pd.DataFrame, plan: Plan, published: pd.DataFrame) -> pd.DataFrame:
    """Return `table` with the published numbers, the difference, and whether it is tolerable.

    Only accuracies are compared, and only under the reporting rule by which the paper obtained its
    own: a test accuracy of the last epoch never gets the best validation accuracy beside it.
    Tolerable is |difference| ≤ max(tolerance, 2·√(std² + published_std²)) percentage points, an
    unknown deviation counting as 0. Cells without a published number stay empty.
    """
    known = _index(published)
    joined = [_join(row, plan, known) for row in table.to_dict("records")]
    compared = pd.DataFrame(joined, index=table.index, dtype=object)
    numbers = ["published_mean", "published_std", "difference"]
    return table.join(compared.astype(dict.fromkeys(numbers, float)))


def _index(published: pd.DataFrame) -> dict[tuple, tuple[float, float]]:
    """Map (rule, dataset, surrogate, network, method, rate) to the first table's mean and std."""
    known: dict[tuple, tuple[float, float]] = {}
    for row in published.to_dict("records"):
        rule = REPORTING_RULE.get(row["table"]) or REPORTING_RULE[row["table"].split("_")[0]]
        method, surrogate = row["method"], row["surrogate"]
        if method == "random" and row["rate"] == 1:  # all of the data, whatever picked it
            method = FULL
        if method in INDEPENDENT:
            surrogate = None
        key = (rule, row["dataset"], surrogate, row["network"], method, row["rate"])
        known.setdefault(key, (row["accuracy_mean"], row["accuracy_std"]))
    return known


def _join(row: dict, plan: Plan, known: dict) -> dict[str, float | bool | None]:
    nothing = dict.fromkeys(("published_mean", "published_std", "difference", "within_tolerance"))
    if row["metric"] != "accuracy":
        return nothing
    dataset, network, surrogate = (
        plan.published_as.get(name, name)
        for name in (row["dataset"], row["network"], _model(row["surrogate"]))
    )
    key = (
        plan.columns[row["protocol"]],
        dataset,
        None if row["method"] in INDEPENDENT else surrogate,
        network,
        row["method"],
        row["rate"],
    )
    if key not in known:
        return nothing
    mean, std = known[key]
    difference = row["mean"] - mean
    spread = 2 * math.hypot(*(0 if pd.isna(s) else s for s in (row["std"], std)))
    return {
        "published_mean": mean,
        "published_std": std,
        "difference": difference,
        "within_tolerance": bool(abs(difference) <= max(plan.tolerance, spread)),
    }


def _model(surrogate: str) -> str:
    return surrogate if surrogate == NO_SURROGATE else Surrogate.parse(surrogate).model
