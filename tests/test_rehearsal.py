"""Rehearsals: the same study in small, on stand-ins, and what they foretell of the full one."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medcoreset import methods
from medcoreset.datasets import canonical, catalog, sources
from medcoreset.datasets.streaming import StreamedImages
from medcoreset.study import configuration, forecast, rehearsal, results
from tests.conftest import ROOT, STUDY, Snakemake

pytestmark = [pytest.mark.long, pytest.mark.timeout(2400)]

CHEAPEST = ["eva_figure1", "eva_figure_a2"]
WITHOUT_VAL = ["eva_table_a3"]


SMALL = rehearsal.of(configuration.load({}))


@pytest.fixture(scope="module")
def small() -> rehearsal.Rehearsal:
    return SMALL


def test_rows_columns_figures_and_notes_are_those_of_the_study(small):
    for name, experiment in small.experiments.items():
        full = small.full.experiments[name]
        for key in ("datasets", "protocols", "figures", "full", "group"):
            assert experiment[key] == full[key], (name, key)
        assert list(experiment["methods"]) == list(full["methods"])
        assert len(experiment["networks"]) == len(full["networks"])
        assert experiment["notes"][1:] == full["notes"]
        assert experiment["published"] == []
        assert experiment["rates"] == sorted({*full["rates"][:1], *full["rates"][-1:]})
        assert experiment["seeds"] == full["seeds"][:2]


def test_surrogates_of_different_lengths_stay_different(small):
    protocol, table4 = small.protocols["deepcore"], "deepcore_table4"
    full = small.full.experiments[table4].surrogates(small.full.protocols["deepcore"])
    here = small.experiments[table4].surrogates(protocol)
    assert len(set(here)) == len(here) == 11 * 2  # seeds, each with surrogates of its own
    assert len(full) == 11 * 5
    lengths = [configuration.surrogate_epochs(protocol, each) for each in here]
    assert lengths == sorted(lengths)
    assert lengths[0] == 0
    assert lengths[-1] == 12
    forgetting = small.surrogates_of(small.experiments[table4], "forgetting", protocol)
    assert len(forgetting) == 9 * 2


@given(
    early=st.integers(1, 181),
    gap=st.integers(0, 180),
    length=st.integers(1, 10),
    short=st.integers(6, 20),
)
def test_windows_that_follow_each_other_still_do(early, gap, length, short):
    late = min(early + length + gap, 201 - length)
    if late < early + length:
        return
    options = methods.parse_options("eva", {"early": early, "late": late, "length": length})
    methods.get("eva").check_epochs(200, **options)
    scaled = rehearsal.scaled("eva", options, 200, short)
    methods.get("eva").check_epochs(short, **scaled)
    assert scaled["length"] == min(length, 2)


def test_windows_are_scaled_by_the_experiments_own_surrogate(tmp_path):
    """In the tests' `every_rule` its 20 epochs become 12, where the protocol has 6."""
    study = configuration.load({"studies": [str(ROOT / "tests" / "study")]})
    small = rehearsal.of(study)
    every_rule = small.experiments["every_rule"]
    (options,) = small.options(
        every_rule, "window_1_11", every_rule["datasets"][0], "tiny", every_rule["rates"][0]
    )
    assert (options["early"], options["late"], options["length"]) == (1, 7, 6)


def test_a_method_averages_over_fewer_surrogates():
    options = methods.parse_options("grand", {"models": 10})
    assert rehearsal.scaled("grand", options, 10, 10)["models"] == 2


def test_a_method_looks_at_models_earlier_in_shorter_trainings():
    options = methods.parse_options("el2n", {"runs": 10, "at": 20})
    scaled = rehearsal.scaled("el2n", options, 200, 12)
    assert (scaled["runs"], scaled["at"]) == (2, 1)
    alone = rehearsal.scaled("el2n", options | {"runs": None}, 200, 12)
    assert (alone["runs"], alone["at"]) == (None, 20)


@pytest.mark.parametrize("name", [name for name in catalog.SOURCES if "_" not in name])
def test_a_stand_in_is_like_its_dataset(name, tmp_path):
    source = catalog.SOURCES[name]
    made = sources.read_stand_in(name, 10, tmp_path / "images")
    canonical.write(made, tmp_path / "data.npz")
    read = canonical.load(tmp_path / "data.npz")
    assert read.name == name
    assert read.info["stand_in"]
    assert read.classes == len(source.class_shares)
    assert read.channels == (3 if source.colour else 1)
    assert read.dimensions == source.dimensions
    assert read.image_size == min(source.image_size, 12 if read.dimensions == 3 else 32)
    assert isinstance(read.train_images, StreamedImages) == source.streamed
    for split in canonical.SPLITS:
        if source.multilabel:
            assert set(read.labels(split).max(0)) == {1}
            assert set(read.labels(split).min(0)) == {0}
        else:
            assert set(read.labels(split)) == set(range(read.classes)), split
    shares = np.bincount(read.train_labels.ravel()) / len(read.train_labels)
    official = np.array(source.class_shares) / sum(source.class_shares)
    if source.multilabel:
        shares = read.train_labels.mean(0)
        official = np.array(source.class_shares) / source.counts["train"]
    assert np.abs(shares - official).max() < 2 / read.classes
    again = sources.read_stand_in(name, 10, tmp_path / "again")
    assert again.sha256 == made.sha256 or source.streamed
    assert np.array_equal(again.train_images[:5], made.train_images[:5])


