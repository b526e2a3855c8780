"""Claims judged: on the numbers that a paper prints, and on runs of one's own.

Printed means are compared as they stand. Runs are compared seed by seed: a comparison is decided where
Student's interval of the paired contrast has the bound on one side.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from medcoreset.analysis.comparison import LEVEL, UNIT, Unit, holm, side_by_side
from medcoreset.analysis.predicates import DIGITS, Cell, Claim, Comparison
from medcoreset.analysis.variance import Design, Estimate, seeds_for
from medcoreset.plan import FULL, Plan

SUPPORTED, CONTRADICTED, UNDECIDED = "supported", "contradicted", "undecided"
NOT_RUN, NOT_PRINTED = "not run", "not printed"
MOST_SEEDS = 1000
"""What an experiment may have; a claim that needs more is said to need more than these."""


@dataclass(frozen=True)
class Verdict:
    """What numbers say of a claim.

    `holds` of `count` comparisons hold as observed; `deciding` tells the one that the verdict rests
    on most. `seeds` is how many would decide an undecided claim if the differences are as
    observed: NaN if there is nothing to say it by, infinite if it is more than `MOST_SEEDS`. `rounding` says
    that a verdict on printed numbers could be another one before they were rounded.
    """

    verdict: str
    holds: int = 0
    count: int = 0
    deciding: str = ""
    seeds: float = math.nan
    rounding: bool = False


Runs = Mapping[Cell, Mapping[Unit, float]]
"""The accuracies in % of each cell's runs, by what is repeated."""


def judge_printed(claim: Claim, means: Mapping[Cell, float], decimals: int) -> Verdict:
    """Judge a claim on printed means in %, of so many decimals, as they stand.

    A claim of which a number is not printed is `NOT_PRINTED`.
    """
    count = len(claim.comparisons)
    if not all(cell in means for cell in claim.cells):
        return Verdict(NOT_PRINTED, count=count)
    values = [
        round(sum(factor * means[cell] for factor, cell in each.terms), DIGITS)
        for each in claim.comparisons
    ]
    margins = [
        round(value - each.bound, DIGITS)
        for value, each in zip(values, claim.comparisons, strict=True)
    ]
    holds = [each.holds(value) for value, each in zip(values, claim.comparisons, strict=True)]
    supported = sum(holds) >= claim.needed
    chosen = _chosen(margins, [held == supported for held in holds])
    # Each number is half a unit of its last digit off at most.
    half = 0.5 * 10.0**-decimals
    near = [
        abs(margin) <= round(half * sum(abs(factor) for factor, _ in each.terms), DIGITS)
        for margin, each in zip(margins, claim.comparisons, strict=True)
    ]
    could = sum(held or close for held, close in zip(holds, near, strict=True)) >= claim.needed
    must = sum(held and not close for held, close in zip(holds, near, strict=True)) >= claim.needed
    return Verdict(
        SUPPORTED if supported else CONTRADICTED,
        sum(holds),
        count,
        _told(claim, claim.comparisons[chosen], means, decimals),
        rounding=could != must,
    )


def judge_runs(claim: Claim, runs: Runs) -> Verdict:
    """Judge a claim on single runs in %, each cell's by `UNIT`, paired seed by seed.

    Where all comparisons are to hold, each is tested at 5 %: an intersection–union test needs no
    correction (Berger, Technometrics 24, 1982). Where one of several decides, they are corrected by Holm.
    A claim of which a cell was not run is `NOT_RUN`; one run per cell decides nothing.
    """
    count = len(claim.comparisons)
    if not all(cell in runs for cell in claim.cells):
        return Verdict(NOT_RUN, count=count)
    designs: dict[tuple[Unit, ...], Design] = {}
    found = [_contrast(each, runs, designs) for each in claim.comparisons]
    holds = np.array([each.sign > 0 for each in found])
    p = np.array([each.p for each in found])
    needed, refuting = claim.needed, count - claim.needed + 1
    decided_for, decided_against = (
        (p if enough == count else holm(p)) < LEVEL for enough in (needed, refuting)
    )
    supporting, contradicting = decided_for & holds, decided_against & ~holds
    margins = [each.mean for each in found]
    if supporting.sum() >= needed:
        verdict, seeds, among = SUPPORTED, math.nan, supporting
    elif contradicting.sum() >= refuting:
        verdict, seeds, among = CONTRADICTED, math.nan, contradicting
    else:
        verdict = UNDECIDED
        likely = int(holds.sum()) >= needed
        enough, decided = (needed, supporting) if likely else (refuting, contradicting)
        among = (holds if likely else ~holds) & ~decided
        level = LEVEL if enough == count else LEVEL / count
        counts = sorted(each.seeds(level) for each in np.array(found, dtype=object)[among])
        seeds = counts[enough - int(decided.sum()) - 1]
    chosen = _chosen(margins, list(among))
    observed = {cell: float(np.mean(list(runs[cell].values()))) for cell in claim.cells}
    told = _told(claim, claim.comparisons[chosen], observed, 2)
    return Verdict(verdict, int(holds.sum()), count, f"{told}; {found[chosen]}", seeds)


