"""Measure what the approximate selections reach, beside the exact ones, and what they take.

    python benchmarks/approximate.py value [METHOD …] [--rate 0.1 …]
    python benchmarks/approximate.py time [METHOD …] [--rate 0.01 …] [--samples 200000] [--exact]

`value` selects 1 % and 10 % of 20,000 samples × 512 exactly, approximately and at random, without
classes, and says what picks reach: the function that facility location and graph cut maximise, the
sum of distances to the nearest pick (CRAIG), the distance of means (herding); `of_gain` is the share of
what the exact method gains over random picks. `time` selects among more, approximately, and exactly
where that takes time in proportion to N·M alone. Samples are those of selection.py, and others in
clusters of unequal size and width. Rows are added to those of the other measurement in the CSV.

Every measurement is a process of its own; memory is what selection adds at its peak to the process
with the evidence loaded. `value` takes about 10 minutes with one thread.
"""

import csv
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import click
import numpy as np

HERE = Path(__file__).parent
OUT = HERE / "results" / "approximate.csv"
DIMENSIONS = 512
RATES = (0.01, 0.1)
APPROXIMATE: dict[str, list[dict[str, Any]]] = {
    "facility_location": [{"part_size": 4096}, {"part_size": 1024}],
    "craig": [{"part_size": 4096}, {"part_size": 1024}],
    "graph_cut": [{"epsilon": 0.1}, {"epsilon": 0.01}],
    "herding": [{"epsilon": 0.1}, {"epsilon": 0.01}],
    "kcenter_greedy": [],
}
LINEAR = ("graph_cut", "herding", "kcenter_greedy")
DRAWS = 5


@dataclass(frozen=True)
class Measurement:
    """One selection; the process times are of one thread."""

    measure: str
    data: str
    method: str
    options: dict[str, Any] = field(default_factory=dict)
    samples: int = 20000
    dimensions: int = DIMENSIONS
    count: int = 0
    seconds: float | None = None
    processor_seconds: float | None = None
    memory_mb: float | None = None
    value: float | None = None
    of_exact: float | None = None
    of_gain: float | None = None

    @property
    def key(self) -> tuple[str, ...]:
        """What is measured; a fresh measurement takes the place of one before."""
        return (self.measure, self.data, self.method, named(self.options), *map(str, self.size))

    @property
    def size(self) -> tuple[int, int, int]:
        return self.samples, self.dimensions, self.count


@click.group()
@click.option("--threads", type=click.IntRange(min=1), default=1, show_default=True)
def main(threads: int) -> None:
    """Measure the approximate selections."""
    os.environ["OMP_NUM_THREADS"] = str(threads)


@main.command("value")
@click.argument("methods", nargs=-1)
@click.option("--samples", type=click.IntRange(min=100), default=20000, show_default=True)
@click.option("--rate", "rates", multiple=True, type=float, default=RATES, show_default=True)
@click.option("--out", type=click.Path(path_type=Path), default=OUT, help="The CSV.")
def value_command(
    methods: tuple[str, ...], samples: int, rates: tuple[float, ...], out: Path
) -> None:
    """Say what picks reach, beside the exact ones and random ones."""
    for method in methods or [method for method, ways in APPROXIMATE.items() if ways]:
        for data in ("rectified", "clustered"):
            for rate in rates:
                case = Measurement("value", data, method, {}, samples, count=int(rate * samples))
                for row in reached(case):
                    add(out, row)


@main.command("time")
@click.argument("methods", nargs=-1)
@click.option("--samples", type=click.IntRange(min=100), default=200000, show_default=True)
@click.option("--rate", "rates", multiple=True, type=float, default=RATES, show_default=True)
@click.option("--exact/--no-exact", default=False, help="Where its time is in proportion to N·M.")
@click.option("--out", type=click.Path(path_type=Path), default=OUT, help="The CSV.")
def time_command(
    methods: tuple[str, ...], samples: int, rates: tuple[float, ...], exact: bool, out: Path
) -> None:
    """Say what selections take."""
    for method in methods or APPROXIMATE:
        ways = [*APPROXIMATE[method][-1:], *([{}] if exact and method in LINEAR else [])]
        for options in ways:
            for rate in rates:
                count = int(rate * samples)
                case = Measurement("time", "rectified", method, options, samples, count=count)
                add(out, measured(case)[0])


def reached(case: Measurement) -> Iterator[Measurement]:
    """Yield what the exact picks, the approximate ones and, on average, random ones reach."""
    of = function(case)
    exact, picks = measured(case)
    best = of(picks)
    rng = np.random.default_rng(0)
    draws = [of(rng.choice(case.samples, case.count, replace=False)) for _ in range(DRAWS)]
    chance = float(np.mean(draws))

    def valued(row: Measurement, value: float) -> Measurement:
        gain = (value - chance) / (best - chance)
        return replace(row, value=value, of_exact=value / best, of_gain=gain)

    yield valued(exact, best)
    yield valued(replace(case, method=f"{case.method}: random picks"), chance)
    for options in APPROXIMATE[case.method]:
        row, picks = measured(replace(case, options=options))
        yield valued(row, of(picks))


def function(case: Measurement) -> Any:
    """Return the function of picks that says what they reach, by its definition."""
    from medcoreset.evidence import Evidence
    from medcoreset.evidence.kernels import proximity, similarity
    from selection_worker import DATA

    evidence = Evidence(DATA[case.data](case.samples, case.dimensions))
    if case.method == "herding":
        features = evidence.tensor("features")
        return lambda picks: float((features[picks].mean(dim=0) - features.mean(dim=0)).norm())
    kernel = (proximity if case.method == "craig" else similarity)(evidence)

    def of(picks: list[int]) -> float:
        picks = list(picks)
        if case.method == "graph_cut":
            among = sum(float(kernel.block(picks, [pick]).sum()) for pick in picks)
            return float(kernel.sums()[picks].sum()) - among
        blocks = range(0, case.samples, 2000)
        nearest = [kernel.block(slice(k, k + 2000), picks).amax(dim=1).sum() for k in blocks]
        return abs(float(sum(nearest)))

    return of


def measured(case: Measurement) -> tuple[Measurement, list[int]]:
    """Return what a selection in a process of its own took, and its picks."""
    request = asdict(case) | {"balance": "global", "similarity": None}
    command = [sys.executable, str(HERE / "selection_worker.py"), json.dumps(request)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    found = json.loads(done.stdout.splitlines()[-1])
    picks = found.pop("picks")
    return replace(case, **found), picks


def named(options: dict[str, Any]) -> str:
    """Return the options as they stand in the CSV."""
    return " ".join(f"{name}={value}" for name, value in options.items())


def add(out: Path, row: Measurement) -> None:
    """Write a row into the CSV, and show it."""
    names = [each.name for each in fields(Measurement)]
    cells = asdict(row) | {"options": named(row.options)}
    fresh = [
        f"{v:.4g}" if isinstance(v, float) and name != "value" else "" if v is None else str(v)
        for name, v in cells.items()
    ]
    kept = list(csv.reader(out.open()))[1:] if out.exists() else []
    kept = [line for line in kept if tuple(line[: len(row.key)]) != row.key]
    out.parent.mkdir(parents=True, exist_ok=True)
    with out.open("w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([names, *kept, fresh])
    print(*fresh, sep=" | ", flush=True)


if __name__ == "__main__":
    main()
