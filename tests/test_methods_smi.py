"""Submodular information measures, against their definitions and against submodlib."""

import numpy as np
import pytest

from medcoreset.errors import UserError
from tests.gradient_cases import arrays_of, choose, gradients_of, written_out
from tests.method_cases import ranks

# Features of samples, queries and private samples.
X = np.array(
    [
        [-0.80, -1.32, -0.25, 0.42],
        [1.14, 0.11, -0.55, -0.78],
        [0.75, 1.63, 0.27, -1.23],
        [-0.96, 1.60, 0.20, -1.73],
        [-0.08, -1.16, -0.63, -0.49],
        [-0.71, 0.55, -0.06, -0.59],
        [0.41, 0.83, -1.64, -0.26],
        [-0.98, -0.17, -1.29, 0.02],
        [-0.04, -0.30, -1.05, -0.40],
        [-1.09, -1.36, 0.22, -1.11],
        [1.17, 0.72, -2.00, 0.27],
        [-1.10, 0.03, 0.04, -1.99],
    ]
)
Q = np.array([[0.77, 0.74, 1.96, -0.18], [1.74, -0.10, 0.67, 0.16], [2.45, 1.57, 3.43, 1.64]])
P = np.array([[-0.16, -0.16, -1.61, -1.07], [0.35, -1.40, -0.81, -1.02]])
ARRAYS = {
    "labels": np.zeros(12, dtype=int),
    "features": X,
    "query_features": Q,
    "query_labels": np.zeros(3, dtype=int),
    "private_features": P,
}

# Picks of submodlib-py 0.0.3, `maximize(budget=5, optimizer="NaiveGreedy")`, and their gains, on kernels
# ½ + ½ cos of these features. Its classes: FacilityLocationMutualInformation is flvmi,
# FacilityLocationVariantMutualInformation flqmi; ConcaveOverModular in its mode `logarithmic`.
SUBMODLIB = [
    (
        "flvmi",
        "given",
        False,
        {"eta": 1.3},
        [1, 2, 11, 10, 9],
        [6.2569, 0.68984, 0.20178, 0.0, 0.0],
    ),
    (
        "flqmi",
        "given",
        False,
        {"eta": 0.7},
        [2, 1, 3, 10, 5],
        [2.58338, 0.66299, 0.42031, 0.40102, 0.32806],
    ),
    (
        "gcmi",
        "given",
        False,
        {"lam": 0.5},
        [2, 1, 3, 10, 6],
        [2.05268, 1.75396, 1.31271, 1.23752, 0.95994],
    ),
    (
        "com",
        "given",
        False,
        {"eta": 0.7},
        [2, 1, 3, 10, 6],
        [2.34367, 1.60129, 1.11612, 0.98992, 0.7621],
    ),
    (
        "logdetmi",
        "given",
        False,
        {"eta": 0.7, "regularization": 0.1},
        [1, 2, 11, 0, 8],
        [0.29335, 0.23274, 0.09492, 0.09514, 0.1327],
    ),
    (
        "flvmi",
        "none",
        True,
        {"nu": 0.6},
        [8, 3, 4, 10, 1],
        [2.95268, 1.56404, 0.54757, 0.38737, 0.18371],
    ),
    (
        "gcmi",
        "none",
        True,
        {"nu": 0.6, "lam": 0.4},
        [8, 11, 6, 5, 7],
        [7.28704, 6.52651, 5.72079, 5.159, 4.53294],
    ),
    (
        "logdetmi",
        "none",
        True,
        {"nu": 0.6, "regularization": 0.1},
        [2, 0, 10, 5, 4],
        [-0.00349, -0.0727, -0.46952, -0.82569, -1.08325],
    ),
    (
        "flvmi",
        "given",
        True,
        {"eta": 1.3, "nu": 0.3},
        [2, 1, 0, 11, 10],
        [3.60993, 0.67492, 0.20178, 0.0, 0.0],
    ),
    (
        "logdetmi",
        "given",
        True,
        {"eta": 0.7, "nu": 0.6, "regularization": 0.1},
        [2, 5, 10, 8, 0],
        [0.28267, 0.17374, 0.14567, 0.06586, 0.09879],
    ),
]


