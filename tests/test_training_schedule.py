"""Learning rates against those of the published code, and the layout of batches."""

import itertools
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medcoreset.errors import UserError
from medcoreset.training.options import TrainingOptions
from medcoreset.training.schedule import learning_rate, plan

ORACLE = Path(__file__).parent / "oracles" / "lr_schedules.npz"


def rates(iterations: int, count: int, **options: object) -> np.ndarray:
    chosen = TrainingOptions(**options)
    return np.array([learning_rate(i, iterations, chosen) for i in range(count)])


def test_cosine_is_that_of_eva():
    expected = np.load(ORACLE)["eva_lr"]
    np.testing.assert_allclose(rates(54 * 200, 54 * 200 + 1), expected, rtol=0, atol=1e-12)


def test_deepcores_code_runs_the_same_cosine_one_epoch_late():
    """Its scheduler starts at −1 epoch, at lr; so all its rates are a little higher than ours."""
    expected, steps = np.load(ORACLE)["deepcore_lr"], 40 * 200
    late = [learning_rate(i - 40, steps, TrainingOptions()) for i in range(steps + 1)]
    first = (1 + math.cos(math.pi * 40 / steps)) / 2
    np.testing.assert_allclose((np.array(late) - 1e-4) / first + 1e-4, expected, atol=1e-9)


def test_multistep_and_constant():
    found = rates(100, 100, schedule="multistep", milestones=(0.5, 0.75), lr=1e-3)
    np.testing.assert_allclose(found, [1e-3] * 50 + [1e-4] * 25 + [1e-5] * 25)
    assert set(rates(100, 100, schedule="constant")) == {0.1}


@given(
    samples=st.integers(2, 3000),
    batch_size=st.integers(2, 300),
    min_batches=st.integers(1, 8),
    drop_last=st.booleans(),
)
def test_batches_lose_no_sample_and_are_never_of_one(samples, batch_size, min_batches, drop_last):
    options = TrainingOptions(batch_size=batch_size, min_batches=min_batches, drop_last=drop_last)
    batches = plan(samples, options).batches
    sizes = [stop - start for start, stop in batches]
    assert batches[0][0] == 0
    assert all(stop == start for (_, stop), (start, _) in itertools.pairwise(batches))
    assert min(sizes) >= 2
    assert max(sizes) <= samples
    wanted = min(batch_size, samples, max(16, samples // min_batches))
    assert max(sizes) <= wanted + 1
    if drop_last:
        assert samples - batches[-1][1] < wanted
    else:
        assert batches[-1][1] == samples


def test_a_coreset_of_one_sample_is_refused():
    with pytest.raises(UserError, match="at least 2"):
        plan(1, TrainingOptions())


@given(samples=st.integers(2, 2000), iterations=st.integers(1, 5000))
def test_a_length_in_iterations_is_exact(samples, iterations):
    found = plan(samples, TrainingOptions(length="iterations", iterations=iterations))
    steps = [len(found.batches_of(epoch)) for epoch in range(found.epochs)]
    assert sum(steps) == iterations
    assert min(steps) >= 1


def test_evaluations_come_every_800_iterations_in_whole_epochs_and_at_the_end():
    found = plan(13932, TrainingOptions(drop_last=True))
    assert len(found.batches) == 54
    evaluated = [epoch + 1 for epoch in range(found.epochs) if found.evaluates_after(epoch)]
    assert evaluated == [*range(14, 200, 14), 200]
