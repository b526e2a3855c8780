"""Methods select the same on every device."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from operator import attrgetter

import numpy as np
import pytest
import torch

from medcoreset import methods
from medcoreset.errors import UserError
from medcoreset.evidence import Evidence
from medcoreset.methods.dissimilarity import nearest
from medcoreset.selection.select import select
from tests.any_evidence import arrays_of, ways
from tests.elsewhere import Distant, Elsewhere


@pytest.fixture(
    params=[
        "elsewhere",
        pytest.param(
            "cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
        ),
    ]
)
def away(request) -> AbstractContextManager:
    """Return a block in which methods compute on a device that is not the CPU."""
    return nullcontext() if request.param == "cuda" else elsewhere()


@contextmanager
def elsewhere() -> Iterator[None]:
    """Let methods compute on tensors that must not meet those of the CPU."""
    tensor = Evidence.tensor
    with Elsewhere(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(Evidence, "tensor", lambda self, name: Distant(tensor(self, name)))
        yield


@pytest.mark.parametrize("balance", ["class", "global"])
@pytest.mark.parametrize(
    "method", [each for each in methods.METHODS.values() if each.selects], ids=attrgetter("name")
)
def test_selections_do_not_depend_on_the_device(method, balance, away):
    # Made of features and outputs, from which the most is computed.
    arrays = arrays_of(ways(method)[-1], 90) | {"preselected": np.array([5, 9])}
    here = select(method, Evidence(arrays, device="cpu"), 40, balance=balance)
    with away:
        there = select(method, Evidence(arrays), 40, balance=balance)
    np.testing.assert_array_equal(there.indices, here.indices)
    for ours, theirs in ((there.scores, here.scores), (there.weights, here.weights)):
        if theirs is not None:
            np.testing.assert_allclose(ours, theirs, rtol=1e-9)


@pytest.mark.parametrize("k", [1, 3, 20])
def test_of_equally_near_ones_the_first_are_taken(k, away):
    distances = np.random.default_rng(0).integers(0, 4, (50, 20)).astype(float)
    expected = np.sort(distances.argsort(axis=1, kind="stable")[:, :k], axis=1)
    with away:
        found = nearest(Evidence({"features": distances}).tensor("features"), k).cpu()
    np.testing.assert_array_equal(found, expected)


def test_the_device_that_is_asked_for_is_the_one(monkeypatch):
    evidence = {"features": np.ones((3, 2), np.float32)}
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert Evidence(evidence, device="cpu").tensor("features").device.type == "cpu"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert Evidence(evidence).tensor("features").device.type == "cpu"
    with pytest.raises(UserError, match="cuda is not available"):
        Evidence(evidence, device="cuda").tensor("features")


def test_changing_a_tensor_changes_no_evidence():
    evidence = Evidence({"features": np.ones((3, 2))}, device="cpu")
    evidence.tensor("features").zero_()
    assert evidence["features"].all()
