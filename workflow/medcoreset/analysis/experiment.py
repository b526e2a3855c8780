"""An experiment as the plan resolved it: the runs and files its table and figures are made of."""

from dataclasses import dataclass, fields
from decimal import Decimal
from pathlib import Path
from typing import Any, Self

from medcoreset.errors import UserError
from medcoreset.reading import read_json

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
    recipe: str
    """What the plan has the file made by."""

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
    coresets: str
    """Folder of the coresets, "" for the full training set."""

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
    """The training dynamics of a surrogate."""

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
    are shown; `rules` maps a protocol to the reporting rule that its numbers are read under, `files`
    and `recipes` a dataset to its canonical file and what the plan has it made by.
    A `rehearsal` is marked as one wherever it is shown. `published` names the tables of the papers whose numbers stand beside it, first match first;
    `published_as` maps datasets and networks to the papers' names for them, where these differ;
    `tolerance` is in percentage points. `reference` is the row that the others are paired with.
    """

    name: str
    rehearsal: bool
    title: str
    published: tuple[str, ...]
    published_as: dict[str, str]
    tolerance: float
    reference: str
    notes: tuple[str, ...]
    methods: dict[str, str]
    datasets: dict[str, str]
    protocols: dict[str, str]
    networks: dict[str, str]
    rules: dict[str, str]
    rates: tuple[float, ...]
    seeds: tuple[int, ...]
    files: dict[str, str]
    recipes: dict[str, str]
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
    content = read_json(path, "the plan of an experiment")
    try:
        experiment = _parse(content, path)
    except KeyError as missing:
        raise UserError(f"{path}: key {missing} is missing") from None
    except (AttributeError, TypeError, ValueError) as problem:
        raise UserError(f"{path} is not the plan of an experiment: {problem}") from None
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
        reference=content["reference"],
        notes=tuple(content.get("notes", ())),
        rules={entry["key"]: entry["rule"] for entry in content["protocols"]},
        rates=tuple(float(rate) for rate in content["rates"]),
        seeds=tuple(content["seeds"]),
        files={entry["key"]: entry["file"] for entry in content["datasets"]},
        recipes={entry["key"]: entry["recipe"] for entry in content["datasets"]},
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


def percent(rate: float) -> str:
    """Return a selection rate in percent with all of its digits: different rates look different."""
    return format((Decimal(repr(rate)) * 100).normalize(), "f")
