"""Rows of a table compared seed by seed: paired differences, corrected, and mean ranks.

Everything here starts from `seeds`, the long frame of single runs that `aggregate` makes. Runs of two
rows are a pair where they share the training seed and the surrogate's; a row without a surrogate (Random)
is a pair with each of the other's surrogates.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from medcoreset.analysis.variance import Design, Estimate, spread, test_set
from medcoreset.plan import FULL, NO_SURROGATE

LEVEL = 0.05
PAIRED = ["reference", "gain", "gain_se", "gain_low", "gain_high", "pairs", "p", "p_holm"]
"""Columns of a comparison with the reference row."""
UNIT = ["surrogate_seed", "selection_seed", "seed"]
MANY_PAIRS = 6
"""The least at which a signed-rank test can go below 5 %: its least p value is 2 / 2^n."""


class Column(NamedTuple):
    """What a column of a table compares its rows in."""

    dataset: str
    protocol: str
    network: str
    surrogate: str
    rate: float


def columns(seeds: pd.DataFrame, metric: str = "accuracy") -> Iterator[tuple[Column, pd.DataFrame]]:
    """Yield (column, values) per column: `values` has a pair's unit per line and a method per column.

    `seeds` has the columns dataset, protocol, surrogate, network, method, rate, surrogate_seed,
    selection_seed, seed, metric, value. The full training set stands in every rate's column.
    """
    rows = seeds[seeds["metric"] == metric]
    for (dataset, protocol, network), part in rows.groupby(
        ["dataset", "protocol", "network"], sort=False
    ):
        full = part["method"] == FULL
        of_none = part["surrogate"] == NO_SURROGATE
        for surrogate in list(part["surrogate"][~of_none].unique()) or [NO_SURROGATE]:
            own = part[(part["surrogate"] == surrogate) | of_none]
            for rate in sorted(own["rate"][own["method"] != FULL].unique()):
                column = Column(dataset, protocol, network, surrogate, rate)
                here = own[(own["rate"] == rate) | full.loc[own.index]]
                found = {}
                for (method, whose), runs in here.groupby(["method", "surrogate"], sort=False):
                    if method not in found or whose != NO_SURROGATE:
                        units = zip(*(runs[name].to_numpy() for name in UNIT), strict=True)
                        found[method] = dict(zip(units, runs["value"].to_numpy(), strict=True))
                yield column, align(found)


Unit = tuple[float, float, float]
"""A surrogate's seed, NaN without a surrogate, a selection's, and a training's."""


def align(rows: Mapping[str, Mapping[Unit, float]]) -> pd.DataFrame:
    """Return rows, each of values by `UNIT`, side by side: a line per unit of any.

    The run of a row without a surrogate stands beside that of every surrogate with its other seeds.
    """
    units, found = side_by_side(rows)
    return pd.DataFrame(found, index=pd.MultiIndex.from_tuples(units, names=UNIT), dtype=float)


def side_by_side(
    rows: Mapping[Any, Mapping[Unit, float]],
) -> tuple[list[Unit], dict[Any, list[float]]]:
    """Return the units of `align`, and each row's values in their order, NaN where it has none."""
    every = {unit for row in rows.values() for unit, _ in row.items()}
    units = sorted(unit for unit in every if unit[0] == unit[0])
    units = units or [(np.nan, *rest) for rest in sorted({unit[1:] for unit in every})]
    found = {}
    for method, row in rows.items():
        values = dict(row.items())
        free = {tuple(rest): value for (of, *rest), value in values.items() if of != of}
        found[method] = [values.get(unit, free.get(unit[1:], np.nan)) for unit in units]
    return units, found


@dataclass(frozen=True)
class Difference:
    """The mean of paired differences, in percentage points."""

    mean: float
    pairs: int
    estimate: Estimate

    @property
    def p(self) -> float:
        """The two-sided p value by Student's t; NaN with one pair, or if all differences are the same."""
        return self.estimate.p_value(self.mean)

    @classmethod
    def of(cls, values: pd.DataFrame, row: str, reference: str, design: Design) -> "Difference":
        """Compare two of the columns of `values`, whose index has that design."""
        differences = (values[row] - values[reference]).to_numpy()
        known = ~np.isnan(differences)
        if not known.all():
            design = Design.of(values.index[known])
        found = design.spread(differences[known])
        return cls(found.average, int(known.sum()), found.mean)


def paired(
    seeds: pd.DataFrame, reference: str = "random", metric: str = "accuracy"
) -> pd.DataFrame:
    """Return every row's paired differences to `reference`, one line per cell.

    Columns: those of `Column`, `method`, and `PAIRED`: mean difference (percentage points), its
    standard error, 95 % interval by Student's t, pairs, p value, and that corrected over all
    comparisons of the frame (Holm, Scandinavian Journal of Statistics 6, 1979).
    """
    lines = []
    for column, values in columns(seeds, metric):
        if reference not in values:
            continue
        design = Design.of(values.index)
        for method in values.columns.drop([reference, FULL], errors="ignore"):
            found = Difference.of(values, method, reference, design)
            if found.pairs:
                half = found.estimate.half_width()
                lines.append(
                    {
                        **column._asdict(),
                        "method": method,
                        "reference": reference,
                        "gain": found.mean,
                        "gain_se": np.sqrt(found.estimate.variance),
                        "gain_low": found.mean - half,
                        "gain_high": found.mean + half,
                        "pairs": found.pairs,
                        "p": found.p,
                    }
                )
    frame = pd.DataFrame(lines, columns=[*Column._fields, "method", *PAIRED[:-1]])
    return frame.assign(p_holm=holm(frame["p"].to_numpy(dtype=float)))


