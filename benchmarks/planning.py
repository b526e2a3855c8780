"""Measure what planning costs: time and memory of Snakemake before the first job, over the runs.

    python benchmarks/planning.py [--sizes 1000,5000,20000] [--out FILE.csv]

A run is a job of `train_network`, all seeds of one coreset and network; the generated studies have
an experiment for each thousand of them, of three seeds. Four things are measured:

- parse: `snakemake --list`, which every job on a cluster does first;
- plan: `snakemake -n` of a study of which nothing is there;
- finished: the same when everything is there and nothing is to be done;
- papers: parse and plan of `all`, everything of both papers.

The study `tiny` of the tests is really run before its no-op. The generated ones, months of training,
get empty files in place of results, of which `snakemake --touch --forceall` then records what it
records after a job. (Planning reads times and records of results, not what is in them.)

`processor_seconds` can be compared on a machine that does other things too. All sizes take about half
an hour, most of it the finished study of 20,000 runs.
"""

import csv
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields, replace
from itertools import islice, product
from pathlib import Path

import click
import yaml

from medcoreset.datasets.catalog import MEDMNIST
from medcoreset.plan import Run
from medcoreset.study import configuration, results

HERE = Path(__file__).parent
ROOT = HERE.parent

DATASETS = MEDMNIST[:10]
PROTOCOLS = ("clean", "published")
PER_EXPERIMENT = 1000
SEEDS = [0, 1, 2]
EXPERIMENT = {
    "surrogate": {"network": "resnet18"},
    "networks": ["resnet18", "resnet34", "vgg11", "vgg16", "mobilenet_v2"],
    "methods": {
        **{name: {} for name in ("random", "forgetting", "entropy", "el2n", "aum", "herding")},
        "kcenter_greedy": {},
        "eva": {"early": 1, "late": 150},
    },
    "full": False,
    "rates": [round(0.02 * step, 2) for step in range(1, 26)],
    "seeds": SEEDS,
    "figures": ["accuracy_over_rate", "score_evolution"],
}
# Snakemake waits for 0.1 s before it touches a job's outputs.
NO_PAUSE = "from snakemake.executors.touch import Executor; Executor.SLEEPING_TIME = 0; "


@dataclass(frozen=True)
class Study:
    """A study with a folder of its own; `experiments` holds those that are not the project's."""

    name: str
    targets: list[str]
    folder: Path
    experiments: Path | None = None

    def command(self, *arguments: str, setup: str = "") -> list[str]:
        """Return the call of Snakemake; `setup` are statements that it begins with."""
        start = f"{setup}from snakemake.cli import main; main()"
        command = [sys.executable, "-c", start, "--snakefile", str(ROOT / "Snakefile")]
        command += ["--directory", str(self.folder), "--cores", "2", *self.targets, *arguments]
        own = ["--config", f"studies=['{self.experiments}']"] if self.experiments else []
        return command + own

    def runs(self) -> set[Run]:
        study = configuration.load({"studies": [str(self.experiments)]} if self.experiments else {})
        chosen = [
            experiment
            for name, experiment in study.experiments.items()
            if name in self.targets or (self.targets == ["all"] and experiment["group"] != "none")
        ]
        return {run for experiment in chosen for run in results.runs(study, experiment)}


@dataclass(frozen=True)
class Measurement:
    """One call of Snakemake; `jobs` are those that it would start."""

    study: str
    runs: int
    trainings: int
    measure: str
    jobs: int
    seconds: float
    processor_seconds: float
    memory_mb: float


@click.command()
@click.option(
    "--sizes", default="1000,5000,20000", show_default=True, help="Runs of the generated studies."
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=HERE / "results" / "planning.csv",
    help="The CSV.",
)
def main(sizes: str, out: Path) -> None:
    """Measure planning: of the papers, of a small study that has run, and of generated ones."""
    with tempfile.TemporaryDirectory() as name, out.open("w", newline="") as file:
        table = csv.DictWriter(file, [field.name for field in fields(Measurement)])
        table.writeheader()
        for row in measurements(Path(name), [int(size) for size in sizes.split(",")]):
            table.writerow({key: rounded(value) for key, value in asdict(row).items()})
            file.flush()
            print(*map(rounded, asdict(row).values()), sep=" | ")


def measurements(folder: Path, sizes: list[int]) -> Iterator[Measurement]:
    """Yield what is measured, the small first."""
    papers = Study("papers", ["all"], folder / "papers")
    yield measured(papers, "parse", "--list")
    yield measured(papers, "plan", "-n")
    tiny = Study("tiny", ["tiny"], folder / "tiny", ROOT / "tests" / "study")
    subprocess.run(tiny.command(), check=True, capture_output=True)
    yield measured(tiny, "finished", "-n")
    for size in sizes:
        study = generated(folder / str(size), size)
        yield measured(study, "parse", "--list")
        yield measured(study, "plan", "-n")
        finish(study)
        yield measured(study, "finished", "-n")


def generated(folder: Path, size: int) -> Study:
    """Write the experiments of a study of `size` runs."""
    experiments = folder / "study" / "experiments"
    experiments.mkdir(parents=True)
    cells = islice(product(PROTOCOLS, DATASETS), size // PER_EXPERIMENT)
    for protocol, dataset in cells:
        own = {"title": dataset, "datasets": [dataset], "protocols": [protocol]}
        path = experiments / f"{protocol}_{dataset}.yaml"
        path.write_text(yaml.safe_dump(EXPERIMENT | own))
    targets = sorted(path.stem for path in experiments.iterdir())
    return Study("generated", targets, folder / "work", experiments.parent)


def finish(study: Study) -> None:
    """Make an empty file or folder of every output, and have Snakemake take them for its own."""
    summary = subprocess.run(
        study.command("--summary"), check=True, capture_output=True, text=True
    ).stdout
    for line in summary.splitlines()[1:]:
        path = study.folder / line.split("\t")[0]
        path.parent.mkdir(parents=True, exist_ok=True)
        # Only the folders among the outputs have names without a suffix.
        path.touch() if path.suffix else path.mkdir()
    # An experiment at a time, because the scheduler of jobs gets slower with those that are ready.
    for target in study.targets:
        one = replace(study, targets=[target])
        touch = one.command("--touch", "--forceall", "--quiet", "all", setup=NO_PAUSE)
        subprocess.run(touch, check=True, capture_output=True)


def measured(study: Study, measure: str, argument: str) -> Measurement:
    """Call Snakemake once. Its memory is that of its largest process."""
    runs = study.runs()
    with tempfile.TemporaryFile("w+") as output:
        began = time.perf_counter()
        process = subprocess.Popen(study.command(argument), stdout=output, stderr=output)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - began
        output.seek(0)
        said = output.read()
    if status or (measure == "finished" and "Nothing to be done" not in said):
        raise click.ClickException(said[-3000:])
    total = re.search(r"^total +(\d+)$", said, re.MULTILINE)
    return Measurement(
        study.name,
        len(runs),
        sum(len(run.seeds) for run in runs),
        measure,
        int(total[1]) if total else 0,
        seconds,
        usage.ru_utime + usage.ru_stime,
        usage.ru_maxrss / 1000,
    )


def rounded(value: object) -> object:
    return f"{value:.4g}" if isinstance(value, float) else value


if __name__ == "__main__":
    main()
