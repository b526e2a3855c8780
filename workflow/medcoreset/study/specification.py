"""The plan as the analysis reads it: rows, columns and files, and the recipe that each file has."""

from collections.abc import Iterator
from typing import Any

from medcoreset.datasets import catalog
from medcoreset.study.configuration import Experiment, Study
from medcoreset.study.plan import (
    CORESETS,
    DATASET,
    FULL,
    NO_SURROGATE,
    RUN,
    SCORES,
    SURROGATE,
    WINDOWS,
    Cell,
    Place,
    Run,
    cells,
    has_scores,
    surrogates,
)
from medcoreset.study.recipes import Recipes


def specification(recipes: Recipes, experiment: Experiment) -> dict[str, Any]:
    """Return the resolved experiment that `table` and `figure` read: rows, columns, and files."""
    study = recipes.study
    every = list(cells(study, experiment))
    selected = [cell for cell in every if cell.run.surrogate != NO_SURROGATE]
    return {
        "name": experiment.name,
        "rehearsal": study.rehearses,
        "title": experiment["title"],
        "published": experiment["published"],
        "published_as": experiment["published_as"],
        "tolerance": experiment["tolerance"],
        "reference": experiment["reference"],
        "notes": experiment["notes"],
        "rates": experiment["rates"],
        "seeds": experiment["seeds"],
        "methods": [
            *({"key": key, "label": study.label(experiment, key)} for key in experiment["methods"]),
            *([{"key": FULL, "label": "Full"}] if experiment["full"] else []),
        ],
        "datasets": [
            {
                "key": name,
                "label": catalog.label(catalog.parse(name, study.config["datasets"])),
                "file": study.path(DATASET).format(dataset=name),
                "recipe": recipes.dataset(name).own,
            }
            for name in experiment["datasets"]
        ],
        "networks": [{"key": name, "label": name} for name in experiment["networks"]],
        "protocols": [
            {"key": column, "label": column, "rule": study.split_protocol(column)[1]}
            for column in experiment["protocols"]
        ],
        "runs": [
            _reported(cell)
            | {
                "metrics": cell.run.path(study.path(RUN)) + "/metrics.json",
                "coresets": _coresets(study, cell.run),
                "recipe": recipes.run(cell.run).own,
            }
            for cell in every
        ],
        "sources": [
            _place(place)
            | {
                "evidence": place.path(study.path(SURROGATE)) + "/evidence",
                "recipe": recipes.surrogate(place).own,
            }
            for place in surrogates(study, experiment)
        ],
        "scores": _distinct(
            _place(cell.run)
            | {
                "method": cell.key,
                "variant": cell.run.variant,
                "scores": cell.run.path(study.path(SCORES)),
                "recipe": recipes.scores(cell.run).own,
            }
            for cell in selected
            if has_scores(cell.run)
        ),
        "coresets": _distinct(
            _place(cell.run)
            | {
                "method": cell.key,
                "variant": cell.run.variant,
                "rate": float(cell.run.rate),
                "coreset": f"{_coresets(study, cell.run)}/seed{experiment['seeds'][0]}.npz",
                "recipe": recipes.coresets(cell.run).own,
            }
            for cell in selected
        ),
        "windows": [
            _place(place)
            | {
                "windows": place.path(study.path(WINDOWS)),
                "recipe": recipes.windows(place).own,
            }
            for place in surrogates(study, experiment)
        ],
    }


def _coresets(study: Study, run: Run) -> str:
    """Return the folder of a run's coresets; the full training set has none."""
    return "" if run.variant == FULL else run.path(study.path(CORESETS))


def _place(place: Place) -> dict[str, str]:
    return {name: getattr(place, name) for name in ("dataset", "protocol", "surrogate")}


def _reported(cell: Cell) -> dict[str, Any]:
    return _place(cell.run) | {
        "protocol": cell.column,
        "rule": cell.rule,
        "network": cell.run.network,
        "method": cell.key,
        "rate": float(cell.run.rate),
        "variant": cell.run.variant,
    }


def _distinct(entries: Iterator[dict[str, Any]]) -> list[dict[str, Any]]:
    return list({repr(entry): entry for entry in entries}.values())
