"""How much of EVA's coreset depends on how its windows are read, on 200 epochs of the digits.

    python benchmarks/eva_windows.py [DATASET.npz] [--network lenet] [--rate 0.1]

For every pair of windows that the paper's appendix G lists, the share of the coreset of `rate` that
another reading replaces, with each window's variance normalised as in the authors' code:

    code       starts as the authors' code reads them (`count_from: code`), against the paper's
    half_open  windows of K − 1 epochs, as Algorithm 1 has them, against K, as Eq. 5 has
    sum        variances summed as in Eq. 6, against normalised
    per_class  a budget per class (`balance: class`), against one for all

Prints CSV, with the samples of the largest class in 2 % of the data; results/eva_windows.csv is of the
digits. Takes about a minute on a CPU.
"""

import csv
import subprocess
import sys
import tempfile
from pathlib import Path

import click
import numpy as np

from medcoreset import methods
from medcoreset.evidence import Evidence
from medcoreset.methods.eva import first_epoch
from medcoreset.selection.budget import budget
from medcoreset.selection.select import select

WINDOWS = Path(__file__).parents[1] / "config" / "published" / "eva_windows.csv"
EPOCHS = 200


@click.command(help=__doc__)
@click.argument("dataset", required=False)
@click.option("--network", default="lenet", show_default=True)
@click.option("--rate", default=0.1, show_default=True)
def main(dataset: str | None, network: str, rate: float) -> None:
    with tempfile.TemporaryDirectory() as folder:
        if dataset is None:
            dataset = f"{folder}/digits.npz"
            stage("dataset", "digits", "--out", dataset)
        options = ("--epochs", EPOCHS, "--batch-size", 64, "--channels", 0, "--seed", 0)
        surrogate = ("--dataset", dataset, "--protocol", "demo", "--network", network, *options)
        stage("surrogate", *surrogate, "--precision", "float32", "--out", f"{folder}/surrogate")
        compare(Evidence.load(f"{folder}/surrogate/evidence"), rate)


def stage(*arguments: object) -> None:
    """Run a command of the package."""
    command = [sys.executable, "-m", "medcoreset", *map(str, arguments)]
    subprocess.run(command, check=True, stdout=sys.stderr)


def compare(evidence: Evidence, rate: float) -> None:
    """Print a row per pair of windows."""
    with WINDOWS.open() as file:
        listed = sorted(
            {(int(row["early_start"]), int(row["late_start"])) for row in csv.DictReader(file)}
        )
    print("early,late,code,half_open,sum,per_class,largest_class_of_2_percent")
    for pair in listed:
        usual = chosen(evidence, rate, *pair)
        code = (first_epoch(start, "code") for start in pair)
        others = [
            chosen(evidence, rate, *code),
            chosen(evidence, rate, *pair, length=9),
            chosen(evidence, rate, *pair, combine="sum"),
            chosen(evidence, rate, *pair, balance="class"),
        ]
        replaced = (f"{1 - len(usual & other) / len(usual):.3f}" for other in others)
        few = np.array(sorted(chosen(evidence, 0.02, *pair)))
        most = np.bincount(evidence["labels"][few]).max()
        print(*pair, *replaced, f"{most}/{len(few)}", sep=",")


def chosen(
    evidence: Evidence, rate: float, early: int, late: int, balance: str = "global", **other: object
) -> set[int]:
    """Return the coreset of a pair of windows."""
    options = {"early": early, "late": late, "combine": "normalized"} | other
    size = budget(rate, len(evidence))
    found = select(methods.get("eva"), evidence, size, balance=balance, options=options)
    return set(found.indices.tolist())


if __name__ == "__main__":
    main()
