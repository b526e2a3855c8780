"""Training sets under conditions: wrong labels, a long tail of classes, copies.

Only the training set changes, and the labels of the validation set where `noisy_val` says so. The
draws follow each other as here: classes are thinned out, labels made wrong, samples replaced by
copies, which have the labels, right or wrong, of what they copy. Each draws from a stream of its own,
so that another condition beside it takes the same samples as far as they are there.
"""

import math
from dataclasses import replace

import numpy as np

from medcoreset import seeding
from medcoreset.datasets.canonical import Dataset
from medcoreset.datasets.catalog import Conditions, Identity
from medcoreset.errors import UserError

IMBALANCE, NOISE, VAL_NOISE, DUPLICATES = range(4)
"""The streams of random numbers, of each condition one."""
WRONG_NEED = 10
"""Samples of a class of which some keep their label, as good as surely."""


def applied(dataset: Dataset, identity: Identity) -> Dataset:
    """Return the dataset under the conditions of `identity`, with the record of what was changed.

    Without conditions it is the same dataset. Raises UserError if a class would have no training
    sample left.
    """
    given, name = identity.conditions, identity.name
    if not given.given:
        return dataset
    if dataset.multilabel:
        raise UserError(
            f"dataset {name}: {', '.join(given.given)} is for one label per image, and there are several"
        )
    classes, labels = dataset.classes, dataset.train_labels
    kept = np.arange(len(labels))
    if given.imbalance is not None:
        kept = thinned(labels, given.imbalance, _stream(given, IMBALANCE), name=name)
    true = labels[kept]
    noisy = with_noise(true, classes, given, _stream(given, NOISE))
    replaced = copied(noisy, given.duplicates, _stream(given, DUPLICATES), name=name)
    val = dataset.val_labels
    if given.noisy_val:
        if not len(val):
            raise UserError(f"dataset {name}: noisy_val=true, and there are no validation data")
        val = with_noise(val, classes, given, _stream(given, VAL_NOISE))
    _check_classes(dataset, noisy[replaced], name)
    origin = kept[replaced]
    made = replace(
        dataset,
        name=name,
        **dataset.train_at(origin) | {"train_labels": noisy[replaced]},
        val_labels=val,
        train_true_labels=true[replaced],
        val_true_labels=dataset.val_labels,
        train_origin=origin,
    )
    changed = _changed(made, origin)
    info = {"conditions": given.given, "clean_sha256": dataset.sha256, "changed": changed}
    notes = [*dataset.info.get("notes", []), _note(made, changed)]
    made.info = {**dataset.info, **info, "notes": notes}
    return made


def with_noise(
    labels: np.ndarray, classes: int, given: Conditions, random: np.random.Generator
) -> np.ndarray:
    """Return the labels (N,), of which `noise` and `asymmetric` say the shares that are made wrong.

    Of N labels exactly the nearest number to `noise`·N becomes that of another class, each as likely,
    and to `asymmetric`·N, of the others, that of the next class, after the last the first: symmetric
    and pair flipping (Han et al., Co-teaching, NeurIPS 2018, Appendix A). With one seed the samples
    of a smaller share are among those of a larger one, and get the same labels.
    """
    count = len(labels)
    order = random.permutation(count)
    steps = random.integers(1, max(classes, 2), count)
    symmetric = nearest(given.noise * count)
    shift = np.zeros(count, np.int64)
    shift[order[:symmetric]] = steps[order[:symmetric]]
    shift[order[symmetric : symmetric + nearest(given.asymmetric * count)]] = 1
    return (labels + shift) % classes


def thinned(
    labels: np.ndarray, ratio: float, random: np.random.Generator, *, name: str
) -> np.ndarray:
    """Return the sorted indices of a part of the samples whose classes have a long tail.

    The sizes of the classes are those of `long_tail`; within a class each sample is as likely.
    """
    sizes = np.bincount(labels)
    wanted = long_tail(sizes, ratio)
    if (wanted[sizes > 0] == 0).any():
        raise UserError(
            f"dataset {name}: imbalance={ratio:g} of classes of {sizes.max()} images at most leaves "
            "one without an image"
        )
    kept = [
        random.permutation(np.flatnonzero(labels == label))[:size]
        for label, size in enumerate(wanted)
    ]
    return np.sort(np.concatenate(kept))


