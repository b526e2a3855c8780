"""What the methods on gradients owe whatever the samples are like: exactly M of them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medcoreset import methods
from medcoreset.errors import UserError
from medcoreset.evidence import Evidence
from medcoreset.selection.select import select
from tests.gradient_cases import EVERY, SUBMODULAR, arrays_of, choose, permuted


@pytest.mark.parametrize("name", EVERY)
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_exactly_m_distinct_samples_preselected_first(name, data):
    n = data.draw(st.integers(1, 30))
    arrays = arrays_of(
        n,
        seed=data.draw(st.integers(0, 99)),
        classes=data.draw(st.integers(1, 4)),
        copies=data.draw(st.sampled_from([1, 2, n])),
    )
    if data.draw(st.booleans()):
        arrays["features"][:] = 0
    if data.draw(st.booleans()):
        # Certain and right: gradients of zero.
        arrays["logits"] = 1e4 * np.eye(arrays["logits"].shape[1])[arrays["labels"]]
    count = data.draw(st.integers(1, n))
    first = data.draw(st.permutations(range(n)))[: data.draw(st.integers(0, count))]
    arrays["preselected"] = np.array(first, dtype=np.int64)
    balance = data.draw(st.sampled_from(["class", "global"]))
    found = choose(name, arrays, count, balance=balance, seed=data.draw(st.integers(0, 3)))
    assert found.indices.shape == (count,)
    assert len(set(found.indices)) == count
    assert set(found.indices) <= set(range(n))
    assert set(found.indices[: len(first)]) == set(first)
    if found.weights is not None:
        assert (found.weights > 0).all()
    if name == "craig":
        represented = np.isin(arrays["labels"], arrays["labels"][found.indices])
        assert found.weights.sum() == (n if balance == "global" else represented.sum())


@pytest.mark.parametrize("name", EVERY)
def test_class_balanced_by_default(name):
    assert methods.get(name).balance == "class"
    arrays = arrays_of(200)
    sizes = np.bincount(arrays["labels"])
    shares = np.bincount(arrays["labels"][choose(name, arrays, 60).indices])
    assert np.abs(shares - sizes * 60 / 200).max() < 1


@pytest.mark.parametrize("name", EVERY)
def test_fewer_samples_than_classes(name):
    arrays = arrays_of(60, classes=6)
    assert len(set(arrays["labels"][choose(name, arrays, 2).indices])) == 2


@pytest.mark.parametrize("name", EVERY)
def test_a_label_without_samples(name):
    arrays = arrays_of(40, classes=4)
    arrays["labels"][arrays["labels"] == 1] = 2
    assert len(set(choose(name, arrays, 17).indices)) == 17


@pytest.mark.parametrize("balance", ["class", "global"])
@pytest.mark.parametrize("name", EVERY)
def test_the_order_of_the_samples_does_not_matter(name, balance):
    # One of each class is given: all samples alone have the same determinant. And few of many are
    # picked: facility location comes in the end to pairs that cover only themselves, which tie.
    arrays = arrays_of(200)
    order = np.random.default_rng(1).permutation(200)
    first = np.unique(arrays["labels"], return_index=True)[1]
    again = permuted(arrays, order) | {"preselected": np.argsort(order)[first]}
    here = choose(name, arrays | {"preselected": first}, 15, balance=balance)
    there = choose(name, again, 15, balance=balance)
    np.testing.assert_array_equal(order[there.indices], here.indices)
    if here.weights is not None:
        np.testing.assert_allclose(there.weights, here.weights, rtol=1e-9)


@pytest.mark.parametrize("name", EVERY)
def test_float32_evidence_selects_nearly_the_same(name):
    arrays = arrays_of(80)
    rounded = {
        key: values.astype(np.float32) if values.dtype.kind == "f" else values
        for key, values in arrays.items()
    }
    here, there = choose(name, arrays, 12).indices, choose(name, rounded, 12).indices
    assert len(set(here) & set(there)) >= 11


@pytest.mark.parametrize("name", EVERY)
def test_evidence_that_is_missing(name):
    with pytest.raises(UserError, match=f"{name}: .* lacks"):
        choose(name, {"labels": np.zeros(5, dtype=int), "features": np.ones((5, 2))}, 2)


def test_glister_needs_a_validation_set_unless_it_is_the_training_set():
    arrays = {k: v for k, v in arrays_of(30).items() if not k.startswith("val_")}
    with pytest.raises(UserError, match="val_features"):
        choose("glister", arrays, 5)
    assert len(choose("glister", arrays, 5, options={"validation": "train"}).indices) == 5


@pytest.mark.parametrize(
    ("name", "option", "default"),
    [
        ("graph_cut", "lam", 1.0),
        ("gradmatch", "lam", 1.0),
        ("glister", "eta", 0.1),
        ("glister", "validation", "val"),
        ("log_det", "regularization", 1e-6),
    ],
)
def test_options_and_their_defaults(name, option, default):
    assert methods.parse_options(name, {})[option] == default
    with pytest.raises(UserError, match=option):
        methods.parse_options(name, {option: -1})


@pytest.mark.parametrize("name", SUBMODULAR)
def test_evidence_in_a_folder_of_mapped_files(name, tmp_path):
    arrays = arrays_of(50)
    for key, values in arrays.items():
        np.save(tmp_path / f"{key}.npy", values)
    found = select(methods.get(name), Evidence.load(tmp_path), 15)
    np.testing.assert_array_equal(found.indices, choose(name, arrays, 15).indices)
