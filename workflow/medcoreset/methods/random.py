import numpy as np

from medcoreset.evidence import Evidence
from medcoreset.methods.registry import selecting


@selecting(
    "random",
    label="Random",
    needs=(),
    reference="the baseline of both papers",
    cost="O(N)",
    drawn=True,
)
def random(evidence: Evidence, count: int, rng: np.random.Generator) -> np.ndarray:
    """Pick samples uniformly at random, without replacement."""
    chosen = evidence.preselected
    others = np.setdiff1d(np.arange(len(evidence)), chosen)
    return np.concatenate([chosen, rng.permutation(others)[: count - len(chosen)]])
