"""What evidence must be like. Each check raises a UserError that names the array and what is wrong."""

from collections.abc import Callable, Mapping

import numpy as np

from medcoreset.errors import UserError
from medcoreset.evidence.arrays import ARRAYS, HIGHEST_OF_LABELS, LABELS, LARGEST

# float16 probabilities of a thousand classes add up to 1 within this.
TOLERANCE = 0.02

# A label beyond these, where nothing says how many classes there are, is a number of something else.
CLASSES = 2**20

BOTH = "of two classes save both columns, 1 − p and p"

# Rows that are looked at to say what they look like.
SAMPLE = 1000

# Where a block lies in an array: along each axis a range, or the numbers themselves.
Place = tuple[slice | np.ndarray, ...]


def sizes(source: str, arrays: Mapping[str, np.ndarray]) -> dict[str, int]:
    """Return the size of each symbol of the arrays' shapes, and check that there is only one.

    Also checks the number of dimensions and the kind of the data types.
    """
    found: dict[str, tuple[int, str]] = {}
    several = "labels" in arrays and are_rows(arrays["labels"])
    for name in sorted(arrays, key=list(ARRAYS).index):
        array, shape = arrays[name], ARRAYS[name].shape
        if several and name in LABELS:
            shape = (*shape, "C")
        if several and name == "log_probs":
            raise UserError(
                f"{source}: log_probs are of classes; with several labels per sample save probs, the "
                "probability of each label"
            )
        _check_type(source, name, array, ARRAYS[name].kind)
        if array.ndim != len(shape):
            hint = "; several labels per sample are rows of 0 and 1" * (name in LABELS)
            raise UserError(
                f"{source}: {name} has shape {array.shape}, but it is to be ({', '.join(shape)}){hint}"
            )
        for symbol, size in zip(shape, array.shape, strict=True):
            first, where = found.setdefault(symbol, (size, name))
            if size != first:
                turned = ""
                if first in array.shape:
                    turned = f", as is axis {array.shape.index(first)} here: transposed?"
                raise UserError(
                    f"{source}: {name} has shape {array.shape}, to be ({', '.join(shape)}), "
                    f"but {symbol} is {first} in {where}{turned}"
                )
    for symbol in "NTCRDGVQSB":
        if symbol in found and found[symbol][0] == 0:
            raise UserError(f"{source}: {found[symbol][1]} is empty")
    return {symbol: size for symbol, (size, _) in found.items()}


def are_rows(labels: np.ndarray) -> bool:
    """Whether labels are several per sample: rows (N, C) of 0 and 1, not each with one 1, as one-hot rows."""
    if labels.ndim != 2 or labels.shape[1] < 2 or labels.dtype.kind not in "biu":
        return False
    return bool(((labels == 0) | (labels == 1)).all() and (labels.sum(axis=1) != 1).any())


def _check_type(source: str, name: str, array: np.ndarray, kind: str) -> None:
    allowed = {"integer": "iu", "boolean": "biu", "identifier": "iuU"}.get(kind, "fiu")
    if array.dtype.kind not in allowed:
        wanted = {"integer": kind, "boolean": kind, "identifier": "integer or text"}.get(
            kind, "real numbers"
        )
        raise UserError(
            f"{source}: {name} has the data type {array.dtype}, but it is to be {wanted}"
        )


def indices(source: str, arrays: Mapping[str, np.ndarray], size: Mapping[str, int]) -> None:
    """Check that labels are classes, and that preselected are distinct samples."""
    for name, symbol, what in (
        ("labels", "C", "classes"),
        ("val_labels", "C", "classes"),
        ("query_labels", "C", "classes"),
        ("private_labels", "C", "classes"),
        ("preselected", "N", "samples"),
    ):
        if name not in arrays or not arrays[name].size:
            continue
        if arrays[name].ndim == 2:
            _check_rows(source, name, arrays[name])
            continue
        array, limit = arrays[name], size.get(symbol, CLASSES if symbol == "C" else None)
        wrong = array < 0 if limit is None else (array < 0) | (array >= limit)
        if wrong.any():
            where = int(np.flatnonzero(wrong)[0])
            allowed = "0 or more" if limit is None else f"0 to {limit - 1} ({limit} {what})"
            if size.get(symbol) == 1:
                allowed += f"; {BOTH}"
            raise UserError(
                f"{source}: {name}[{where}] is {array[where]}, out of range: allowed are {allowed}"
            )
        if name == "preselected" and len(np.unique(array)) < len(array):
            raise UserError(f"{source}: preselected names a sample twice")


