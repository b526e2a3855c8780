"""How many samples a selection rate stands for, in total and per class."""

import math
from decimal import Decimal
from typing import Literal

import numpy as np

from medcoreset.errors import UserError

Rounding = Literal["ceil", "floor"]


def budget(rate: float, n: int, rounding: Rounding = "ceil") -> int:
    """Return M, the size of a coreset of the share `rate` of `n` samples.

    `ceil`: M = ⌈α·N⌉ (EVA, Section 3.2) in decimal, where 0.07 · 100 is 7; `floor`: int(α·N) in
    binary floating point, as EVA's authors compute it. Raises UserError for a rate outside (0, 1],
    or one that rounds to no sample at all.
    """
    if not 0 < rate <= 1:
        raise UserError(f"rate is {rate:g}, but it is to be above 0 and at most 1")
    exact = Decimal(str(rate)) * n
    count = math.ceil(exact) if rounding == "ceil" else int(rate * n)
    if count == 0:
        raise UserError(f"rate {rate:g} of {n} samples is no sample at all, rounded down")
    return count


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
