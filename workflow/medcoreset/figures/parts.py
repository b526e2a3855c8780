"""The files that a figure of scores is drawn from: grouped, named and read."""

from collections.abc import Iterable

import numpy as np

from medcoreset.analysis.experiment import Experiment, Part, Scores
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
    options = entry.variant.split("+")[1:]
    return f"{label} ({', '.join(options)})" if options else label


def read_arrays(path: str, *names: str) -> list[np.ndarray]:
    """Return arrays of the `.npz` file of scores `path`."""
    found = read_npz(path, f"an .npz file with {', '.join(names)}", *names)
    return [found[name] for name in names]
