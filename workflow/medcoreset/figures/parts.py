"""The files that a figure of scores is drawn from: grouped, named and read."""

from collections.abc import Iterable

import numpy as np

from medcoreset import identity
from medcoreset.analysis.experiment import Experiment, Part, Scores, Source, Windows
from medcoreset.datasets import canonical
from medcoreset.evidence import Evidence
from medcoreset.provenance import check_recipe, read_seal
from medcoreset.reading import read_npz


def by_surrogate(experiment: Experiment) -> dict[tuple[str, str, str], list[Scores]]:
    """Return the first variant of every method's scores, per (dataset, protocol, surrogate).

    Methods are in the experiment's order. A method has several variants where its options depend
    on the rate, as EVA's published windows do.
    """
    groups: dict[tuple[str, str, str], dict[str, Scores]] = {}
    for entry in experiment.scores:
        groups.setdefault(place(entry), {}).setdefault(entry.method, entry)
    return {
        where: [first[method] for method in experiment.methods if method in first]
        for where, first in groups.items()
    }


def place(part: Part) -> tuple[str, str, str]:
    """Return what a surrogate is identified by."""
    return part.dataset, part.protocol, part.surrogate


def heading(experiment: Experiment, part: Part, every: Iterable[Part]) -> list[str]:
    """Return the dataset's label, and below it what else differs among `every` part of a figure."""
    every = list(every)
    varying = [
        getattr(part, axis)
        for axis in ("protocol", "surrogate")
        if len({getattr(other, axis) for other in every}) > 1
    ]
    return [experiment.datasets[part.dataset], *([", ".join(varying)] if varying else [])]


def variant_label(experiment: Experiment, entry: Scores) -> str:
    """Return the method's label with the variant's options, `EVA (early=1, late=31)`."""
    label = experiment.methods[entry.method]
    _, options = identity.split(entry.variant, "variant")
    given = ", ".join(f"{key}={value}" for key, value in options.items())
    return f"{label} ({given})" if given else label


def read_scores(entry: Scores | Windows, *names: str) -> list[np.ndarray]:
    """Return arrays of a file of scores; UserError if it is not what the plan has it made by."""
    path = entry.windows if isinstance(entry, Windows) else entry.scores
    arrays = read_npz(path, "a file of scores", *names, "recipe")
    check_recipe(path, str(arrays["recipe"]), entry.recipe)
    return [arrays[name] for name in names]


def read_evidence(source: Source) -> Evidence:
    """Return the training dynamics of a surrogate; UserError if they are not those of the plan."""
    check_recipe(source.evidence, read_seal(source.evidence)["recipe"], source.recipe)
    return Evidence.load(source.evidence)


def read_dataset(experiment: Experiment, name: str) -> canonical.Dataset:
    """Return a dataset of the experiment; UserError if it is not that of the plan."""
    dataset = canonical.load(experiment.files[name])
    check_recipe(experiment.files[name], dataset.info["recipe"], experiment.recipes[name])
    return dataset
