"""How many samples a selection rate stands for, in total and per class."""

import math
from decimal import Decimal
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
    if rounding == "nearest" and balance == "class":
        return nearest_budgets(rate, np.bincount(labels))
    return budget(rate, len(labels), rounding)


def expected_size(rate: float, n: int, classes: int, rounding: Rounding, balance: str) -> int:
    """Return how large a coreset of `n` samples will be, as if their `classes` were equally large."""
    if rounding == "nearest" and balance == "class":
        sizes = np.full(classes, n // classes) + (np.arange(classes) < n % classes)
        return int(nearest_budgets(rate, sizes).sum())
    return budget(rate, n, rounding)


def class_budgets(sizes: np.ndarray, count: int, minimum: np.ndarray | None = None) -> np.ndarray:
    """Share `count` among classes of `sizes` (C,) in proportion, by largest remainder, int64 (C,).

    The budgets add up to `count` and none exceeds its class. If `count` suffices, every class that
    has samples gets one. `minimum` (C,) is what is taken already, of each class; Σ ≤ `count`.
    Of equal remainders, that of the larger class is first, then that of the lower label.
    """
    sizes = np.asarray(sizes, dtype=np.int64)
    low = np.zeros_like(sizes) if minimum is None else np.asarray(minimum, dtype=np.int64)
    one_each = np.maximum(low, np.minimum(sizes, 1))
    if one_each.sum() <= count:
        low = one_each
    budgets = low.copy()
    free = sizes > 0
    while True:
        # Exact shares, in integers, of the classes whose share is at least what they must get.
        rest, total = count - int(budgets[~free].sum()), int(sizes[free].sum())
        short = free & (rest * sizes < low * total)
        if not short.any():
            break
        free &= ~short
    budgets[free] = rest * sizes[free] // total
    remainder = np.where(free, rest * sizes % total, -1)
    order = np.lexsort((np.arange(len(sizes)), -sizes, -remainder))
    budgets[order[: count - int(budgets.sum())]] += 1
    return budgets
