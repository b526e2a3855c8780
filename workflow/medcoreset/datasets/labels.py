"""Labels as people write them become 0 … C−1: names, one-hot rows, numbers from one or with gaps."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from medcoreset.errors import UserError

LARGEST = 9_999
"""Numbers beyond are dates or patients, not classes, unless they are 0 … C−1 without a gap."""
NO_LABEL = frozenset({99, 127, 999, 9_999})
"""Numbers that people write for "no label", beside others that follow one another."""
FULL = frozenset({255, 32_767, 65_535, 2**31 - 1, 2**32 - 1})
"""Largest numbers of integer types, which mean "ignore" beside whatever others."""
YEARS = (1_900, 2_100)
"""Numbers that are all between these are years, not classes."""
DATE = re.compile(r"\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}\b.*", re.ASCII)
BLANK = frozenset({"", "nan", "na", "n/a", "null", "?"})
FORMS = "whole numbers, names or one-hot rows, one label per image"
SHOWN = 5

Value = int | str


@dataclass(frozen=True)
class _Labels:
    """The labels of one split: `values`, each once, and which of them an image has, (N,)."""

    split: str
    values: list[Value]
    places: np.ndarray

    def count(self, value: Value) -> int:
        """Return how many images have a label."""
        same = [place for place, each in enumerate(self.values) if each == value]
        return int(np.isin(self.places, same).sum())


def classes(
    where: str, given: Mapping[str, np.ndarray]
) -> tuple[dict[str, np.ndarray], list[str], list[str]]:
    """Return the labels of all splits as int64 (N,) in 0 … C−1, the names of the C classes, and notes.

    `given` are a split's labels by its name, `train` among them: integers, whole floats, booleans
    or text (N,) or (N, 1), or one-hot rows (N, C). Labels 0 … C−1 stay what they are. Others are
    numbered over all splits together, in the order of numbers or of the alphabet, which is noted.
    `where` opens an error. Raises UserError for whatever is no class: several labels per image, a
    negative number, a date, "ignore", a class that the training set lacks, a single class.
    """
    splits = [_read(where, name, labels) for name, labels in given.items() if len(labels)]
    splits = _numbers(where, splits)
    counts: dict[Value, int] = {}
    for split in splits:
        for value, count in zip(split.values, np.bincount(split.places), strict=True):
            counts[value] = counts.get(value, 0) + int(count)
    values = sorted(counts)
    _check(where, splits, values, sum(counts.values()))
    notes = [
        f"{split.split} has no image with the label {_shown(lacking)}"
        for split in splits
        if (lacking := [value for value in values if value not in set(split.values)])
    ]
    if values != list(range(len(values))):
        new = "0, 1" if len(values) == 2 else f"0 … {len(values) - 1}"
        notes.append(f"labels {_shown(values)} became the classes {new}, in this order")
    number = {value: place for place, value in enumerate(values)}
    found = {name: np.zeros(0, np.int64) for name in given}
    for split in splits:
        new_numbers = np.array([number[value] for value in split.values], np.int64)
        found[split.split] = new_numbers[split.places]
    return found, [str(value) for value in values], notes


def rows(
    where: str, given: Mapping[str, np.ndarray]
) -> tuple[dict[str, np.ndarray], list[str], list[str]]:
    """Return several labels per image of all splits as int64 (N, L) of 0 and 1, L names, and notes.

    Raises UserError, which `where` opens, for anything but rows of 0 and 1 of one length, and for a
    label that no training image has, or all: there is nothing to learn of it.
    """
    found = {}
    for split, labels in given.items():
        what = f"{where}: {split} labels"
        if labels.ndim != 2 or labels.shape[1] < 2 or labels.dtype.kind not in "biuf":
            raise UserError(
                f"{what} are {labels.dtype} {labels.shape}, not rows (N, L) of 0 and 1, as multilabel says"
            )
        wrong = (labels != 0) & (labels != 1)
        if wrong.any():
            image = int(wrong.any(1).argmax())
            value = labels[image][wrong[image]][0]
            raise UserError(
                f"{what}: image {image} has {value:g}: of several labels each is 0 or 1"
            )
        found[split] = labels.astype(np.int64)
    counts = {split: labels.shape[1] for split, labels in found.items()}
    if len(set(counts.values())) > 1:
        raise UserError(f"{where}: not all splits have as many labels: {counts}")
    if (found["train"].sum(1) == 1).all():
        raise UserError(f"{where}: every train image has one label, so multilabel is to be false")
    shares = found["train"].mean(0)
    for label in np.flatnonzero((shares == 0) | (shares == 1)):
        which = "no" if shares[label] == 0 else "every"
        raise UserError(f"{where}: {which} train image has label {label}: leave that label out")
    return found, [str(label) for label in range(len(shares))], []


def _read(where: str, split: str, labels: np.ndarray) -> _Labels:
    """Return one split's labels; of one-hot rows, the column."""
    what = f"{where}: {split} labels"
    if labels.dtype.kind not in "biufUS" or labels.ndim not in (1, 2):
        raise UserError(f"{what} are {labels.dtype} {labels.shape}, not {FORMS}")
    if labels.ndim == 2:
        labels = labels[:, 0] if labels.shape[1] == 1 else _column(what, labels)
    values, places = np.unique(labels, return_inverse=True)
    return _Labels(split, [_value(what, value) for value in values.tolist()], places.reshape(-1))


