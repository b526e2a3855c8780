"""The one driver of all methods: budget per class, preselected samples, ties, order of picking."""

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from medcoreset.errors import UserError, say
from medcoreset.evidence import Evidence
from medcoreset.evidence.arrays import ARRAYS
from medcoreset.methods.registry import RESELECT, Balance, Method, Picks, Streams
from medcoreset.seeding import generator
from medcoreset.selection.budget import class_budgets
from medcoreset.selection.drop import drop_weights
from medcoreset.selection.selection import Selection


@dataclass(frozen=True)
class _Group:
    """The samples among which one run of a method picks, and how many: of a class, or of all."""

    members: np.ndarray
    preselected: np.ndarray
    count: int | np.ndarray
    rng: np.random.Generator
    streams: Streams
    """Of what is drawn anew in every epoch."""


def score(
    method: Method, evidence: Evidence, options: Mapping[str, Any] | None = None
) -> np.ndarray:
    """Return the raw scores of the method's definition, float64 (N,).

    Raises UserError if evidence is missing, a score is NaN, or a method that keeps the
    best-ranked cannot tell any two samples apart.
    """
    options = _once(method, options)
    if method.score is None:
        raise UserError(f"{method.name} does not score samples: it selects them directly")
    _require(method, evidence, options)
    own = {name: options[name] for name in method.scored_with}
    with _installed(method):
        scores = np.asarray(method.score(evidence, **own), dtype=np.float64)
    check_scores(method, scores, evidence.name)
    return scores


def check_scores(method: Method, scores: np.ndarray, source: str) -> None:
    """Raise a UserError if scores (N,) cannot rank the samples of `source`."""
    undefined = np.flatnonzero(np.isnan(scores))
    if len(undefined):
        raise UserError(
            f"{method.name} on {source}: the scores of {len(undefined)} of {len(scores)} samples are "
            f"NaN, first that of sample {undefined[0]} (was it seen in the epochs that are used?)"
        )
    if method.keep and len(scores) > 1 and scores.min() == scores.max():
        raise UserError(
            f"{method.name} on {source}: all scores are equal ({scores[0]:g}), they rank nothing"
        )


def select(
    method: Method,
    evidence: Evidence,
    count: int | np.ndarray,
    *,
    balance: Balance | None = None,
    seed: int = 0,
    options: Mapping[str, Any] | None = None,
    scores: np.ndarray | None = None,
    epoch: int = 0,
) -> Selection:
    """Return a coreset of exactly `count` samples, those in `evidence.preselected` among them.

    `balance: class` runs the method within each class, on largest-remainder budgets, or on those that
    `count` lists (C,), which are no more than the classes have. `balance: drop` does so on budgets
    that are the larger the lower the recall of the class on validation data (`drop.drop_weights`). Scores are
    always those of the whole training set. The default is the method's own. Scores (N,) that were
    computed before may be given. A dynamic method selects for the 0-based `epoch` of a training, of
    which `seed` is the same in all. Preselected samples come first, then the picks, class after class.

    Equal scores are ordered by a permutation drawn from the seed's stream `ties`, one for all
    classes and rates: a coreset of some seed contains the smaller ones of the same ranking.
    Raises UserError for a count outside 1 … N or below the number of preselected samples.
    """
    if not method.selects:
        raise UserError(f"{method.name} chooses while a network trains: it selects no coreset")
    options = _once(method, options)
    _check_count(int(np.sum(count)), evidence)
    if method.ranks:
        scores = score(method, evidence, options) if scores is None else scores
        ties = generator(seed, "ties").permutation(len(evidence))
    if method.select is not None:
        _require(method, evidence, options)
    preselected, picked, warnings = [], [], []
    for group in _groups(evidence, count, balance or method.balance, seed, method.together):
        with _installed(method):
            if method.select is None:
                assert scores is not None  # by which it picks
                picks = _pick(method, scores, ties, group, options)
            else:
                picks = _select(method, evidence, scores, group, epoch, options)
        warnings.append(picks.warning)
        given = len(group.preselected)
        preselected.append(_part(picks, slice(given)))
        picked.append(_part(picks, slice(given, None)))
    for warning, times in Counter(filter(None, warnings)).items():
        where = f" ({times} of {len(warnings)} classes)" if len(warnings) > 1 else ""
        say(f"{method.name} on {evidence.name}{where}: {warning}")
    indices, weights = _joined(preselected + picked)
    ids = evidence["sample_ids"][indices] if evidence.given("sample_ids") else None
    return Selection(method.name, options, indices, scores, weights, ids)


