from typing import Literal

import numpy as np

from medcoreset.errors import UserError
from medcoreset.evidence import Evidence
from medcoreset.methods.registry import ranking


def check_epochs(epochs: int, **_: object) -> None:
    """Raise a UserError unless there are two epochs between which a sample can be forgotten."""
    if epochs < 2:
        raise UserError(f"forgetting: needs training dynamics of 2 epochs, these have {epochs}")


@ranking(
    "forgetting",
    label="Forgetting",
    keep="highest",
    needs=("correct",),
    reference="Toneva et al., ICLR 2019, Definition 2.1",
    cost="O(T·N)",
    check_epochs=check_epochs,
    departs="code of CCS: samples that are never learned count 0 events, as if they were never "
    "forgotten (`never_learned=0`); Toneva et al. rank them first (`never_learned=inf`)",
)
def forgetting(evidence: Evidence, *, never_learned: Literal["0", "inf"] = "0") -> np.ndarray:
    """Count the epochs at which a sample goes from correct to wrong.

    Consecutive records are compared: an epoch that did not see the sample is passed over. The state
    before the first record is wrong, so that the first mistake forgets nothing. `never_learned` is
    the score of a sample that is wrong in every record.
    """
    check_epochs(evidence.epochs)
    scores = evidence.over_epochs("correct", events)
    if never_learned == "inf":
        learned = evidence.over_epochs("correct", lambda correct: (correct == 1).any(axis=0))
        scores[~learned & ~np.isnan(scores)] = np.inf
    # A sample without any record has no score, unless missing records are to score 0.
    return np.nan_to_num(scores, nan=0, posinf=np.inf) if evidence.missing == "zero" else scores


def events(correct: np.ndarray) -> np.ndarray:
    """Return the number of falls from 1 to 0 in correct (T, B), passing over NaN, float64 (B,).

    Of nothing but NaN it is NaN.
    """
    states = states_of(correct)
    falls = (states[:-1] > states[1:]).view(np.uint8)
    # They are half as many as the epochs at most; bytes, if these will do, are added fast.
    most = np.min_scalar_type(len(states) // 2)
    count = falls.sum(axis=0, dtype=most).astype(np.float64)
    if correct.dtype.kind == "f":
        count[np.isnan(np.fmax.reduce(correct, axis=0, initial=np.nan))] = np.nan
    return count


def states_of(correct: np.ndarray) -> np.ndarray:
    """Return whether samples are right after each epoch, bool (T, B), by the last record if it has none."""
    if correct.dtype == bool:
        return correct
    states, unknown = correct == 1, np.isnan(correct)
    gaps = np.flatnonzero(unknown.any(axis=0))
    some = states[:, gaps]
    for before, now, gap in zip(some[:-1], some[1:], unknown[1:, gaps], strict=True):
        np.copyto(now, before, where=gap)
    states[:, gaps] = some
    return states