@dataclass(frozen=True)
class _Contrast:
    """A contrast of runs less its bound: positive is as claimed."""

    mean: float
    estimate: Estimate
    pairs: int
    strict: bool

    @property
    def sign(self) -> int:
        """1 if it is as claimed, else −1."""
        return 1 if self.mean > 0 or (self.mean == 0 and not self.strict) else -1

    @property
    def p(self) -> float:
        """The p value; 0 where repeated runs differ in nothing, 1 where there is one."""
        if not self.estimate.freedom > 0:
            return 1.0
        return 0.0 if self.estimate.variance == 0 else self.estimate.p_value(self.mean)

    def seeds(self, level: float) -> float:
        """Return how many pairs decide it at this level with 80 % power."""
        if not self.estimate.freedom > 0:
            return math.nan
        deviation = math.sqrt(self.estimate.variance * self.pairs)
        # Of (1.96 + 0.84)² / d² pairs at 5 %, fewer than of any other level.
        if self.mean == 0 or 7.84 * (deviation / self.mean) ** 2 > MOST_SEEDS:
            return math.inf
        found = seeds_for(abs(self.mean), deviation, alpha=level)
        return found if found <= MOST_SEEDS else math.inf

    def __str__(self) -> str:
        half = self.estimate.half_width()
        text = _signed(self.mean)
        if half == half:
            text += f" [{_signed(self.mean - half)}, {_signed(self.mean + half)}]"
        return f"by {text}, {self.pairs} pair{'s' if self.pairs != 1 else ''}"


def _contrast(
    comparison: Comparison, runs: Runs, designs: dict[tuple[Unit, ...], Design]
) -> _Contrast:
    """Return a contrast of runs; those that are repeated alike share an entry of `designs`."""
    units, rows = side_by_side({cell: runs[cell] for _, cell in comparison.terms})
    values = np.sum([factor * np.array(rows[cell]) for factor, cell in comparison.terms], axis=0)
    known = ~np.isnan(values)
    if not known.any():  # they share no seed
        return _Contrast(math.nan, Estimate(math.nan, 0), 0, comparison.strict)
    repeated = tuple(unit for unit, is_known in zip(units, known, strict=True) if is_known)
    if repeated not in designs:
        designs[repeated] = Design.of(pd.MultiIndex.from_tuples(repeated, names=UNIT))
    found = designs[repeated].spread(values[known] - comparison.bound)
    return _Contrast(found.average, found.mean, len(repeated), comparison.strict)


def _chosen(margins: Sequence[float], among: Sequence[bool]) -> int:
    """Return the place of the least margin of those that the verdict rests on."""
    places = [place for place, is_one in enumerate(among) if is_one] or range(len(margins))
    return min(places, key=lambda place: margins[place])


AXES = ("dataset", "surrogate", "network", "rate")


def _told(claim: Claim, comparison: Comparison, means: Mapping[Cell, float], decimals: int) -> str:
    """Return a comparison in words, `eva 97.20, full 98.39 (organamnist, 10 %)`, and its bound."""
    cells = [cell for _, cell in comparison.terms]
    differ = [axis for axis in AXES if len(_values(cells, axis)) > 1]
    varied = [axis for axis in AXES if len(_values(claim.cells, axis)) > 1]
    named = ", ".join(
        " ".join([cell.method, *(_text(cell, axis) for axis in differ if _text(cell, axis))])
        + f" {means[cell]:.{decimals}f}"
        for cell in cells
    )
    common = [axis for axis in AXES if axis not in differ and axis in ("dataset", "rate", *varied)]
    where = [next(filter(None, (_text(cell, axis) for cell in cells)), "") for axis in common]
    text = f"{named} ({', '.join(filter(None, where))})" if any(where) else named
    if not comparison.bound:
        return text
    if len(cells) == 1:
        (factor, _), word = comparison.terms[0], "at least"
        if factor < 0:
            word = "at most"
        return f"{text}, {word} {factor * comparison.bound:.{decimals}f} claimed"
    word = "at least" if comparison.bound > 0 else "at most"
    return f"{text}, a difference of {word} {abs(comparison.bound):.{decimals}f} claimed"


def _values(cells: Any, axis: str) -> set[Any]:
    return {getattr(cell, axis) for cell in cells if _text(cell, axis)}


def _text(cell: Cell, axis: str) -> str:
    """Return an axis of a cell in words, '' where the cell is the same along it."""
    if axis == "rate":
        return "" if cell.method == FULL else f"{100 * cell.rate:g} %"
    return getattr(cell, axis) or ""


def _signed(value: float) -> str:
    return f"{value:+.2f}".replace("-", "−")


# --- where the numbers are ---------------------------------------------------------------------


def runs_of(seeds: pd.DataFrame, plan: Plan, column: str) -> dict[Cell, dict[Unit, float]]:
    """Return the accuracies of a column's single runs by cell, in the papers' names.

    `seeds` is the frame of single runs that `aggregate` makes.
    """
    rows = seeds[(seeds["metric"] == "accuracy") & (seeds["protocol"] == column)]
    rows = rows.dropna(subset="value")
    axes = ["dataset", "surrogate", "network", "method", "rate"]
    found: dict[tuple[Any, ...], dict[Unit, float]] = {}
    for *place, value in rows[[*axes, *UNIT, "value"]].itertuples(index=False, name=None):
        found.setdefault(tuple(place[: len(axes)]), {})[tuple(place[len(axes) :])] = value
    named: dict[Cell, dict[Unit, float]] = {}
    for (dataset, surrogate, network, method, rate), values in found.items():
        data, selector, trained = (
            plan.published_as.get(name, name) for name in (dataset, surrogate, network)
        )
        # Where random was run beside each of several surrogates, the first stands for all.
        named.setdefault(Cell.of(data, selector, trained, method, rate), values)
    return named
