"""Another ranking, at its defaults, of the methods that combine one with something else."""

from typing import Annotated

import numpy as np

from medcoreset.evidence import Evidence
from medcoreset.methods.registry import Method, Registered, get
from medcoreset.producers.registry import PRODUCERS


def _is_at_hand(method: Method) -> bool:
    """Whether a method ranks by what the training of a surrogate leaves behind."""
    return method.keep is not None and not set(method.needed()) & set(PRODUCERS)


Ranking = Annotated[str, Registered(_is_at_hand), "the ranking, at its defaults"]


def scores(evidence: Evidence, *, of: str) -> np.ndarray:
    """Return the raw scores (N,) of a ranking method at its defaults."""
    method = get(of)
    assert method.score is not None  # for it ranks
    options = method.defaults()
    return method.score(evidence, **{name: options[name] for name in method.scored_with})


def difficulty(values: np.ndarray, of: str) -> np.ndarray:
    """Return the scores (n,) of a ranking with the sign that makes its first kept ones the highest."""
    return values if get(of).keep == "highest" else -values