def long_tail(sizes: np.ndarray, ratio: float) -> np.ndarray:
    """Return how many samples of each class are kept, so that the smallest has `ratio` of the largest.

    From the largest to the smallest, classes of equal size in their order, the sizes are a geometric
    series, the largest that the classes allow (Cui et al., CVPR 2019, Section 5.1, where all classes
    have the same size). Classes without samples do not count.
    """
    sizes = np.asarray(sizes, np.int64)
    order = np.argsort(-sizes, kind="stable")[: np.count_nonzero(sizes)]
    shares = ratio ** (np.arange(len(order)) / max(len(order) - 1, 1))
    largest = (sizes[order] / shares).min()
    wanted = np.zeros_like(sizes)
    wanted[order] = [nearest(largest * share) for share in shares]
    return np.minimum(wanted, sizes)


def copied(
    labels: np.ndarray, share: float, random: np.random.Generator, *, name: str
) -> np.ndarray:
    """Return (N,), the sample that stands in each place when a share of them is replaced by copies.

    Of N samples exactly the nearest number to `share`·N gives its place to a copy of one that stays,
    of the same class, in each class in proportion to its size; those that stay are copied in turn.
    So the size of the set, and of every class, stays, and with it what a selection rate selects.
    """
    sizes = np.bincount(labels)
    counts = np.floor(share * sizes).astype(np.int64)
    missing = nearest(share * len(labels)) - int(counts.sum())
    if counts.sum() + missing > np.maximum(sizes - 1, 0).sum():
        raise UserError(f"dataset {name}: duplicates={share:g} leaves a class no image of its own")
    by_remainder = np.argsort(counts - share * sizes, kind="stable")
    while missing:
        for label in by_remainder[counts[by_remainder] < sizes[by_remainder] - 1][:missing]:
            counts[label] += 1
            missing -= 1
    places = np.arange(len(labels))
    for label, count in enumerate(counts):
        order = random.permutation(np.flatnonzero(labels == label))
        if count:
            places[order[:count]] = np.resize(order[count:], count)
    return places


def clean_size(given: Conditions, shares: np.ndarray, count: int) -> int:
    """Return how many samples, in classes of these proportions (C,), leave `count` under conditions.

    Some of every class are among them, also after labels were made wrong.
    """
    shares = np.asarray(shares) / np.sum(shares)
    size = max(count, WRONG_NEED * len(shares) if given.wrong or given.duplicates else 1)
    while given.imbalance is not None:
        sizes = np.maximum(np.round(size * shares), shares > 0)
        left = long_tail(sizes, given.imbalance)
        if left.sum() >= count and left[shares > 0].min() > 1:  # one may be rounded away
            break
        size += size // 4 + 1
    return size


def nearest(number: float) -> int:
    """Return the nearest whole number, the greater of two, whatever floating point made of it."""
    return math.floor(round(number, 9) + 0.5)


def _stream(given: Conditions, number: int) -> np.random.Generator:
    return seeding.generator(given.condition_seed, "conditions", number)


def _check_classes(before: Dataset, labels: np.ndarray, name: str) -> None:
    left = np.bincount(labels, minlength=before.classes)
    lost = (np.bincount(before.train_labels, minlength=before.classes) > 0) & (left == 0)
    if lost.any():
        raise UserError(
            f"dataset {name}: no training sample is left with the label "
            f"{before.info['class_names'][int(np.flatnonzero(lost)[0])]}"
        )


def _changed(made: Dataset, origin: np.ndarray) -> dict[str, int]:
    """Return how many samples have wrong labels, by split, and how many repeat another of `origin`."""
    return {
        "train_wrong": int(np.count_nonzero(made.train_labels != made.train_true_labels)),
        "val_wrong": int(np.count_nonzero(made.val_labels != made.val_true_labels)),
        "train_copies": len(origin) - len(np.unique(origin)),
    }


def _note(made: Dataset, changed: dict[str, int]) -> str:
    said = {"train_wrong": "wrong train labels", "val_wrong": "wrong val labels"}
    said["train_copies"] = "copies in train"
    return (
        f"changed on purpose: {', '.join(f'{changed[key]} {what}' for key, what in said.items())}"
    )
