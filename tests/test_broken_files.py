"""A mistake in one experiment or protocol stops what needs it, with one line, and nothing else."""

from pathlib import Path

import pytest

from medcoreset.errors import UserError
from medcoreset.study import configuration, rehearsal
from tests.studies import SMALLEST, TINY, write, write_experiment


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return the folder of a study with a sound experiment and several with mistakes."""
    write_experiment(tmp_path, "sound")
    write(tmp_path, "experiments", "papers", SMALLEST | {"group": "eva", "bogus": 1})
    write(tmp_path, "experiments", "unconfigured", SMALLEST | {"datasets": ["mine"]})
    write(tmp_path, "experiments", "of_broken", SMALLEST | {"protocols": ["broken"]})
    write(tmp_path, "experiments", "My study", SMALLEST)
    write(tmp_path, "experiments", "demo", SMALLEST)
    write(tmp_path, "protocols", "broken", TINY | {"training": {"epochs": "many"}})
    return tmp_path


MISTAKES = {
    "papers": "unknown key 'bogus'",
    "unconfigured": "unknown dataset 'mine'",
    "of_broken": r"broken\.yaml: epochs: 'many'",
    "My study": "lower-case letters",
    "demo": "has the same name",
}


@pytest.mark.parametrize("of", [lambda study: study, rehearsal.of], ids=["full", "rehearsal"])
def test_a_mistake_is_that_of_its_experiment(folder, of):
    study = of(configuration.load({"studies": [str(folder)]}))
    assert set(study.experiments.mistakes()) == set(MISTAKES)
    for name, words in MISTAKES.items():
        with pytest.raises(UserError, match=words):
            _ = study.experiments[name]
    assert study.experiments["sound"]["seeds"] == [0]
    assert "papers" in study.of_group("eva")
    assert "papers" in study.of_group("all")
    assert "papers" not in study.of_group("deepcore")
    assert set(study.of_group("every")) == set(study.experiments)


def test_a_file_that_cannot_be_read_may_be_of_any_group(tmp_path):
    write_experiment(tmp_path, "sound")
    (tmp_path / "experiments" / "unreadable.yaml").write_text("group: [", encoding="utf-8")
    study = configuration.load({"studies": [str(tmp_path)]})
    assert "unreadable" in study.of_group("deepcore")


def test_one_folder_named_twice_is_one(tmp_path):
    folder = write_experiment(tmp_path, "sound")
    study = configuration.load({"studies": [folder, f"{folder}/."]})
    assert study.experiments["sound"].name == "sound"


def test_snakemake_builds_what_has_no_mistake(snakemake, folder, tmp_path_factory):
    place = tmp_path_factory.mktemp("place")
    study = ("--config", f"studies=['{folder}']")
    outcome = snakemake(place, "sound", *study)
    assert outcome.returncode == 0, outcome.stderr[-3000:]
    assert (place / "results" / "experiments" / "sound" / "table.csv").is_file()
    told = [line for line in outcome.stderr.splitlines() if line.startswith("medcoreset: ")]
    assert len(told) == len(MISTAKES)
    assert all(any(f"{name} is left out: " in line for line in told) for name in MISTAKES)


@pytest.mark.parametrize("target", ["papers", "eva", "My study", None])
def test_snakemake_refuses_a_mistake_in_one_line(snakemake, folder, target):
    outcome = snakemake(
        folder, "-n", *([target] if target else []), "--config", f"studies=['{folder}']"
    )
    assert outcome.returncode == 1
    (told,) = [line for line in outcome.stderr.splitlines() if not line.startswith("Using work")]
    assert told.startswith(f"medcoreset: {folder}/experiments/")
    assert f"{'demo' if target is None else ''}" in told


@pytest.mark.parametrize("name", ["all", "eva", "train_network", "draw_gallery"])
def test_no_experiment_is_called_as_a_rule_is(snakemake, tmp_path, name):
    folder = write_experiment(tmp_path, name)
    outcome = snakemake(tmp_path, "-n", "demo", "--config", f"studies=['{folder}']")
    assert outcome.returncode == 1
    assert f"medcoreset: experiment {name}: a rule or a group has that name" in outcome.stderr
    assert "Traceback" not in outcome.stderr
