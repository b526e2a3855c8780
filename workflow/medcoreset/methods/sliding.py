"""What the methods share that look at windows which slide over the training dynamics."""

from collections.abc import Callable

import numpy as np

from medcoreset.errors import UserError
from medcoreset.evidence import statistics


def check_window(method: str, total: int, *, window: int, epochs: int | None = None) -> None:
    """Raise a UserError unless a window fits into the `epochs` that are used, of the `total`."""
    used = total if epochs is None else epochs
    if used > total:
        raise UserError(
            f"{method}: looks at {used} epochs, but the training dynamics have {total} "
            f"(option epochs={used})"
        )
    if window > used:
        raise UserError(
            f"{method}: a window of {window} epochs does not fit into {used} (option window={window})"
        )


def over_windows(
    values: np.ndarray, window: int, of_window: Callable[[np.ndarray], np.ndarray]
) -> np.ndarray:
    """Return the mean, over all windows of consecutive epochs, of what `of_window` says of each, (B,).

    `values` are (K, B), of which `of_window` gets (window, B); where it gives NaN, for too few
    records, the window is passed over.
    """
    last = len(values) - window
    found = [of_window(values[start : start + window]) for start in range(last + 1)]
    return statistics.mean(np.stack(found))


def deviation(values: np.ndarray) -> np.ndarray:
    """Return the standard deviation over epochs of values (K, B), with K − 1, passing over NaN, (B,)."""
    return np.sqrt(statistics.variance(values, ddof=1))
