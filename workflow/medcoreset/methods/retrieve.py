from typing import Annotated

import numpy as np

from medcoreset.evidence import Evidence
from medcoreset.methods.glister import Validating, step_by_step
from medcoreset.methods.greedy import shuffled
from medcoreset.methods.registry import selecting
from medcoreset.options import Range


@selecting(
    "retrieve",
    label="RETRIEVE",
    needs=("features", "final_probs", "val_features", "val_probs", "val_labels"),
    reference="Killamsetty et al., NeurIPS 2021 (its one-step approximation, greedily)",
    cost="O(N·min(D, V)·C·M) for V labelled samples",
    departs="the authors' code selects anew every few epochs, and steps in rounds of several picks; the "
    "unlabelled loss is there that of two augmented views, here of one, without augmentation",
)
def retrieve(
    evidence: Evidence,
    count: int,
    rng: np.random.Generator,
    *,
    eta: Annotated[float, Range(0), "step of the last layer's parameters"] = 0.1,
    threshold: Annotated[
        float, Range(0, 1), "the least max p of a sample that has a hypothesised label"
    ] = 0.0,
) -> np.ndarray:
    """Pick the unlabelled sample of largest ⟨g_i, ∇L(θ)⟩, step θ ← θ − η·g_i after every pick, and repeat.

    The samples among which is picked are unlabelled: their `labels` are not looked at, and g_i is the
    last-layer gradient of the cross-entropy with the hypothesised label, the class of largest p_i;
    where that is below the `threshold`, which FixMatch puts at 0.95, a sample has no loss, and g_i is
    zero. L is the loss of the labelled set, which is the validation samples here. That is GLISTER's loop,
    with the labelled set for its validation set. Of equal ones, a random one is picked.
    """
    from medcoreset.evidence.gradients import Gradients, with_bias

    order, evidence = shuffled(evidence, rng)
    labelled = Validating(evidence, "val", of_our_classes=False)
    left = evidence.tensor("final_probs")
    confidence, hypothesised = left.max(dim=1)
    left[range(len(left)), hypothesised] -= 1
    left[confidence < threshold] = 0
    gradients = Gradients(left, with_bias(evidence.tensor("features")))
    return order[step_by_step(labelled, gradients, count, evidence.preselected, eta)]
