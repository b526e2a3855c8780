"""What a study takes in full, from what its rehearsal measured.

A run's work is counted exactly: its epochs, batches and evaluations are those of the training
loop's own plan. The time of an image is measured here with the full network, a few steps each, and
the time that a job takes to start is that of measuring the reference network.
"""

import csv
import math
import shutil
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import medcoreset.methods as methods
from medcoreset.datasets import catalog, facts
from medcoreset.datasets.facts import Facts
from medcoreset.identity import Surrogate
from medcoreset.methods import variants
from medcoreset.methods.registry import RESELECT
from medcoreset.plan import FULL, Place, Run
from medcoreset.reading import read_json
from medcoreset.selection.budget import expected_size
from medcoreset.study import results
from medcoreset.study.claims import Claims
from medcoreset.study.configuration import Experiment, Study
from medcoreset.study.inputs import official
from medcoreset.study.rehearsal import Rehearsal
from medcoreset.study.schema import ROOT
from medcoreset.training import schedule
from medcoreset.training.options import TrainingOptions

DEVICES = ROOT / "config" / "devices.csv"
"""Measured devices, by the images per second that they train the reference network on."""
Speed = tuple[str, int, int, str]
"""What the speed of a training depends on: network, channels, image size and precision."""
REFERENCE: Speed = ("resnet18", 3, 28, "auto")
"""By which devices are compared."""
DECODED = (256 / 224) ** 2 * 4 / 3
"""Pixels of a training picture of ImageNet that is stored decoded, in those of its centre."""
STATISTICS_BYTES = 22
"""Bytes of the recorded statistics per sample and epoch: five float32 and two flags."""


@dataclass(frozen=True)
class Work:
    """One training on some data: what it trains on, evaluates, and leaves on the disk.

    `featured` are the samples whose features are kept, those of a surrogate.
    """

    dataset: str
    speed: Speed
    images: int
    evaluated: int
    batch: int
    bytes: int
    featured: int


@dataclass
class Forecast:
    """What experiments take in full; `unknown` are datasets of which nothing is known."""

    jobs: int = 0
    work: list[Work] = field(default_factory=list)
    datasets: dict[str, Facts] = field(default_factory=dict)
    unknown: list[str] = field(default_factory=list)

    @property
    def images(self) -> int:
        """Images to train, each counted as often as it is trained on."""
        return sum(work.images for work in self.work)

    def seconds(self, speeds: dict[Speed, dict[str, Any]]) -> float:
        """Return how long the jobs take one after the other, in seconds."""
        trained = sum(
            work.images / speeds[work.speed]["train_images_per_second"]
            + work.evaluated / speeds[work.speed]["evaluate_images_per_second"]
            for work in self.work
        )
        return trained + self.jobs * speeds[REFERENCE]["start_seconds"]

    def disk_gb(self, speeds: dict[Speed, dict[str, Any]]) -> float:
        """Return what the results and the canonical datasets take on the disk."""
        images = sum(_image_bytes(each) + _decoded_bytes(each) for each in self.datasets.values())
        features = sum(4 * work.featured * speeds[work.speed]["features"] for work in self.work)
        return (images + features + sum(work.bytes for work in self.work)) / 1e9

    def memory_gb(self, speeds: dict[Speed, dict[str, Any]]) -> float:
        """Return the largest memory of a training: the process, its batch and its images."""
        return max(
            (
                speeds[work.speed]["memory_mb"] / 1e3
                + work.batch * speeds[work.speed]["image_memory_mb"] / 1e3
                + _image_bytes(self.datasets[work.dataset]) / 1e9
                for work in self.work
            ),
            default=0,
        )


