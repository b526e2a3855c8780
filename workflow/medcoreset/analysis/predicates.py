"""What a claim says of which cells: comparisons of means, of six kinds.

A claim is a sentence as comparisons. Every predicate of `PREDICATES` comes down to linear contrasts of
cells and a bound, Σ c·mean − bound > 0, of which all, most or some are to hold. Planning reads claims, so
this imports neither pandas nor scipy.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise, product
from typing import Any, NamedTuple

from medcoreset.plan import FULL, INDEPENDENT

DIGITS = 6
"""Decimals to which differences of printed numbers are taken: 78.71 − 73.10 is 5.61."""


class Cell(NamedTuple):
    """One number of a table, in the papers' names; `surrogate` is None for rows that look at none."""

    dataset: str
    surrogate: str | None
    network: str
    method: str
    rate: float

    @classmethod
    def of(cls, dataset: str, surrogate: str, network: str, method: str, rate: float) -> "Cell":
        """Return the cell, which is the same for all surrogates, and of the full set for all rates."""
        whole = method == FULL
        of = None if method in INDEPENDENT else surrogate
        return cls(dataset, of, network, method, 1.0 if whole else float(rate))


@dataclass(frozen=True)
class Comparison:
    """A contrast of cells, (factor, cell) each, that is to lie above `bound`, or not below it."""

    terms: tuple[tuple[int, Cell], ...]
    bound: float = 0.0
    strict: bool = True

    def holds(self, value: float) -> bool:
        """Say whether a value of the contrast is as claimed."""
        return value > self.bound if self.strict else value >= self.bound


@dataclass(frozen=True)
class Claim:
    """A sentence of a paper in our words, where it stands, and what it says of which cells.

    `tables` are the published tables of its experiment; `hold` is how many of the comparisons are
    to hold: `all`, `most` (more than half) or `some` (one).
    """

    name: str
    paper: str
    place: str
    statement: str
    experiment: str
    tables: tuple[str, ...]
    hold: str
    comparisons: tuple[Comparison, ...]

    @property
    def cells(self) -> frozenset[Cell]:
        """The cells that the claim is of."""
        return frozenset(cell for each in self.comparisons for _, cell in each.terms)

    @property
    def needed(self) -> int:
        """How many comparisons are to hold."""
        count = len(self.comparisons)
        return {"all": count, "most": count // 2 + 1, "some": 1}[self.hold]


Place = Mapping[str, Any]
"""Dataset, surrogate, network and rate of a cell."""
Side = Any
"""A row, several, or a mapping with the key `row` and axes that differ from the place's."""


def expand(side: Side, place: Place) -> Iterator[Cell]:
    """Yield the cells of a side: every row, with every combination of the axes that it changes."""
    given = side if isinstance(side, Mapping) else {"row": side}
    axes = {axis: _listed(value) for axis, value in given.items()}
    for values in product(*axes.values()):
        chosen = {**place, **dict(zip(axes, values, strict=True))}
        yield Cell.of(method=chosen.pop("row"), **chosen)


def better(places: Sequence[Place], row: Side, than: Side, by: float = 0.0) -> Iterator[Comparison]:
    """Every mean of `row` is above every one of `than`, by at least `by` points if that is not 0."""
    for a, b in _pairs(places, row, than):
        yield Comparison(((1, a), (-1, b)), by, strict=by == 0)


def not_better(places: Sequence[Place], row: Side, than: Side) -> Iterator[Comparison]:
    """No mean of `row` is above one of `than`."""
    for a, b in _pairs(places, row, than):
        yield Comparison(((1, b), (-1, a)), strict=False)


def within(places: Sequence[Place], row: Side, of: Side, points: float) -> Iterator[Comparison]:
    """Every mean of `row` is within `points` of every one of `of`, which may be a number."""
    for place in places:
        for a in expand(row, place):
            if isinstance(of, int | float):
                yield Comparison(((1, a),), round(of - points, DIGITS), strict=False)
                yield Comparison(((-1, a),), round(-of - points, DIGITS), strict=False)
                continue
            for b in expand(of, place):
                yield Comparison(((1, a), (-1, b)), -points, strict=False)
                yield Comparison(((1, b), (-1, a)), -points, strict=False)


def at_least(places: Sequence[Place], row: Side, value: float) -> Iterator[Comparison]:
    """Every mean of `row` is at least `value`."""
    for place in places:
        for cell in expand(row, place):
            yield Comparison(((1, cell),), value, strict=False)


def rises(places: Sequence[Place], row: Side) -> Iterator[Comparison]:
    """The means of `row` rise from each selection rate to the next."""
    rates = sorted({place["rate"] for place in places})
    for place in _but_rate(places):
        for low, high in pairwise(rates):
            lower, upper = (expand(row, {**place, "rate": rate}) for rate in (low, high))
            for a, b in zip(upper, lower, strict=True):
                yield Comparison(((1, a), (-1, b)))


def wider(
    places: Sequence[Place], row: Side, than: Side, beyond: Sequence[float]
) -> Iterator[Comparison]:
    """`row` is farther above `than` at each of the claim's rates than at each rate of `beyond`."""
    for place, rate in product(places, beyond):
        here, there = (_pairs([{**place, **at}], row, than) for at in ({}, {"rate": rate}))
        for (a, b), (c, d) in zip(here, there, strict=True):
            yield Comparison(((1, a), (-1, b), (-1, c), (1, d)))


PREDICATES: dict[str, Callable[..., Iterator[Comparison]]] = {
    each.__name__: each for each in (better, not_better, within, at_least, rises, wider)
}
"""What a claim can say."""


def comparisons(
    predicate: str, cells: Mapping[str, Any], given: Mapping[str, Any]
) -> tuple[Comparison, ...]:
    """Return the comparisons of a predicate over all combinations of the axes of `cells`."""
    axes = {axis: _listed(value) for axis, value in cells.items()}
    places = [dict(zip(axes, values, strict=True)) for values in product(*axes.values())]
    return tuple(dict.fromkeys(PREDICATES[predicate](places, **given)))


def _pairs(places: Sequence[Place], row: Side, than: Side) -> Iterator[tuple[Cell, Cell]]:
    for place in places:
        yield from product(expand(row, place), expand(than, place))


def _but_rate(places: Sequence[Place]) -> list[Place]:
    kept: list[Place] = []
    for place in places:
        rest = {axis: value for axis, value in place.items() if axis != "rate"}
        if rest not in kept:
            kept.append(rest)
    return kept


def _listed(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list | tuple) else [value]
