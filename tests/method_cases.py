"""A model's view of samples drawn at random, to check the formulas of DeepCore's methods with."""

import numpy as np

from medcoreset import methods
from medcoreset.evidence import Evidence, statistics
from medcoreset.seeding import generator
from medcoreset.selection.select import Selection, select

PER_MODEL = ("gradient_norms", "target_prob")


def arrays_of(
    n: int, seed: int = 0, classes: int = 4, size: int = 5, copies: int = 1
) -> dict[str, np.ndarray]:
    """Return arrays of `n` samples in classes of unequal size, each sample `copies` times or so."""
    rng = np.random.default_rng(seed)
    different = -(-n // copies)
    labels = np.minimum(rng.geometric(0.4, different) - 1, classes - 1)
    logits = 2 * rng.normal(size=(different, classes))
    logits[np.arange(different), labels] += 1
    epochs = statistics.softmax(rng.normal(size=(6, different, classes)))
    arrays = {
        "labels": labels,
        "logits": logits,
        "features": rng.normal(size=(different, size)) + labels[:, None],
        "gradient_norms": rng.gamma(2, size=(3, different)),
        "perturbations": rng.gamma(2, size=different),
        "target_prob": epochs[:, np.arange(different), labels],
    }
    again = np.tile(np.arange(different), copies)[:n]
    return {
        name: values[:, again] if name in PER_MODEL else values[again]
        for name, values in arrays.items()
    }


def evidence_of(n: int, **how: int) -> Evidence:
    """Return the evidence of `arrays_of`."""
    return Evidence(arrays_of(n, **how))


def ranks(seed: int, n: int) -> np.ndarray:
    """Return the order in which a run without classes takes equals, a permutation of n samples."""
    return generator(seed, "selection").permutation(n)


def choose(name: str, evidence: Evidence, count: int, **how) -> Selection:
    """Return what a method selects."""
    return select(methods.get(name), evidence, count, **how)