def _column(what: str, rows: np.ndarray) -> np.ndarray:
    """Return the place of the one in each one-hot row."""
    if rows.dtype.kind in "US" or rows.shape[1] == 0:
        raise UserError(f"{what} are {rows.dtype} {rows.shape}, not {FORMS}")
    wrong = ~(((rows == 0) | (rows == 1)).all(1) & ((rows != 0).sum(1) == 1))
    if wrong.any():
        first = int(np.argmax(wrong))
        row = ", ".join(map(str, rows[first, : 2 * SHOWN].tolist()))
        more = ", …" if rows.shape[1] > 2 * SHOWN else ""
        raise UserError(
            f"{what} have {rows.shape[1]} values per image, and image {first} has {row}{more}: "
            "one label per image is needed, or one-hot rows"
        )
    return np.argmax(rows, 1)


def _value(what: str, value: int | float | bool | str | bytes) -> Value:
    """Return one label as a whole number or a name."""
    if isinstance(value, float):
        if not value.is_integer():
            raise UserError(f"{what} have {value:g}, which is no whole number")
        return int(value)
    if isinstance(value, bytes):
        try:
            value = value.decode()
        except UnicodeDecodeError:
            raise UserError(f"{what} have {value!r}, which is not UTF-8") from None
    if isinstance(value, str):
        value = value.strip()
        if value.casefold() in BLANK:
            raise UserError(f"{what} have {value!r}, an empty label: leave those images out")
        return value
    return int(value)


def _numbers(where: str, splits: list[_Labels]) -> list[_Labels]:
    """Return the splits with text made numbers if all of it is whole numbers."""
    texts = [value for split in splits for value in split.values if isinstance(value, str)]
    if not texts:
        return splits
    if all(re.fullmatch(r"[+-]?\d{1,18}(\.0*)?", text, re.ASCII) for text in texts):
        return [
            _Labels(
                split.split,
                [int(str(value).partition(".")[0]) for value in split.values],
                split.places,
            )
            for split in splits
        ]
    if len(texts) != sum(len(split.values) for split in splits):
        kinds = [
            f"{split.split} has {'names' if isinstance(split.values[0], str) else 'numbers'}"
            for split in splits
        ]
        raise UserError(f"{where}: labels must be of one kind in all splits: {', '.join(kinds)}")
    return splits


def _check(where: str, splits: list[_Labels], values: list[Value], samples: int) -> None:
    """Raise UserError for what is no class, or no classes to learn."""
    if not splits:
        raise UserError(f"{where}: there are no labels")
    names = [value for value in values if isinstance(value, str)]
    numbers = [value for value in values if isinstance(value, int)]
    in_order = bool(numbers) and numbers == list(range(len(numbers)))
    if numbers and not in_order:
        _check_numbers(where, splits, numbers)
    if names:
        _check_names(where, splits, names)
    if len(values) > 10 and samples < (2 if in_order else 5) * len(values):
        raise UserError(
            f"{where}: {len(values)} different labels ({_shown(values)}) of {samples} images are "
            "too many for classes: are they numbers of patients or images?"
        )
    if len(values) < 2:
        raise UserError(f"{where}: all images have the label {values[0]}, two classes are needed")
    _check_train(where, splits)


def _check_numbers(where: str, splits: list[_Labels], numbers: list[int]) -> None:
    """Raise UserError for numbers that are not all of classes."""
    *rest, last = numbers
    if numbers[0] < 0:
        _refuse(where, splits, numbers[0], "a negative label: leave those images out")
    if len(rest) > 1 and last - rest[-1] > 1:
        follow = rest[-1] - rest[0] == len(rest) - 1
        if last in FULL or (last in NO_LABEL and follow):
            _refuse(where, splits, last, "which says that there is no label: leave those out")
    if last > LARGEST:
        _refuse(
            where,
            splits,
            last,
            f"a date or a number of a patient? Classes are numbered up to {LARGEST}, or have names",
        )
    if YEARS[0] <= numbers[0] and last <= YEARS[1]:
        _refuse(where, splits, last, "a year? Classes are numbered otherwise, or have names")


def _check_names(where: str, splits: list[_Labels], names: list[str]) -> None:
    """Raise UserError for dates, and for names that only look different."""
    if all(map(DATE.fullmatch, names)):
        _refuse(where, splits, names[0], "a date?")
    folded: dict[str, str] = {}
    for name in names:
        if (other := folded.setdefault(name.casefold(), name)) != name:
            raise UserError(f"{where}: labels {other!r} and {name!r} differ in case only")


def _check_train(where: str, splits: list[_Labels]) -> None:
    """Raise UserError if a class is not in the training set."""
    train = next((split for split in splits if split.split == "train"), None)
    known = set(train.values) if train else set()
    for split in splits:
        for value in split.values:
            if value not in known:
                _refuse(where, [split], value, "a class that the training set lacks")


def _refuse(where: str, splits: list[_Labels], value: Value, reason: str) -> None:
    split = next(split for split in splits if value in split.values)
    count = split.count(value)
    images = "1 image" if count == 1 else f"{count} images"
    raise UserError(f"{where}: {split.split} labels have {value} ({images}), {reason}")


def _shown(values: list[Value]) -> str:
    """Return a few values, the last among them."""
    texts = [str(value) for value in values]
    if len(texts) > 2 * SHOWN:
        texts = [*texts[:SHOWN], "…", texts[-1]]
    return ", ".join(text if len(text) <= 40 else f"{text[:39]}…" for text in texts)
