"""Datasets of an experiment that differ in one condition alone. Imports nothing heavy: workflows read it."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from medcoreset.datasets import catalog
from medcoreset.identity import split

VARIED = ("noise", "asymmetric", "imbalance", "duplicates")
"""Conditions over which a study can go."""


@dataclass(frozen=True)
class Series:
    """Datasets that differ in one condition alone, and its value of each, in ascending order.

    `label` is what they are called without the condition.
    """

    condition: str
    label: str
    values: dict[str, float]


def series_of(names: Iterable[str]) -> list[Series]:
    """Return the series among datasets: of each condition those of which two differ in it alone.

    A dataset whose classes are as they are is none of a series over `imbalance`.
    """
    found: dict[tuple[str, str], dict[str, float]] = {}
    labels: dict[tuple[str, str], str] = {}
    for name in names:
        base = split(name, "dataset")[0]
        identity = catalog.parse(name, own=() if base in catalog.SOURCES else [base])
        for condition in VARIED:
            value = getattr(identity.conditions, condition)
            if value is not None:
                key = (condition, (rest := _without(identity, condition)).name)
                found.setdefault(key, {})[name] = value
                labels[key] = catalog.label(rest)
    return [
        Series(key[0], labels[key], dict(sorted(values.items(), key=lambda item: item[1])))
        for key, values in found.items()
        if len(values) > 1
    ]


def _without(identity: catalog.Identity, condition: str) -> catalog.Identity:
    default = getattr(catalog.Conditions(), condition)
    return replace(identity, conditions=replace(identity.conditions, **{condition: default}))