def _check_rows(source: str, name: str, array: np.ndarray) -> None:
    """Check that several labels per sample, (N, C), are 0 or 1 each."""
    wrong = (array != 0) & (array != 1)
    if wrong.any():
        place = np.unravel_index(wrong.argmax(), wrong.shape)
        where = ", ".join(str(i) for i in place)
        raise UserError(
            f"{source}: {name}[{where}] is {array[place]}: of several labels per sample each is 0 or 1"
        )


def values(
    source: str,
    name: str,
    block: np.ndarray,
    *,
    at: Place = (),
    seen: np.ndarray | None = None,
    classes: int | None = None,
    multilabel: bool = False,
) -> None:
    """Raise a UserError unless the values of a block of an array are what the array holds.

    `block` lies `at` a place of the array, axis by axis (left out: from 0 on), and has whole rows of
    distributions. Where `seen`, of the block's first axes, is false, values do not matter. `classes`
    is C, if it is known. With `multilabel` probabilities are of labels, each from 0 to 1.
    """
    kind = ARRAYS[name].kind
    if kind in ("integer", "identifier") or block.dtype == bool or not block.size:
        return
    if kind in ("probability", "log_probability") and not multilabel:
        with np.errstate(over="ignore"):
            p = block.astype(np.float32, copy=False)
            p = np.exp(p) if kind == "log_probability" else p
        distributions(source, name, block, p, at=at, seen=seen)
        return
    low, high = bounds(name, classes, multilabel)
    # Both reductions are NaN if a value is.
    if not (float(block.min()) >= low and float(block.max()) <= high):
        numbers = block.astype(np.float64)
        wrong = ~((numbers >= low) & (numbers <= high))
        if seen is not None:
            seen = seen.reshape(*seen.shape, *[1] * (block.ndim - seen.ndim))
        highest = ARRAYS[name].high
        if multilabel and name in HIGHEST_OF_LABELS and classes is not None:
            highest = HIGHEST_OF_LABELS[name](classes)
        _refuse(source, name, block, wrong, at, seen, highest)
    if kind == "logit" and not multilabel and _unlike(block.astype(np.float32, copy=False)) is None:
        raise UserError(
            f"{source}: all rows of {name} are from 0 to 1 and add up to 1: these look like "
            "probabilities, to be saved as final_probs"
        )


def distributions(
    source: str,
    name: str,
    block: np.ndarray,
    p: np.ndarray,
    *,
    at: Place = (),
    seen: np.ndarray | None = None,
) -> None:
    """Raise a UserError unless rows of p (…, C), which `block` stands for, are distributions.

    `p` is float32; `block` is what the array holds, itself or its logarithm, and the rest is as in
    `values`.
    """
    wrong = _unlike(p)
    if wrong is not None:
        _refuse(source, name, block, wrong, at, seen)


def bounds(name: str, classes: int | None = None, multilabel: bool = False) -> tuple[float, float]:
    """Return the least and the greatest value that an array may have; C may be unknown."""
    _, kind, _, low, high = ARRAYS[name]
    if multilabel:
        high = HIGHEST_OF_LABELS.get(name, high)
    if callable(high):
        high = np.inf if classes is None else high(classes)
    slack = TOLERANCE if kind in ("statistic", "probability") else 0.0
    return low - slack, high + slack


