"""What each rule passes to its job: inputs, flags and resources, read back from the wildcards."""

import json
import os
import shlex
import sys
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from functools import cached_property, partial
from typing import Any

from medcoreset.errors import UserError
from medcoreset.figures import FIGURES
from medcoreset.identity import Surrogate, digest
from medcoreset.methods import variants
from medcoreset.plan import FULL
from medcoreset.study import forecast, planning, results
from medcoreset.study.claims import Claims
from medcoreset.study.configuration import (
    PUBLISHED_TABLES,
    Study,
    published_rows,
    published_tables,
)
from medcoreset.study.inputs import Inputs
from medcoreset.study.recipes import Recipes
from medcoreset.study.schema import ROOT
from medcoreset.training.options import as_flags


@dataclass(frozen=True)
class Jobs:
    """The slice of a study that one job uses, so that a change reruns exactly what depends on it."""

    study: Study
    _digests: dict[str, str] = field(default_factory=dict, repr=False, compare=False)

    @cached_property
    def inputs(self) -> Inputs:
        """What the datasets are read from."""
        return Inputs(self.study)

    @cached_property
    def recipes(self) -> Recipes:
        """The recipes of what the jobs make."""
        return Recipes(self.study)

    @cached_property
    def claims(self) -> Claims:
        """What papers claim."""
        return Claims(self.study)

    def resource(self, kind: str, name: str) -> int:
        """Return what a job of this kind asks for: threads, mem_mb, runtime (minutes), gpu."""
        return self.study.config["resources"][kind][name]

    def scaled(self, kind: str, name: str) -> Callable[..., int]:
        """Return a resource that grows with every attempt, for jobs that ran out of it."""
        return lambda wildcards, attempt: attempt * self.resource(kind, name)

    def targets(self, *names: str) -> list[str]:
        """Return what the targets of experiments make; in a rehearsal, what a forecast needs too.

        The plan is among it: if it has changed it is not there, and what is made of it is made again,
        though Snakemake may not remember of what it was made before.
        """
        return [
            path
            for experiment in map(self.study.experiments.__getitem__, names)
            for path in (
                *results.artefacts(self.study, experiment),
                *self.claims.artefacts(experiment),
                self.plan_file(experiment.name),
                *forecast.inputs(self.study, experiment),
            )
        ]

    def target(self, *names: str) -> Callable[[Any], list[str]]:
        """Return what Snakemake calls for a target that it is to make, and for no other.

        A mistake in one of the target's experiments is said then: it stops nothing else.
        """
        return partial(self._target, names)

    def _target(self, names: Iterable[str], wildcards: Any) -> list[str]:
        mistakes = self.study.experiments.mistakes()
        for name in names:
            if name in mistakes:
                sys.exit(f"medcoreset: {mistakes[name]}")
        try:
            return self.targets(*names)
        except UserError as mistake:  # in a claim
            sys.exit(f"medcoreset: {mistake}")

    def published_target(self, wildcards: Any) -> list[str]:
        """Return what the target `published` makes; a mistake in a claim is said."""
        try:
            _ = self.claims.every
        except UserError as mistake:
            sys.exit(f"medcoreset: {mistake}")
        return results.printed(self.study, self.printed_tables)

    @cached_property
    def printed_tables(self) -> list[str]:
        """The names of the papers' tables."""
        return sorted(published_tables())

    def dataset_flags(self, dataset: str) -> str:
        """Return where `medcoreset dataset` finds a dataset, or of what size its stand-in is."""
        own = self._own_flags(dataset)
        if (samples := self.study.stand_in_samples(dataset)) is not None:
            return f"{own} --stand-in {samples}".strip()
        config, places = self.study.config, ("data_dir", "mirror", "cache")
        return own or _flags({name: config[name] for name in places if config[name]})

    def clean_dataset(self, dataset: str) -> str:
        """Return the file of a dataset without its conditions."""
        return self.study.path(results.DATASET).format(dataset=self.study.clean(dataset))

    def _own_flags(self, dataset: str) -> str:
        own = self.study.own(dataset)
        if own is None:
            return ""
        policy = {} if own["duplicates"] == "keep" else {"duplicates": own["duplicates"]}
        if own["path"].endswith(".npz"):
            several = " --multilabel" if own["multilabel"] else ""
            return _flags({"file": own["path"], **policy}) + several
        given = {"folder": own["path"], "image_size": own["image_size"], **policy}
        stream = f" --stream {_flags({'contents': self.inputs.kept})}" if own["stream"] else ""
        return _flags(given) + stream

    def surrogate_network(self, surrogate: str) -> str:
        """Return the network of a surrogate."""
        return Surrogate.parse(surrogate).network

    def surrogate_flags(self, protocol: str, surrogate: str) -> str:
        """Return the seed and the training options of a surrogate, and its half of the training set."""
        named = Surrogate.parse(surrogate)
        training = self.study.surrogate_training(self.study.protocols[protocol], surrogate)
        flags = as_flags(training, without=("weighted_loss",))
        half = f"--half {named.half} " if named.half else ""
        return f"--seed {named.seed} {half}{flags}".strip()

    def training_flags(self, protocol: str) -> str:
        """Return the training options of a coreset run, of which no dynamics are recorded."""
        training = self.study.protocols[protocol].training
        return as_flags(training, without=("record",))

    def training_inputs(self, wildcards: Any) -> dict[str, str]:
        """Return the coresets of a run, or the evidence by which it selects while it trains, if any."""
        if wildcards.variant == FULL:
            return {}
        if results.has_coresets(wildcards.variant):
            return {"coresets": self.study.path(results.CORESETS).format(**wildcards)}
        if results.computed(wildcards.variant):
            return {"evidence": self.study.path(results.EVIDENCE).format(**wildcards)}
        return {}

    def method_flags(self, variant: str) -> str:
        """Return a method and its options as `medcoreset score` and `coreset` take them."""
        name, options = variants.parse(variant)
        settings = (f"{key}={value}" for key, value in options.items())
        return f"{shlex.quote(name)} {repeated_flag('set', settings)}".strip()

    def draw_flags(self, wildcards: Any) -> str:
        """Return how a run draws what it trains on while it trains, if it does."""
        if wildcards.variant == FULL or results.has_coresets(wildcards.variant):
            return ""
        method = self.method_flags(wildcards.variant)
        return f"--draw {method} {self.selection_flags(wildcards)}"

    def evidence_surrogates(self, wildcards: Any) -> list[str]:
        """Return the folders of the surrogates that a method's own evidence is computed from."""
        place = {"dataset": wildcards.dataset, "protocol": wildcards.protocol}
        names = results.averaged(wildcards.variant, wildcards.surrogate)
        return [
            self.study.path(results.SURROGATE).format(**place, surrogate=name) for name in names
        ]

    def evidence_inputs(self, wildcards: Any) -> list[str]:
        """Return the files of those surrogates."""
        folders = self.evidence_surrogates(wildcards)
        return [f"{folder}/{name}" for folder in folders for name in results.SURROGATE_FILES]

    def evidence_flags(self, wildcards: Any) -> str:
        """Return the surrogates, and how the evidence is computed from them."""
        folders = repeated_flag("surrogate", self.evidence_surrogates(wildcards))
        return f"{folders} {_flags(results.production(wildcards.variant))}"

    def score_evidence(self, wildcards: Any) -> list[str]:
        """Return the folders of evidence that a method scores."""
        folders = [self.study.path(results.SURROGATE).format(**wildcards) + "/evidence"]
        if results.computed(wildcards.variant):
            folders.append(self.study.path(results.EVIDENCE).format(**wildcards))
        return folders

    def selection_inputs(self, wildcards: Any) -> dict[str, str]:
        """Return what coresets are selected from: scores, evidence, both, or the labels alone."""
        patterns = {"scores": results.SCORES, "evidence": results.SURROGATE + "/evidence"}
        usual = self.study.protocols[wildcards.protocol].balance
        sources = results.selected_from(wildcards, usual)
        return {name: self.study.path(patterns[name]).format(**wildcards) for name in sources}

    def selection_flags(self, wildcards: Any) -> str:
        """Return how many samples a protocol selects, and from what."""
        chosen = self.study.protocols[wildcards.protocol]
        balance = results.balance(wildcards, chosen.balance)
        flags = _flags({"rounding": chosen.rounding, "balance": balance})
        if "evidence" not in self.selection_inputs(wildcards):
            return flags
        return f"{flags} {self.missing_flags(wildcards.protocol, wildcards.variant)}".strip()

    def missing_flags(self, protocol: str, variant: str) -> str:
        """Return what an epoch that left a sample out counts, for methods that look at epochs."""
        missing = self.recipes.missing(protocol, variant)
        return _flags({"missing": missing} if missing else {})

    def window_flags(self, protocol: str) -> str:
        """Return the windows whose pairs are scored, and what a missing record counts."""
        length, step = self.study.window_grid()
        return f"--length {length} --step {step} {self.missing_flags(protocol, 'eva')}"

    def config_flags(self) -> str:
        """Return what a plan depends on besides files of the project: folders, own data, rehearsal."""
        names = ("studies", "datasets", "rehearse")
        return _flags({"config": json.dumps({name: self.study.config[name] for name in names})})

    def plan_file(self, experiment: str) -> str:
        """Return the file of an experiment's plan, which is named by what it holds.

        So another plan is another file, which is not there yet: its table and figures are made again
        whatever the times of files say. An edit that leaves the plan as it was is no change.
        """
        if experiment not in self._digests:  # each of its figures asks
            plan = planning.of(self.recipes, self.study.experiments[experiment])
            self._digests[experiment] = digest(plan.to_json())[:12]
        path = self.study.path(results.PLAN)
        return path.format(experiment=experiment, digest=self._digests[experiment])

    def published_flags(self) -> str:
        """Return the files of published numbers, wherever the project lies."""
        return repeated_flag("published", PUBLISHED_TABLES)

    def published_digest(self, experiment: str) -> str:
        """Return the SHA-256 of the published numbers that an experiment's table shows."""
        return digest(published_rows(self.study.experiments[experiment]["published"]))

    def printed_digest(self) -> str:
        """Return the SHA-256 of all published numbers."""
        return digest(published_rows(self.printed_tables))

    def claims_digest(self, experiment: str = "") -> str:
        """Return the SHA-256 of the claims on an experiment, or of all, with their printed numbers."""
        claims = (
            self.claims.of(self.study.experiments[experiment]) if experiment else self.claims.every
        )
        tables = sorted({table for claim in claims for table in claim.tables})
        return digest([*map(asdict, claims), published_rows(tables)])

    def figure_inputs(self, wildcards: Any, figure: str) -> list[str]:
        """Return the files that a figure is drawn from, besides the results."""
        return results.figure_inputs(
            self.study, self.study.experiments[wildcards.experiment], figure
        )

    def seed_list(self, seeds: str) -> str:
        """Return the seeds of a path component as a command takes them."""
        return ",".join(map(str, results.seeds_of(self.study, seeds)))

    def seed_flags(self, wildcards: Any) -> str:
        """Return the seeds of coresets, and how many networks are trained on each."""
        trainings = results.trainings(wildcards)
        more = f" --trainings {trainings}" if trainings > 1 else ""
        return f"--seeds {self.seed_list(wildcards.seeds)}{more}"

    def table_flags(self, wildcards: Any, figure: str) -> str:
        """Return the table and single runs that a figure is drawn from, if it is."""
        files = {"table": results.table, "seeds": results.seeds}
        return (
            _flags({name: path(self.study, wildcards.experiment) for name, path in files.items()})
            if "table" in FIGURES[figure]
            else ""
        )


def command_prefix() -> str:
    """Return what every job's command begins with, so that it finds this package.

    In an environment of its own the package is not installed, and there Snakemake takes PYTHONPATH
    away, so that setting it here and now would not reach the command.
    """
    package = shlex.quote(str(ROOT / "workflow")).replace("{", "{{").replace("}", "}}")
    return f"set -euo pipefail; export PYTHONPATH={package}${{{{PYTHONPATH:+:$PYTHONPATH}}}};"


def share_gpus(jobs_per_gpu: int) -> None:
    """Let so many jobs share a GPU. It is no flag of theirs, because no result depends on it."""
    os.environ["MEDCORESET_JOBS_PER_GPU"] = str(jobs_per_gpu)


def optional_flags(**given: Any) -> str:
    """Return `--name value` for every input that a job has."""
    return _flags({name: value for name, value in given.items() if value})


def repeated_flag(name: str, values: Iterable[Any]) -> str:
    """Return `--name value` for every value."""
    return " ".join(f"--{name} {shlex.quote(str(value))}" for value in values)


def _flags(values: dict[str, Any]) -> str:
    return " ".join(
        f"--{name.replace('_', '-')} {shlex.quote(str(value))}" for name, value in values.items()
    )
