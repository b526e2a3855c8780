import numpy as np
import pytest

from medcoreset import methods
from medcoreset.errors import UserError
from medcoreset.evidence import Evidence
from medcoreset.selection.select import score
from tests.method_cases import choose, evidence_of

P = np.array([[0.7, 0.2, 0.1], [0.5, 0.5, 0.0], [0.1, 0.3, 0.6], [1.0, 0.0, 0.0]])


@pytest.mark.parametrize(
    ("name", "expected"),
    [("least_confidence", [0.3, 0.5, 0.4, 0]), ("margin", [0.5, 1, 0.7, 0])],
)
def test_equation_2(name, expected):
    evidence = Evidence({"labels": np.zeros(4, int), "final_probs": P})
    np.testing.assert_allclose(score(methods.get(name), evidence), expected, atol=1e-15)
    assert choose(name, evidence, 1).indices == [1]


@pytest.mark.parametrize("name", ["least_confidence", "margin"])
def test_brute_force(name):
    evidence = evidence_of(50)
    for p, found in zip(evidence["final_probs"], score(methods.get(name), evidence), strict=True):
        best = p.argmax()
        gaps = [p[best] - other for k, other in enumerate(p) if k != best]
        assert found == pytest.approx(1 - (p[best] if name == "least_confidence" else min(gaps)))


def test_margin_of_one_class_is_refused():
    evidence = Evidence({"labels": np.zeros(3, int), "final_probs": np.ones((3, 1))})
    with pytest.raises(UserError, match="margin on evidence: final_probs are of one class"):
        choose("margin", evidence, 1)
