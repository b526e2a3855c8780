"""From the runs' metrics to the long table: one row per cell and metric."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from medcoreset.analysis.comparison import PAIRED, UNIT
from medcoreset.analysis.fit import Fit
from medcoreset.analysis.published import COMPARED
from medcoreset.analysis.variance import Design, bounded
from medcoreset.atomic import replacing
from medcoreset.errors import UserError
from medcoreset.plan import Plan, Reported
from medcoreset.provenance import AGAIN
from medcoreset.reading import file_of, read_json
from medcoreset.reporting.metrics import METRICS, OF_CORESETS, OF_LABELS, worst_recall

CELL = ["dataset", "protocol", "surrogate", "network", "method", "rate"]
STATISTICS = ["mean", "std", "n", "se", "df", "ci_low", "ci_high"]
CHOSEN = ["variant", "candidates"]
"""The method with its options that a cell is of, and among how many it was chosen on validation data."""
COLUMNS = [*CELL, "metric", *STATISTICS, *CHOSEN, *COMPARED, *PAIRED]
SEEDS = [*CELL, *UNIT, "metric", "value", "samples"]
"""Columns of the single runs: `value` in percent, of so many images."""


@dataclass(frozen=True)
class Choice:
    """What was chosen among several candidates: the one of best mean validation accuracy."""

    run: Reported
    val_accuracy: float
    """Percent, mean over the seeds."""
    reports: str
    """The split that the chosen candidate's number is of."""


@dataclass(frozen=True)
class Aggregate:
    """The runs of an experiment, summarised.

    `table` has the columns `CELL`, `metric`, `STATISTICS`, `CHOSEN`: every metric in percent, those of
    coresets where the training set is under conditions, recall once per class as `recall_0`,
    `recall_1`, …, and of several labels per sample those of `OF_LABELS` alone; `seeds` the single runs that it summarises (columns `SEEDS`, without recalls); `choices` what was chosen where a row has several
    candidates; `notes` what is to be said below the table of how the runs were computed.
    """

    table: pd.DataFrame
    seeds: pd.DataFrame
    choices: tuple[Choice, ...]
    notes: tuple[str, ...]


def aggregate(plan: Plan) -> Aggregate:
    """Read every run of `plan`, its file once, and summarise each cell over its runs.

    A run that is missing or does not fit the plan, or that lacks its reporting rule or a metric, is
    a `UserError`.
    """
    check, what = Fit(plan), "the metrics of a run"
    files: dict[str, list[Reported]] = {}
    for run in plan.runs:
        files.setdefault(run.metrics, []).append(run)
    read: dict[Reported, _PerSeed] = {}
    arithmetic: Counter[str] = Counter()
    for path, runs in files.items():
        content = read_json(path, what)
        with file_of(path, what):
            for run in runs:
                check(run, content)
                rule, coresets = plan.columns[run.column], content.get("coreset", {})
                read[run] = _PerSeed.of(run, rule, content["seeds"], coresets)
            # What was written by hand does not say.
            arithmetic[content.get("measured", {}).get("arithmetic", "float32")] += 1
    cells: dict[tuple[Any, ...], dict[str, list[_PerSeed]]] = {}
    for run in plan.runs:
        cells.setdefault(run.cell, {}).setdefault(run.variant, []).append(read[run])
    rows, single, choices = [], [], []
    for cell, candidates in cells.items():
        best = next(iter(candidates.values()))
        if len(candidates) > 1:
            best = max(candidates.values(), key=_val_accuracy)  # the first one among equals
            choices.append(Choice(best[0].run, _val_accuracy(best), best[0].reports))
        chosen = dict(zip(CHOSEN, (best[0].run.variant, len(candidates)), strict=True))
        units = [unit for runs in best for unit in runs.units]
        design = Design.of(pd.MultiIndex.from_tuples(units, names=UNIT))
        place = dict(zip(CELL, cell, strict=True))
        for metric in best[0].metrics:
            values = [value for runs in best for value in runs.metrics[metric]]
            rows.append({**place, "metric": metric, **summarize(values, design), **chosen})
        single += [line for runs in best for line in runs.seeds(place)]
    return Aggregate(
        pd.DataFrame(rows, columns=[*CELL, "metric", *STATISTICS, *CHOSEN]),
        pd.DataFrame(single, columns=SEEDS),
        tuple(choices),
        tuple(_arithmetic_notes(arithmetic)),
    )


