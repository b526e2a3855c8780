"""How different the images of a class are, and how alike those of two classes (EVA's Figure 6).

Images are rows of numbers, of pixels or of a network's features, brought to length 1; alike is what
has a large cosine. Of all pairs of N images the means follow from the C means of the classes.
"""

from collections.abc import Callable

import numpy as np

Rows = Callable[[np.ndarray], np.ndarray]
"""Maps the indices of images, int (n,), to their rows, real (n, D)."""

BLOCK = 1024
"""Rows in memory at a time."""


def class_means(rows: Rows, labels: np.ndarray, classes: int) -> np.ndarray:
    """Return the mean of the rows of each class at length 1, float64 (C, D); `labels` is int (N,).

    A row of zeros stays as it is, and the mean of a class without images is NaN.
    """
    sums: np.ndarray | None = None
    for start in range(0, len(labels), BLOCK):
        block = np.arange(start, min(start + BLOCK, len(labels)))
        unit = at_length_1(rows(block))
        if sums is None:
            sums = np.zeros((classes, unit.shape[1]))
        members = np.zeros((classes, len(block)))
        members[labels[block], np.arange(len(block))] = 1
        sums += members @ unit
    assert sums is not None  # there are images
    counts = np.bincount(labels, minlength=classes)[:, None]
    with np.errstate(invalid="ignore"):
        return sums / counts


def at_length_1(rows: np.ndarray) -> np.ndarray:
    """Return rows (n, D) divided by their Euclidean length, float32."""
    rows = np.asarray(rows, dtype=np.float32)
    length = np.sqrt(np.einsum("nd,nd->n", rows, rows, dtype=np.float64))
    return rows / np.where(length > 0, length, 1)[:, None].astype(np.float32)


def intra_class_variation(means: np.ndarray) -> float:
    """Return the mean cosine distance of two images of a class, averaged over the classes, in [0, 2].

    It is d_within of Kornblith et al., Why do better loss functions lead to less transferable
    features?, NeurIPS 2021, Section 3: (1/C) Σ_c Σ_i Σ_j (1 − cos(x_i, x_j)) / N_c², i and j images
    of class c. With `means` m_c (C, D) of rows at length 1 that is (1/C) Σ_c (1 − ‖m_c‖²).
    """
    return float(np.nanmean(1 - _products(means).diagonal()))


def inter_class_similarity(means: np.ndarray) -> tuple[float, np.ndarray]:
    """Return the mean cosine of an image and one of the most similar other class, and that class.

    The first is (1/C) Σ_c max_{k≠c} m_c·m_k, in [−1, 1]: m_c·m_k is the mean of cos(x_i, x_j) over all
    images i of class c and j of class k, and the worst other class is taken as by Davies and Bouldin,
    A cluster separation measure, IEEE TPAMI 1(2), 1979. The second is the k of each c, int (C,). Where
    1 minus it is no more than the intra-class variation, images of two classes are on average as near
    as images of one.
    """
    products = _products(means)
    np.fill_diagonal(products, -np.inf)
    products = np.where(np.isnan(products), -np.inf, products)
    nearest, highest = products.argmax(axis=1), products.max(axis=1)
    return float(highest[np.isfinite(highest)].mean()), nearest


def extreme_pairs(cosines: np.ndarray, count: int, *, within: bool) -> list[tuple[int, int]]:
    """Return the (i, j) of the `count` largest of `cosines` (n, m), each image in one pair at most.

    `within` a class, n = m and i ≠ j, it is those of the smallest. Fewer are returned of few images.
    """
    left = -cosines if within else cosines.copy()
    if within:
        np.fill_diagonal(left, -np.inf)
    found: list[tuple[int, int]] = []
    while len(found) < count and np.isfinite(left).any():
        i, j = map(int, np.unravel_index(left.argmax(), left.shape))
        found.append((i, j))
        taken = [i, j] if within else [i], [i, j] if within else [j]
        left[taken[0]] = -np.inf
        left[:, taken[1]] = -np.inf
    return found


def _products(means: np.ndarray) -> np.ndarray:
    return means @ means.T
