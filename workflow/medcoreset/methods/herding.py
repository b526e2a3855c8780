from typing import Literal

import numpy as np

from medcoreset.evidence import Evidence
from medcoreset.methods.greedy import first_best, shuffled
from medcoreset.methods.registry import selecting

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
    evidence: Evidence, count: int, rng: np.random.Generator, *, take: Take = "nearest"
) -> np.ndarray:
    """Pick x = argmin ‖(i+1)·μ − Σ x_j − x‖ of features, the sum over the i picks before.

    So the mean of the picks stays as close as one pick can bring it to the mean μ of all samples
    (of the class, when class-balanced). Of equally near samples, a random one is picked.
    `take: farthest` has argmax in place of argmin, as the code of DeepCore.
    """
    order, evidence = shuffled(evidence, rng)
    # A column per sample: products of all with one vector are faster than with a row per sample.
    features = evidence.tensor("features").T.contiguous()
    # From the mean, ‖(i+1)·μ − Σ x_j − x‖² = ‖s‖² + 2 s·x + ‖x‖², where s is the sum of the picks.
    features -= features.mean(dim=1, keepdim=True)
    sign = 1 if take == "nearest" else -1
    nearness = -sign * features.norm(dim=0).square()
    scale = float(nearness.abs().max())
    picks = evidence.preselected.tolist()
    picked_sum = features[:, picks].sum(dim=1)
    nearness[picks] = -np.inf
    while len(picks) < count:
        best = first_best(nearness.addmv(features.T, picked_sum, alpha=-2 * sign), scale)
        picks.append(best)
        picked_sum += features[:, best]
        nearness[best] = -np.inf
    return order[picks]
