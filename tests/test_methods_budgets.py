"""What every method owes whatever the samples are like: exactly M of them, whatever their order."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medcoreset import methods
from medcoreset.errors import UserError
from medcoreset.evidence import Evidence
from tests.method_cases import (
    EVERY,
    GEOMETRIES,
    RANKINGS,
    arrays_of,
    choose,
    evidence_of,
    permuted,
)


@pytest.mark.parametrize("name", EVERY)
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_exactly_m_distinct_samples_preselected_first(name, data):
    # Samples that are all alone in their classes all score 0 in CAL, which is refused.
    n = data.draw(st.integers(12 if name == "cal" else 1, 40))
    copies = data.draw(st.sampled_from([1, 3, n]) if name in GEOMETRIES else st.just(1))
    arrays = arrays_of(n, seed=data.draw(st.integers(0, 99)), copies=copies)
    count = data.draw(st.integers(1, n))
    given_ones = data.draw(st.permutations(range(n)))[: data.draw(st.integers(0, count))]
    evidence = Evidence(arrays | {"preselected": np.array(given_ones, dtype=np.int64)})
    balance = data.draw(st.sampled_from(["class", "global"]))
    found = choose(name, evidence, count, balance=balance, seed=data.draw(st.integers(0, 3)))
    assert found.indices.shape == (count,)
    assert len(set(found.indices)) == count
    assert set(found.indices) <= set(range(n))
    assert set(found.indices[: len(given_ones)]) == set(given_ones)


@pytest.mark.parametrize("name", EVERY)
def test_class_balanced_by_default(name):
    assert methods.get(name).balance == "class"
    evidence = evidence_of(200)
    sizes = np.bincount(evidence["labels"])
    shares = np.bincount(evidence["labels"][choose(name, evidence, 60).indices])
    assert np.abs(shares - sizes * 60 / 200).max() < 1


@pytest.mark.parametrize("name", EVERY)
def test_fewer_samples_than_classes(name):
    evidence = evidence_of(30, classes=6)
    assert len(set(evidence["labels"])) > 2
    chosen = choose(name, evidence, 2).indices
    assert len(set(evidence["labels"][chosen])) == 2


@pytest.mark.parametrize("name", EVERY)
def test_a_label_without_samples(name):
    arrays = arrays_of(40, classes=4)
    arrays["labels"][arrays["labels"] == 1] = 2
    assert len(set(choose(name, Evidence(arrays), 17).indices)) == 17


@pytest.mark.parametrize("balance", ["class", "global"])
@pytest.mark.parametrize("name", EVERY)
def test_the_order_of_the_samples_does_not_matter(name, balance):
    arrays = arrays_of(60)
    order = np.random.default_rng(1).permutation(60)
    whole, shuffled = Evidence(arrays), Evidence(permuted(arrays, order))
    if name == "importance_sampling":  # draws at random, by scores that follow the samples
        scores = choose(name, whole, 9).scores
        np.testing.assert_allclose(choose(name, shuffled, 9).scores, scores[order])
        return
    # A traversal begins where it is told to; in each class, or it would begin at random.
    first = np.unique(arrays["labels"], return_index=True)[1]
    starts = {"preselected": first} if name in GEOMETRIES else {}
    chosen = choose(name, Evidence(arrays | starts), 25, balance=balance).indices
    if starts:
        starts = {"preselected": np.argsort(order)[first]}
        shuffled = Evidence(permuted(arrays, order) | starts)
    again = choose(name, shuffled, 25, balance=balance).indices
    assert list(order[again]) == list(chosen)


@pytest.mark.parametrize("name", GEOMETRIES)
@pytest.mark.parametrize("value", [0.0, 3.5])
def test_geometry_of_samples_that_are_all_alike(name, value):
    arrays = arrays_of(50)
    arrays["features"] = np.full((50, 5), value)
    arrays["logits"] = np.full((50, 4), value)
    chosen = {seed: choose(name, Evidence(arrays), 20, seed=seed).indices for seed in range(2)}
    assert len(set(chosen[0])) == 20
    assert list(chosen[0]) == list(choose(name, Evidence(arrays), 20, seed=0).indices)
    assert set(chosen[0]) != set(chosen[1])  # the ties are the seed's, not the file's


@pytest.mark.parametrize("name", RANKINGS)
def test_rankings_refuse_scores_that_are_all_alike(name):
    arrays = arrays_of(50)
    for key in arrays.keys() - {"labels"}:
        arrays[key] = np.ones_like(arrays[key])
    with pytest.raises(UserError, match=f"{name} on .* all scores are equal"):
        choose(name, Evidence(arrays), 10)


@pytest.mark.parametrize(
    ("name", "lacks"),
    [
        ("margin", "final_probs"),
        ("grand", "gradient_norms"),
        ("deepfool", "perturbations"),
        ("herding", "features"),
        ("cal", "features"),
        ("importance_sampling", "target_prob"),
    ],
)
def test_missing_evidence_is_named(name, lacks):
    with pytest.raises(UserError, match=f"{name}: evidence lacks {lacks}"):
        choose(name, Evidence({"labels": np.array([0, 1, 1])}), 1)
