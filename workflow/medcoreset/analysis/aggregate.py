"""From the runs' metrics to the long table: one row per cell and metric."""

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import stdtrit

from medcoreset.analysis.fit import Fit
from medcoreset.atomic import replacing
from medcoreset.errors import UserError
from medcoreset.plan import Plan, Reported
from medcoreset.reading import file_of, read_json

CELL = ["dataset", "protocol", "surrogate", "network", "method", "rate"]
STATISTICS = ["mean", "std", "n", "ci_low", "ci_high"]
COMPARISON = ["published_mean", "published_std", "difference", "within_tolerance"]
COLUMNS = [*CELL, "metric", *STATISTICS, *COMPARISON]
METRICS = ("accuracy", "balanced_accuracy", "auc", "macro_f1", "ece")
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Choice:
    """What a window search came to: the candidate of best mean validation accuracy."""

    run: Reported
    candidates: int
    val_accuracy: float
    """Percent, mean over the seeds."""
    reports: str
    """The split that the chosen candidate's number is of."""


def aggregate(plan: Plan) -> tuple[pd.DataFrame, list[Choice]]:
    """Read every run of `plan` and summarise each cell over its seeds.

    Returns the table (columns `CELL`, `metric`, `STATISTICS`; every metric in percent; recall once
    per class as `recall_0`, `recall_1`, …) and the choices made among the candidates of a window
    search. A run that is missing or does not fit the plan, or that lacks its reporting rule or a
    metric, is a `UserError`.
    """
    check = Fit(plan)
    cells: dict[tuple, list[Reported]] = {}
    for run in plan.runs:
        cells.setdefault(run.cell, []).append(run)
    rows, choices = [], []
    for cell, candidates in cells.items():
        per_run = [_PerSeed.read(run, plan.columns[run.column], check) for run in candidates]
        best = per_run[0]
        if len(candidates) > 1:
            best = max(per_run, key=_PerSeed.val_accuracy)  # the first one among equals
            choices.append(Choice(best.run, len(candidates), best.val_accuracy(), best.reports))
        rows += [
            {**dict(zip(CELL, cell, strict=True)), "metric": metric, **summarize(values)}
            for metric, values in best.metrics.items()
        ]
    return pd.DataFrame(rows, columns=[*CELL, "metric", *STATISTICS]), choices


def arithmetic_notes(plan: Plan) -> list[str]:
    """Return a sentence on the arithmetic of an experiment's trainings, if not all are in float32."""
    paths = dict.fromkeys(run.metrics for run in plan.runs)
    read = [read_json(path, "the metrics of a run") for path in paths]
    # What was written by hand does not say.
    used = Counter(content.get("measured", {}).get("arithmetic", "float32") for content in read)
    lower = {name: count for name, count in sorted(used.items()) if name != "float32"}
    if not lower:
        return []
    jobs = ", ".join(f"{count} of {len(read)} computed in {name}" for name, count in lower.items())
    others = "" if sum(lower.values()) == len(read) else ", the others in float32"
    return [f"Of the jobs that trained networks, {jobs}{others}."]


def summarize(values: Iterable[float | None]) -> dict[str, float | int | None]:
    """Summarise one metric over seeds: mean, standard deviation (ddof 1), n, 95 % interval.

    The interval is Student's t of n − 1 degrees of freedom. One seed has neither deviation nor
    interval; a seed on which the metric is undefined (None) does not count.
    """
    # A table of ImageNet's recalls summarises some hundred thousand cells: no Series for each.
    defined = np.array([value for value in values if value is not None], dtype=float)
    n = len(defined)
    mean = defined.mean() if n else math.nan
    std = defined.std(ddof=1) if n > 1 else math.nan
    half = stdtrit(n - 1, (1 + CONFIDENCE) / 2) * std / math.sqrt(n) if n > 1 else math.nan
    return {"mean": mean, "std": std, "n": n, "ci_low": mean - half, "ci_high": mean + half}


@dataclass(frozen=True)
class _PerSeed:
    """One run's values under its column's reporting rule, in percent, in the order of the seeds."""

    run: Reported
    rule: str
    records: list[dict[str, Any]]
    reports: str
    metrics: dict[str, list[float | None]]

    @classmethod
    def read(cls, run: Reported, rule: str, check: Fit) -> "_PerSeed":
        content = read_json(run.metrics, "the metrics of a run")
        with file_of(run.metrics, "the metrics of a run"):
            check(run, content)
            return cls._of(run, rule, content["seeds"])

    @classmethod
    def _of(cls, run: Reported, rule: str, seeds: dict[str, Any]) -> "_PerSeed":
        records = [_under(rule, seeds[seed], run, seed) for seed in sorted(seeds, key=int)]
        reported = [record[record["reports"]] for record in records]
        metrics = {
            metric: [_value(values, metric, run, rule) for values in reported] for metric in METRICS
        }
        recalls = zip(*(_recall(values, run, rule) for values in reported), strict=True)
        metrics |= {f"recall_{label}": list(values) for label, values in enumerate(recalls)}
        return cls(run, rule, records, records[0]["reports"], metrics)

    def val_accuracy(self) -> float:
        """Return the mean validation accuracy, by which one of several candidates is chosen.

        Raises UserError for a run on data that has no validation split.
        """
        if any("val" not in record for record in self.records):
            raise UserError(f"{self.run.metrics}: no validation data to choose candidates on")
        found = [_value(record["val"], "accuracy", self.run, self.rule) for record in self.records]
        return float(pd.Series(found).mean())


def _under(rule: str, seed_record: dict[str, Any], run: Reported, seed: str) -> dict[str, Any]:
    rules = seed_record.get("rules", {})
    if rule not in rules:
        has = ", ".join(rules) or "none"
        raise UserError(f"{run.metrics}: seed {seed} has no rule {rule!r} (it has {has})")
    return rules[rule]


def _value(values: dict[str, Any], metric: str, run: Reported, rule: str) -> float | None:
    if metric not in values:
        raise UserError(f"{run.metrics}: rule {rule!r} lacks the metric {metric!r}")
    return None if values[metric] is None else 100 * values[metric]


def _recall(values: dict[str, Any], run: Reported, rule: str) -> list[float | None]:
    if "recall" not in values:
        raise UserError(f"{run.metrics}: rule {rule!r} lacks the metric 'recall'")
    return [None if value is None else 100 * value for value in values["recall"]]


def write_table(table: pd.DataFrame, path: str | Path) -> None:
    """Write the long table; numbers are rounded to 1e-6 percentage points, unknown ones empty.

    The table of a rehearsal has one more column that says so.
    """
    columns = [*COLUMNS, *(["rehearsal"] if "rehearsal" in table else [])]
    rounded = table[columns].round(dict.fromkeys([*STATISTICS, *COMPARISON], 6))
    text = rounded.to_csv(index=False, lineterminator="\n")
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def read_table(path: str | Path) -> pd.DataFrame:
    """Read what `write_table` wrote."""
    try:
        # Of one type per column, however long the table is: surrogates text, agreement true or false.
        table = pd.read_csv(
            path,
            dtype={"surrogate": str},
            keep_default_na=False,
            na_values=[""],
            low_memory=False,
        )
    except FileNotFoundError:
        raise UserError(f"{path}: no such table") from None
    if missing := [column for column in COLUMNS if column not in table]:
        raise UserError(f"{path}: lacks the columns {', '.join(missing)}")
    return table
