"""What every method owes, whatever it computes: a method is under test as soon as it is registered.

Nothing here names a method. What one cannot promise it declares where it is registered (`drawn`), and
a method that keeps the best-ranked may refuse scores that rank nothing.
"""

import math
import re
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medcoreset.errors import UserError
from medcoreset.evidence import Evidence
from medcoreset.evidence.arrays import per_epoch
from medcoreset.methods import listing
from medcoreset.methods.registry import METHODS, Method
from medcoreset.options import Option
from medcoreset.selection.budget import class_budgets
from medcoreset.selection.select import Selection, select
from tests.any_evidence import arrays_of, evidence_of, needed, taken, ways

registered = pytest.mark.parametrize("method", METHODS.values(), ids=list(METHODS))
EVERY = [method for method in METHODS.values() if method.selects]
every_method = pytest.mark.parametrize("method", EVERY, ids=[method.name for method in EVERY])
either_balance = pytest.mark.parametrize("balance", ["class", "global"])


def check(found: Selection, evidence: Evidence, count: int) -> None:
    """Check that a selection is one: M distinct samples, preselected first, finite numbers."""
    n, given_ones = len(evidence), evidence.preselected
    assert found.indices.dtype == np.int64
    assert found.indices.shape == (count,)
    assert len(set(found.indices.tolist())) == count
    assert set(found.indices.tolist()) <= set(range(n))
    assert set(found.indices[: len(given_ones)]) == set(given_ones)
    assert found.scores is None or (found.scores.shape == (n,) and not np.isnan(found.scores).any())
    if found.weights is not None:
        assert found.weights.shape == (count,)
        assert np.isfinite(found.weights).all()
        assert (found.weights > 0).all()


def attempt(
    method: Method, evidence: Evidence, count: int, *, may_refuse: bool | None = None, **how
) -> None:
    """Select and check, unless the method refuses in one line that begins with its name.

    It may if it ranks, since scores can rank nothing, or as `may_refuse` says.
    """
    try:
        check(select(method, evidence, count, **how), evidence, count)
    except UserError as mistake:
        may = bool(method.keep) if may_refuse is None else may_refuse
        if not may or not str(mistake).startswith(method.name):
            raise


def of_each_class(evidence: Evidence) -> np.ndarray:
    """Return the first sample of every class: with them given, no method has to begin at random."""
    return np.unique(evidence["labels"], return_index=True)[1]


# --- what a method says of itself


@registered
def test_it_says_what_it_is(method):
    assert method.source.stem == method.name
    assert re.fullmatch(r"[A-Z].*\.", method.summary)
    assert method.reference.strip()
    assert method.cost.strip()
    assert method.parse_options({}) == method.defaults()
    assert method.name in listing.as_text()
    assert f"`{method.name}`" in listing.as_markdown()


def wrong_values(option: Option) -> Iterator[object]:
    """Yield values that an option does not allow."""
    yield from ["nonsense", "", [1]]
    if not option.optional and "none" not in option.choices:
        yield None
    if option.choices or option.type is bool:
        return
    yield math.nan
    low, high, _ = option.range
    yield from [edge for edge in (low - 1, high + 1) if math.isfinite(edge)]
    if option.type is int:
        yield 1.5


def right_values(option: Option) -> Iterator[object]:
    """Yield the values of an option at its edges."""
    if option.choices:
        yield from option.choices
    elif option.type is bool:
        yield from [True, False]
    else:
        yield from [edge for edge in option.range[:2] if math.isfinite(edge)]
        if option.optional:
            yield None


@registered
def test_values_that_are_not_allowed_are_refused_in_one_line(method):
    for name, option in method.options.items():
        for value in wrong_values(option):
            with pytest.raises(UserError, match=f"^{method.name}: {name} is .*allowed: "):
                method.parse_options({name: value})
    with pytest.raises(UserError, match=f"^{method.name}: unknown option 'nonsense'"):
        method.parse_options({"nonsense": 1})


@every_method
def test_every_option_works_at_its_edges(method):
    for name, option in method.options.items():
        for value in right_values(option):
            options = method.parse_options({name: value})
            evidence = Evidence(arrays_of(needed(method, options)))
            attempt(method, evidence, 20, options=options, may_refuse=True)


# --- budgets


