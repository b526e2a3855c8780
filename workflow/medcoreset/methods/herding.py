from typing import TYPE_CHECKING, Literal

import numpy as np

from medcoreset.evidence import Evidence
from medcoreset.methods.greedy import best_of_near, first_best, rough, rounding, shuffled
from medcoreset.methods.registry import selecting
from medcoreset.methods.stochastic import Candidates, Epsilon, total

if TYPE_CHECKING:
    from torch import Tensor

Take = Literal["nearest", "farthest"]


@selecting(
    "herding",
    label="Herding",
    needs=("features",),
    reference="Welling, ICML 2009; Chen et al., UAI 2010",
    cost="O(N·D·M)",
    balance="class",
    departs="code of DeepCore takes the farthest sample (argmax) in place of the nearest",
)
def herding(
    evidence: Evidence,
    count: int,
    rng: np.random.Generator,
    *,
    take: Take = "nearest",
    epsilon: Epsilon = None,
) -> np.ndarray:
    """Pick x = argmin ‖(i+1)·μ − Σ x_j − x‖ of features, the sum over the i picks before.

    So the mean of the picks stays as close as one pick can bring it to the mean μ of all samples
    (of the class, when class-balanced). Of equally near samples, a random one is picked.
    `take: farthest` has argmax in place of argmin, as the code of DeepCore.

    With an `epsilon`, x is the best of (N/M)·ln(1/ε) random samples, in all at a cost of
    O(N·ln(1/ε)·D) and the memory of the samples looked at. There is no bound, since herding maximises
    no submodular function.
    """
    from medcoreset.evidence.gradients import in_unit

    if epsilon is not None:
        return _stochastic(evidence, count, rng, take, epsilon)
    order, evidence = shuffled(evidence, rng)
    features = evidence.tensor("features")
    # From the mean, ‖(i+1)·μ − Σ x_j − x‖² = ‖s‖² + 2 s·x + ‖x‖², where s is the sum of the picks.
    features -= features.mean(dim=0)
    # The unit does not matter.
    features = in_unit(features)
    kind = rough(features)
    roughly, error = features.to(kind), 2 * rounding(features.shape[1], kind)
    sign = 1 if take == "nearest" else -1
    nearness = -sign * features.square().sum(dim=1)
    scale = float(nearness.abs().max())
    picks = evidence.preselected.tolist()
    picked_sum = features[picks].sum(dim=0)
    nearness[picks] = -np.inf

    def exact(places: "Tensor") -> "Tensor":
        return nearness[places] - 2 * sign * (features[places] @ picked_sum)

    while len(picks) < count:
        near = nearness.sub(roughly @ picked_sum.to(kind), alpha=2 * sign)
        best = best_of_near(near, error * float(picked_sum.norm()), exact, scale)
        picks.append(best)
        picked_sum += features[best]
        nearness[best] = -np.inf
    return order[picks]


def _stochastic(
    evidence: Evidence, count: int, rng: np.random.Generator, take: Take, epsilon: float
) -> np.ndarray:
    """Return the picks, each the best of a random few."""

    def features(samples: np.ndarray) -> "Tensor":
        return evidence.take(samples).tensor("features")

    mean = total(len(evidence), lambda block: features(block).sum(dim=0)) / len(evidence)
    candidates = Candidates(evidence, count, epsilon, rng)
    picked_sum = (features(np.array(candidates.picks, dtype=np.int64)) - mean).sum(dim=0)
    sign = 1 if take == "nearest" else -1
    for drawn in candidates:
        some = features(drawn) - mean
        nearness = -sign * (some.square().sum(dim=1) + 2 * (some @ picked_sum))
        best = first_best(nearness, float(nearness.abs().max()))
        candidates.pick(best)
        picked_sum += some[best]
    return np.array(candidates.picks)
