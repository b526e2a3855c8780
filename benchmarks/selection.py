"""Measure how selection grows with N, D and M, and compare it with apricot and submodlib.

    python benchmarks/selection.py [METHOD …] [--largest 20000] [--threads 1] [--out FILE.csv]
    python benchmarks/selection.py --peers peers/bin/python

The second measures facility location, graph cut and log determinant beside the same of apricot and
submodlib, and CAL beside the search for its neighbours by faiss and scikit-learn, in an environment
of their own, since not all are requirements of the project:

    python -m venv peers && peers/bin/pip install apricot-select submodlib-py faiss-cpu scikit-learn

Every measurement is a process of its own, on evidence of ten classes made at random. Memory is what
selection adds at its peak to the process with the evidence loaded. `processor_seconds` can be
compared on a machine that does other things too. With one thread, all methods take about 15 minutes,
the peers 2.
"""

import csv
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import click
import numpy as np

from table import Goal, Row

HERE = Path(__file__).parent
DIMENSIONS = (128, 512, 2048)
RATES = (0.01, 0.03, 0.1, 0.3)
PEERS = {
    "facility_location": ("submodlib", "apricot"),
    "graph_cut": ("submodlib", "apricot"),
    "log_det": ("submodlib",),
    "cal": ("faiss", "scikit_learn"),
}
PEER_SIZES = (500, 1000, 2000, 4000)
NEIGHBOR_SIZES = (2500, 10000, 20000, 60000)
GOALS = {
    "facility_location": 12,
    "graph_cut": 12,
    "craig": 12,
    "log_det": 12,
    "gradmatch": 15,
    "glister": 15,
    "cal": 6,
    "herding": 5,
}
"""Seconds for 10 % of 60,000 samples × 512 of ten classes, one thread."""
LIMIT = 900
"""Seconds that a measurement may take; a longer one has no result."""


@dataclass(frozen=True)
class Case:
    """One measurement; `grows` is what changes in the series that it belongs to."""

    grows: str
    method: str
    balance: str
    samples: int
    dimensions: int
    count: int


@dataclass(frozen=True)
class Measurement(Case):
    """What was measured; `value` is that of the submodular function, where peers are compared."""

    implementation: str
    seconds: float | None = None
    processor_seconds: float | None = None
    memory_mb: float | None = None
    value: float | None = None


@click.command()
@click.argument("methods", nargs=-1)
@click.option("--peers", type=click.Path(exists=True), help="Python with apricot and submodlib.")
@click.option("--largest", type=click.IntRange(min=8), default=20000, show_default=True)
@click.option("--threads", type=click.IntRange(min=1), default=1, show_default=True)
@click.option("--out", type=click.Path(path_type=Path), help="The CSV.")
def main(
    methods: tuple[str, ...], peers: str | None, largest: int, threads: int, out: Path | None
) -> None:
    """Measure the methods named, by default all that select and CAL, or the peers."""
    os.environ["OMP_NUM_THREADS"] = str(threads)
    if peers:
        rows = against_peers(peers, methods or tuple(PEERS))
    else:
        rows = (ours(case) for case in series(methods or selecting(), largest))
    out = out or HERE / "results" / ("selection-peers.csv" if peers else "selection.csv")
    out.parent.mkdir(parents=True, exist_ok=True)
    with out.open("w", newline="") as file:
        table = csv.DictWriter(file, [field.name for field in fields(Measurement)])
        table.writeheader()
        for row in rows:
            table.writerow(asdict(row))
            file.flush()
            values = asdict(row).values()
            print(*(f"{v:.4g}" if isinstance(v, float) else v for v in values), sep=" | ")


def selecting() -> list[str]:
    """Return the methods whose cost is more than that of a pass over the samples."""
    from medcoreset.evidence.arrays import ARRAYS
    from medcoreset.methods import METHODS

    # The workers have a trained model's outputs, and no training dynamics.
    static = {name for name, array in ARRAYS.items() if "T" not in array.shape}
    found = [name for name, each in METHODS.items() if each.select and static >= set(each.needed())]
    return [*found, "cal"]


