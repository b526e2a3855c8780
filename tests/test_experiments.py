"""Every experiment's table and figures, from made-up metrics: no study dies after its trainings."""

from collections import Counter
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner

from medcoreset.analysis.aggregate import read_table
from medcoreset.analysis.published import read_published
from medcoreset.atomic import write_json
from medcoreset.commands import figure, table
from medcoreset.datasets import catalog, facts
from medcoreset.plan import FULL, INDEPENDENT
from medcoreset.selection.budget import expected_size
from medcoreset.study import configuration, results
from medcoreset.study.configuration import PUBLISHED_TABLES
from medcoreset.training import schedule
from tests import made_up

pytestmark = pytest.mark.long

NOT_JOINED = {
    "100 % selected by a method is everything, which stands in the row of the full set": (
        lambda row: row.rate == 1 and row.method not in INDEPENDENT
    ),
}
"""Why a published cell does not stand beside one of ours, and which cells these are."""


@pytest.fixture(scope="module")
def study() -> configuration.Study:
    return configuration.load({})


@pytest.mark.parametrize("name", made_up.every_experiment())
def test_every_table_and_figure_can_be_made(name, study, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    experiment = study.experiments[name]
    plan = Path("plan.json")
    write_json(plan, made_up.write(study, experiment).to_json())
    if experiment.has_table:
        files = [argument for path in PUBLISHED_TABLES for argument in ("--published", str(path))]
        run(table.command, "--plan", plan, *files, "--out", "made")
        check_table(experiment, read_table("made/table.csv"))
    for kind in experiment["figures"]:
        files = ["--table", "made/table.csv", "--seeds", "made/seeds.csv"]
        given = files if "table" in results.FIGURES[kind] else []
        run(figure.command, kind, "--plan", plan, *given, "--out", f"made/{kind}")
    made = {Path(path).name for path in results.artefacts(study, experiment)}
    assert made == {path.name for path in Path("made").iterdir()}


def run(command, *arguments: object) -> None:
    outcome = CliRunner().invoke(command, list(map(str, arguments)), catch_exceptions=False)
    assert outcome.exit_code == 0, outcome.output


def check_table(experiment: configuration.Experiment, rows: pd.DataFrame) -> None:
    """Each published cell of its tables stands beside one of ours, and beside one only."""
    accuracy = rows[rows["metric"] == "accuracy"]
    joined = accuracy[accuracy["published_mean"].notna()]
    names = experiment["published_as"]
    ours = Counter(
        (
            names.get(row.dataset, row.dataset),
            names.get(row.network, row.network),
            "" if row.method in INDEPENDENT else names.get(row.surrogate, row.surrogate),
            row.method,
            row.rate,
        )
        for row in joined.itertuples()
    )
    printed = Counter(
        (row.dataset, row.network, surrogate, method, row.rate)
        for row in read_published(PUBLISHED_TABLES, experiment["published"]).itertuples()
        for method in [FULL if row.method == "random" and row.rate == 1 else row.method]
        for surrogate in ["" if method in INDEPENDENT else row.surrogate]
        if not any(excepted(row) for excepted in NOT_JOINED.values())
    )
    assert set(ours) == set(printed)
    assert set(ours.values()) <= {1}


def cells_of(study: configuration.Study):
    """Yield (experiment, run, options, samples trained on) of every cell with a known dataset."""
    for experiment in study.experiments.values():
        for run in results.runs(study, experiment):
            protocol = study.protocols[run.protocol]
            known = facts.of(catalog.parse(run.dataset), None)
            balance = results.balance(run, protocol.balance)
            known_of = (known.train, known.classes, protocol.rounding, balance)
            size = expected_size(run.rate, *known_of)
            yield experiment.name, run, protocol.training, size


def test_no_cell_that_ships_trains_on_a_tail_of_a_few_images(study):
    kept = set()
    for name, run, options, size in cells_of(study):
        sizes = [stop - start for start, stop in schedule.plan(size, options).batches]
        assert min(sizes) >= min(size, 16) or options.last_batch == "keep", (name, run)
        if options.last_batch == "keep":
            kept.add(min(sizes))
    # DeepCore's own tails: 8 of 128 images at 10 %.
    assert min(kept) == 8


def test_the_catalog_has_the_official_numbers_of_medmnist():
    from medmnist import INFO

    for name in catalog.MEDMNIST:
        source, official = catalog.SOURCES[name], INFO[name]
        assert source.counts == official["n_samples"]
        assert len(source.class_shares) == len(official["label"])
        assert source.colour == (official["n_channels"] == 3)
        assert source.multilabel == official["task"].startswith("multi-label")
        # Of volumes the shares are no counts, and of several labels they count images often, or not at all.
        if source.dimensions == 2 and not source.multilabel:
            assert abs(sum(source.class_shares) / source.counts["train"] - 1) < 0.002
