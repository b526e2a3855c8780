"""What evidence must be like. Each check raises a UserError that names the array and what is wrong."""

from collections.abc import Callable, Iterable, Mapping

import numpy as np

from medcoreset.errors import UserError
from medcoreset.evidence.arrays import ARRAYS

# float16 probabilities of a thousand classes add up to 1 within this.
TOLERANCE = 0.02


def sizes(source: str, arrays: Mapping[str, np.ndarray]) -> dict[str, int]:
    """Return the size of each symbol of the arrays' shapes, and check that there is only one.

    Also checks the number of dimensions and the kind of the data types.
    """
    found: dict[str, tuple[int, str]] = {}
    for name in sorted(arrays, key=list(ARRAYS).index):
        array, (shape, kind, _) = arrays[name], ARRAYS[name]
        _check_type(source, name, array, kind)
        if array.ndim != len(shape):
            raise UserError(
                f"{source}: {name} has shape {array.shape}, but it is to be ({', '.join(shape)})"
            )
        for symbol, size in zip(shape, array.shape, strict=True):
            first, where = found.setdefault(symbol, (size, name))
            if size != first:
                raise UserError(
                    f"{source}: {name} has shape {array.shape}, to be ({', '.join(shape)}), "
                    f"but {symbol} is {first} in {where}"
                )
    for symbol in "NTCR":
        if symbol in found and found[symbol][0] == 0:
            raise UserError(f"{source}: {found[symbol][1]} is empty")
    return {symbol: size for symbol, (size, _) in found.items()}


def _check_type(source: str, name: str, array: np.ndarray, kind: str) -> None:
    allowed = {"integer": "iu", "boolean": "biu"}.get(kind, "fiu")
    if array.dtype.kind not in allowed:
        wanted = kind if kind in ("integer", "boolean") else "real numbers"
        raise UserError(
            f"{source}: {name} has the data type {array.dtype}, but it is to be {wanted}"
        )


def indices(source: str, arrays: Mapping[str, np.ndarray], size: Mapping[str, int]) -> None:
    """Check that labels are classes, and that preselected are distinct samples."""
    for name, symbol, what in (
        ("labels", "C", "classes"),
        ("val_labels", "C", "classes"),
        ("preselected", "N", "samples"),
    ):
        if name not in arrays or not arrays[name].size:
            continue
        array, limit = arrays[name], size.get(symbol)
        wrong = array < 0 if limit is None else (array < 0) | (array >= limit)
        if wrong.any():
            where = int(np.flatnonzero(wrong)[0])
            allowed = "0 or more" if limit is None else f"0 to {limit - 1} ({limit} {what})"
            raise UserError(
                f"{source}: {name}[{where}] is {array[where]}, out of range: allowed are {allowed}"
            )
        if name == "preselected" and len(np.unique(array)) < len(array):
            raise UserError(f"{source}: preselected names a sample twice")


def values(source: str, arrays: Mapping[str, np.ndarray], names: Iterable[str]) -> None:
    """Check that reals are finite and that probabilities are ones, wherever `seen` is true."""
    for name in names:
        kind = ARRAYS[name].kind
        if kind in ("integer", "boolean"):
            continue
        check = _CHECKS[kind]
        per_epoch = ARRAYS[name].shape[0] == "T"
        if not per_epoch:
            check(f"{source}: {name}", np.asarray(arrays[name]))
            continue
        for epoch, rows in enumerate(arrays[name]):
            seen = arrays["seen"][epoch].astype(bool) if "seen" in arrays else ...
            check(f"{source}: {name}[{epoch}]", np.asarray(rows)[seen])


def _finite(where: str, array: np.ndarray) -> None:
    if np.isnan(array).any():
        raise UserError(f"{where} has NaN")
    if np.isinf(array).any():
        raise UserError(f"{where} has infinite values")


def _size(where: str, array: np.ndarray) -> None:
    if np.isnan(array).any():
        raise UserError(f"{where} has NaN")
    if array.size and array.min() < 0:
        raise UserError(f"{where} has negative values")


def _probability(where: str, array: np.ndarray) -> None:
    _finite(where, array)
    p = array.astype(np.float32)
    if p.size and (p.min() < -TOLERANCE or np.abs(p.sum(axis=-1) - 1).max() > TOLERANCE):
        raise UserError(f"{where} has rows that are not probabilities: they must add up to 1")


def _log_probability(where: str, array: np.ndarray) -> None:
    if np.isnan(array).any():
        raise UserError(f"{where} has NaN")
    total = np.exp(array.astype(np.float32)).sum(axis=-1)
    if total.size and np.abs(total - 1).max() > TOLERANCE:
        raise UserError(
            f"{where} has rows that are not log-probabilities: their exponentials must add up to 1"
        )


_CHECKS: dict[str, Callable[[str, np.ndarray], None]] = {
    "real": _finite,
    "size": _size,
    "probability": _probability,
    "log_probability": _log_probability,
}