def _arithmetic_notes(used: Counter[str]) -> list[str]:
    """Return a sentence on the arithmetic of an experiment's trainings, if not all are in float32."""
    lower = {name: count for name, count in sorted(used.items()) if name != "float32"}
    if not lower:
        return []
    jobs = ", ".join(
        f"{count} of {used.total()} computed in {name}" for name, count in lower.items()
    )
    others = ", the others in float32" if used["float32"] else ""
    return [f"Of the jobs that trained networks, {jobs}{others}."]


def summarize(values: Sequence[float | None], design: Design) -> dict[str, float | int | None]:
    """Summarise one metric over runs: mean, standard deviation, n, standard error, 95 % interval.

    The deviation is that of one run: of n that are repeated in one way, with n − 1 in the
    denominator, else the root of the summed variance components. The interval of the mean is
    Student's t with `df` degrees of freedom, kept within 0 and 100 % (`bounded`). One run has neither
    deviation nor interval; a run of which the metric is undefined (None) does not count.
    """
    # A table of ImageNet's recalls summarises some hundred thousand cells: no Series for each.
    runs = np.array([np.nan if value is None else value for value in values], dtype=float)
    known = ~np.isnan(runs)
    n = int(known.sum())
    if n < 2:
        nothing = dict.fromkeys(STATISTICS, math.nan)
        return {**nothing, "mean": runs[known].sum() if n else math.nan, "n": n}
    if not known.all():
        design = design.without(~known)
    found = design.spread(runs[known])
    low, high = bounded(found.average, found.mean.half_width())
    return {
        "mean": found.average,
        "std": math.sqrt(sum(found.components.values())),
        "n": n,
        "se": math.sqrt(found.mean.variance),
        "df": found.mean.freedom,
        "ci_low": low,
        "ci_high": high,
    }


def _val_accuracy(runs: Sequence["_PerSeed"]) -> float:
    """Return the mean validation accuracy over the runs of a candidate, by which one is chosen."""
    return float(np.mean([value for each in runs for value in each.val_accuracies()]))


@dataclass(frozen=True)
class _PerSeed:
    """One run's values under its column's reporting rule, in percent, in the order of the seeds."""

    run: Reported
    rule: str
    labels: list[int]
    """The seeds."""
    records: list[dict[str, Any]]
    reports: str
    metrics: dict[str, list[float | None]]
    coresets: list[dict[str, Any]]
    """What the coreset of each seed holds, of training sets under conditions alone."""

    @classmethod
    def of(
        cls, run: Reported, rule: str, seeds: dict[str, Any], coresets: dict[str, Any]
    ) -> "_PerSeed":
        labels = sorted(map(int, seeds))
        records = [_under(rule, seeds[str(seed)], run, str(seed)) for seed in labels]
        reported = [record[record["reports"]] for record in records]
        several = any("labels" in values for values in reported)  # per sample, so without classes
        recalls = [] if several else [_recall(values, run, rule) for values in reported]
        if not several:
            reported = [
                {"worst_recall": worst_recall(values["recall"]), **values} for values in reported
            ]
        metrics = {
            metric: [_value(values, metric, run, rule) for values in reported]
            for metric in (OF_LABELS if several else METRICS)
        }
        held = [coresets[str(seed)] for seed in labels] if coresets else []
        for metric in OF_CORESETS if held else ():
            metrics[metric] = [_value(values, metric, run, rule) for values in held]
        by_class = enumerate(zip(*recalls, strict=True))
        metrics |= {f"recall_{label}": list(values) for label, values in by_class}
        return cls(run, rule, labels, records, records[0]["reports"], metrics, held)

    @property
    def units(self) -> list[tuple[float, int, int]]:
        """What is repeated, `UNIT`; NaN stands for the surrogate's seed where there is no surrogate."""
        seed = self.run.surrogate_seed
        of = math.nan if seed is None else seed
        return [(of, self.run.trained[seed], seed) for seed in self.labels]

    def seeds(self, place: dict[str, Any]) -> list[dict[str, Any]]:
        """Return a line of `SEEDS` per metric and seed; one on which a metric is undefined has None."""
        return [
            {
                **place,
                "surrogate_seed": self.run.surrogate_seed,
                "selection_seed": self.run.trained[seed],
                "seed": seed,
                "metric": metric,
                "value": value,
                "samples": samples,
            }
            for metrics, counts in (
                (METRICS, [record[self.reports]["n"] for record in self.records]),
                (OF_CORESETS, [held["n"] for held in self.coresets]),
            )
            for metric in metrics
            if metric in self.metrics
            for seed, samples, value in zip(
                self.labels if counts else (), counts, self.metrics[metric], strict=True
            )
        ]

    def val_accuracies(self) -> list[float]:
        """Return the validation accuracies of the seeds.

        Raises UserError for a run on data that has no validation split.
        """
        if any("val" not in record for record in self.records):
            raise UserError(f"{self.run.metrics}: no validation data to choose candidates on")
        found = []
        for record in self.records:
            accuracy = _value(record["val"], "accuracy", self.run, self.rule)
            assert accuracy is not None  # it is defined of any data
            found.append(accuracy)
        return found