@either_balance
@every_method
def test_exactly_m_distinct_samples(method, balance):
    evidence = evidence_of(method)
    sizes = np.bincount(evidence["labels"])
    for count in (1, 2, 30, 59, 60):
        found = select(method, evidence, count, balance=balance)
        check(found, evidence, count)
        if balance == "class":
            shares = np.bincount(evidence["labels"][found.indices], minlength=len(sizes))
            np.testing.assert_array_equal(shares, class_budgets(sizes, count))
    for count in (0, 61):
        with pytest.raises(UserError, match=f"count is {count}"):
            select(method, evidence, count, balance=balance)


@every_method
def test_its_own_balance_is_the_usual_one(method):
    evidence = evidence_of(method)
    usual, said = select(method, evidence, 20), select(method, evidence, 20, balance=method.balance)
    np.testing.assert_array_equal(usual.indices, said.indices)


@every_method
@settings(max_examples=20, deadline=None)
@given(data=st.data())
def test_any_samples_and_any_preselected_ones(method, data):
    n = data.draw(st.integers(1, 30))
    how = {
        "seed": data.draw(st.integers(0, 99)),
        "classes": data.draw(st.integers(1, 4)),
        "copies": data.draw(st.sampled_from([1, 2, n])),
    }
    arrays = arrays_of(data.draw(st.sampled_from(ways(method))), n, **how)
    for name in {"features", "gradients"} & set(arrays):
        if data.draw(st.booleans()):
            arrays[name][:] = 0
    if "logits" in arrays and data.draw(st.booleans()):
        # Certain and right: gradients of zero.
        arrays["logits"] = 1e4 * np.eye(arrays["logits"].shape[1])[arrays["labels"]]
    count = data.draw(st.integers(1, n))
    first = data.draw(st.permutations(range(n)))[: data.draw(st.integers(0, count))]
    evidence = Evidence(arrays | {"preselected": np.array(first, dtype=np.int64)})
    balance = data.draw(st.sampled_from(["class", "global"]))
    attempt(method, evidence, count, balance=balance, seed=data.draw(st.integers(0, 3)))


@either_balance
@pytest.mark.parametrize("classes", [1, 5])
@every_method
def test_one_sample_per_class(method, classes, balance):
    arrays = arrays_of(needed(method), classes, classes=classes)
    arrays["labels"] = np.arange(classes)
    evidence = Evidence(arrays)
    for count in range(1, classes + 1):
        attempt(method, evidence, count, balance=balance)


@every_method
def test_a_label_without_samples(method):
    arrays = arrays_of(needed(method))
    arrays["labels"][arrays["labels"] == 1] = 2
    evidence = Evidence(arrays)
    check(select(method, evidence, 17, balance="class"), evidence, 17)


# --- order, seeds and ties


@either_balance
@every_method
def test_the_order_of_the_samples_does_not_matter(method, balance):
    arrays = arrays_of(needed(method), 200)
    order = np.random.default_rng(1).permutation(200)
    first = of_each_class(Evidence(arrays))
    here = select(method, Evidence(arrays | {"preselected": first}), 20, balance=balance)
    elsewhere = Evidence(taken(arrays, order) | {"preselected": np.argsort(order)[first]})
    there = select(method, elsewhere, 20, balance=balance)
    if here.scores is not None:
        np.testing.assert_allclose(there.scores, here.scores[order], rtol=1e-7)
    if method.drawn:
        return
    if method.keep:  # of samples with equal scores, either may be picked
        picked, again = here.scores[here.indices], there.scores[there.indices]
        np.testing.assert_allclose(again, picked, rtol=1e-7)
        return
    np.testing.assert_array_equal(order[there.indices], here.indices)
    if here.weights is not None:
        np.testing.assert_allclose(there.weights, here.weights, rtol=1e-7)