def of(study: Study, experiments: Iterable[Experiment]) -> Forecast:
    """Count the jobs and trainings of experiments, those that they share once."""
    found, every = Forecast(), list(experiments)
    for name in dict.fromkeys(dataset for each in every for dataset in each["datasets"]):
        identity = catalog.parse(name, study.config["datasets"])
        known = facts.of(identity, study.config["datasets"].get(identity.base))
        if known is None:
            found.unknown.append(name)
        else:
            found.datasets[name] = known
    runs = dict.fromkeys(run for each in every for run in results.runs(study, each))
    places = dict.fromkeys(
        place for each in every for place in results.every_surrogate(study, each)
    )
    for run in runs:
        if run.dataset in found.datasets:
            found.work += _of_run(study, run, found.datasets[run.dataset])
    for place in places:
        if place.dataset in found.datasets:
            found.work.append(_of_surrogate(study, place, found.datasets[place.dataset]))
    found.jobs = len(set().union(*(results.outputs(study, each) for each in every)))
    claims = Claims(study)
    found.jobs += sum(bool(claims.of(each)) for each in every)
    return found


def inputs(study: Study, experiment: Experiment) -> list[str]:
    """Return what is to be measured in the rehearsal of an experiment; nothing in full."""
    if not isinstance(study, Rehearsal):
        return []
    work = of(study.full, [study.full.experiments[experiment.name]]).work
    wanted = dict.fromkeys([REFERENCE, *(each.speed for each in work)])
    return [study.path(results.speed(*speed)) for speed in wanted]


def report(rehearsal: Rehearsal, names: Iterable[str]) -> str:
    """Return the forecast of the full study of some experiments, as lines of text."""
    full = rehearsal.full
    forecast = of(full, [full.experiments[name] for name in names])
    wanted = {REFERENCE, *(work.speed for work in forecast.work)}
    speeds = {speed: _measured(rehearsal, speed) for speed in wanted}
    reference = speeds[REFERENCE]
    hours = forecast.seconds(speeds) / 3600
    lines = [
        ("jobs", f"{forecast.jobs:,}"),
        ("trainings", f"{len(forecast.work):,}"),
        ("images to train", f"{forecast.images:.3g}"),
        ("time", f"{_duration(hours)} here, one job at a time on {reference['device']}"),
        *_elsewhere(hours, reference),
        ("disk", f"{forecast.disk_gb(speeds):,.1f} GB"),
        ("memory", f"{forecast.memory_gb(speeds):,.1f} GB in the largest training"),
        *(("missing", text) for text in _missing(full, forecast)),
    ]
    title = f"Forecast of the full study: {', '.join(names)}"
    return "\n".join([title, *(f"  {key:<16} {text}" for key, text in lines)])


def _of_run(study: Study, run: Run, known: Facts) -> list[Work]:
    protocol = study.protocols[run.protocol]
    balance = results.balance(run, protocol.balance)
    size = expected_size(run.rate, known.train, known.classes, protocol.rounding, balance)
    one = _work(run.dataset, run.network, size, known, protocol.training)
    looked_at = _looked_at(run, size, known, protocol.training)
    return [replace(one, evaluated=one.evaluated + looked_at)] * len(run.trained)


def _looked_at(run: Run, size: int, known: Facts, options: TrainingOptions) -> int:
    """Return the images that a training looks at in order to select."""
    if run.variant == FULL:
        return 0
    name, chosen = variants.parse(run.variant)
    laid_out, every = schedule.plan(max(size, 2), options), chosen.get(RESELECT.name)
    if methods.get(name).prioritize is not None:
        return laid_out.iterations * known.train // len(laid_out.batches)
    return 0 if every is None else (laid_out.epochs - 1) // every * (known.train + known.val)


def _of_surrogate(study: Study, place: Place, known: Facts) -> Work:
    protocol = study.protocols[place.protocol]
    options = study.surrogate_training(protocol, place.surrogate)
    surrogate = Surrogate.parse(place.surrogate)
    size = (known.train + 1) // 2 if surrogate.half else known.train
    epochs = schedule.plan(max(size, 2), options).epochs
    probs = 2 * epochs * known.train * known.classes
    if probs > study.config["probs_budget_mb"] * 1e6:
        probs = 0
    dynamics = 0 if surrogate.half else STATISTICS_BYTES * epochs * known.train + probs
    work = _work(place.dataset, surrogate.network, size, known, options)
    return replace(work, bytes=work.bytes + dynamics, featured=known.train + known.val)


