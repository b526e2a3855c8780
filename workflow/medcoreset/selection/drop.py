"""Class budgets by how often the surrogate errs: DRoP (Vysogorets et al., ICLR 2025, Algorithm 1)."""

from fractions import Fraction

import numpy as np

from medcoreset.errors import UserError
from medcoreset.evidence import Evidence

NEEDS = ("val_probs", "val_labels")


def drop_weights(evidence: Evidence, sizes: np.ndarray) -> list[Fraction]:
    """Return (1 − r_k)·N_k of classes of `sizes` N_k (C,), with the recall r_k on validation samples.

    Budgets in proportion to these keep of each class a share in proportion to 1 − r_k. Raises UserError
    without validation samples, or without any of a class that has training samples.
    """
    try:
        evidence.require(*NEEDS)
    except UserError as lack:
        raise UserError(f"balance is drop, by recall on validation data, but {lack}") from None
    labels = evidence["val_labels"].astype(np.int64)
    wrong = evidence["val_probs"].argmax(axis=1) != labels
    seen = np.bincount(labels, minlength=len(sizes))
    errors = np.bincount(labels[wrong], minlength=len(sizes))
    for label, size in enumerate(sizes):
        if size and not seen[label]:
            raise UserError(
                f"{evidence.name}: balance is drop, by recall on validation data, which has no sample "
                f"of class {label}"
            )
    return [
        Fraction(int(errors[label]) * int(size), int(seen[label])) if size else Fraction(0)
        for label, size in enumerate(sizes)
    ]
