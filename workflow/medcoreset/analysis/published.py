"""The papers' numbers beside ours, where they are of the same kind."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from medcoreset.analysis.comparison import LEVEL
from medcoreset.analysis.variance import Estimate
from medcoreset.errors import UserError
from medcoreset.plan import FULL, INDEPENDENT, Plan

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

PAPERS = {"eva": "EVA", "deepcore": "DeepCore"}
"""The papers by the name that those of their tables begin with."""

RUNS = {"eva": 3, "deepcore": 5, "deepcore_table2": 3}
"""How many seeds a paper says that its means are of (DeepCore: five on CIFAR-10, three on ImageNet)."""

SURROGATE_EPOCHS = 10
"""DeepCore trains its selection models this long, unless a table says otherwise (Table 4)."""


COMPARED = [
    "published_mean",
    "published_std",
    "published_n",
    "difference",
    "difference_low",
    "difference_high",
    "agreement",
]
"""Columns of the comparison with the papers."""


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
    rows = of_tables(rows, tables)
    if "surrogate_epochs" in rows:
        epochs = rows["surrogate_epochs"].fillna(SURROGATE_EPOCHS).astype(int)
        named = rows["surrogate"] + "+epochs=" + epochs.astype(str)
        rows["surrogate"] = rows["surrogate"].where(epochs == SURROGATE_EPOCHS, named)
    return rows.reset_index(drop=True)


def of_tables(published: pd.DataFrame, tables: Sequence[str]) -> pd.DataFrame:
    """Return the rows of these tables, in this order."""
    parts = [published[published["table"] == table] for table in tables]
    return pd.concat(parts or [published.iloc[:0]])


def compare(table: pd.DataFrame, plan: Plan, published: pd.DataFrame) -> pd.DataFrame:
    """Return `table` with the published numbers, the difference of means and whether they agree.

    Only accuracies are compared, and only under the reporting rule by which the paper obtained its
    own: a test accuracy of the last epoch never gets the best validation accuracy beside it.
    The columns are `COMPARED`, see `agreement`; cells without a published number stay empty.
    """
    known = _index(published)
    joined = [_join(row, plan, known) for row in table.to_dict("records")]
    compared = pd.DataFrame(joined, index=table.index, columns=COMPARED, dtype=object)
    return table.join(compared.astype(dict.fromkeys(COMPARED[:-1], float)))


@dataclass(frozen=True)
class Sample:
    """A mean with the standard deviation (NaN if it is not known) and number of its runs.

    `estimate` is that of the mean, where the runs are not repeated in one way alone.
    """

    mean: float
    std: float
    n: int
    estimate: Estimate | None = None

    def of_mean(self, std: float) -> Estimate:
        """Return the variance of the mean, of runs with this standard deviation."""
        return self.estimate or Estimate(std**2 / self.n, self.n - 1)


def agreement(ours: Sample, theirs: Sample, tolerance: float) -> tuple[float, float, str]:
    """Return the 90 % interval of the difference of two means, and what it says of `tolerance`.

    It `agrees` if the interval lies within ±tolerance, which is what two one-sided tests at 5 % ask
    (Schuirmann, J. Pharmacokinetics and Biopharmaceutics 15, 1987), `differs` if it lies outside, and
    is `undecided` otherwise. The interval is Welch's; where one deviation is not known, the other
    stands for both, with its degrees of freedom; where neither is, there is none.
    """
    difference = ours.mean - theirs.mean
    stds = [sample.std if sample.n > 1 else math.nan for sample in (ours, theirs)]
    known = [s for s in stds if s == s]
    if not known:
        return math.nan, math.nan, "undecided"
    std = [known[0] if s != s else s for s in stds]
    means = [sample.of_mean(s) for s, sample in zip(std, (ours, theirs), strict=True)]
    variance = sum(mean.variance for mean in means)
    if len(known) == 1 or variance == 0:
        freedom = min(mean.freedom for mean, s in zip(means, stds, strict=True) if s == s)
    else:
        freedom = variance**2 / sum(mean.variance**2 / mean.freedom for mean in means)
    half = Estimate(variance, freedom).half_width(1 - 2 * LEVEL)
    low, high = difference - half, difference + half
    if max(abs(low), abs(high)) <= tolerance:
        return low, high, "agrees"
    return low, high, "differs" if low > tolerance or high < -tolerance else "undecided"


def printed(published: pd.DataFrame) -> dict[tuple[Any, ...], float]:
    """Map (dataset, surrogate, network, method, rate) to the first table's mean, in percent.

    Rows that look at no surrogate have None for it; the full training set is a row of its own.
    """
    return {key[1:]: sample.mean for key, sample in _index(published).items()}


def decimals(published: pd.DataFrame) -> int:
    """Return how many decimals the means have, at least one."""
    means = published["accuracy_mean"].dropna()
    fits = (n for n in range(1, 10) if (means.round(n) - means).abs().max() < 1e-9)
    return next(fits, 1)


def _index(published: pd.DataFrame) -> dict[tuple[Any, ...], Sample]:
    """Map (rule, dataset, surrogate, network, method, rate) to the first table's number."""
    known: dict[tuple[Any, ...], Sample] = {}
    for row in published.to_dict("records"):
        rule, n = (of_table(row["table"], known_of) for known_of in (REPORTING_RULE, RUNS))
        method, surrogate = row["method"], row["surrogate"]
        if method == "random" and row["rate"] == 1:  # all of the data, whatever picked it
            method = FULL
        if method in INDEPENDENT:
            surrogate = None
        key = (rule, row["dataset"], surrogate, row["network"], method, row["rate"])
        known.setdefault(key, Sample(row["accuracy_mean"], row["accuracy_std"], n))
    return known


def of_table(table: str, known: Mapping[str, Any]) -> Any:
    """Return what is known of a table, or else of its paper."""
    return known.get(table) or known[table.split("_")[0]]


def _join(row: dict[str, Any], plan: Plan, known: dict[tuple[Any, ...], Sample]) -> dict[str, Any]:
    if row["metric"] != "accuracy":
        return {}
    dataset, network, surrogate = (
        plan.published_as.get(name, name)
        for name in (row["dataset"], row["network"], row["surrogate"])
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
        return {}
    theirs = known[key]
    estimate = Estimate(row["se"] ** 2, row["df"]) if row["n"] > 1 else None
    ours = Sample(row["mean"], row["std"], row["n"], estimate)
    low, high, verdict = agreement(ours, theirs, plan.tolerance)
    numbers = (theirs.mean, theirs.std, theirs.n, ours.mean - theirs.mean, low, high, verdict)
    return dict(zip(COMPARED, numbers, strict=True))