def compare(table: pd.DataFrame, seeds: pd.DataFrame, reference: str) -> pd.DataFrame:
    """Return the long table with the columns `PAIRED`, for every metric that `seeds` has.

    Cells that have no counterpart in the row `reference` stay empty, as do the reference's own. The
    correction is over the comparisons of a metric.
    """
    key = ["dataset", "protocol", "network", "method", "rate", "metric"]
    known: dict[tuple[Any, ...], dict[str, Any]] = {}
    for metric in seeds["metric"].unique():
        for line in paired(seeds, reference, metric).to_dict("records"):
            cell = (*(line[name] for name in key[:-1]), metric)
            known.setdefault((*cell, line["surrogate"]), line)
            known.setdefault((*cell, NO_SURROGATE), line)  # Random is the same in every column
    nothing = dict.fromkeys(PAIRED)
    joined = [
        known.get((*(row[name] for name in key), row["surrogate"]), nothing)
        for row in table[[*key, "surrogate"]].to_dict("records")
    ]
    compared = pd.DataFrame(joined, index=table.index, columns=PAIRED, dtype=object)
    return table.join(compared.astype(dict.fromkeys(PAIRED[1:], float)))


def holm(p: np.ndarray) -> np.ndarray:
    """Return Holm's corrected p values; NaN, where nothing was tested, does not count.

    Of m tests the i-th smallest p is multiplied by m − i + 1, and is no less than those before it.
    """
    corrected, tested = np.full(len(p), np.nan), np.flatnonzero(~np.isnan(p))
    order = tested[np.argsort(p[tested], kind="stable")]
    factors = np.arange(len(order), 0, -1)
    corrected[order] = np.minimum(np.maximum.accumulate(p[order] * factors), 1)
    return corrected


def is_better(cell: pd.Series) -> bool:
    """Say whether a row of the table is shown to be better than the reference, Holm's p below 5 %."""
    return bool(cell["gain"] > 0 and cell["p_holm"] < LEVEL)


@dataclass(frozen=True)
class Findings:
    """What the single runs of a table vary.

    `designs` are those of the cells that have a surrogate (of all, where none has), `deviations` the median standard
    deviation per source of variance over them, in points, `test_set` that of an accuracy from the
    test images alone.
    """

    designs: frozenset[str]
    deviations: dict[str, float]
    test_set: float


def findings(seeds: pd.DataFrame) -> Findings:
    """Return what the accuracies among `seeds` vary."""
    accuracy = seeds[seeds["metric"] == "accuracy"].dropna(subset="value")
    selected = accuracy[accuracy["surrogate"] != NO_SURROGATE]
    cells = (selected if len(selected) else accuracy).groupby(
        ["dataset", "protocol", "network", "surrogate", "method", "rate"], dropna=False
    )
    spreads = [spread(runs.set_index(UNIT)["value"]) for _, runs in cells]
    variances = pd.DataFrame([found.components for found in spreads], dtype=float)
    binomial = test_set(accuracy["value"], accuracy["samples"])
    return Findings(
        frozenset(found.design for found in spreads),
        np.sqrt(variances).median().dropna().to_dict(),
        float(np.sqrt(binomial).median()),
    )


@dataclass(frozen=True)
class Ranks:
    """Mean ranks of rows over blocks, 1 being the best, and whether they differ at all."""

    mean: pd.Series
    blocks: int
    p: float
    """Of Friedman's test that all rows rank alike."""
    critical: float
    """Two mean ranks that differ by less are not told apart."""


def ranks(means: pd.DataFrame) -> Ranks:
    """Rank rows by their means; `means` has a block (dataset and rate) per line, a row per column.

    Equal means share their mean rank. The critical difference is Nemenyi's,
    q_α √(k(k+1) / 6N), q_α the Studentized range over √2 (Demšar, JMLR 7, 2006, section 3.2.2).
    """
    from scipy import stats

    blocks, rows = means.shape
    ranked = stats.rankdata(-means.to_numpy(), axis=1)
    p = float(stats.friedmanchisquare(*means.to_numpy().T).pvalue) if rows > 2 else np.nan
    quantile = stats.studentized_range.ppf(1 - LEVEL, rows, np.inf) / np.sqrt(2)
    critical = quantile * np.sqrt(rows * (rows + 1) / (6 * blocks))
    return Ranks(pd.Series(ranked.mean(axis=0), means.columns), blocks, p, float(critical))


def groups(ordered: pd.Series, critical: float) -> list[tuple[int, int]]:
    """Return the longest runs (first, last) of ascending mean ranks that differ by at most `critical`."""
    values = ordered.to_numpy()
    last = [int(np.searchsorted(values, value + critical, side="right")) - 1 for value in values]
    return [
        (first, end)
        for first, end in enumerate(last)
        if end > first and (first == 0 or end > last[first - 1])
    ]
