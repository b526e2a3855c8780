from typing import Annotated

import numpy as np

from medcoreset.evidence import Evidence
from medcoreset.methods import difficulty
from medcoreset.methods.registry import Picks, Registered, get, selecting
from medcoreset.options import Range

Function = Annotated[
    str,
    Registered(lambda method: method.needs == ("similarity",)),
    "the submodular function, at its defaults",
]


@selecting(
    "fass",
    label="FASS",
    scores_of=difficulty.scores,
    needs=(),
    reference="Wei et al., ICML 2015",
    cost="that of the ranking, and of the function on top_n·M samples",
    balance="class",
    departs="code of DISTIL filters all classes together, and takes the similarity of features in place "
    "of gradients",
)
def fass(
    evidence: Evidence,
    scores: np.ndarray,
    count: int,
    rng: np.random.Generator,
    *,
    of: difficulty.Ranking = "entropy",
    function: Function = "facility_location",
    top_n: Annotated[int, Range(1)] = 5,
) -> np.ndarray:
    """Filter the `top_n`·M samples that a ranking puts first, and pick M of them by a submodular function.

    `of` is the ranking, in the paper one by uncertainty: `entropy`, `least_confidence` or `margin`. Of equal
    scores, random ones are let through. The `function` covers the samples that are, and no others.
    """
    given = evidence.preselected
    order = rng.permutation(len(evidence))
    hard = difficulty.difficulty(scores, of)[order]
    hard[np.isin(order, given)] = np.inf
    kept = np.sort(order[np.argsort(-hard, kind="stable")[: top_n * count]])
    method = get(function)
    assert method.select is not None  # as of all submodular functions
    picks = method.select(evidence.take(kept), count, rng, **method.picking(method.defaults()))
    return kept[picks.indices if isinstance(picks, Picks) else picks]
