"""An experiment as the plan resolved it: the runs and files its table and figures are made of."""

import json
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Self

from medcoreset.errors import UserError

INDEPENDENT = ("random", "full")
"""Methods that look at no surrogate: one run of theirs stands beside those of every surrogate."""
NO_SURROGATE = "none"
"""The surrogate of any run that has none."""


@dataclass(frozen=True)
class Part:
    """What every file of an experiment is identified by; the subclasses add what the file is."""

    dataset: str
    protocol: str
    surrogate: str

    @classmethod
    def parse(cls, entry: dict[str, Any], where: str) -> Self:
        """Make one from its JSON object; keys that the part does not have are passed over."""
        names = [field.name for field in fields(cls)]
        if missing := [name for name in names if name not in entry]:
            raise UserError(f"{where}: an entry lacks {', '.join(missing)}")
        return cls(**{name: entry[name] for name in names})


@dataclass(frozen=True)
class Run(Part):
    """A network trained on the coresets of one method and rate, one run per seed."""

    rule: str
    network: str
    method: str
    rate: float
    variant: str
    metrics: str

    @property
    def cell(self) -> tuple[str, str, str, str, str, float]:
        """The cell of the table that the run fills; candidates of a window search share one."""
        return (
            self.dataset,
            self.protocol,
            self.surrogate,
            self.network,
            self.method,
            float(self.rate),
        )


@dataclass(frozen=True)
class Source(Part):
    """A dataset and the training dynamics of a surrogate trained on it."""

    dataset_file: str
    evidence: str


@dataclass(frozen=True)
class Scores(Part):
    """The scores of one method variant."""

    method: str
    variant: str
    scores: str


@dataclass(frozen=True)
class Coreset(Part):
    """The first seed's coreset of one method variant and rate."""

    method: str
    rate: float
    variant: str
    coreset: str


@dataclass(frozen=True)
class Windows(Part):
    """EVA's scores under every pair of windows."""

    windows: str


@dataclass(frozen=True)
class Experiment:
    """One published artefact or study.

    `methods`, `datasets`, `protocols` and `networks` map keys to labels in the order in which they
    are shown; `rules` maps a protocol to the reporting rule that its numbers are read under.
    A `rehearsal` is marked as one wherever it is shown. `published` names the tables of the papers whose numbers stand beside it, first match first;
    `published_as` maps datasets and networks to the papers' names for them, where these differ;
    `tolerance` is in percentage points.
    """

    name: str
    rehearsal: bool
    title: str
    published: tuple[str, ...]
    published_as: dict[str, str]
    tolerance: float
    notes: tuple[str, ...]
    methods: dict[str, str]
    datasets: dict[str, str]
    protocols: dict[str, str]
    networks: dict[str, str]
    rules: dict[str, str]
    rates: tuple[float, ...]
    runs: tuple[Run, ...]
    sources: tuple[Source, ...]
    scores: tuple[Scores, ...]
    coresets: tuple[Coreset, ...]
    windows: tuple[Windows, ...]

    def network_label(self, network: str) -> str:
        """Return the label of a retrained or surrogate network, or its identity if it has none."""
        return self.networks.get(network, network)


def load(path: str | Path) -> Experiment:
    """Read the resolved experiment `path` (JSON); an incomplete one is a `UserError`."""
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path}: no such experiment") from None
    except ValueError as problem:
        raise UserError(f"{path}: not JSON: {problem}") from None
    try:
        experiment = _parse(content, path)
    except KeyError as missing:
        raise UserError(f"{path}: key {missing} is missing") from None
    _check(experiment, path)
    return experiment


def _parse(content: dict[str, Any], path: str | Path) -> Experiment:
    published = content.get("published") or ()
    labels = {
        axis: {entry["key"]: entry["label"] for entry in content[axis]}
        for axis in ("methods", "datasets", "protocols", "networks")
    }
    kinds = {"sources": Source, "scores": Scores, "coresets": Coreset, "windows": Windows}
    parts = {
        name: tuple(kind.parse(entry, f"{path}: {name}") for entry in content.get(name, ()))
        for name, kind in kinds.items()
    }
    return Experiment(
        name=content["name"],
        rehearsal=content.get("rehearsal", False),
        title=content["title"],
        published=(published,) if isinstance(published, str) else tuple(published),
        published_as=content.get("published_as", {}),
        tolerance=float(content["tolerance"]),
        notes=tuple(content.get("notes", ())),
        rules={entry["key"]: entry["rule"] for entry in content["protocols"]},
        rates=tuple(float(rate) for rate in content["rates"]),
        runs=tuple(Run.parse(entry, f"{path}: runs") for entry in content["runs"]),
        **labels,
        **parts,
    )


def _check(experiment: Experiment, path: str | Path) -> None:
    for run in experiment.runs:
        for axis in ("method", "dataset", "protocol", "network"):
            named = getattr(experiment, f"{axis}s")
            if (key := getattr(run, axis)) not in named:
                raise UserError(
                    f"{path}: {run.metrics} is of {axis} {key!r}, not one of {', '.join(named)}"
                )
        if run.rule != experiment.rules[run.protocol]:
            raise UserError(
                f"{path}: {run.metrics} is read under rule {run.rule!r}, "
                f"protocol {run.protocol!r} under {experiment.rules[run.protocol]!r}"
            )