def similarity(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return ½ + ½ cos of rows."""
    return (
        0.5
        + 0.5
        * (a / np.linalg.norm(a, axis=1)[:, None])
        @ (b / np.linalg.norm(b, axis=1)[:, None]).T
    )


def log_det(s: np.ndarray) -> float:
    return float(np.linalg.slogdet(s)[1]) if len(s) else 0.0


def value(
    picks: list[int],
    sides: tuple[np.ndarray, np.ndarray | None, np.ndarray | None],
    function: str,
    *,
    eta: float = 1.0,
    nu: float = 1.0,
    lam: float = 1.0,
    regularization: float = 1e-6,
    concave: str = "log",
) -> float:
    """Return the measure of picks as the papers define it; sides are samples, queries, private ones."""
    x, q, p = sides
    if not picks:
        return 0.0
    s, a = similarity(x, x), x[picks]
    to_a = s[:, picks]
    if function == "flvmi":
        found = to_a.max(axis=1)
        if q is not None:
            found = np.minimum(found, eta * similarity(x, q).max(axis=1))
        low = 0 if p is None else nu * similarity(x, p).max(axis=1)
        return np.maximum(found - low, 0).sum()
    if function == "flqmi":
        s_aq = similarity(a, q)
        return s_aq.max(axis=0).sum() + eta * s_aq.max(axis=1).sum()
    if function == "com":
        psi = np.log1p if concave == "log" else np.sqrt
        s_aq = similarity(a, q)
        return eta * psi(s_aq.sum(axis=1)).sum() + psi(s_aq.sum(axis=0)).sum()
    if function == "gcmi":
        if p is None:
            return 2 * lam * similarity(a, q).sum()
        among = lam * to_a[picks].sum()
        return to_a.sum() - among - 2 * lam * nu * similarity(a, p).sum()
    # The information of f = ln det, on the joint matrix whose products of A with Q and P are weighted.
    given = [side for side in (q, p) if side is not None]
    weights = [w for w, side in ((eta, q), (nu, p)) if side is not None]
    joint = np.vstack([a, *given])
    whole = similarity(joint, joint)
    first = len(a)
    for weight, side in zip(weights, given, strict=True):
        whole[: len(a), first : first + len(side)] *= weight
        whole[first : first + len(side), : len(a)] *= weight
        first += len(side)
    whole += regularization * np.eye(len(joint))

    def f(*parts: np.ndarray) -> float:
        places = np.concatenate(parts)
        return log_det(whole[np.ix_(places, places)])

    own = np.arange(len(a))
    queries = np.arange(len(a), len(a) + (0 if q is None else len(q)))
    others = np.arange(len(a) + len(queries), len(joint))
    if q is None:
        return f(own, others) - f(others)
    return f(own, others) + f(queries, others) - f(own, queries, others) - f(others)


def naive(count: int, ranked: np.ndarray, *about, **options) -> list[int]:
    """Return the picks of exhaustive greedy maximisation, of equal ones the first in `ranked`."""
    picks: list[int] = []
    while len(picks) < count:
        rest = [j for j in ranked.tolist() if j not in picks]
        values = np.array([value([*picks, j], *about, **options) for j in rest])
        picks.append(rest[int(np.argmax(values > values.max() - 1e-9))])
    return picks


def sides_of(query: str, private: bool) -> tuple:
    return X, None if query == "none" else Q, P if private else None


@pytest.mark.parametrize("case", SUBMODLIB, ids=[f"{c[0]}-{c[1]}-{c[2]}" for c in SUBMODLIB])
def test_picks_and_gains_of_submodlib(case):
    function, query, private, options, picks, gains = case
    given = {"function": function, "query": query, "private": private, "space": "features"}
    found = choose("smi", ARRAYS, 5, balance="global", options=given | options).indices
    if (
        function != "flvmi"
    ):  # whose last picks gain alike: whatever is left of what is to be covered
        assert found.tolist() == picks
    values = [
        value(found[:size].tolist(), sides_of(query, private), function, **options)
        for size in range(6)
    ]
    np.testing.assert_allclose(np.diff(values), gains, atol=2e-4)


EVERY = [
    ("flqmi", "val", False),
    ("com", "val", False),
    ("flvmi", "val", False),
    ("gcmi", "val", False),
    ("logdetmi", "val", False),
    ("flvmi", "none", True),
    ("gcmi", "none", True),
    ("logdetmi", "none", True),
    ("flvmi", "val", True),
    ("logdetmi", "val", True),
]


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize(("function", "query", "private"), EVERY)
def test_picks_are_those_of_exhaustive_greedy(function, query, private, seed):
    """Of gradients, with weights that are not 1, so that none could be mistaken for another."""
    arrays = arrays_of(30, seed=seed, validation=8)
    rng = np.random.default_rng(seed)
    arrays |= {
        "private_features": rng.normal(size=(4, 5)),
        "private_probs": rng.dirichlet(np.ones(3), 4),
        "private_labels": rng.integers(3, size=4),
    }
    gradients = [
        written_out(arrays),
        *(
            gradients_of(*(arrays[f"{side}_{name}"] for name in ("features", "probs", "labels")))
            for side in ("val", "private")
        ),
    ]
    weights = {"eta": 0.8, "nu": 0.3, "lam": 0.4, "concave": "sqrt", "regularization": 0.05}
    if function == "logdetmi" and query == "val":  # else what is left may be no covariance
        weights["nu"] = weights["eta"]
    options = {"function": function, "query": query, "private": private, **weights}
    found = choose("smi", arrays, 8, balance="global", seed=seed, options=options).indices
    sides = (
        gradients[0],
        gradients[1] if query == "val" else None,
        gradients[2] if private else None,
    )
    assert found.tolist() == naive(8, ranks(seed, 30), sides, function, **weights)


def test_queries_of_a_class_are_for_that_class():
    arrays = arrays_of(60, validation=20)
    whole = choose("smi", arrays, 12, balance="class").indices
    for label in range(3):
        ours = arrays["val_labels"] == label
        part = {k: v[ours] if k.startswith("val_") else v for k, v in arrays.items()}
        of_class = whole[arrays["labels"][whole] == label]
        alone = choose("smi", part, 12, balance="class").indices
        np.testing.assert_array_equal(alone[arrays["labels"][alone] == label], of_class)


def test_rare_queries_find_the_rare_class():
    """What the measures are for: of 200 samples ten are like the queries."""
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1], [190, 10])
    features = rng.normal(size=(200, 6)) + 4 * np.eye(2, 6)[labels]
    arrays = {
        "labels": labels,
        "features": features,
        "query_features": rng.normal(size=(5, 6)) + 4 * np.eye(2, 6)[1],
        "query_labels": np.ones(5, dtype=int),
    }
    for function in ("flqmi", "gcmi", "com"):
        options = {"function": function, "query": "given", "space": "features"}
        found = choose("smi", arrays, 10, balance="global", options=options).indices
        assert labels[found].sum() >= 8, function


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"query": "none"}, "query=none needs private=true"),
        ({"private": True}, "flqmi has no conditional mutual information .*flvmi, logdetmi"),
        ({"private": True, "function": "gcmi"}, "gcmi has no conditional mutual information"),
        ({"private": True, "function": "com", "query": "none"}, "com has no conditional gain"),
        ({"function": "logdetmi", "eta": 3.0}, "eta=3 and nu=1 leave some sample a negative"),
    ],
)
def test_what_is_not_defined_is_refused(options, line):
    usual = {"query": "given", "space": "features"}
    with pytest.raises(UserError, match=f"^smi: .*{line}"):
        choose("smi", ARRAYS, 5, balance="global", options=usual | options)
