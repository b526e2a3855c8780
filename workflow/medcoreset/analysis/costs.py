"""What every row of an experiment costs, in seconds (EVA's Table A6)."""

import math
from collections.abc import Iterable
from pathlib import Path
from statistics import fmean
from typing import Any

import pandas as pd

from medcoreset import cost
from medcoreset.analysis.fit import Fit
from medcoreset.plan import FULL, Plan, Reported
from medcoreset.reading import file_of, read_json

CELL = ["dataset", "protocol", "surrogate", "network", "method", "rate"]
STAGES = [*cost.STAGES, "training"]
SECONDS = [f"{stage}_s" for stage in STAGES]
COLUMNS = [*CELL, "candidates", *SECONDS, "total_s", "full_s", "share", "devices"]


def costs(plan: Plan) -> pd.DataFrame:
    """Return the seconds of each row at each rate, of one seed, beside those of the full training.

    `surrogate_s` is its training, of all that the row averages over; `evidence_s` what is computed
    from it besides; `score_s`, `selection_s` (which may be in the midst of the training, all times
    together) and `training_s` (of the network that is tested, without it) are sums
    over the `candidates` that a row chooses among. Where a row has several surrogates it is the mean
    over them. `total_s` adds up what is known, `full_s` is the training on the full set, `share` is
    total_s / full_s. A stage that a row has not is empty. A run that is missing or does not fit the
    plan is a `UserError`.
    """
    check = Fit(plan)
    found: dict[tuple[Any, ...], dict[str, dict[str, _Run]]] = {}
    for run in plan.runs:
        of_surrogate = found.setdefault(_cell(run), {}).setdefault(run.surrogate, {})
        if run.metrics not in of_surrogate:  # columns report the same runs
            of_surrogate[run.metrics] = _Run.of(run, check)
    rows = [
        {**dict(zip(CELL, cell, strict=True)), **_mean(runs.values() for runs in each.values())}
        for cell, each in found.items()
    ]
    table = pd.DataFrame(rows, columns=[*CELL, "candidates", *SECONDS, "devices"])
    table["total_s"] = table[SECONDS].sum(axis=1)
    place = ["dataset", "protocol", "network"]
    full = table[table["method"] == FULL].set_index(place)["training_s"].rename("full_s")
    table = table.join(full, on=place)
    table["share"] = table["total_s"] / table["full_s"]
    return table[COLUMNS].round(dict.fromkeys(COLUMNS[len(CELL) + 1 : -1], 6))


class _Run:
    """The seconds of one seed of a run by stage, and the devices that it was computed on."""

    def __init__(self, seconds: dict[str, float], devices: Iterable[str]) -> None:
        self.seconds, self.devices = seconds, set(devices)

    @classmethod
    def of(cls, run: Reported, check: Fit) -> "_Run":
        what = "the metrics of a run"
        content = read_json(run.metrics, what)
        with file_of(run.metrics, what):
            check(run, content)
            measured = content["measured"]
            own = {"training": fmean(measured["seconds"].values())}
            if "selection_seconds" in measured:  # in the midst of the training
                own["selection"] = fmean(measured["selection_seconds"].values())
                own["training"] -= own["selection"]
            device = measured["device"]
            before = cost.Cost(**measured.get("before", {}))
        if run.coresets:
            before = cost.read(Path(run.coresets, cost.FILE))
        return cls({**before.seconds, **own}, [*before.on.values(), device])


def _cell(run: Reported) -> tuple[Any, ...]:
    """Return the row of the table that a run is of: surrogates of several seeds share one."""
    return run.dataset, run.protocol, run.model, run.network, run.method, run.rate


def _mean(surrogates: Iterable[Iterable[_Run]]) -> dict[str, float | int | str]:
    every = [list(runs) for runs in surrogates]
    found = {}
    for stage in STAGES:
        # One surrogate and its evidence serve all candidates.
        combine = max if stage in ("surrogate", "evidence") else sum
        known = [[run.seconds[stage] for run in runs if stage in run.seconds] for runs in every]
        found[f"{stage}_s"] = fmean(map(combine, filter(None, known))) if any(known) else math.nan
    devices = sorted({device for runs in every for run in runs for device in run.devices})
    return {"candidates": max(map(len, every)), **found, "devices": "; ".join(devices)}
