"""Learning rates against those of the published code, and the layout of batches."""

import math
from collections.abc import Iterable
from itertools import accumulate, cycle, pairwise, repeat
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medcoreset.errors import UserError
from medcoreset.training.options import TrainingOptions
from medcoreset.training.schedule import Plan, learning_rate, plan

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


SAMPLES, BATCH_SIZES, MIN_BATCHES = st.integers(2, 3000), st.integers(16, 300), st.integers(1, 8)


def sizes(samples: int, **options: object) -> list[int]:
    """The sizes of an epoch's batches, which follow each other from the first sample on."""
    batches = plan(samples, TrainingOptions(**options)).batches
    assert batches[0][0] == 0
    assert all(stop == start for (_, stop), (start, _) in pairwise(batches))
    return [stop - start for start, stop in batches]


@given(samples=SAMPLES, batch_size=BATCH_SIZES, min_batches=MIN_BATCHES)
def test_batches_are_near_equal_and_lose_no_sample(samples, batch_size, min_batches):
    found = sizes(samples, batch_size=batch_size, min_batches=min_batches)
    assert sum(found) == samples
    assert max(found) - min(found) <= 1
    assert min(found) >= min(samples, 16)
    assert max(found) <= max(batch_size, 31)  # 31 samples are no two batches of 16
    if samples >= 16 * min_batches:
        assert len(found) >= min_batches


def epochs(found: Plan, sizes: Iterable[int] | None = None) -> list[tuple[tuple[int, int], ...]]:
    """Return the batches of every epoch of a training, by default of the plan's own samples."""
    laid_out, done = [], 0
    for size in sizes or repeat(found.samples):
        if done == found.iterations:
            break
        laid_out.append(found.batches_of(done, size))
        done += len(laid_out[-1])
    return laid_out


@given(samples=st.integers(2, 300), iterations=st.integers(1, 500), batch_size=BATCH_SIZES)
def test_every_step_of_a_length_in_iterations_has_a_whole_batch(samples, iterations, batch_size):
    options = {"length": "iterations", "iterations": iterations, "batch_size": batch_size}
    found = plan(samples, TrainingOptions(**options))
    steps = [batch for batches in epochs(found) for batch in batches]
    assert len(steps) == iterations
    assert min(stop - start for start, stop in steps) >= min(samples, 16)


@pytest.mark.parametrize("samples", range(100, 104))
def test_no_small_coreset_ends_its_epoch_with_a_few_samples(samples):
    found = sizes(samples, batch_size=64)
    assert len(found) == 4
    assert min(found) == 25


@given(samples=SAMPLES, batch_size=BATCH_SIZES, min_batches=MIN_BATCHES)
def test_published_tails_are_dropped_or_kept(samples, batch_size, min_batches):
    options = {"batch_size": batch_size, "min_batches": min_batches}
    full = min(batch_size, samples, max(16, samples // min_batches))
    dropped = sizes(samples, **options, last_batch="drop")
    assert set(dropped) == {full}
    assert samples - sum(dropped) < full
    kept = sizes(samples, **options, last_batch="keep")
    assert sum(kept) == samples
    assert min(kept) >= 2
    left = samples % full
    assert kept == [*dropped, left] if left > 1 else kept[:-1] == dropped[:-1]


@given(
    samples=SAMPLES, batch_size=BATCH_SIZES, epochs_of=st.lists(st.integers(2, 2000), min_size=1)
)
def test_epochs_of_any_size_have_the_steps_and_the_batches_of_the_plan(
    samples, batch_size, epochs_of
):
    found = plan(samples, TrainingOptions(batch_size=batch_size, epochs=5))
    largest = max(stop - start for start, stop in found.batches)
    sizes = cycle(epochs_of)
    laid_out = epochs(found, sizes)
    assert sum(map(len, laid_out)) == found.iterations
    for size, batches in zip(cycle(epochs_of), laid_out, strict=False):
        lengths = [stop - start for start, stop in batches]
        assert max(lengths) <= max(largest, 31)
        assert min(lengths) >= min(size, largest, 16)
        if batches is not laid_out[-1]:
            assert batches[-1][1] == size or size == samples
    assert found.evaluates(found.iterations - 1, found.iterations)


def test_a_coreset_of_one_sample_is_refused():
    with pytest.raises(UserError, match="at least 2"):
        plan(1, TrainingOptions())


@given(samples=st.integers(2, 2000), iterations=st.integers(1, 5000))
def test_a_length_in_iterations_is_exact(samples, iterations):
    found = plan(samples, TrainingOptions(length="iterations", iterations=iterations))
    steps = list(map(len, epochs(found)))
    assert len(steps) == found.epochs
    assert sum(steps) == iterations
    assert min(steps) >= 1


def test_a_training_that_stops_has_the_learning_rate_of_one_that_goes_on():
    whole, part = (plan(1000, TrainingOptions(stop_after=stop)) for stop in (0, 20))
    assert (part.epochs, part.iterations) == (20, 20 * len(whole.batches))
    assert part.scheduled == whole.scheduled == whole.iterations
    late = plan(1000, TrainingOptions(length="iterations", iterations=7, stop_after=5))
    assert (late.epochs, late.iterations, late.scheduled) == (2, 7, 7)


def test_evaluations_come_every_800_iterations_in_whole_epochs_and_at_the_end():
    found = plan(13932, TrainingOptions(last_batch="drop"))
    assert len(found.batches) == 54
    ends = [0, *accumulate(map(len, epochs(found)))]
    evaluated = [epoch for epoch, span in enumerate(pairwise(ends), 1) if found.evaluates(*span)]
    assert evaluated == [*range(14, 200, 14), 200]
