import numpy as np
import pytest

from medcoreset import methods
from medcoreset.evidence import Evidence
from medcoreset.methods import dissimilarity
from medcoreset.selection.select import score
from tests.method_cases import arrays_of, choose


def exhaustive(features, p, labels, neighbors) -> np.ndarray:
    """Return CAL's scores by their definition."""
    scores = np.zeros(len(p))
    for i in range(len(p)):
        others = [j for j in range(len(p)) if j != i and labels[j] == labels[i]]
        others.sort(key=lambda j, i=i: np.linalg.norm(features[i] - features[j]))
        kl = [
            0.5 * (p[i] * np.log(p[i] / p[j])).sum() + 0.5 * (p[j] * np.log(p[j] / p[i])).sum()
            for j in others[:neighbors]
        ]
        scores[i] = np.mean(kl) if kl else 0
    return scores


@pytest.mark.parametrize("block", [1, 100, 2**22])
@pytest.mark.parametrize("neighbors", [1, 10, 1000])
def test_brute_force(neighbors, block, monkeypatch):
    monkeypatch.setattr(dissimilarity, "BLOCK", block)
    arrays = arrays_of(80, classes=6)
    arrays["labels"][0] = 6  # alone in its class
    arrays["logits"] = np.pad(arrays["logits"], ((0, 0), (0, 1)))
    evidence = Evidence(arrays)
    assert np.bincount(evidence["labels"]).min() < 11
    expected = exhaustive(
        evidence["features"], evidence["final_probs"], evidence["labels"], neighbors
    )
    found = score(methods.get("cal"), evidence, {"neighbors": neighbors})
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)
    assert found[0] == 0


def test_of_equally_near_neighbours_the_first_count():
    arrays = arrays_of(150, classes=2)
    arrays["features"] = np.random.default_rng(0).integers(0, 4, (150, 3))
    evidence = Evidence(arrays | {"features": arrays["features"] + 0.1})
    expected = exhaustive(arrays["features"], evidence["final_probs"], evidence["labels"], 10)
    found = score(methods.get("cal"), evidence, {"neighbors": 10})
    np.testing.assert_allclose(found, expected, rtol=1e-9)


def test_the_most_contrasting_are_kept():
    rng = np.random.default_rng(0)
    p = np.tile([0.9, 0.1], (30, 1))
    p[7] = [0.1, 0.9]
    evidence = Evidence(
        {"labels": np.zeros(30, int), "features": rng.normal(size=(30, 3)), "final_probs": p}
    )
    assert list(choose("cal", evidence, 1).indices) == [7]


def test_probabilities_that_are_zero():
    p = np.eye(3)[[0, 0, 1, 2, 0]]
    features = np.arange(5.0)[:, None]
    evidence = Evidence({"labels": np.zeros(5, int), "features": features, "final_probs": p})
    found = score(methods.get("cal"), evidence, {"neighbors": 1})
    assert np.isfinite(found).all()
    assert found[0] == 0
    assert found[4] > 20