def _work(dataset: str, network: str, size: int, known: Facts, options: TrainingOptions) -> Work:
    """Return the work of training `network` on `size` images."""
    channels = options.channels or known.channels
    laid_out = schedule.plan(max(size, 2), options)
    epoch = sum(stop - start for start, stop in laid_out.batches)
    evaluations = math.ceil(laid_out.epochs / laid_out.evaluate_every) or 1
    held_out = known.val + known.test
    return Work(
        dataset=dataset,
        speed=(network, channels, known.image_size, options.precision),
        images=epoch * laid_out.iterations // len(laid_out.batches),
        evaluated=evaluations * held_out,
        batch=max(stop - start for start, stop in laid_out.batches),
        bytes=4 * held_out * known.classes,
        featured=0,
    )


def _measured(rehearsal: Rehearsal, speed: Speed) -> dict[str, Any]:
    return read_json(rehearsal.path(results.speed(*speed)), "a measured speed")


def _elsewhere(hours: float, reference: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the time on the devices of `DEVICES`, by the speed of the reference network."""
    here = reference["train_images_per_second"]
    with DEVICES.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return [
        (
            "",
            f"{_duration(hours * here / float(row['images_per_second']))} on {row['device']}, "
            f"{row['threads']} thread{'s' * (row['threads'] != '1')}, {row['arithmetic']}",
        )
        for row in rows
    ]


def _missing(full: Study, forecast: Forecast) -> list[str]:
    """Return what the full study needs and this machine lacks, as far as it can be seen."""
    found = [f"facts of {name}, which is not counted above" for name in forecast.unknown]
    data_dir = full.config["data_dir"]
    absent: dict[str, list[str]] = {"will be downloaded": [], "cannot be downloaded": []}
    for name in forecast.datasets:
        identity = catalog.parse(name, full.config["datasets"])
        if identity.source.reader in ("digits", "own"):
            continue
        if not _has(data_dir, identity.base):
            end = "cannot be downloaded" if identity.source.streamed else "will be downloaded"
            absent[end].append(identity.base)
    for end, names in absent.items():
        if names:
            listed = ", ".join(dict.fromkeys(names))
            found.append(f"in data_dir ({data_dir or 'not given'}): {listed}, which {end}")
    if shutil.which("nvidia-smi") is None:
        found.append("no GPU is seen here")
    if shutil.which("conda") is None:
        found.append("no conda, for --software-deployment-method conda")
    if find_spec("snakemake_executor_plugin_slurm") is None:
        found.append("no SLURM plugin, for the profile slurm")
    return found


def _has(data_dir: str | None, base: str) -> bool:
    """Say whether a folder of official files has some of a dataset's, of ImageNet its folder."""
    return data_dir is not None and bool(official(base, data_dir) or Path(data_dir, base).is_dir())


def _image_bytes(known: Facts) -> int:
    """Return the size of a dataset's images as arrays; streamed ones stay in their files."""
    images = 0 if known.streamed else known.train + known.val + known.test
    return images * known.channels * known.image_size**known.dimensions


def _decoded_bytes(known: Facts) -> float:
    """Return the size of the file of a dataset's decoded images, about, if it has one."""
    images = known.decoded * (known.train * DECODED + known.val + known.test)
    return images * known.channels * known.image_size**2


def _duration(hours: float) -> str:
    if hours < 1:
        return f"{max(1, round(60 * hours))} minutes"
    return f"{hours:.3g} hours" if hours < 100 else f"{hours / 24:,.0f} days"
