import numpy as np

from medcoreset.evidence import Evidence
from medcoreset.methods.registry import selecting


@selecting(
    "herding",
    label="Herding",
    needs=("features",),
    reference="Welling, ICML 2009; Chen et al., UAI 2010",
    cost="O(N·D·M)",
    balance="class",
    departs="code of DeepCore takes the farthest sample (argmax) in place of the nearest",
)
def herding(evidence: Evidence, count: int, rng: np.random.Generator) -> np.ndarray:
    """Pick x = argmin ‖(i+1)·μ − Σ x_j − x‖ of features, the sum over the i picks before.

    So the mean of the picks stays as close as one pick can bring it to the mean μ of all samples
    (of the class, when class-balanced). Of equally near samples, a random one is picked.
    """
    order = rng.permutation(len(evidence))
    features = evidence["features"].astype(np.float64)[order]
    # From the mean, ‖(i+1)·μ − Σ x_j − x‖² = ‖s‖² + 2 s·x + ‖x‖², where s is the sum of the picks.
    features -= features.mean(axis=0)
    squares = np.einsum("nd,nd->n", features, features)
    picks = list(np.argsort(order)[evidence.preselected])
    picked_sum = features[picks].sum(axis=0)
    squares[picks] = np.inf
    while len(picks) < count:
        best = int(np.argmin(squares + features @ (2 * picked_sum)))
        picks.append(best)
        picked_sum += features[best]
        squares[best] = np.inf
    return order[np.array(picks, dtype=np.int64)]
