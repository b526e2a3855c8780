"""Which ranking by training dynamics a method takes, of those that combine one with something else."""

from typing import Literal

import numpy as np

from medcoreset.errors import UserError
from medcoreset.evidence import Evidence
from medcoreset.methods.aum import aum
from medcoreset.methods.dyn_unc import dyn_unc
from medcoreset.methods.el2n import el2n
from medcoreset.methods.forgetting import forgetting
from medcoreset.methods.registry import get

Score = Literal["forgetting", "aum", "el2n", "dyn_unc"]

# Of each, what the registry does not know of: its function, at its defaults.
RANKINGS = {"forgetting": forgetting, "aum": aum, "el2n": el2n, "dyn_unc": dyn_unc}


def difficulty(evidence: Evidence, score: Score) -> np.ndarray:
    """Return the scores (N,) of a ranking method at its defaults, its first kept ones the highest.

    Where those are the lowest, it is how far each is below the largest, so that none is negative.
    """
    values = RANKINGS[score](evidence)
    if get(score).keep == "highest":
        return values
    # Of a single class the margin is infinite, and so is the largest.
    largest = values == values.max()
    return np.subtract(values.max(), values, out=np.zeros_like(values), where=~largest)


def needs(score: Score) -> tuple[str, ...]:
    """Return the arrays that a ranking needs."""
    return get(score).needed()


def check_epochs(owner: str, total: int, score: Score) -> None:
    """Raise a UserError, which names the `owner`, if the dynamics are too short for a ranking."""
    method = get(score)
    if method.check_epochs:
        try:
            method.check_epochs(total, **method.passed(method.defaults()))
        except UserError as lack:
            raise UserError(f"{owner}: score={score}: {lack}") from None
