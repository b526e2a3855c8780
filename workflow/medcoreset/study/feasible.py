"""What a job would refuse, known before the first: of images, rates, epochs, rows and figures."""

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import combinations
from typing import Any

import medcoreset.methods as methods
from medcoreset import networks
from medcoreset.datasets import catalog, facts
from medcoreset.datasets.conditions import long_tail
from medcoreset.datasets.facts import Facts
from medcoreset.datasets.series import VARIED, series_of
from medcoreset.errors import UserError
from medcoreset.evidence.arrays import GIVEN, per_epoch
from medcoreset.figures import FIGURES, KINDS, ROWS
from medcoreset.identity import APART, beside
from medcoreset.seeding import LARGEST
from medcoreset.selection.budget import Rounding, expected_size
from medcoreset.selection.windows import grid, window_pairs
from medcoreset.training import schedule
from medcoreset.training.augmentation import check_augmentation, check_channels
from medcoreset.training.options import TrainingOptions


def check_split(name: str, own: dict[str, Any]) -> None:
    """Raise a UserError for a dataset whose options its source cannot give, as far as it is known."""
    identity = catalog.parse(name, own)
    if identity.base in own:
        catalog.check_stream(identity, streamed=own[identity.base].get("stream", False))
        if own[identity.base].get("multilabel") and (given := identity.conditions.given):
            raise UserError(
                f"{name}: {', '.join(given)} is for one label per image, not for several"
            )
        return
    whole = facts.official(replace(identity.clean, train=None))
    held_out = 0 if identity.source.has_val else whole.val
    if identity.train and identity.train > whole.train:
        raise UserError(f"{name}: train={identity.train:,}, and there are {whole.train:,} images")
    left = identity.train or whole.train
    parts = {"trains on": left, "holds out": held_out, "leaves out": whole.train - left}
    for part, count in parts.items():
        needed = whole.classes if part == "trains on" and (held_out or identity.train) else 0
        if count < needed or (count and count < whole.classes):
            raise UserError(
                f"{name}: {part} {count:,} images, fewer than its {whole.classes:,} classes"
            )
    if (ratio := identity.conditions.imbalance) is not None:
        sizes = facts.class_sizes(identity)
        if not long_tail(sizes, ratio).all():
            raise UserError(
                f"{name}: imbalance={ratio:g} of classes of {sizes.max():,} images at most leaves one "
                "without an image"
            )


def facts_of(name: str, own: dict[str, Any]) -> Facts | None:
    """Return what is known of a dataset without a look at a file of the user's own."""
    identity = catalog.parse(name, own)
    return facts.official(identity) if identity.base not in own else None


def image_size(name: str, own: dict[str, Any]) -> int | None:
    """Return how large the images of a dataset are, or None if that is not known."""
    known = facts_of(name, own)
    return known.image_size if known else own[catalog.parse(name, own).base].get("image_size")


def is_multilabel(name: str, own: dict[str, Any]) -> bool:
    """Say whether a dataset has several labels per image."""
    known = facts_of(name, own)
    return known.multilabel if known else own[catalog.parse(name, own).base]["multilabel"]


def check_figure_of_labels(figure: str, dataset: str) -> None:
    """Raise a UserError for a figure of classes, where there are several labels per image."""
    if figure in KINDS and KINDS[figure].of_classes:
        raise UserError(
            f"figures: {figure} shows classes, and {dataset} has several labels per image"
        )


def check_balance_of_labels(row: str, balance: str, dataset: str) -> None:
    """Raise a UserError for a budget per class, where there are several labels per image."""
    if balance != "global":
        raise UserError(
            f"{row}: balance is {balance}, and {dataset} has several labels per image, so no classes to "
            "share the budget: take balance global"
        )


def check_images(name: str, own: dict[str, Any], network_names: list[str]) -> None:
    """Raise a UserError if a network does not take the images of a dataset."""
    known = facts_of(name, own)
    for network in network_names:
        size, dimensions = image_size(name, own), known.dimensions if known else None
        try:
            networks.check(network, size, dimensions)
        except UserError as mistake:
            raise UserError(f"{mistake} (those of {name})") from None


def check_training(name: str, known: Facts, options: TrainingOptions) -> None:
    """Raise a UserError if a dataset cannot be trained on with these options."""
    check_channels(name, known.channels, options)
    check_augmentation(
        name, known.image_size, options, streamed=known.streamed, dimensions=known.dimensions
    )


def check_rate(
    name: str,
    known: Facts,
    rate: float,
    rounding: Rounding,
    balance: str,
    options: TrainingOptions,
) -> None:
    """Raise a UserError for a rate that selects no sample, or too few to be trained on."""
    try:
        size = expected_size(rate, known.train, known.classes, rounding, balance)
        schedule.plan(size, options)
    except UserError as mistake:
        raise UserError(f"rates: {rate:g} of {name}: {mistake}") from None


def check_dynamics(key: str, method: methods.Method, options: dict[str, Any], epochs: int) -> None:
    """Raise a UserError for a method that looks at training dynamics, where there are none."""
    if not epochs and any(map(per_epoch, method.needed(options))):
        raise UserError(
            f"methods.{key}: {method.name} looks at training dynamics, and its surrogate is of 0 epochs"
        )