def _once(method: Method, given: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return all options of a method that selects once; a UserError if it is to do so again and again."""
    options = method.parse_options(given or {})
    if (every := options.get(RESELECT.name)) is not None:
        raise UserError(
            f"{method.name}: reselect is {every}, which is of a training (medcoreset train --draw): here it is "
            "to be none"
        )
    return options


def _require(method: Method, evidence: Evidence, options: Mapping[str, Any]) -> None:
    needed = method.needed(options)
    try:
        evidence.require(*needed)
    except UserError as lack:
        raise UserError(f"{method.name}: {lack}") from None
    if evidence.multilabel:
        try:
            method.check_labels(options)
        except UserError as mistake:
            raise UserError(f"{evidence.name}: {mistake}") from None
    if any("T" in ARRAYS[name].shape for name in needed):
        method.check_dynamics(evidence.epochs, options)


@contextmanager
def _installed(method: Method) -> Iterator[None]:
    """Let a package that the core does not depend on be a UserError where it is not there."""
    try:
        yield
    except ModuleNotFoundError as lack:
        raise UserError(
            f"{method.name} needs the package {lack.name}, which is not installed: pip install "
            "'medcoreset[workflow]'"
        ) from None


def _check_count(count: int, evidence: Evidence) -> None:
    if not 1 <= count <= len(evidence):
        raise UserError(f"count is {count}, but it is to be from 1 to {len(evidence)}, the samples")
    if len(evidence.preselected) > count:
        raise UserError(
            f"{len(evidence.preselected)} samples are preselected, more than the {count} to select"
        )


def _groups(
    evidence: Evidence, count: int | np.ndarray, balance: Balance, seed: int, together: bool
) -> Iterator[_Group]:
    preselected = evidence.preselected
    everyone = np.arange(len(evidence))
    of_all = generator(seed, "selection"), partial(generator, seed, "redraw")
    if balance == "global":
        yield _Group(everyone, preselected, int(np.sum(count)), *of_all)
        return
    if evidence.multilabel:
        raise UserError(
            f"{evidence.name}: balance is {balance}, and with several labels per sample there are no "
            "classes to share the budget: take balance global"
        )
    labels = evidence["labels"]
    sizes = np.bincount(labels)
    taken = np.bincount(labels[preselected], minlength=len(sizes))
    if isinstance(count, np.ndarray):
        budgets = np.maximum(count, taken)
    else:
        weights = drop_weights(evidence, sizes) if balance == "drop" else None
        budgets = class_budgets(sizes, count, taken, weights)
    if together:
        yield _Group(everyone, preselected, budgets, *of_all)
        return
    for label, budget in enumerate(budgets):
        if budget:
            given = preselected[labels[preselected] == label]
            rng = generator(seed, "selection", label)
            streams = partial(generator, seed, "redraw", label)
            yield _Group(np.flatnonzero(labels == label), given, int(budget), rng, streams)


def _pick(
    method: Method, scores: np.ndarray, ties: np.ndarray, group: _Group, options: Mapping[str, Any]
) -> Picks:
    pool = np.setdiff1d(group.members, group.preselected, assume_unique=True)
    count = group.count - len(group.preselected)
    positions: Picks | np.ndarray
    if method.pick is None:
        best_first = -scores[pool] if options["keep"] == "highest" else scores[pool]
        positions = np.lexsort((ties[pool], best_first))[:count]
    elif count:
        positions = method.pick(scores[pool], count, group.rng, **method.picking(options))
    else:
        positions = np.empty(0, np.int64)
    picks = positions if isinstance(positions, Picks) else Picks(positions)
    picked = pool[np.asarray(picks.indices, dtype=np.int64)]
    # A preselected sample was not picked for others: it stands for itself alone.
    weights = picks.weights
    if weights is not None:
        weights = np.concatenate([np.ones(len(group.preselected)), weights])
    indices = np.concatenate([group.preselected, picked])
    return _verified(method, picks._replace(indices=indices, weights=weights), group)


def _select(
    method: Method,
    evidence: Evidence,
    scores: np.ndarray | None,
    group: _Group,
    epoch: int,
    options: Mapping[str, Any],
) -> Picks:
    whole = len(group.members) == len(evidence)
    looks_at: list[Evidence | np.ndarray] = [evidence if whole else evidence.take(group.members)]
    if scores is not None:
        looks_at.append(scores[group.members])
    draws = (epoch, group.streams) if method.dynamic else (group.rng,)
    assert method.select is not None
    picks = method.select(*looks_at, group.count, *draws, **method.picking(options))
    if not isinstance(picks, Picks):
        picks = Picks(np.asarray(picks))
    return _verified(method, picks._replace(indices=group.members[picks.indices]), group)


def _verified(method: Method, picks: Picks, group: _Group) -> Picks:
    """Return the picks if they are what a method owes; a method that errs is a bug of its own."""
    given, count = len(group.preselected), int(np.sum(group.count))
    if (
        picks.indices.shape != (count,)
        or len(np.unique(picks.indices)) != count
        or not np.array_equal(picks.indices[:given], group.preselected)
        or (picks.weights is not None and np.shape(picks.weights) != (count,))
    ):
        raise AssertionError(
            f"{method.name} did not pick {count} distinct samples, preselected first"
        )
    if picks.weights is not None and not method.weighted:
        raise AssertionError(f"{method.name} gives weights, but is not registered as weighted")
    return picks


def _part(picks: Picks, which: slice) -> Picks:
    weights = picks.weights
    return Picks(picks.indices[which], None if weights is None else weights[which])


def _joined(parts: list[Picks]) -> tuple[np.ndarray, np.ndarray | None]:
    indices = np.concatenate([part.indices for part in parts]).astype(np.int64)
    if all(part.weights is None for part in parts):
        return indices, None
    # A class in which everything was preselected picks nothing, so that it says no weights.
    weights = [np.ones(len(p.indices)) if p.weights is None else p.weights for p in parts]
    return indices, np.concatenate(weights).astype(np.float64)
