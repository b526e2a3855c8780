"""EVA's window search: every pair of windows of a grid, scored in one pass over the dynamics."""

from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import Any

import numpy as np

from medcoreset.errors import UserError
from medcoreset.evidence import Evidence
from medcoreset.methods import eva


def grid(epochs: int, length: int, step: int) -> list[int]:
    """Return the starts 1, 1 + step, 1 + 2·step, … of the windows that fit in `epochs` epochs."""
    return list(range(1, epochs - length + 2, step))


def window_pairs(starts: Sequence[int], length: int, epochs: int) -> list[tuple[int, int]]:
    """Return every pair (early, late) of starts whose windows do not overlap, in ascending order.

    Raises UserError if a window leaves the `epochs` epochs, or if there is no pair.
    """
    for start in starts:
        eva.check_window("given", start, length, epochs)
    pairs = [(a, b) for a, b in combinations(sorted(set(starts)), 2) if a + length <= b]
    if not pairs:
        raise UserError(f"no two windows of length {length} fit in {epochs} epochs side by side")
    return pairs


def score_pairs(
    evidence: Evidence, pairs: Sequence[tuple[int, int]], options: dict[str, Any]
) -> Iterator[np.ndarray]:
    """Yield EVA's scores, float64 (N,), of one pair of windows after the other.

    `options` are those of `eva` (its early, late and windows are not looked at). The statistic of
    each window is computed once, so that all pairs cost little more than one.
    """
    combine = options["combine"]
    values = {}
    for start in sorted({start for pair in pairs for start in pair}):
        values[start] = eva.window_statistic(
            evidence, start, options["length"], options["statistic"], options["ddof"]
        )
        if combine == "normalized":
            values[start] = eva.normalized(values[start])
    for early, late in pairs:
        yield eva.combined(values[early], values[late], combine, options["weight"])
