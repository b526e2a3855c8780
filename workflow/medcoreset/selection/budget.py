"""How many samples a selection rate stands for, in total and per class."""

import math
from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Literal

import numpy as np

from medcoreset.errors import UserError

Rounding = Literal["ceil", "floor", "nearest"]


def budget(rate: float, n: int, rounding: Rounding = "ceil") -> int:
    """Return M, the size of a coreset of the share `rate` of `n` samples.

    `ceil`: M = ⌈α·N⌉ (EVA, Section 3.2) in decimal, where 0.07 · 100 is 7; `floor`: int(α·N) in
    binary floating point, as EVA's authors compute it; `nearest`: round(α·N) as Python rounds, half to
    even, as the code of DeepCore does, but at least 1. Raises UserError for a rate outside (0, 1],
    or one that rounds to no sample at all.
    """
    if not 0 < rate <= 1:
        raise UserError(f"rate is {rate:g}, but it is to be above 0 and at most 1")
    if rounding == "nearest":
        return max(1, round(rate * n))
    count = math.ceil(Decimal(str(rate)) * n) if rounding == "ceil" else int(rate * n)
    if count == 0:
        raise UserError(f"rate {rate:g} of {n} samples is no sample at all, rounded down")
    return count


def nearest_budgets(rate: float, sizes: np.ndarray) -> np.ndarray:
    """Return the budget of each class of `sizes` (C,), rounded to the `nearest` of its own, int64 (C,).

    So the classes of ImageNet have one image each at 0.1 % (DeepCore, Table 2), where ⌈α·N⌉ is 1,282.
    """
    return np.array([budget(rate, int(n), "nearest") if n else 0 for n in sizes], dtype=np.int64)


def sized(rate: float, labels: np.ndarray, rounding: Rounding, balance: str) -> int | np.ndarray:
    """Return how many of the samples with `labels` (N,) to select: M, or of each class, int64 (C,)."""
    if rounding == "nearest" and balance == "class" and labels.ndim == 1:
        return nearest_budgets(rate, np.bincount(labels))
    return budget(rate, len(labels), rounding)


def expected_size(rate: float, n: int, classes: int, rounding: Rounding, balance: str) -> int:
    """Return how large a coreset of `n` samples will be, as if their `classes` were equally large."""
    if rounding == "nearest" and balance == "class":
        sizes = np.full(classes, n // classes) + (np.arange(classes) < n % classes)
        return int(nearest_budgets(rate, sizes).sum())
    return budget(rate, n, rounding)


def class_budgets(
    sizes: np.ndarray,
    count: int,
    minimum: np.ndarray | None = None,
    weights: Sequence[Fraction] | None = None,
) -> np.ndarray:
    """Share `count` among classes of `sizes` (C,) in proportion, by largest remainder, int64 (C,).

    The budgets add up to `count` and none exceeds its class. If `count` suffices, every class that
    has samples gets one. `minimum` (C,) is what is taken already, of each class; Σ ≤ `count`.
    Shares are in proportion to `weights` (C,), if given, else to the sizes; what is more than a class has
    goes to the others, and where all of these weigh nothing, by their sizes.
    Of equal remainders, that of the larger class is first, then that of the lower label.
    """
    sizes = np.asarray(sizes, dtype=np.int64)
    low = np.zeros_like(sizes) if minimum is None else np.asarray(minimum, dtype=np.int64)
    one_each = np.maximum(low, np.minimum(sizes, 1))
    if one_each.sum() <= count:
        low = one_each
    shares = _shares(weights or sizes.tolist(), low.tolist(), sizes.tolist(), count)
    budgets = np.array([math.floor(share) for share in shares], dtype=np.int64)
    left = [floor - share for floor, share in zip(budgets.tolist(), shares, strict=True)]
    order = sorted(range(len(sizes)), key=lambda label: (left[label], -sizes[label], label))
    budgets[order[: count - int(budgets.sum())]] += 1
    return budgets


def _shares(
    weights: Sequence[Fraction | int], low: list[int], high: list[int], count: int
) -> list[Fraction]:
    """Return exact shares in proportion to `weights`, but from `low` to `high`, that add up to `count`."""
    shares = [Fraction(most) for most in high]
    free = {label for label, most in enumerate(high) if most}
    while free:
        rest = count - sum(share for label, share in enumerate(shares) if label not in free)
        if not any(weights[label] for label in free):
            weights = high
        unit = Fraction(rest) / sum(weights[label] for label in free)
        for label in free:
            shares[label] = unit * weights[label]
        over = {label: shares[label] - high[label] for label in free if shares[label] > high[label]}
        short = {label: low[label] - shares[label] for label in free if shares[label] < low[label]}
        # Of the two kinds, the one that is more of all is sure to stay at its limit.
        more, less = sum(over.values()), sum(short.values())
        stay = (set(over) if more >= less else set()) | (set(short) if less >= more else set())
        for label in stay:
            shares[label] = Fraction(high[label] if label in over else low[label])
        if not stay:
            break
        free -= stay
    return shares
