"""Intra-class variation and inter-class similarity, against all pairs one by one."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medcoreset.analysis import similarity

SIZES = {"n": st.integers(4, 30), "classes": st.integers(2, 4), "seed": st.integers(0, 2**32 - 1)}


def made(n: int, classes: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows, labels with every class, and the cosines of all pairs."""
    random = np.random.default_rng(seed)
    rows = random.normal(0.5, 1, (n, 5))
    labels = random.permutation(np.arange(n) % classes)
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return rows, labels, unit @ unit.T


@given(**SIZES)
def test_the_means_of_all_pairs_follow_from_the_classes_means(n, classes, seed):
    rows, labels, cosines = made(n, classes, seed)
    means = similarity.class_means(rows.__getitem__, labels, classes)
    of = [labels == label for label in range(classes)]
    within = [np.mean([1 - cosines[i, j] for i in np.flatnonzero(one) for j in np.flatnonzero(one)]) for one in of]  # fmt: skip
    assert similarity.intra_class_variation(means) == pytest.approx(np.mean(within), abs=1e-5)
    across = np.array([[cosines[np.ix_(one, other)].mean() for other in of] for one in of])
    np.fill_diagonal(across, -np.inf)
    found, nearest = similarity.inter_class_similarity(means)
    assert found == pytest.approx(across.max(axis=1).mean(), abs=1e-5)
    np.testing.assert_allclose(across[range(classes), nearest], across.max(axis=1), atol=1e-5)


@given(seed=st.integers(0, 2**32 - 1), block=st.integers(1, 9))
def test_blocks_change_nothing(seed, block):
    rows, labels, _ = made(23, 3, seed)
    whole = similarity.class_means(rows.__getitem__, labels, 3)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(similarity, "BLOCK", block)
        parts = similarity.class_means(rows.__getitem__, labels, 3)
    np.testing.assert_allclose(parts, whole, atol=1e-6)


@given(n=st.integers(1, 9), m=st.integers(1, 9), count=st.integers(1, 6), seed=st.integers(0, 99))
def test_pairs_are_the_extremes_and_share_no_image(n, m, count, seed):
    cosines = np.random.default_rng(seed).uniform(-1, 1, (n, m))
    found = similarity.extreme_pairs(cosines, count, within=False)
    assert len(found) == min(count, n, m)
    assert cosines[found[0]] == cosines.max()
    assert len({i for i, _ in found}) == len({j for _, j in found}) == len(found)
    same = (cosines[:, :1] + cosines[:, :1].T) / 2
    found = similarity.extreme_pairs(same, count, within=True)
    assert len(found) == min(count, n // 2)
    assert len({image for pair in found for image in pair}) == 2 * len(found)
    if found:
        off = same + np.diag(np.full(n, np.inf))
        assert same[found[0]] == off.min()


def test_a_class_without_images_and_an_image_of_zeros_do_no_harm():
    rows, labels = np.eye(4), np.array([0, 0, 2, 2])
    rows[3] = 0
    means = similarity.class_means(rows.__getitem__, labels, 3)
    assert np.isnan(means[1]).all()
    assert similarity.intra_class_variation(means) == pytest.approx((0.5 + 0.75) / 2)
    found, nearest = similarity.inter_class_similarity(means)
    assert (found, nearest[0], nearest[2]) == (0, 2, 0)
