"""What the greedy methods share: which of equal gains is taken, and gains that are only nearly known."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from medcoreset.evidence import Evidence

if TYPE_CHECKING:
    from torch import Tensor, dtype

# Gains that differ by less than this, relative to the largest, are equal: duplicates would else be
# ordered by the rounding errors of matrix products, which depend on the position in the file.
ROUNDING = 1e-13

# Gains evaluated at a time by the lazy greedy.
BATCH = 64


def shuffled(evidence: Evidence, rng: np.random.Generator) -> tuple[np.ndarray, Evidence]:
    """Return a random order (N,) and the evidence in it, of which the first of equals is taken."""
    order = rng.permutation(len(evidence))
    return order, evidence.take(order)


def rounded(gains: "Tensor", scale: float) -> "Tensor":
    """Return gains (n,) in whole multiples of `ROUNDING` times `scale`, their largest size."""
    return gains.div(max(scale, np.finfo(np.float64).tiny) * ROUNDING).round_()


def first_best(gains: "Tensor", scale: float) -> int:
    """Return the position of the largest of the gains (n,), the first of equals."""
    return int(rounded(gains, scale).argmax())


def lazy(
    bounds: "Tensor",
    gains: Callable[["Tensor"], "Tensor"],
    picked: Callable[[int], None],
    count: int,
    start: np.ndarray,
) -> np.ndarray:
    """Return greedy picks, `start` first, int64 (count,), where gains never grow (Minoux 1978).

    `bounds` (N,) are the gains before the first pick, `gains(samples)` the present ones, and
    `picked(sample)` is told every pick. Of equal gains, the first.
    """
    import torch

    scale = float(bounds.abs().max())
    bounds = rounded(bounds, scale)
    stale = torch.zeros_like(bounds, dtype=torch.bool)
    open_ = torch.ones_like(stale)
    picks: list[int] = []
    while len(picks) < count:
        best = int(start[len(picks)]) if len(picks) < len(start) else int(bounds.argmax())
        if len(picks) >= len(start) and stale[best]:
            batch = bounds.topk(min(BATCH, len(bounds))).indices
            batch = torch.cat([batch.new_tensor([best]), batch[stale[batch]]])
            bounds[batch] = torch.minimum(bounds[batch], rounded(gains(batch), scale))
            stale[batch] = False
            continue
        picked(best)
        picks.append(best)
        bounds[best], open_[best] = -torch.inf, False
        stale.copy_(open_)
    return np.array(picks, dtype=np.int64)


def rough(like: "Tensor") -> "dtype":
    """Return the type in which gains are to be known nearly, before few are computed exactly.

    It is float32 on a CPU, where its products take half the time, or less. On a GPU, and where a
    program has torch round more than that, it is float64.
    """
    import torch

    full = torch.get_float32_matmul_precision() == "highest"
    return torch.float32 if full and like.device.type == "cpu" else torch.float64


def rounding(terms: int, kind: "dtype") -> float:
    """Return how far rounding takes an inner product of so many terms at most.

    Relative to the product of the norms, for factors that were rounded to `kind` themselves, in any
    order of summation (Higham 2002, Section 3.1), and with as much again in reserve.
    """
    import torch

    return (terms + 4) * torch.finfo(kind).eps


def best_of_near(
    near: "Tensor", error: float, exact: Callable[["Tensor"], "Tensor"], scale: float
) -> int:
    """Return the position of the largest of the gains (n,), the first of equals, if nearly known.

    `near` (n,) is no further than `error` from the gains, of which `exact(places)` computes those at
    some places, int (k,). The result is that of `first_best` of all.
    """
    places = (near >= near.max() - 2 * (error + ROUNDING * scale)).nonzero()[:, 0]
    return int(places[first_best(exact(places), scale)])
