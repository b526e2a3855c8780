import numpy as np

from medcoreset.errors import UserError
from medcoreset.evidence import Evidence
from medcoreset.methods.registry import ranking


@ranking(
    "grand",
    label="GraNd",
    keep="highest",
    needs=("gradient_norms",),
    reference="Paul et al., NeurIPS 2021, Definition 2.1; DeepCore, Eq. 3",
    cost="O(R·N) for R models, after their training",
    balance="class",
    departs="code of DeepCore divides a sample's gradient by the length of the batch it fell in, so "
    "that those of the last, shorter batch score higher",
)
def grand(evidence: Evidence, *, layers: str) -> np.ndarray:
    """Average ‖∇ℓ‖₂ over independently trained models (10 in the papers).

    In the absence of `gradient_norms` the one model whose `gradients` are given is taken and, for
    the last of the `layers`, the one with `features` and outputs.
    """
    if evidence.given("gradient_norms"):
        return evidence["gradient_norms"].astype(np.float64).mean(axis=0)
    if layers == "all" and not evidence.given("gradients"):
        raise UserError(f"grand: {evidence.name} lacks gradient_norms, which layers=all needs")
    from medcoreset.evidence.gradients import Gradients

    return Gradients.of(evidence).norms.cpu().numpy()
