from typing import Annotated

import numpy as np

from medcoreset.evidence import Evidence
from medcoreset.methods.greedy import first_best, shuffled
from medcoreset.methods.registry import selecting
from medcoreset.options import Range


@selecting(
    "graph_cut",
    label="Graph Cut",
    needs=("similarity",),
    reference="Iyer et al., ALT 2021; DeepCore, Section 2.2",
    cost="O(N_c·(D + C)·M_c) per class of N_c samples, M_c of them picked",
    balance="class",
    departs="code of DeepCore is a stochastic greedy whose sample has one element, which does not "
    "terminate when gains are negative",
)
def graph_cut(
    evidence: Evidence,
    count: int,
    rng: np.random.Generator,
    *,
    lam: Annotated[float, Range(0)] = 1.0,
) -> np.ndarray:
    """Greedily maximise λ Σ s_ij over all i and picks j, less Σ s_ij over pairs of picks.

    s = ½ + ½ cos of last-layer gradients; pairs are ordered, and include each pick with itself.
    Each pick is the one of largest gain, exactly, even where no gain is positive; of equal gains, a
    random one. Gains are linear in the picks, so that a pick changes them by one row of s.
    """
    import torch

    from medcoreset.evidence.kernels import Rows, similarity

    order, evidence = shuffled(evidence, rng)
    kernel = similarity(evidence)
    gains = lam * kernel.sums() - kernel.diagonal
    scale = float(gains.abs().max())
    rows = Rows(kernel)
    picks: list[int] = []
    given = list(evidence.preselected)
    while len(picks) < count:
        pick = int(given[len(picks)]) if len(picks) < len(given) else first_best(gains, scale)
        picks.append(pick)
        gains.sub_(rows.row(pick, gains), alpha=2)
        gains[pick] = -torch.inf
    return order[picks]
