from typing import Annotated

import numpy as np

from medcoreset.evidence import Evidence
from medcoreset.methods.greedy import first_best, shuffled
from medcoreset.methods.registry import selecting
from medcoreset.methods.stochastic import Candidates, Epsilon, total
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
    epsilon: Epsilon = None,
) -> np.ndarray:
    """Greedily maximise λ Σ s_ij over all i and picks j, less Σ s_ij over pairs of picks.

    s = ½ + ½ cos of last-layer gradients; pairs are ordered, and include each pick with itself.
    Each pick is the one of largest gain, exactly, even where no gain is positive; of equal gains, a
    random one. Gains are linear in the picks, so that a pick changes them by one row of s.

    With an `epsilon`, each pick is the one of largest gain among (N/M)·ln(1/ε) random samples, in all at
    a cost of O(N·ln(1/ε)·C·D) and the memory of the samples looked at. The value expected is then at
    least 1 − 1/e − ε of the largest possible (Mirzasoleiman et al. 2015, Theorem 1) as long as no
    gain is negative whatever 2·M samples are picked before, which is sure where λ Σ_i s_ij ≥ 4·M + 1
    for all j. Beyond, graph cut is not monotone, and there is no bound. Rows of a similarity that
    is given cost next to nothing: then all samples are looked at.
    """
    import torch

    from medcoreset.evidence.kernels import Rows, similarity

    if epsilon is not None and not evidence.given("similarity"):
        return _stochastic(evidence, count, rng, lam, epsilon)
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


def _stochastic(
    evidence: Evidence, count: int, rng: np.random.Generator, lam: float, epsilon: float
) -> np.ndarray:
    """Return the stochastic greedy picks, of gradients.

    Of unit gradients u, Σ_i s_ij over any i is half their number and ½⟨Σ u_i, u_j⟩, so that the gain of
    j is, up to a constant, ⟨½λ Σ u_i − Σ u_k, u_j⟩ − ½‖u_j‖², with i all samples and k the picks.
    """
    from medcoreset.evidence.gradients import Gradients

    def unit(samples: np.ndarray) -> Gradients:
        return Gradients.of(evidence.take(samples)).unit()

    wanted = 0.5 * lam * total(len(evidence), lambda block: unit(block).sum())
    candidates = Candidates(evidence, count, epsilon, rng)
    for pick in candidates.picks:
        wanted -= unit(np.array([pick])).sum()
    for drawn in candidates:
        some = unit(drawn)
        gains = some.dot(wanted) - some.norms.square() / 2
        best = first_best(gains, float(gains.abs().max()))
        candidates.pick(best)
        wanted -= some.sum([best])
    return np.array(candidates.picks)