def _under(rule: str, seed_record: dict[str, Any], run: Reported, seed: str) -> dict[str, Any]:
    rules = seed_record.get("rules", {})
    if rule not in rules:
        has = ", ".join(rules) or "none"
        raise UserError(f"{run.metrics}: seed {seed} has no rule {rule!r} (it has {has}): {AGAIN}")
    return rules[rule]


def _value(values: dict[str, Any], metric: str, run: Reported, rule: str) -> float | None:
    if metric not in values:
        raise UserError(f"{run.metrics}: rule {rule!r} lacks the metric {metric!r}: {AGAIN}")
    return None if values[metric] is None else 100 * values[metric]


def _recall(values: dict[str, Any], run: Reported, rule: str) -> list[float | None]:
    if "recall" not in values:
        raise UserError(f"{run.metrics}: rule {rule!r} lacks the metric 'recall': {AGAIN}")
    return [None if value is None else 100 * value for value in values["recall"]]


def write_table(table: pd.DataFrame, path: str | Path) -> None:
    """Write the long table; numbers are rounded to 1e-6 percentage points, unknown ones empty.

    P values have six significant digits. The table of a rehearsal has one more column that says so.
    """
    columns = [*COLUMNS, *(["rehearsal"] if "rehearsal" in table else [])]
    points = [*STATISTICS, *COMPARED[:-1], *PAIRED[1:-2]]
    rounded = table[columns].round(dict.fromkeys(points, 6))
    for p in PAIRED[-2:]:
        rounded[p] = rounded[p].map(lambda value: float(f"{value:.6g}"))
    _write(rounded, path)


def write_seeds(seeds: pd.DataFrame, path: str | Path) -> None:
    """Write the single runs, values rounded to 1e-6 percentage points."""
    _write(seeds.round({"value": 6}).astype({"surrogate_seed": "Int64"}), path)


def write_numbers(numbers: pd.DataFrame, path: str | Path, *, rehearsal: bool) -> None:
    """Write the numbers that a figure shows; those of a rehearsal have a column that says so."""
    _write(numbers.assign(rehearsal=True) if rehearsal else numbers, path)


def _write(frame: pd.DataFrame, path: str | Path) -> None:
    text = frame.to_csv(index=False, lineterminator="\n")
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def read_table(path: str | Path) -> pd.DataFrame:
    """Read what `write_table` wrote."""
    # Of one type per column, however long the table is: surrogates text, numbers numbers.
    return _read(
        path, COLUMNS, {"surrogate": str, "variant": str, "agreement": object, "reference": object}
    )


def read_seeds(path: str | Path) -> pd.DataFrame:
    """Read what `write_seeds` wrote."""
    return _read(path, SEEDS, {"surrogate": str, "surrogate_seed": float})


def _read(path: str | Path, columns: list[str], types: dict[str, type]) -> pd.DataFrame:
    try:
        table = pd.read_csv(
            path, dtype=types, keep_default_na=False, na_values=[""], low_memory=False
        )
    except FileNotFoundError:
        raise UserError(f"{path}: no such table") from None
    if missing := [column for column in columns if column not in table]:
        raise UserError(f"{path}: lacks the columns {', '.join(missing)}")
    return table


def with_seeds(table: pd.DataFrame, seeds: pd.DataFrame) -> pd.DataFrame:
    """Return the table with a column `seeds`: a cell's values, indexed by `UNIT`.

    A metric of which single runs are not kept has no values.
    """
    key = [*CELL, "metric"]
    known = {
        cell: runs.set_index(UNIT)["value"]
        for cell, runs in seeds.groupby(key, sort=False, dropna=False)
    }
    nothing = pd.Series(dtype=float)
    cells = table[key].itertuples(index=False, name=None)
    return table.assign(seeds=[known.get(cell, nothing) for cell in cells])
