from functools import partial
from typing import TYPE_CHECKING, Literal

import numpy as np

from medcoreset.evidence import Evidence
from medcoreset.methods.greedy import rounded, shuffled
from medcoreset.methods.parts import PartSize, cover_in_parts, divides
from medcoreset.methods.registry import selecting

if TYPE_CHECKING:
    from torch import Tensor

    from medcoreset.evidence.kernels import Kernel

# Gains evaluated at a time: enough for the speed of block operations, few enough that not many
# more are evaluated than need be.
BATCH = 64


@selecting(
    "facility_location",
    label="Facility Location",
    needs=("similarity",),
    reference="Iyer et al., ALT 2021; Minoux 1978; DeepCore, Section 2.2",
    cost="O(N_c²·D) per class of N_c samples",
    balance="class",
    departs="code of DeepCore is a stochastic greedy whose sample has one element, which need not "
    "terminate",
)
def facility_location(
    evidence: Evidence,
    count: int,
    rng: np.random.Generator,
    *,
    precision: Literal["double", "single"] = "double",
    part_size: PartSize = None,
) -> np.ndarray:
    """Greedily maximise Σ_i max s_ij over picks j, where s = ½ + ½ cos of last-layer gradients.

    Each pick is the one of largest gain, exactly; of equal gains, a random one. With
    `precision: single`, s is rounded to float32 (sums are not), in half the memory and about half the
    time. That changes a pick where the two best gains differ by less than about 1e-7 of the sum of s
    over all i, and what follows from it.

    With a `part_size`, the samples are divided into parts of similar ones, of at most so many, and i is
    covered by picks of its own part alone, at a cost of O(N·(part_size + log N)·D); picks are those
    of greedy maximisation of this lower bound of the sum, but for the first of each part. What they
    are sure to reach is said at `parts.cover_in_parts`. So many or fewer samples are covered exactly.
    """
    from medcoreset.evidence.kernels import similarity

    order, evidence = shuffled(evidence, rng)
    kernel = partial(similarity, precision=precision)
    if divides(part_size, evidence):
        picks, _ = cover_in_parts(evidence, kernel, count, part_size)
    else:
        picks, _ = cover(kernel(evidence), count, evidence.preselected)
    return order[picks]


def cover(kernel: "Kernel", count: int, start: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the greedy picks for Σ_i max s_ij, `start` first, and the pick that covers each i.

    Both are int64: samples (count,), and positions among the picks (N,), where s_ij is largest; of
    equal ones the first, but a pick covers itself.

    Lazy greedy (Minoux 1978): since gains never grow, a gain of before is a bound of the present
    one, and only samples whose bound exceeds the best gain are evaluated anew. The result is that
    of evaluating all, also in floating point, where differences, maxima and sums are monotone.
    """
    import torch

    kernel = kernel.kept()
    covered = torch.full_like(kernel.diagonal, kernel.floor)
    coverer = torch.zeros_like(covered, dtype=torch.int64)
    picks: list[int] = []
    gains = kernel.sums() - len(kernel) * kernel.floor
    scale = float(gains.max())
    # One more, since these sums are taken in another order than `_gains` takes them, and before,
    # not after, the differences from the floor are rounded.
    bounds = rounded(gains * (1 + torch.finfo(covered.dtype).eps), scale) + 1
    open_ = torch.ones_like(bounds, dtype=torch.bool)
    stale = open_.clone()

    def pick(sample: int) -> None:
        row = kernel.rows([sample])[0]
        coverer[row > covered] = len(picks)
        coverer[sample] = len(picks)
        torch.maximum(covered, row, out=covered)
        picks.append(sample)
        bounds[sample], open_[sample] = -torch.inf, False
        stale.copy_(open_)

    for sample in start:
        pick(int(sample))
    while len(picks) < count:
        best = bounds.argmax()
        if not stale[best]:
            pick(int(best))
            continue
        batch = bounds.topk(min(BATCH, len(bounds))).indices
        batch = torch.cat([best[None], batch[stale[batch]]])
        bounds[batch] = rounded(_gains(kernel, covered, batch), scale)
        stale[batch] = False
    return np.array(picks, dtype=np.int64), coverer.cpu().numpy()


def _gains(kernel: "Kernel", covered: "Tensor", samples: "Tensor") -> "Tensor":
    """Return Σ_i max(s_ij − covered_i, 0) of the samples j, float64 (k,)."""
    from medcoreset.evidence.kernels import total

    return total(kernel.rows(samples).sub_(covered).clamp_min_(0))