@every_method
def test_a_seed_decides_what_is_left_to_chance_and_nothing_else(method):
    arrays = arrays_of(needed(method), 200)
    evidence = Evidence(arrays | {"preselected": of_each_class(Evidence(arrays))})
    one, again, other = (select(method, evidence, 20, seed=seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(one.indices, again.indices)
    for ours, theirs in ((one.scores, again.scores), (one.weights, again.weights)):
        np.testing.assert_array_equal(ours, theirs)
    if method.drawn:
        assert set(one.indices) != set(other.indices)
    elif method.keep:
        np.testing.assert_array_equal(one.scores[one.indices], other.scores[other.indices])
    else:
        np.testing.assert_array_equal(one.indices, other.indices)


@every_method
def test_samples_that_are_all_alike(method):
    evidence = evidence_of(method, alike=True)
    if method.keep:
        arrays = arrays_of(needed(method), alike=True)
        arrays["labels"][:] = 0  # lest they tell samples apart
        with pytest.raises(UserError, match=f"^{method.name} on evidence: all scores are equal"):
            select(method, Evidence(arrays), 20)
        return
    one, again, other = (
        select(method, evidence, 20, balance="global", seed=seed) for seed in (0, 0, 1)
    )
    check(one, evidence, 20)
    np.testing.assert_array_equal(one.indices, again.indices)
    # What decides among equals is the seed, not the place in the file.
    assert set(one.indices) != set(other.indices)
    assert set(one.indices) != set(range(20))


@either_balance
@every_method
def test_the_best_ranked_of_either_end_are_kept(method, balance):
    for keep in ("highest", "lowest") if method.keep else ():
        evidence = evidence_of(method)
        found = select(method, evidence, 30, balance=balance, options={"keep": keep})
        good = found.scores if keep == "highest" else -found.scores
        for label in range(4) if balance == "class" else [None]:
            members = np.flatnonzero((evidence["labels"] == label) | (label is None))
            kept = found.indices[np.isin(found.indices, members)]
            assert (np.diff(good[kept]) <= 0).all()
            assert good[kept].min() >= good[np.setdiff1d(members, kept)].max(initial=-np.inf)


# --- evidence


@every_method
def test_missing_evidence_is_named(method):
    for name in needed(method):
        arrays = arrays_of(needed(method))
        # Something else has to say how many samples there are.
        other = "gradient_norms" if name == "perturbations" else "perturbations"
        arrays = arrays_of([other]) | arrays
        del arrays[name]
        evidence = Evidence(arrays)
        if evidence.has(name):
            continue
        with pytest.raises(UserError, match=rf"lacks (.* or )?{name}\b"):
            select(method, evidence, 9, balance="class")


@every_method
def test_whatever_its_evidence_is_made_of(method):
    for way in ways(method):
        evidence = Evidence(arrays_of(way))
        check(select(method, evidence, 20), evidence, 20)


@every_method
def test_the_precision_of_evidence_hardly_matters(method):
    arrays = arrays_of(needed(method), 100)
    chosen = {}
    for dtype in (np.float64, np.float32, np.float16):
        evidence = Evidence(
            {k: a.astype(dtype) if a.dtype.kind == "f" else a for k, a in arrays.items()}
        )
        chosen[dtype] = select(method, evidence, 25)
        check(chosen[dtype], evidence, 25)
    here, there = (set(chosen[dtype].indices) for dtype in (np.float64, np.float32))
    assert len(here & there) >= 24


@every_method
def test_evidence_in_a_folder_of_mapped_files(method, tmp_path):
    arrays = arrays_of(needed(method))
    for name, array in arrays.items():
        np.save(tmp_path / f"{name}.npy", array)
    found = select(method, Evidence.load(tmp_path), 15)
    np.testing.assert_array_equal(found.indices, select(method, Evidence(arrays), 15).indices)


@pytest.mark.parametrize("missing", ["masked", "zero"])
@every_method
def test_epochs_that_left_samples_out(method, missing):
    if not any(map(per_epoch, method.needed())):
        return
    arrays = arrays_of(needed(method))
    epochs = next(len(arrays[name]) for name in method.needed() if per_epoch(name))
    seen = np.random.default_rng(0).random((epochs, 60)) < 0.7
    evidence = Evidence(arrays | {"seen": seen}, missing=missing)
    check(select(method, evidence, 20), evidence, 20)
    # A sample without any record has no score, or that of records which count zero.
    seen[:, 7] = False
    never = Evidence(arrays | {"seen": seen}, missing=missing)
    attempt(method, never, 20, may_refuse=True)


@pytest.mark.parametrize("epochs", [1, 2, 5])
@every_method
def test_too_few_epochs_are_refused_in_one_line(method, epochs):
    evidence = evidence_of(method, epochs=epochs)
    attempt(method, evidence, 20, may_refuse=True)