def _unlike(p: np.ndarray) -> np.ndarray | None:
    """Return which rows of p (…, C) are no distributions, or None if all are.

    It goes through p twice, since all evidence passes here: a product, because numpy's sum is slow
    over short rows, and a minimum. Both are NaN if a value is.
    """
    if not p.size:
        return None
    with np.errstate(all="ignore"):
        totals = np.asarray(p) @ np.ones(p.shape[-1], np.float32)
        positive = p.min() >= -TOLERANCE
        if positive and abs(totals.min() - 1) <= TOLERANCE and abs(totals.max() - 1) <= TOLERANCE:
            return None
        wrong = ~(np.abs(totals - 1) <= TOLERANCE)
        return wrong if positive else wrong | ~(p.min(axis=-1) >= -TOLERANCE)


def _refuse(
    source: str,
    name: str,
    block: np.ndarray,
    wrong: np.ndarray,
    at: Place,
    seen: np.ndarray | None,
    highest: float | Callable[[int], float] | None = None,
) -> None:
    """Raise a UserError that names the first of the `wrong` values or rows that were seen."""
    if seen is not None:
        wrong = wrong & seen
    if not wrong.any():
        return
    first = np.unravel_index(wrong.argmax(), wrong.shape)
    where = ", ".join(str(_number(at, axis, int(i))) for axis, i in enumerate(first))
    values = np.asarray(block[first], dtype=np.float64)
    if np.isnan(values).any():
        reason = "has NaN"
    elif np.isposinf(values).any() or (np.isneginf(values).any() and ARRAYS[name].low > -np.inf):
        reason = "has infinite values"
    elif wrong.ndim < block.ndim:
        reason = _odd_rows(name, np.asarray(block[wrong][:SAMPLE], dtype=np.float64))
    else:
        reason = f"is {values:g}, but {ARRAYS[name].meaning} is {_allowed(name, highest)}"
    raise UserError(f"{source}: {name}[{where}] {reason}")


def _number(at: Place, axis: int, i: int) -> int:
    """Return the number in the array of what is number i along an axis of the block."""
    part = at[axis] if axis < len(at) else slice(0, None)
    return (part.start or 0) + i if isinstance(part, slice) else int(part[i])


def _allowed(name: str, high: float | Callable[[int], float] | None) -> str:
    _, kind, _, low, usual = ARRAYS[name]
    high = usual if high is None else high
    if kind == "boolean":
        return "0 or 1"
    if callable(high):
        return f"from {low:g} to the logarithm of the number of classes"
    if high < LARGEST:
        return f"from {low:g} to {high:g}"
    return "0 or more" if low == 0 else f"from {low:.2g} to {high:.2g}, what float32 holds"


def _odd_rows(name: str, rows: np.ndarray) -> str:
    """Return what rows (n, C) that are no distributions look like, and what to do about it."""
    total = rows[0].sum()
    if ARRAYS[name].kind == "log_probability":
        must = "are not log-probabilities: their exponentials must add up to 1"
        if _unlike(rows) is None:
            return f"and other rows {must} (they look like probabilities, to be saved as probs)"
        return f"and other rows {must} (logits become so by log_softmax)"
    if rows.shape[1] == 1:
        return f"is {total:.4g}, but there is one class, whose probability is 1; {BOTH}"
    must = f"adds up to {total:.4g}; rows of probabilities are not negative and must add up to 1"
    if rows.min() >= 0 and (np.abs(rows.sum(axis=-1) - 100) <= 100 * TOLERANCE).all():
        return f"{must} (these look like percentages, to be divided by 100)"
    with np.errstate(over="ignore"):
        if rows.max() <= 0 and _unlike(np.exp(rows)) is None:
            return f"{must} (these look like log-probabilities: take their exponentials)"
    if rows.min() < 0 or rows.max() > 1 + TOLERANCE:
        return f"{must} (these look like logits: take their softmax)"
    return f"{must} (sigmoids of several classes do not: take a softmax)"
