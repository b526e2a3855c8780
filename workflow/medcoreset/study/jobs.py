"""What each rule passes to its job: inputs, flags and resources, read back from the wildcards."""

import hashlib
import json
import os
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medcoreset import methods
from medcoreset.datasets import catalog
from medcoreset.evidence.arrays import per_epoch
from medcoreset.figures import FIGURES
from medcoreset.methods import variants
from medcoreset.sources import PACKAGE, digest, files
from medcoreset.study import forecast, inputs, plan
from medcoreset.study.configuration import (
    PUBLISHED_TABLES,
    Study,
    published_rows,
    split_surrogate,
)
from medcoreset.study.schema import ROOT
from medcoreset.training.options import as_flags
from medcoreset.training.sources import training_code

SELECTION = PACKAGE / "selection"
DATASETS = PACKAGE / "datasets"
READERS = {
    "digits": ("digits",),
    "medmnist": ("medmnist",),
    "torchvision": ("vision",),
    "tinyimagenet": ("tinyimagenet",),
    "imagenet": ("folder",),
    "own": ("folder", "npz"),
}
"""The files that read each kind of source."""


@dataclass(frozen=True)
class Jobs:
    """The slice of a study that one job uses, so that a change reruns exactly what depends on it."""

    study: Study

    def resource(self, kind: str, name: str) -> int:
        """Return what a job of this kind asks for: threads, mem_mb, runtime (minutes), gpu."""
        return self.study.config["resources"][kind][name]

    def scaled(self, kind: str, name: str) -> Callable[..., int]:
        """Return a resource that grows with every attempt, for jobs that ran out of it."""
        return lambda wildcards, attempt: attempt * self.resource(kind, name)

    def targets(self, *names: str) -> list[str]:
        """Return what the targets of experiments make; in a rehearsal, what a forecast needs too."""
        return [
            path
            for experiment in map(self.study.experiments.__getitem__, names)
            for path in plan.artefacts(self.study, experiment)
            + forecast.inputs(self.study, experiment)
        ]

    def dataset_files(self, dataset: str) -> list[str]:
        """Return what a dataset is read from, where that is on disk."""
        base, own = self._own(dataset)
        if own:
            return [own["path"]] if Path(own["path"]).exists() else []
        return inputs.official(base, self._data_dir)

    def dataset_contents(self, dataset: str) -> str:
        """Return the SHA-256 of what these files hold: its change reruns, that of a time does not.

        A rehearsal of a folder of images is like it in its classes alone, and reads no image.
        """
        base, own = self._own(dataset)
        if not self.dataset_files(dataset):
            return ""
        if own is None:
            return inputs.official_contents(base, self._data_dir, self._kept)
        if Path(own["path"]).is_dir():
            return inputs.folder_contents(own["path"], None if self.study.rehearses else self._kept)
        return inputs.file_contents(own["path"], self._kept)

    def dataset_code(self, dataset: str) -> str:
        """Return the SHA-256 of the code that prepares a dataset, with its reader and no other."""
        base, own = self._own(dataset)
        kind = catalog.SOURCES[base].reader if own is None else "own"
        used = files(*(DATASETS / f"{name}.py" for name in READERS[kind]))
        others = {DATASETS / f"{name}.py" for names in READERS.values() for name in names}
        if self.study.rehearses:
            return digest(DATASETS / "sources.py")
        others.add(DATASETS / "stand_in.py")
        return digest(DATASETS / "sources.py", without=frozenset(others.difference(used)))

    @property
    def _kept(self) -> str:
        """The file that keeps what files hold."""
        return self.study.path(".contents.json")

    @property
    def _data_dir(self) -> str | None:
        return None if self.study.rehearses else self.study.config["data_dir"]

    def dataset_flags(self, dataset: str) -> str:
        """Return where `medcoreset dataset` finds a dataset, or of what size its stand-in is."""
        own = self._own_flags(dataset)
        if self.study.rehearses:
            return f"{own} --stand-in {self.study.stand_in_samples(dataset)}".strip()
        config, places = self.study.config, ("data_dir", "mirror", "cache")
        return own or _flags({name: config[name] for name in places if config[name]})

    def _own_flags(self, dataset: str) -> str:
        own = self._own(dataset)[1]
        if own is None:
            return ""
        policy = {} if own["duplicates"] == "keep" else {"duplicates": own["duplicates"]}
        if own["path"].endswith(".npz"):
            return _flags({"file": own["path"], **policy})
        given = {"folder": own["path"], "image_size": own["image_size"], **policy}
        stream = f" --stream {_flags({'contents': self._kept})}" if own["stream"] else ""
        return _flags(given) + stream

    def _own(self, dataset: str) -> tuple[str, dict[str, Any] | None]:
        own = self.study.config["datasets"]
        base = catalog.parse(dataset, own).base
        return base, own.get(base)

    def surrogate_network(self, surrogate: str) -> str:
        """Return the network of a surrogate."""
        return split_surrogate(surrogate)[0]

    def surrogate_flags(self, protocol: str, surrogate: str) -> str:
        """Return the seed and the training options of a surrogate."""
        training = self.study.surrogate_training(self.study.protocols[protocol], surrogate)
        flags = as_flags(training, without=("weighted_loss",))
        return f"--seed {split_surrogate(surrogate)[1]['seed']} {flags}".strip()

    def training_flags(self, protocol: str) -> str:
        """Return the training options of a coreset run, of which no dynamics are recorded."""
        training = self.study.protocols[protocol].training
        return as_flags(training, without=("record",))

    def training_inputs(self, wildcards: Any) -> dict[str, str]:
        """Return the coresets of a run; the full training set has none."""
        if wildcards.variant == plan.FULL:
            return {}
        return {"coresets": self.study.path(plan.CORESETS).format(**wildcards)}

    def method_flags(self, variant: str) -> str:
        """Return a method and its options as `medcoreset score` and `coreset` take them."""
        name, options = variants.parse(variant)
        return " ".join([name, *(f"--set {key}={value}" for key, value in options.items())])

    def method_code(self, variant: str) -> str:
        """Return the SHA-256 of the code that scores and selects by a method."""
        return digest(methods.get(variants.parse(variant)[0]).source, SELECTION / "select.py")

    def window_code(self) -> str:
        """Return the SHA-256 of the code that scores pairs of EVA's windows."""
        return digest(SELECTION / "windows.py")

    def surrogate_code(self, surrogate: str) -> str:
        """Return the SHA-256 of the code that trains a surrogate."""
        return training_code(self.surrogate_network(surrogate))

    def evidence_code(self, surrogate: str) -> str:
        """Return the SHA-256 of the code that computes a method's own evidence of a surrogate."""
        names = ("gradients", "perturbations", "sample_gradients", "surrogate")
        own = digest(*(PACKAGE / "evidence" / f"{name}.py" for name in names))
        return f"{own} {self.surrogate_code(surrogate)}"

    def evidence_surrogates(self, wildcards: Any) -> list[str]:
        """Return the folders of the surrogates that a method's own evidence is computed from."""
        place = {"dataset": wildcards.dataset, "protocol": wildcards.protocol}
        names = plan.averaged(wildcards.variant, wildcards.surrogate)
        return [self.study.path(plan.SURROGATE).format(**place, surrogate=name) for name in names]

    def evidence_inputs(self, wildcards: Any) -> list[str]:
        """Return the files of those surrogates."""
        folders = self.evidence_surrogates(wildcards)
        return [f"{folder}/{name}" for folder in folders for name in plan.SURROGATE_FILES]

    def evidence_flags(self, wildcards: Any) -> str:
        """Return the surrogates, and how the evidence is computed from them."""
        options = variants.parse(wildcards.variant)[1]
        options.pop("models", None)
        folders = " ".join(
            f"--surrogate {folder}" for folder in self.evidence_surrogates(wildcards)
        )
        return f"{folders} {_flags(options)}"

    def score_evidence(self, wildcards: Any) -> list[str]:
        """Return the folders of evidence that a method scores."""
        folders = [self.study.path(plan.SURROGATE).format(**wildcards) + "/evidence"]
        if plan.computed(wildcards.variant):
            folders.append(self.study.path(plan.EVIDENCE).format(**wildcards))
        return folders

    def selection_inputs(self, wildcards: Any) -> dict[str, str]:
        """Return what a method selects from: its scores, the evidence, or the labels alone."""
        if wildcards.surrogate == plan.NO_SURROGATE:
            return {}
        if methods.get(variants.parse(wildcards.variant)[0]).ranks:
            return {"scores": self.study.path(plan.SCORES).format(**wildcards)}
        return {"evidence": self.study.path(plan.SURROGATE).format(**wildcards) + "/evidence"}

    def selection_flags(self, wildcards: Any) -> str:
        """Return how many samples a protocol selects, and from what."""
        chosen = self.study.protocols[wildcards.protocol]
        flags = _flags({"rounding": chosen.rounding, "balance": chosen.balance})
        if "evidence" not in self.selection_inputs(wildcards):
            return flags
        return f"{flags} {self.missing_flags(wildcards.protocol, wildcards.variant)}".strip()

    def missing_flags(self, protocol: str, variant: str) -> str:
        """Return what an epoch that left a sample out counts, for methods that look at epochs."""
        name, options = variants.parse(variant)
        if not any(map(per_epoch, methods.get(name).needed(options))):
            return ""
        return _flags({"missing": self.study.protocols[protocol].missing})

    def window_flags(self, protocol: str) -> str:
        """Return the windows whose pairs are scored, and what a missing record counts."""
        length, step = self.study.window_grid()
        return f"--length {length} --step {step} {self.missing_flags(protocol, 'eva')}"

    def studies_flags(self) -> str:
        """Return what a plan depends on besides files of the project: folders, own data, rehearsal."""
        folders = [f"--studies {shlex.quote(str(folder))}" for folder in self.study.folders]
        own = [f"--own {name}" for name in self.study.config["datasets"]]
        return " ".join([*folders, *own, *(["--rehearse"] if self.study.rehearses else [])])

    def plan_digest(self, experiment: str) -> str:
        """Return the SHA-256 of what an experiment's plan holds.

        An edit of its file, or of a protocol's, that leaves the plan as it was is no change.
        """
        return _digest(plan.specification(self.study, self.study.experiments[experiment]))

    def published_flags(self) -> str:
        """Return the files of published numbers, wherever the project lies."""
        return " ".join(f"--published {shlex.quote(str(path))}" for path in PUBLISHED_TABLES)

    def published_digest(self, experiment: str) -> str:
        """Return the SHA-256 of the published numbers that an experiment's table shows."""
        return _digest(published_rows(self.study.experiments[experiment]["published"]))

    def figure_inputs(self, wildcards: Any, figure: str) -> list[str]:
        """Return the files that a figure is drawn from, besides the plan."""
        return plan.figure_inputs(self.study, self.study.experiments[wildcards.experiment], figure)

    def table_flags(self, wildcards: Any, figure: str) -> str:
        """Return the table that a figure is drawn from, if it is."""
        return (
            f"--table {plan.table(self.study, wildcards.experiment)}"
            if "table" in FIGURES[figure]
            else ""
        )


def command_prefix() -> str:
    """Return what every job's command begins with, so that it finds this package.

    In an environment of its own the package is not installed, and there Snakemake takes PYTHONPATH
    away, so that setting it here and now would not reach the command.
    """
    package = shlex.quote(str(ROOT / "workflow")).replace("{", "{{").replace("}", "}}")
    return f"set -eu; export PYTHONPATH={package}${{{{PYTHONPATH:+:$PYTHONPATH}}}};"


def share_gpus(jobs_per_gpu: int) -> None:
    """Let so many jobs share a GPU. It is no flag of theirs, because no result depends on it."""
    os.environ["MEDCORESET_JOBS_PER_GPU"] = str(jobs_per_gpu)


def optional_flags(**given: Any) -> str:
    """Return `--name value` for every input that a job has."""
    return _flags({name: value for name, value in given.items() if value})


def seed_list(seeds: str) -> str:
    """Return the seeds of a path component as a command takes them."""
    return ",".join(map(str, plan.parse_seeds(seeds)))


def _flags(values: dict[str, Any]) -> str:
    return " ".join(
        f"--{name.replace('_', '-')} {shlex.quote(str(value))}" for name, value in values.items()
    )


def _digest(content: Any) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