def check_probs(
    key: str,
    method: methods.Method,
    options: dict[str, Any],
    dataset: str,
    known: Facts | None,
    epochs: int,
    budget_mb: float,
) -> None:
    """Raise a UserError for a method that looks at all probabilities, where they are not recorded."""
    if known and "probs" in method.needed(options):
        size = 2 * epochs * known.train * known.classes / 1e6
        if size > budget_mb:
            raise UserError(
                f"methods.{key}: {method.name} looks at the probabilities of all epochs, {size:,.0f} MB "
                f"of {dataset}, and probs_budget_mb is {budget_mb:g}"
            )


def check_given(key: str, method: methods.Method, options: dict[str, Any]) -> None:
    """Raise a UserError for a method that looks at what no stage of the workflow makes."""
    if own := [name for name in method.needed(options) if name in GIVEN]:
        raise UserError(
            f"methods.{key}: {method.name} looks at {own[0]}, which the workflow does not make "
            "(medcoreset select takes it from a file of evidence)"
        )


def check_reselect(key: str, every: int | None, options: TrainingOptions) -> None:
    """Raise a UserError for a row that at times is a coreset's, or that never selects again.

    How many epochs a number of iterations is depends on the size of the coreset, and is not looked at.
    """
    if every is None:
        raise UserError(
            f"methods.{key}: reselect is none, and elsewhere it is not: that is a row of its own"
        )
    epochs = min(options.epochs, options.stop_after or options.epochs)
    if options.length == "epochs" and every >= epochs:
        raise UserError(
            f"methods.{key}: reselect is {every}, and must be less than the {epochs} epochs of the training"
        )


def check_weights(row: str, gives: bool, protocol: str, options: TrainingOptions) -> None:
    """Raise a UserError for a row without weights whose loss is to be weighted in any case."""
    if options.weighted_loss == "true" and not gives:
        raise UserError(
            f"{row} gives no weights, and protocol {protocol} has weighted_loss: true "
            "(where_given weights the loss where there are some)"
        )


def check_averaged(
    key: str, method: methods.Method, options: dict[str, Any], seeds: Sequence[int]
) -> None:
    """Raise a UserError if a method averages over surrogates whose seeds are too large, or shared."""
    counts = method.of_unit("surrogates", options).values()
    check_apart("surrogate.seeds", f"methods.{key}", seeds, max(counts, default=1))


def check_apart(what: str, repeats: str, seeds: Sequence[int], count: int) -> None:
    """Raise a UserError if seeds, of each of which `count` are made, are too large or meet."""
    *_, farthest = beside(0, count)
    if max(seeds) + farthest > LARGEST:
        raise UserError(
            f"{what}: {max(seeds)}, of which {repeats} makes {count}, each {APART} on, must be at "
            f"most {LARGEST - farthest}"
        )
    for seed, other in combinations(sorted(seeds), 2):
        if other in beside(seed, count):
            raise UserError(
                f"{what}: {seed} and {other} are no repetitions, for of each {repeats} makes {count}, "
                f"each {APART} on: both would use {other}"
            )


DATASETS: dict[str, tuple[Callable[[Sequence[str]], bool], str]] = {
    "accuracy_over_condition": (
        lambda names: bool(series_of(names)),
        f"two datasets that differ in {', '.join(VARIED)} alone",
    ),
    "detection": (
        lambda names: any(catalog.conditions_of(name).wrong for name in names),
        "a dataset with wrong labels, +noise=0.2 or +asymmetric=0.2",
    ),
}
"""Figure → whether datasets are what it can be drawn of, and what these are."""


def check_figure(
    figure: str, rows: dict[str, methods.Method | None], has_table: bool, datasets: Sequence[str]
) -> None:
    """Raise a UserError for a figure that the experiment's rows, or its datasets, cannot give.

    A row that selects while networks train is None: nothing of it is made before.
    """
    needs = FIGURES[figure]
    if needs & {"table", "runs"} and not has_table:
        source = "a table" if "table" in needs else "trained networks"
        raise UserError(
            f"figures: {figure} is drawn from {source}, so networks, seeds and rows are needed"
        )
    fits, wanted = DATASETS.get(figure, (bool, ""))
    if not fits(datasets):
        raise UserError(f"figures: {figure} is drawn of {wanted}, and datasets has none")
    scored = [row for row in rows.values() if row and row.ranks and row.uses_surrogate]
    kept = [row for row in scored if row.keep is not None]
    if "rankings" in needs and not kept:
        raise UserError(
            f"figures: {figure} is drawn from rankings, and methods has none that ranks"
        )
    if needs & {"scores"} and "windows" not in needs and not scored:
        raise UserError(f"figures: {figure} is drawn from scores, and methods has none that scores")
    for wanted in ROWS.get(figure, ()):
        if not any(re.fullmatch(wanted, key) for key in rows):
            raise UserError(f"figures: {figure} compares rows, of which methods lacks {wanted}")


def check_windows(figure: str, length: int, step: int, epochs: int) -> None:
    """Raise a UserError for a figure of pairs of windows if there is no pair in so many epochs."""
    try:
        window_pairs(grid(epochs, length, step), length, epochs)
    except UserError as mistake:
        raise UserError(f"figures: {figure}: {mistake}") from None
