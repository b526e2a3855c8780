"""Seeds of any size plan in no time, and are read back from a path that a file system takes."""

import time

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from medcoreset import seeding
from medcoreset.errors import UserError
from medcoreset.study import configuration, results
from medcoreset.study.jobs import Jobs
from tests.studies import write_experiment

FAR_APART = [42, 123_456_789]
LARGE = [int(seed) for seed in np.random.default_rng(0).integers(0, 2**63, 50)]


@pytest.mark.parametrize(
    ("seeds", "text"),
    [
        ([0], "0"),
        ([2, 0, 1], "0-2"),
        ([0, 2, 5], "0,2,5"),
        ([9, 0, 1, 2, 7, 10], "0-2,7,9-10"),
        (FAR_APART, "42,123456789"),
        ([2**63 - 1], "9223372036854775807"),
    ],
)
def test_seeds_are_ranges_of_a_path(seeds, text):
    assert results.format_seeds(seeds) == text
    assert seeding.parse_seeds(text) == sorted(seeds)


@given(
    st.lists(st.integers(0, 2**63 - 1) | st.integers(0, 30), min_size=1, max_size=40, unique=True)
)
def test_seeds_survive_their_path_component(seeds):
    text = results.format_seeds(seeds)
    assert len(text) <= 60
    if "x" not in text:
        assert seeding.parse_seeds(text) == sorted(seeds)


def test_seeds_far_apart_are_planned_at_once(tmp_path):
    study = configuration.load({"studies": [write_experiment(tmp_path, "far", seeds=FAR_APART)]})
    started = time.perf_counter()
    (text,) = {
        results.format_seeds(run.seeds) for run in results.runs(study, study.experiments["far"])
    }
    assert time.perf_counter() - started < 1
    assert Jobs(study).seed_list(text) == "42,123456789"


def test_many_large_seeds_are_looked_up(tmp_path):
    study = configuration.load({"studies": [write_experiment(tmp_path, "many", seeds=LARGE)]})
    (text,) = {
        results.format_seeds(run.seeds) for run in results.runs(study, study.experiments["many"])
    }
    assert len(f".{text}.partial.npz") < 255
    assert Jobs(study).seed_list(text) == ",".join(map(str, sorted(LARGE)))
    with pytest.raises(UserError, match="no experiment has the seeds 50x00"):
        Jobs(study).seed_list("50x00")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a",
        "1,",
        "-1",
        "5-3",
        "1.0",
        "0-999999999999",
        "9223372036854775808",
        "1,1",
        "0-3,2",
        "٣",
        "9" * 5000,
    ],
)
def test_what_is_no_list_of_seeds_is_one_line(text):
    with pytest.raises(UserError, match="seeds: ") as mistake:
        seeding.parse_seeds(text)
    assert len(str(mistake.value)) < 200


@pytest.mark.parametrize("seed", [0, 2**31, 2**32, 2**63 - 1])
def test_generators_take_the_largest_seed(seed):
    stream = seeding.stream_seed(seed, "initialisation")
    assert 0 <= stream < 2**63
    torch.manual_seed(stream)
    seeding.generator(seed, "ties").permutation(3)
