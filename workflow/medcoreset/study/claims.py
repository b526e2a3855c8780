"""What papers claim, as `config/claims/` states it: read, and checked against the experiments."""

from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import Any

from medcoreset.analysis.predicates import Cell, Claim, comparisons
from medcoreset.errors import UserError
from medcoreset.identity import Surrogate
from medcoreset.plan import FULL, INDEPENDENT
from medcoreset.study import results
from medcoreset.study.configuration import Experiment, Study
from medcoreset.study.documents import read_yaml
from medcoreset.study.rehearsal import Rehearsal
from medcoreset.study.schema import validated


class Claims:
    """The claims of a study's papers, and which experiments have the cells that each is of."""

    def __init__(self, study: Study):
        self.study = study
        # What papers print is the same in a rehearsal, whose experiments have fewer cells.
        self.full = study.full if isinstance(study, Rehearsal) else study
        self._axes: dict[str, _Axes] = {}

    @cached_property
    def every(self) -> tuple[Claim, ...]:
        """All claims, in the order of their files.

        Raises UserError for a mistake in one, and for what its experiment does not have.
        """
        found: dict[str, Claim] = {}
        for path in self.full.claim_files:
            content = validated(read_yaml(path), "claims", path)
            for name, given in content["claims"].items():
                source = f"{path}: claims.{name}"
                if name in found:
                    raise UserError(f"{source}: another file has a claim of that name")
                found[name] = self._claim(name, content["paper"], given, source)
        return tuple(found.values())

    def of(self, experiment: Experiment) -> tuple[Claim, ...]:
        """Return the claims all of whose cells an experiment has; a rehearsal's numbers judge none."""
        if self.study.rehearses or not experiment.has_table:
            return ()
        axes = self._axes_of(experiment)
        return tuple(
            claim for claim in self.every if not any(map(axes.lacking, sorted_cells(claim)))
        )

    def artefacts(self, experiment: Experiment) -> list[str]:
        """Return the files of verdicts beside an experiment's table, if it has the cells of a claim."""
        folder = self.study.path(results.EXPERIMENT).format(experiment=experiment.name)
        suffixes = results.VERDICTS if self.of(experiment) else ()
        return [f"{folder}/claims.{suffix}" for suffix in suffixes]

    def _claim(self, name: str, paper: str, given: dict[str, Any], source: str) -> Claim:
        experiments = self.full.experiments
        if (of := given["experiment"]) not in experiments:
            known = ", ".join(sorted(experiments))
            raise UserError(f"{source}: unknown experiment {of!r} (known: {known})")
        if len(given["says"]) != 1:
            raise UserError(f"{source}: says {', '.join(given['says'])}, must be one of them")
        if "rate" not in given["cells"] and _needs_rate(given["says"]):
            raise UserError(f"{source}: missing key 'rate' in cells")
        ((predicate, arguments),) = given["says"].items()
        cells = {"rate": 1.0, **given["cells"]}
        compared = comparisons(predicate, cells, _listed_rates(arguments))
        if not compared:
            raise UserError(f"{source}: {predicate} of one selection rate compares nothing")
        for each in compared:
            if len(each.terms) == 2 and each.terms[0][1] == each.terms[1][1]:
                method = each.terms[0][1].method
                raise UserError(f"{source}: {predicate} compares the row {method!r} with itself")
        experiment = experiments[of]
        claim = Claim(
            name,
            paper,
            given["place"],
            given["statement"],
            of,
            tuple(experiment["published"]),
            given["hold"],
            compared,
        )
        axes = self._axes_of(experiment)
        for cell in sorted_cells(claim):
            if lacking := axes.lacking(cell):
                raise UserError(f"{source}: {lacking}")
        return claim

    def _axes_of(self, experiment: Experiment) -> "_Axes":
        if experiment.name not in self._axes:
            self._axes[experiment.name] = _Axes(self.full, experiment)
        return self._axes[experiment.name]


class _Axes:
    """The cells of an experiment's table, in the papers' names."""

    def __init__(self, study: Study, experiment: Experiment):
        def printed(names: Iterable[str]) -> list[str]:
            return list(dict.fromkeys(experiment["published_as"].get(n, n) for n in names))

        self.name = experiment.name
        rows = [*experiment["methods"], *([FULL] if experiment["full"] else [])]
        self.known: dict[str, list[Any]] = {
            "dataset": printed(experiment["datasets"]),
            "network": printed(experiment["networks"]),
            "row": rows,
            "rate": [float(rate) for rate in experiment["rates"]],
        }
        protocols = {study.split_protocol(column)[0].name for column in experiment["protocols"]}
        self.surrogates = {
            row: printed(
                Surrogate.parse(each).model
                for protocol in sorted(protocols)
                for each in study.surrogates_of(experiment, row, study.protocols[protocol])
            )
            for row in experiment["methods"]
        }

    def lacking(self, cell: Cell) -> str:
        """Return what of a cell the experiment does not have, in words; '' if it has the cell."""
        wanted: dict[str, Any] = {
            "row": cell.method,
            "dataset": cell.dataset,
            "network": cell.network,
        }
        if cell.method != FULL:
            wanted["rate"] = cell.rate
        for axis, value in wanted.items():
            if value not in self.known[axis]:
                return self._words(axis, value, self.known[axis])
        if cell.method not in INDEPENDENT and cell.surrogate not in self.surrogates[cell.method]:
            return self._words("surrogate", cell.surrogate, self.surrogates[cell.method])
        return ""

    def _words(self, axis: str, value: Any, known: list[Any]) -> str:
        has = ", ".join(map(str, known)) or "none"
        return f"{axis} {value!r} is not one of experiment {self.name}, which has {has}"


def sorted_cells(claim: Claim) -> Iterator[Cell]:
    """Yield the cells of a claim in the order in which it names them, so that errors are the same."""
    yield from dict.fromkeys(cell for each in claim.comparisons for _, cell in each.terms)


def _needs_rate(says: dict[str, Any]) -> bool:
    """Say whether a claim is of more than the full set, which has the same cell at all rates."""
    return any(
        value != FULL
        for arguments in says.values()
        for key, value in arguments.items()
        if key in ("row", "than", "of") and not isinstance(value, int | float)
    )


def _listed_rates(arguments: dict[str, Any]) -> dict[str, Any]:
    beyond = arguments.get("beyond")
    return arguments | {"beyond": [beyond]} if isinstance(beyond, int | float) else arguments
