from functools import partial
from typing import Annotated, Literal

import numpy as np

from medcoreset.errors import UserError
from medcoreset.evidence import Evidence, statistics
from medcoreset.methods.registry import ranking
from medcoreset.options import Range

Statistic = Literal["variance", "mean"]
Combine = Literal["sum", "normalized"]
Windows = Literal["dual", "single", "entire"]
CountFrom = Literal["paper", "code"]

WINDOW_STARTS = {"dual": ("early", "late"), "single": ("early",), "entire": ()}
"""The options that say where the windows begin."""


def first_epoch(start: int, count_from: CountFrom) -> int:
    """Return the epoch, counted from 1, with which a window begins that is named by `start`.

    `paper`: t_e and t_l of Eq. 5 are epochs 1 … T, so that 100 is epochs 100–109. `code`: the
    authors' code counts from 0, and its README maps the window (1, 100) to the epochs 0–9 and
    100–109: 1 is the very first epoch, and any other start one epoch later than the paper's, 101–110.
    There, (·, 190) is epochs 191–200, whose score the code never computes: it does so in the epoch
    after the window, and a training of 200 has none, so that all scores are left at 0. Here
    they are computed, since these are the last epochs that a window can have.
    """
    return start if count_from == "paper" or start == 1 else start + 1


def check_window(name: str, start: int, length: int, epochs: int) -> None:
    """Raise a UserError unless epochs `start` … `start` + `length` − 1 lie in 1 … `epochs`."""
    stop = start + length - 1
    if start < 1 or stop > epochs:
        raise UserError(
            f"eva: the {name} window, epochs {start} to {stop}, is not within the {epochs} epochs "
            "of the training dynamics"
        )


def check_epochs(
    epochs: int, *, early: int, late: int, length: int, windows: Windows = "dual", **_: object
) -> None:
    """Raise a UserError unless the windows lie in `epochs` epochs and do not overlap."""
    if windows == "entire":
        return
    check_window("early", early, length, epochs)
    if windows == "dual":
        check_window("late", late, length, epochs)
        if early + length > late:
            raise UserError(
                f"eva: the late window, from epoch {late}, must begin after the early one, epochs "
                f"{early} to {early + length - 1}, has ended"
            )


@ranking(
    "eva",
    label="EVA",
    keep="highest",
    needs=("error_norm",),
    reference="Hong et al., ACM MM 2024, Eq. 3–6, Algorithm 1",
    cost="O(length·N)",
    check_epochs=check_epochs,
    departs="the authors' code divides each window's variance by its sum over samples "
    "(`combine=normalized`), scores missing records 0 (`--missing zero`), takes the variance with "
    "K−1 (`ddof=1`), and returns zeros for a window that ends at the last epoch",
)
def eva(
    evidence: Evidence,
    *,
    early: Annotated[int, Range(1, unit="epoch")] = 1,
    late: Annotated[int, Range(1, unit="epoch")] = 190,
    length: Annotated[int, Range(1, unit="epochs")] = 10,
    combine: Combine = "sum",
    weight: Annotated[float, Range(0, 1)] = 0.5,
    ddof: Annotated[int, Range(0, 1)] = 0,
    statistic: Statistic = "variance",
    windows: Windows = "dual",
) -> np.ndarray:
    """Add the variance of ‖p − y‖₂ in an early window of epochs to that in a late one (Eq. 6).

    Windows are 1-based and inclusive, as in Eq. 5: epochs `early` … `early` + `length` − 1.
    (Algorithm 1 is half-open, t < t_e + K − 1, which is an epoch less.) `weight` is that of
    the early window in `combine: normalized`. The paper's ablations: `statistic: mean` averages
    (Fig. 3), `windows: single` takes the early window alone (Fig. 4), `entire` all epochs (Fig. A2).
    """
    check_epochs(evidence.epochs, early=early, late=late, length=length, windows=windows)
    if windows == "entire":
        early, length = 1, evidence.epochs
    first = window_statistic(evidence, early, length, statistic, ddof)
    if windows != "dual":
        return first
    second = window_statistic(evidence, late, length, statistic, ddof)
    if combine == "normalized":
        first, second = normalized(first), normalized(second)
    return combined(first, second, combine, weight)


def window_statistic(
    evidence: Evidence, start: int, length: int, statistic: Statistic = "variance", ddof: int = 0
) -> np.ndarray:
    """Return the variance (Eq. 4) or mean of ‖p − y‖₂ in a window, float64 (N,).

    The window is epochs `start` … `start` + `length` − 1, counted from 1.
    """
    reduce = statistics.mean if statistic == "mean" else partial(statistics.variance, ddof=ddof)
    return evidence.over_epochs("error_norm", reduce, start - 1, start - 1 + length)


def normalized(values: np.ndarray) -> np.ndarray:
    """Return a window's values (N,) divided by their sum over samples."""
    total = values.sum()
    if total == 0:
        raise UserError("eva: a window without any variance cannot be normalized")
    return values / total


def combined(early: np.ndarray, late: np.ndarray, combine: Combine, weight: float) -> np.ndarray:
    """Return the score (N,) of two windows: their sum (Eq. 6), or their weighted mean.

    For `combine: normalized`, both are to be `normalized` before.
    """
    return early + late if combine == "sum" else weight * early + (1 - weight) * late
