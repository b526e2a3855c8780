import numpy as np

from medcoreset.errors import UserError
from medcoreset.evidence import Evidence
from medcoreset.methods.registry import ranking


@ranking(
    "memorization",
    label="Memorization",
    keep="highest",
    needs=("subset_correct", "subset_members"),
    reference="Feldman and Zhang, NeurIPS 2020, Eq. 1 and Section 2.2",
    cost="O(B·N) for B models, after their training (2,000 to 4,000 in the paper)",
    departs="the authors' code takes 0 for the accuracy of no model, so that a sample which every model, "
    "or none, was trained on has the score of one that is, or is not, always learned",
)
def memorization(evidence: Evidence) -> np.ndarray:
    """Subtract how often models that left a sample out are right about it from how often the others are.

    The models are trained on random subsets (of 70 % in the paper): mem(i) = Pr[correct | i in the subset]
    − Pr[correct | i not in it], from −1 to 1, as means over B models: `subset_members` (B, N) says what
    each was trained on, `subset_correct` (B, N) about what it is right in the end. The deviation of a
    score is about 1/√B. Raises UserError for a sample that is in all subsets, or in none.
    """
    members = evidence["subset_members"].astype(bool)
    correct = evidence["subset_correct"].astype(bool)
    inside = members.sum(axis=0)
    outside = len(members) - inside
    if (undefined := np.flatnonzero((inside == 0) | (outside == 0))).size:
        first = undefined[0]
        raise UserError(
            f"memorization: {evidence.name}: sample {first} is in {inside[first]} of the {len(members)} "
            f"subsets, and has to be in one and not in another ({undefined.size} of {len(inside)} samples)"
        )
    return (correct & members).sum(axis=0) / inside - (correct & ~members).sum(axis=0) / outside
