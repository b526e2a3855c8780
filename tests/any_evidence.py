"""Evidence of random samples for any method, made from the arrays that it says it needs."""

import itertools
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from medcoreset.evidence import Evidence, statistics
from medcoreset.evidence.arrays import ARRAYS, RECIPES, Array
from medcoreset.methods.registry import Method
from medcoreset.study import rehearsal

EPOCHS = 200
"""Epochs of the training dynamics: those of the papers, which the methods' defaults are made for."""


def evidence_of(method: Method, n: int = 60, **how: Any) -> Evidence:
    """Return evidence of `n` samples with labels and the arrays that a method needs by default."""
    return Evidence(arrays_of(needed(method), n, **how))


def needed(method: Method, options: Mapping[str, Any] | None = None) -> tuple[str, ...]:
    """Return the arrays that a method needs with these options, and labels."""
    return tuple(dict.fromkeys(["labels", *method.needed(options)]))


def options_for(method: Method, epochs: int) -> dict[str, Any]:
    """Return a method's default options for so few epochs, made smaller as a rehearsal makes them."""
    return rehearsal.scaled(method.name, method.defaults(), EPOCHS, epochs)


def arrays_of(
    names: Iterable[str],
    n: int = 60,
    *,
    seed: int = 0,
    classes: int = 4,
    epochs: int = EPOCHS,
    copies: int = 1,
    alike: bool = False,
) -> dict[str, np.ndarray]:
    """Return the arrays of these names, of samples in classes of unequal size.

    Each sample is there `copies` times or so. If they are `alike`, nothing but labels tells any two
    samples apart.
    """
    different = -(-n // copies)
    sizes = {"T": epochs, "N": different, "C": classes, "D": 5, "G": 12, "V": 30, "R": 3}
    sizes |= {"Q": 9, "S": 8, "B": 20}
    arrays = {}
    for name in names:
        # An array is the same, whichever others are asked for.
        rng = np.random.default_rng([seed, list(ARRAYS).index(name)])
        arrays[name] = _random(ARRAYS[name], sizes, rng)
    first = np.zeros(different, dtype=int)
    told = {name: taken({name: arrays[name]}, first)[name] for name in arrays if name != "labels"}
    if alike:
        arrays |= told
    return taken(arrays, np.tile(np.arange(different), copies)[:n])


def taken(arrays: Mapping[str, np.ndarray], samples: np.ndarray) -> dict[str, np.ndarray]:
    """Return the arrays of some samples, `samples[i]` at i, on every axis that samples have."""
    found = dict(arrays)
    for name in found:
        for axis, symbol in enumerate(ARRAYS[name].shape):
            if symbol == "N":
                found[name] = np.take(found[name], samples, axis=axis)
    return found


def ways(method: Method) -> list[tuple[str, ...]]:
    """Return the sets of arrays from which a method can be run, whatever it needs being made or not."""
    parts = [list(_made_from(name)) for name in needed(method)]
    found = [tuple(dict.fromkeys(itertools.chain(*way))) for way in itertools.product(*parts)]
    return list(dict.fromkeys(found))


def _made_from(name: str) -> Iterator[tuple[str, ...]]:
    yield (name,)
    for ingredients in RECIPES.get(name, ()):
        for way in itertools.product(*map(_made_from, ingredients)):
            yield tuple(dict.fromkeys(itertools.chain(*way)))


def _random(array: Array, sizes: Mapping[str, int], rng: np.random.Generator) -> np.ndarray:
    """Return values of an array's kind and shape, within its bounds."""
    shape = tuple(sizes[symbol] for symbol in array.shape)
    if array.kind == "integer":
        return np.minimum(rng.geometric(0.4, shape) - 1, sizes["C"] - 1)
    if array.kind == "boolean":
        found = rng.random(shape) < rng.random(shape[1:])
        if array.shape[0] == "B":  # each sample is in some subset, and not in another
            found[0], found[1] = True, False
        return found
    if array.kind == "probability":
        return statistics.softmax(2 * rng.normal(size=shape))
    if array.kind == "log_probability":
        return np.log(statistics.softmax(2 * rng.normal(size=shape)))
    if array.kind == "statistic":
        high = array.high(sizes["C"]) if callable(array.high) else array.high
        return rng.uniform(array.low, high, shape)
    if array.shape == ("N", "N"):
        rows = rng.normal(size=(shape[0], 8))
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        return 0.5 + 0.5 * rows @ rows.T
    if array.kind == "logit":  # beyond 1, lest a few look like probabilities
        return 3 + 2 * rng.normal(size=shape)
    return rng.normal(size=shape) if array.low < 0 else rng.gamma(2, size=shape)