def series(methods: tuple[str, ...] | list[str], largest: int) -> Iterator[Case]:
    """Yield each method's cases: N, D and M grow in turn, by class, and N without classes."""
    sizes = [largest // 8, largest // 4, largest // 2, largest]
    middle, tenth = largest // 2, largest // 20
    for method in methods:
        for n in sizes:
            yield Case("N", method, "class", n, 512, n // 10)
        for d in DIMENSIONS:
            yield Case("D", method, "class", middle, d, tenth)
        for rate in RATES:
            yield Case("M", method, "class", middle, 512, int(rate * middle))
        for n in sizes[:3]:
            yield Case("N", method, "global", n, 512, n // 10)


def goals() -> Iterator[Row]:
    """Seconds of the selections that have a goal, each in a process of one thread."""
    for method, seconds in GOALS.items():
        found = ours(Case("N", method, "class", 60000, 512, 6000))
        taken = LIMIT if found.processor_seconds is None else found.processor_seconds
        case = f"{method}, 10 % of 60,000 × 512, 10 classes"
        yield Row("selection", case, "s, processor", taken, None, Goal("<=", seconds, of="ours"))


def ours(case: Case, similarity: Path | None = None) -> Measurement:
    """Measure our method, on evidence made at random or on a similarity matrix in a file."""
    request = json.dumps(asdict(case) | {"similarity": similarity and str(similarity)})
    command = [sys.executable, str(HERE / "selection_worker.py"), request]
    return measurement(case, "medcoreset", command, similarity)


def against_peers(python: str, methods: tuple[str, ...]) -> Iterator[Measurement]:
    """Measure ours and the peers': a tenth of N, without classes, of the same similarity matrix.

    CAL's is of the same features of ten classes.
    """
    from selection_worker import evidence

    with tempfile.TemporaryDirectory() as folder:
        for n in PEER_SIZES:
            path = Path(folder) / f"{n}.npy"
            np.save(path, similarity_of(n))
            for method in methods:
                if method != "cal":
                    case = Case("N", method, "global", n, 0, n // 10)
                    yield ours(case, path)
                    yield from theirs(python, case, path, path)
        for n in NEIGHBOR_SIZES if "cal" in methods else ():
            path = Path(folder) / f"features-{n}.npy"
            np.save(path, evidence(n, 512)["features"])
            case = Case("N", "cal", "class", n, 512, n // 10)
            yield ours(case)
            yield from theirs(python, case, path)


def theirs(
    python: str, case: Case, path: Path, similarity: Path | None = None
) -> Iterator[Measurement]:
    """Measure what the peers make of the file."""
    for peer in PEERS[case.method]:
        command = [python, str(HERE / "selection_peers.py"), peer, case.method]
        yield measurement(case, peer, [*command, str(path), str(case.count)], similarity)


def similarity_of(n: int) -> np.ndarray:
    """Return ½ + ½ cos (n, n) of the gradients of evidence made at random."""
    from medcoreset.evidence import Evidence
    from medcoreset.evidence.kernels import similarity
    from selection_worker import evidence

    return similarity(Evidence(evidence(n, 64))).rows(slice(None)).cpu().numpy()


def measurement(
    case: Case, implementation: str, command: list[str], similarity: Path | None
) -> Measurement:
    """Return what the process measured, or nothing of one that takes longer than `LIMIT`."""
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=LIMIT, check=True)
    except subprocess.TimeoutExpired:
        return Measurement(**asdict(case), implementation=implementation)
    found = json.loads(done.stdout.splitlines()[-1])
    picks = found.pop("picks")
    reached = value(case.method, np.load(similarity), picks) if similarity else None
    return Measurement(**asdict(case), implementation=implementation, **found, value=reached)


def value(method: str, s: np.ndarray, picks: list[int]) -> float:
    """Return the submodular function of the picks, by its definition."""
    if method == "facility_location":
        return float(s[:, picks].max(axis=1).sum())
    among = s[np.ix_(picks, picks)]
    if method == "graph_cut":
        return float(s[:, picks].sum() - among.sum())
    return float(np.linalg.slogdet(among + 1e-6 * np.eye(len(picks)))[1])


if __name__ == "__main__":
    main()