def test_a_tenth_of_a_stand_in_s_training_images_shows_another_class(tmp_path):
    """Of two classes that are learned at once no sample is forgotten: forgetting ranked nothing."""
    made = sources.read_stand_in("pneumoniamnist", 1000, tmp_path)

    def shows(split: str) -> np.ndarray:
        images = made.images(split).reshape(len(made.labels(split)), -1).astype(float)
        known = made.test_images.reshape(len(made.test_labels), -1).astype(float)
        centres = np.stack([known[made.test_labels == label].mean(axis=0) for label in (0, 1)])
        return ((images[:, None] - centres) ** 2).sum(axis=2).argmin(axis=1)

    assert 0.05 < (shows("train") != made.train_labels).mean() < 0.15
    assert (shows("val") == made.val_labels).all()


def test_a_stand_in_without_a_validation_split_has_none(tmp_path):
    for name, images in (("cifar10+val=0", 0), ("cifar10", 60)):
        made = sources.read_stand_in(name, 1001, tmp_path)
        assert (len(made.train_labels), len(made.val_labels)) == (1001, images)


def test_a_stand_in_of_own_data_is_like_them(tmp_path):
    random = np.random.default_rng(0)
    arrays = {}
    for split, size in (("train", 500), ("val", 40), ("test", 40)):
        images = random.integers(0, 256, (size, 40, 40, 3), np.uint8)
        labels = random.choice(3, size, p=[0.1, 0.2, 0.7])
        arrays |= {f"{split}_images": images, f"{split}_labels": labels}
    np.savez(tmp_path / "own.npz", **arrays)
    made = sources.read_stand_in("own", 1, tmp_path, file=tmp_path / "own.npz")
    assert (made.classes, made.channels, made.image_size) == (3, 3, 32)
    assert len(made.train_labels) == 240
    assert np.bincount(made.train_labels).argmax() == 2


@pytest.fixture(scope="module")
def rehearsed(snakemake: Snakemake, tmp_path_factory) -> tuple[Path, str]:
    """The rehearsal of the cheapest experiments and of one without validation data."""
    folder = tmp_path_factory.mktemp("rehearsed")
    targets = [*CHEAPEST, *WITHOUT_VAL]
    outcome = snakemake(folder, *targets, "--config", "rehearse=true", timeout=2400)
    assert outcome.returncode == 0, outcome.stderr[-5000:]
    return folder, outcome.stdout


def test_everything_is_made_below_its_own_folder(rehearsed, small):
    folder, _ = rehearsed
    assert not (folder / "results").exists()
    for name in [*CHEAPEST, *WITHOUT_VAL]:
        for path in results.artefacts(small, small.experiments[name]):
            assert (folder / path).stat().st_size > 0, path


def test_tables_and_figures_are_marked(rehearsed):
    folder, _ = rehearsed
    table = folder / "rehearsal" / "experiments" / "eva_table_a3"
    assert pd.read_csv(table / "table.csv")["rehearsal"].all()
    assert pd.read_csv(table / "table.csv")["published_mean"].isna().all()
    for suffix in ("md", "html", "tex"):
        text = (table / f"table.{suffix}").read_text()
        assert "Rehearsal, no result" in text
        assert "Its numbers mean nothing" in text
    for figure in (folder / "rehearsal" / "experiments").glob("*/*.svg"):
        assert "rehearsal, no result" in figure.read_text()


def test_the_last_lines_forecast_the_full_study(rehearsed):
    _, output = rehearsed
    lines = output[output.index("Forecast of the full study") :].splitlines()
    assert lines[0].endswith("eva_figure1, eva_figure_a2, eva_table_a3")
    text = "\n".join(lines)
    for words in ("jobs", "trainings", "images to train", "time", "disk", "memory", "AMD EPYC"):
        assert words in text
    assert re.search(r"missing +in data_dir .*organamnist.*, which will be downloaded", text)


def test_the_forecast_counts_the_jobs_that_snakemake_plans(snakemake, tmp_path):
    study = configuration.load({"studies": [str(ROOT / "tests" / "study")]})
    for names in (
        ["tiny"],
        ["dynamic"],
        ["eva_table1", "eva_table_a1"],
        ["deepcore_table1"],
        ["eva_figure5"],
    ):
        outcome = snakemake(tmp_path, "-n", *names, "--config", STUDY)
        planned = re.findall(r"^total +(\d+)", outcome.stdout, re.MULTILINE)
        found = forecast.of(study, [study.experiments[name] for name in names])
        assert found.jobs == int(planned[0]) - len(names), names


def test_the_forecast_counts_images_as_the_loop_trains_them():
    study = configuration.load({"studies": [str(ROOT / "tests" / "study")]})
    tiny = study.experiments["tiny"]
    found = forecast.of(study, [tiny])
    train, surrogates, epochs = 1077, 2, 6
    runs = results.runs(study, tiny)
    trained = sum(np.ceil(np.round(run.rate * train, 9)) * len(run.seeds) for run in runs)
    assert found.images == (trained + surrogates * train) * epochs
