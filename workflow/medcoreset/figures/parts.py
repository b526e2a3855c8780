"""The files that a figure of scores is drawn from: grouped, named and read."""

from collections.abc import Iterable

import numpy as np

from medcoreset import identity
from medcoreset.datasets import canonical
from medcoreset.evidence import Evidence
from medcoreset.plan import Part, Plan, Scores
from medcoreset.provenance import check_recipe, read_seal
from medcoreset.reading import read_npz


def by_surrogate(plan: Plan) -> dict[tuple[str, str, str], list[Scores]]:
    """Return the first variant of every method's scores, per (dataset, protocol, surrogate).

    Methods are in the experiment's order. A method has several variants where its options depend
    on the rate, as EVA's published windows do.
    """
    groups: dict[tuple[str, str, str], dict[str, Scores]] = {}
    for entry in plan.scores:
        groups.setdefault(place(entry), {}).setdefault(entry.method, entry)
    return {
        where: [first[method] for method in plan.methods if method in first]
        for where, first in groups.items()
    }


def place(part: Part) -> tuple[str, str, str]:
    """Return what a surrogate is identified by."""
    return part.dataset, part.protocol, part.surrogate


def heading(plan: Plan, part: Part, every: Iterable[Part]) -> list[str]:
    """Return the dataset's label, and below it what else differs among `every` part of a figure."""
    every = list(every)
    varying = [
        getattr(part, axis)
        for axis in ("protocol", "surrogate")
        if len({getattr(other, axis) for other in every}) > 1
    ]
    return [plan.datasets[part.dataset].label, *([", ".join(varying)] if varying else [])]


def variant_label(plan: Plan, entry: Scores) -> str:
    """Return the method's label with the variant's options, `EVA (early=1, late=31)`."""
    label = plan.methods[entry.method]
    _, options = identity.split(entry.variant, "variant")
    given = ", ".join(f"{key}={value}" for key, value in options.items())
    return f"{label} ({given})" if given else label


def read_scores(entry: Part, *names: str) -> list[np.ndarray]:
    """Return arrays of a file of scores; UserError if it is not what the plan has it made by."""
    arrays = read_npz(entry.path, "a file of scores", *names, "recipe")
    check_recipe(entry.path, str(arrays["recipe"]), entry.recipe)
    return [arrays[name] for name in names]


def read_evidence(source: Part) -> Evidence:
    """Return the training dynamics of a surrogate; UserError if they are not those of the plan."""
    check_recipe(source.path, read_seal(source.path)["recipe"], source.recipe)
    return Evidence.load(source.path)


def read_dataset(plan: Plan, name: str) -> canonical.Dataset:
    """Return a dataset of the plan; UserError if it was not made as the plan says."""
    entry = plan.datasets[name]
    dataset = canonical.load(entry.path)
    check_recipe(entry.path, dataset.info["recipe"], entry.recipe)
    return dataset
