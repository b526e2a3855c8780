"""The plan of an experiment: the rows and columns of its table, and the files that it is made of.

A study resolves an experiment into its plan; its table and figures are made from the plan alone.
"""

from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar

from medcoreset.identity import Surrogate, beside
from medcoreset.reading import file_of, read_json

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

FULL = "full"
"""The row of the full training set, and the variant of what is trained on it."""
NO_SURROGATE = "none"
"""The surrogate of any run that has none."""
INDEPENDENT = ("random", FULL)
"""Rows that look at no surrogate: one run of theirs stands beside those of every surrogate."""

WHAT = "the plan of an experiment"

Made = TypeVar("Made", bound="DataclassInstance")


@dataclass(frozen=True)
class Place:
    """A surrogate: network and seed, trained on a dataset under a protocol."""

    dataset: str
    protocol: str
    surrogate: str

    @property
    def model(self) -> str:
        """The surrogate without its seed, which is what tables and figures name."""
        known = self.surrogate != NO_SURROGATE
        return Surrogate.parse(self.surrogate).model if known else NO_SURROGATE

    @property
    def surrogate_seed(self) -> int | None:
        """The surrogate's seed, if there is a surrogate."""
        known = self.surrogate != NO_SURROGATE
        return Surrogate.parse(self.surrogate).seed if known else None


@dataclass(frozen=True)
class Run(Place):
    """One coreset specification and the network trained on it, with all its seeds.

    A seed is a coreset, of which so many networks are trained as `trainings` says.
    """

    variant: str
    rate: float
    network: str
    seeds: tuple[int, ...]
    trainings: int
    balance: str
    """`+balance=global`, `class` or `drop` where that is not the protocol's, else ""."""

    @property
    def trained(self) -> dict[int, int]:
        """The seed of each training, and that of the coreset that it is of."""
        return {each: seed for seed in self.seeds for each in beside(seed, self.trainings)}


@dataclass(frozen=True)
class Reported(Run):
    """A run in a table: the column and the row that it stands in, its files, and their recipe."""

    column: str
    method: str
    metrics: str
    coresets: str
    """Folder of the coresets, "" for the full training set."""
    recipe: str
    """What the metrics are to be made by."""

    @property
    def cell(self) -> tuple[str, str, str, str, str, float]:
        """The cell of the table that the run fills, with the runs of other surrogates' seeds.

        Candidates of a search share one.
        """
        return self.dataset, self.column, self.model, self.network, self.method, self.rate


@dataclass(frozen=True)
class Part(Place):
    """What was made of a surrogate: its training dynamics, or the scores under EVA's windows."""

    path: str
    recipe: str


@dataclass(frozen=True)
class Scores(Part):
    """The scores of one method variant."""

    method: str
    variant: str


@dataclass(frozen=True)
class Dataset:
    """A dataset: its identity, its name in tables and figures, and its canonical file."""

    key: str
    label: str
    path: str
    recipe: str


FILES = {
    "runs": Reported,
    "sources": Part,
    "scores": Scores,
    "rankings": Scores,
    "windows": Part,
}
"""What a plan lists files of, and of which kind each list is."""


@dataclass(frozen=True)
class Plan:
    """What the table and the figures of an experiment show, and of which files they are made.

    `methods`, `datasets`, `columns` and `networks` are in the order in which they are shown.
    `methods` maps a row's key to its label; `dynamic` are those of them, all at the end, that select
    anew in every epoch and so, as the full training set's, store all samples; `columns` maps `PROTOCOL[:RULE]`, as the experiment
    names it, to the reporting rule that its numbers are read under. A `rehearsal` is marked as one
    wherever it is shown. `published` names the tables of the papers whose numbers stand beside it,
    first match first; `published_as` maps datasets and networks to the papers' names for them,
    where these differ; `tolerance` is in percentage points. `reference` is the row that the others
    are paired with. `sources` are the training dynamics of the surrogates, `scores` those by them;
    both are of each surrogate's first seed, `rankings` are the scores by all.
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
    dynamic: tuple[str, ...]
    datasets: dict[str, Dataset]
    columns: dict[str, str]
    networks: tuple[str, ...]
    rates: tuple[float, ...]
    runs: tuple[Reported, ...]
    sources: tuple[Part, ...]
    scores: tuple[Scores, ...]
    rankings: tuple[Scores, ...]
    windows: tuple[Part, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the plan as JSON; what has an order is a list, for keys are written sorted."""
        return asdict(self) | {
            "methods": [{"key": key, "label": label} for key, label in self.methods.items()],
            "datasets": [asdict(each) for each in self.datasets.values()],
            "columns": [{"key": key, "rule": rule} for key, rule in self.columns.items()],
        }

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> Self:
        """Return the plan that `to_json` made `content` of; ValueError says what it lacks."""
        plan = _made(cls, content, "it")
        files: dict[str, Any] = {
            name: tuple(_made(kind, entry, f"one of its {name}") for entry in content[name])
            for name, kind in FILES.items()
        }
        plan = replace(
            plan,
            methods={entry["key"]: entry["label"] for entry in content["methods"]},
            datasets={
                entry["key"]: _made(Dataset, entry, "one of its datasets")
                for entry in content["datasets"]
            },
            columns={entry["key"]: entry["rule"] for entry in content["columns"]},
            **files,
        )
        for run in plan.runs:
            for axis in ("method", "dataset", "column", "network"):
                known = getattr(plan, f"{axis}s")
                if (key := getattr(run, axis)) not in known:
                    raise ValueError(
                        f"{run.metrics} is of {axis} {key!r}, not one of {', '.join(known)}"
                    )
        return plan

    @classmethod
    def read(cls, path: str | Path) -> Self:
        """Read a plan (JSON); UserError for what is none, or lacks something."""
        content = read_json(path, WHAT)
        with file_of(path, WHAT):
            return cls.from_json(content)


def _made(kind: type[Made], entry: dict[str, Any], what: str) -> Made:
    """Return a dataclass made of a JSON object, which has all of its fields and no others."""
    names = {field.name for field in fields(kind)}
    if missing := names - entry.keys():
        raise ValueError(f"{what} lacks {', '.join(sorted(missing))}")
    if unknown := entry.keys() - names:
        raise ValueError(f"{what} has the unknown key {', '.join(sorted(unknown))}")
    listed = {name: tuple(value) for name, value in entry.items() if isinstance(value, list)}
    return kind(**entry | listed)
