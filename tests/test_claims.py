"""What papers claim: judged on the printed numbers by hand-checkable arithmetic, and on made-up runs."""

from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from medcoreset.analysis import aggregate, claims, predicates, verdicts
from medcoreset.analysis import published as papers
from medcoreset.analysis.comparison import UNIT
from medcoreset.analysis.predicates import Cell, Claim, Comparison
from medcoreset.atomic import write_json
from medcoreset.commands.claims import command as claims_command
from medcoreset.errors import UserError
from medcoreset.plan import Plan
from medcoreset.study import configuration, planning, rehearsal
from medcoreset.study.claims import Claims
from medcoreset.study.configuration import PUBLISHED_TABLES
from medcoreset.study.recipes import Recipes
from medcoreset.study.schema import schema
from tests.studies import SMALLEST, TINY, write

FILES = [argument for path in PUBLISHED_TABLES for argument in ("--published", str(path))]
WHERE = {"dataset": "d", "surrogate": "s", "network": "n", "rate": [0.1, 0.2]}


def made(predicate: str, *, hold: str = "all", cells: dict = WHERE, **given: object) -> Claim:
    """Return a claim of no experiment."""
    compared = predicates.comparisons(predicate, cells, given)
    return Claim("c", "Paper", "here", "so", "e", (), hold, compared)


def cell(method: str, rate: float) -> Cell:
    return Cell.of("d", "s", "n", method, rate)


def means(**rows: tuple[float, float]) -> dict[Cell, float]:
    """Return printed means of rows at 10 and 20 %."""
    return {
        cell(method, rate): value
        for method, values in rows.items()
        for rate, value in zip(WHERE["rate"], values, strict=True)
    }


def runs(deviation: float = 0.1, seeds: int = 5, **rows: tuple[float, float]) -> dict:
    """Return runs of rows with these means at 10 and 20 %, and noise of their own."""
    index = pd.MultiIndex.from_tuples(
        [(seed, seed, seed) for seed in range(seeds)],
        names=["surrogate_seed", "selection_seed", "seed"],
    )
    noise = np.random.default_rng(0)
    return {
        place: pd.Series(value + deviation * noise.normal(size=seeds), index).to_dict()
        for place, value in means(**rows).items()
    }


# --- the papers' claims on the printed numbers -------------------------------------------------


@pytest.fixture(scope="module")
def every() -> tuple[Claim, ...]:
    return Claims(configuration.load({})).every


@pytest.fixture(scope="module")
def printed(every) -> pd.DataFrame:
    known = papers.read_published(PUBLISHED_TABLES, sorted(configuration.published_tables()))
    return verdicts.judged(every, known).query("source == 'printed'").set_index("claim")


def test_every_claim_is_judged_on_the_printed_numbers(every, printed):
    assert len(every) >= 25
    assert len(printed) == len(every)
    judged = printed[printed["verdict"] != claims.NOT_PRINTED]
    assert set(judged["verdict"]) == {claims.SUPPORTED, claims.CONTRADICTED}
    assert set(judged["paper"]) == {"EVA", "DeepCore"}
    assert (judged["deciding"] != "").all()
    # What is not printed are the numbers of figures, and of the table whose numbers are lost.
    missing = printed[printed["verdict"] == claims.NOT_PRINTED]["experiment"]
    assert {name.removeprefix("eva_") for name in missing} <= {
        *("figure3", "figure4", "figure5", "figure_a2", "table_a2")
    }


@pytest.mark.parametrize(
    ("claim", "told"),
    [
        ("eva_no_baseline_above_random", "random 93.43, ccs 93.51 (organamnist, 5 %)"),
        ("eva_tenth_reaches_98", "eva 97.20 (organamnist, 10 %), at least 98.27 claimed"),
        ("eva_cifar10_best", "eva 85.12, ccs 85.53 (cifar10, 20 %)"),
        ("eva_cifar100_best", "eva 62.93, ccs 64.72 (cifar100, 30 %)"),
    ],
)
def test_what_is_false_in_print_is_found_by_computation(printed, claim, told):
    assert printed.loc[claim, "verdict"] == claims.CONTRADICTED
    assert printed.loc[claim, "deciding"] == told


@pytest.mark.parametrize("claim", ["eva_above_random_at_5", "eva_above_random_at_2"])
def test_differences_of_printed_numbers_are_exact(printed, claim):
    assert printed.loc[claim, "verdict"] == claims.SUPPORTED
    assert printed.loc[claim, "rounding"]


def test_random_leads_on_cifar100_at_2_percent():
    known = papers.printed(papers.read_published(PUBLISHED_TABLES, ["eva_tableA4"]))
    place = ("cifar100", "resnet18", "resnet18")
    assert known[("cifar100", None, "resnet18", "random", 0.02)] > known[(*place, "eva", 0.02)]


def test_predicates_are_those_of_the_schema():
    rule = schema("claims")["properties"]["claims"]["additionalProperties"]
    assert list(rule["properties"]["says"]["properties"]) == list(predicates.PREDICATES)


# --- the judge on printed numbers --------------------------------------------------------------


@pytest.mark.parametrize(
    ("claim", "verdict"),
    [
        (made("better", row="a", than="b"), "supported"),
        (made("better", row="b", than="a"), "contradicted"),
        (made("better", row="a", than="b", by=1), "supported"),  # exactly a point at 20 %
        (made("better", row="a", than="b", by=1.01), "contradicted"),
        (made("better", row="a", than="b", by=1.01, hold="some"), "supported"),
        (
            made("better", row="a", than="b", by=1.01, hold="most"),
            "contradicted",
        ),  # a half is not most
        (made("not_better", row="b", than="a"), "supported"),
        (made("not_better", row=["b", "a"], than="a"), "supported"),  # a tie is not better
        (made("within", row="a", of="b", points=2), "supported"),
        (made("within", row="a", of="b", points=1.99), "contradicted"),
        (made("within", row="b", of=61, points=1), "supported"),
        (made("within", row="b", of=61, points=0.5), "contradicted"),
        (made("at_least", row="b", value=60), "supported"),
        (made("at_least", row="b", value=60.1), "contradicted"),
        (made("rises", row=["a", "b"]), "supported"),
        (made("wider", row="a", than="b", cells=WHERE | {"rate": 0.1}, beyond=[0.2]), "supported"),
        (
            made("wider", row="a", than="b", cells=WHERE | {"rate": 0.2}, beyond=[0.1]),
            "contradicted",
        ),
        (made("better", row="a", than="c"), "not printed"),
    ],
)
def test_predicates_mean_what_they_say(claim, verdict):
    known = means(a=(62, 63), b=(60, 62))
    assert claims.judge_printed(claim, known, 1).verdict == verdict


numbers = st.integers(0, 400).map(lambda n: n / 10)


@given(a=st.tuples(numbers, numbers), b=st.tuples(numbers, numbers))
@settings(max_examples=60)
def test_a_claim_or_its_opposite_is_true_in_print(a, b):
    known = means(a=a, b=b)
    better = claims.judge_printed(made("better", row="a", than="b"), known, 1)
    swapped = claims.judge_printed(made("better", row="b", than="a"), known, 1)
    some = claims.judge_printed(made("not_better", row="a", than="b", hold="some"), known, 1)
    assert {better.verdict, some.verdict} == {"supported", "contradicted"}
    assert better.holds == 2 - some.holds
    if better.verdict == "supported":
        assert swapped.verdict == "contradicted"
    assert better.verdict == (
        "supported" if all(x > y for x, y in zip(a, b, strict=True)) else "contradicted"
    )


@given(a=numbers, b=numbers, off=st.lists(st.floats(-0.0499, 0.0499), min_size=2, max_size=2))
@settings(max_examples=60)
def test_a_verdict_without_the_mark_survives_rounding(a, b, off):
    claim = made("better", row="a", than="b", cells=WHERE | {"rate": 0.1})
    found = claims.judge_printed(claim, means(a=(a, 0), b=(b, 0)), 1)
    exact = claims.judge_printed(claim, means(a=(a + off[0], 0), b=(b + off[1], 0)), 1)
    assert found.rounding or found.verdict == exact.verdict
    assert found.rounding == (abs(a - b) <= 0.1 + 1e-9)


# --- the judge on runs -------------------------------------------------------------------------


def test_runs_support_contradict_or_leave_open():
    found = runs(a=(60, 70), b=(55, 65), c=(60, 70))
    assert claims.judge_runs(made("better", row="a", than="b"), found).verdict == "supported"
    assert claims.judge_runs(made("better", row="b", than="a"), found).verdict == "contradicted"
    open_ = claims.judge_runs(made("better", row="a", than="c"), found)
    assert open_.verdict == "undecided"
    assert open_.seeds > 5
    assert claims.judge_runs(made("better", row="a", than="none"), found).verdict == "not run"


@pytest.mark.parametrize("predicate", ["better", "not_better"])
def test_one_run_decides_nothing(predicate):
    found = claims.judge_runs(made(predicate, row="a", than="b"), runs(seeds=1, a=(9, 9), b=(1, 1)))
    assert found.verdict == "undecided"
    assert np.isnan(found.seeds)


def test_as_many_seeds_as_it_says_decide_it():
    claim = made("better", row="a", than="b", cells=WHERE | {"rate": 0.1})
    few = claims.judge_runs(claim, runs(deviation=1.0, seeds=3, a=(60, 0), b=(59.2, 0)))
    assert few.verdict == "undecided"
    decided = [
        claims.judge_runs(
            claim,
            {
                place: pd.Series(
                    value + np.random.default_rng([draw, place.method == "a"]).normal(size=40),
                    pd.MultiIndex.from_tuples([(s, s, s) for s in range(40)], names=list("xyz")),
                ).to_dict()
                for place, value in means(a=(60, 0), b=(59.0, 0)).items()
                if place.rate == 0.1
            },
        ).verdict
        for draw in range(20)
    ]
    # 18 pairs have 80 % power for 1 point at √2 of deviation; 40 have nearly all of it.
    assert decided.count("supported") >= 18


def test_runs_with_a_bound_are_judged_against_it():
    found = runs(a=(60, 70), b=(55, 65))
    assert claims.judge_runs(made("better", row="a", than="b", by=4), found).verdict == "supported"
    assert (
        claims.judge_runs(made("better", row="a", than="b", by=6), found).verdict == "contradicted"
    )
    assert claims.judge_runs(made("at_least", row="a", value=61), found).verdict == "contradicted"
    assert (
        claims.judge_runs(made("within", row="a", of="b", points=6), found).verdict == "supported"
    )


@given(shift=st.floats(-20, 20), order=st.permutations(range(5)))
@settings(max_examples=8)
def test_a_verdict_on_runs_looks_at_paired_differences_alone(shift, order):
    claim = made("better", row="a", than="b")
    found = runs(deviation=1.5, a=(60, 70), b=(59, 68))
    common = np.random.default_rng(1).normal(shift, 9, 5)
    moved = {
        place: {(seed, seed, seed): values[seed, seed, seed] + common[seed] for seed in order}
        for place, values in found.items()
    }
    one, other = (claims.judge_runs(claim, each) for each in (found, moved))
    assert (one.verdict, one.holds) == (other.verdict, other.holds)
    assert one.seeds == other.seeds or (np.isnan(one.seeds) and np.isnan(other.seeds))


def test_quantifiers_ask_for_as_many_comparisons():
    found = runs(a=(60, 70), b=(55, 75), c=(50, 60))
    rows = {"row": "a", "than": ["b", "c"]}  # 3 of 4 hold
    expected = {"all": "contradicted", "most": "supported", "some": "supported"}
    for hold, verdict in expected.items():
        judged = claims.judge_runs(made("better", hold=hold, **rows), found)
        assert (judged.verdict, judged.holds, judged.count) == (verdict, 3, 4)


def test_equal_runs_are_a_tie():
    found = runs(deviation=0, a=(60, 70), b=(60, 70))
    assert claims.judge_runs(made("better", row="a", than="b"), found).verdict == "contradicted"
    assert claims.judge_runs(made("not_better", row="a", than="b"), found).verdict == "supported"


def test_many_false_claims_are_seldom_contradicted_by_chance():
    """Of a conjunction that holds without a margin, one of many comparisons may not decide."""
    random, wrong = np.random.default_rng(3), 0
    index = pd.MultiIndex.from_tuples([(s, s, s) for s in range(5)], names=list("xyz"))
    claim = made("better", row="a", than=[f"b{i}" for i in range(10)])
    for _ in range(20):
        found = {
            place: dict(zip(index, random.normal(size=5), strict=True)) for place in claim.cells
        }
        wrong += claims.judge_runs(claim, found).verdict != "undecided"
    assert wrong <= 4


# --- claims and experiments --------------------------------------------------------------------


def study_with(folder: Path, **changes: object) -> Claims:
    """Return the claims of a study that has one claim of its own."""
    write(folder, "protocols", "tiny", TINY)
    write(
        folder, "experiments", "own", SMALLEST | {"methods": {"random": {}, "el2n": {"epochs": 1}}}
    )
    claim = {
        "place": "§ 1",
        "statement": "EL2N is better.",
        "experiment": "own",
        "cells": {"dataset": "digits", "network": "lenet", "surrogate": "lenet", "rate": 0.1},
        "says": {"better": {"row": "el2n", "than": "random"}},
    }
    write(folder, "claims", "mine", {"paper": "Mine", "claims": {"one": claim | changes}})
    return Claims(configuration.load({"studies": [str(folder)]}))


def test_claims_of_ones_own_are_read(tmp_path):
    found = study_with(tmp_path)
    (claim,) = [each for each in found.every if each.paper == "Mine"]
    first, second = (Cell.of("digits", "lenet", "lenet", row, 0.1) for row in ("el2n", "random"))
    assert claim.comparisons == (Comparison(((1, first), (-1, second))),)
    assert claim.hold == "all"
    assert found.of(found.study.experiments["own"]) == (claim,)


def test_a_rehearsal_has_the_claims_and_judges_none(tmp_path):
    study = rehearsal.of(study_with(tmp_path).study)
    found = Claims(study)
    assert any(claim.paper == "Mine" for claim in found.every)
    assert found.of(study.experiments["own"]) == ()


CELLS = {"dataset": "digits", "network": "lenet", "surrogate": "lenet", "rate": 0.1}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"experiment": "nowhere"}, ["unknown experiment 'nowhere'", "demo"]),
        (
            {"says": {"better": {"row": "aum", "than": "random"}}},
            ["row 'aum'", "own", "el2n, random"],
        ),
        ({"says": {"better": {"row": "el2n", "than": "full"}}}, ["row 'full'"]),
        ({"cells": CELLS | {"rate": 0.15}}, ["rate 0.15", "own", "0.1"]),
        ({"cells": CELLS | {"dataset": "mnist"}}, ["dataset 'mnist'", "digits"]),
        ({"cells": CELLS | {"surrogate": "vgg16"}}, ["surrogate 'vgg16'", "lenet"]),
        ({"cells": CELLS | {"network": "vgg16"}}, ["network 'vgg16'", "lenet"]),
        ({"cells": {"dataset": "digits", "network": "lenet"}}, ["missing key 'rate'"]),
        (
            {"says": {"beats": {"row": "el2n", "than": "random"}}},
            ["unknown key 'beats'", "better, not_better"],
        ),
        ({"says": {}}, ["says is empty"]),
        ({"says": {"rises": {"row": "el2n"}}}, ["rises of one selection rate"]),
        ({"says": {"better": {"row": "el2n", "than": ["random", "el2n"]}}}, ["'el2n' with itself"]),
        ({"hold": "often"}, ["hold", "'often'", "all, most, some"]),
    ],
)
def test_a_mistake_in_a_claim_is_one_line(tmp_path, changes, words):
    with pytest.raises(UserError) as mistake:
        _ = study_with(tmp_path, **changes).every
    line = str(mistake.value)
    assert "mine.yaml: " in line
    assert "claims.one" in line
    assert all(word in line for word in words), line


def test_two_predicates_are_refused(tmp_path):
    says = {"rises": {"row": "el2n"}, "better": {"row": "el2n", "than": "random"}}
    with pytest.raises(UserError, match="must be one of them"):
        _ = study_with(tmp_path, says=says).every


def made_up(plan: Plan) -> pd.DataFrame:
    """Return single runs of a plan, of accuracies that rise with the rate."""
    noise, lines = np.random.default_rng(0), []
    for run in plan.runs:
        of = np.nan if run.surrogate_seed is None else run.surrogate_seed
        place = dict(zip(aggregate.CELL, run.cell, strict=True))
        lines += [
            {
                **place,
                **dict(zip(UNIT, (of, selected, seed), strict=True)),
                "metric": "accuracy",
                "value": 40 + 50 * run.rate**0.25 + noise.normal(),
                "samples": 60,
            }
            for seed, selected in run.trained.items()
        ]
    return pd.DataFrame(lines, columns=aggregate.SEEDS).drop_duplicates([*aggregate.CELL, *UNIT])


@pytest.fixture(scope="module")
def plans(every) -> dict[str, Plan]:
    """The plans of the experiments that claims name."""
    study = configuration.load({})
    recipes = Recipes(study)
    names = dict.fromkeys(claim.experiment for claim in every)
    return {name: planning.of(recipes, study.experiments[name]) for name in names}


def test_made_up_runs_judge_every_claim(every, plans):
    """Each claim is judged on every column of the experiment that it names."""
    judged = set()
    for name, plan in plans.items():
        own = [claim for claim in every if claim.experiment == name]
        known = papers.read_published(PUBLISHED_TABLES, plan.published)
        found = verdicts.judged(own, known, plan, made_up(plan))
        sources = {"printed", *plan.columns}
        assert set(product((claim.name for claim in own), sources)) == set(
            found[["claim", "source"]].itertuples(index=False, name=None)
        )
        ours = found[found["source"] != "printed"]
        assert set(ours["verdict"]) <= {"supported", "contradicted", "undecided"}, name
        assert ours.loc[ours["verdict"] == "undecided", "seeds"].notna().all()
        judged |= set(ours["claim"])
    assert judged == {claim.name for claim in every}


def test_the_command_writes_a_page_of_an_experiment(plans, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    plan = plans["eva_table_a4"]
    write_json("plan.json", plan.to_json())
    aggregate.write_seeds(made_up(plan), "seeds.csv")
    arguments = ["--plan", "plan.json", "--seeds", "seeds.csv", *FILES, "--out", "made"]
    outcome = CliRunner().invoke(claims_command, arguments, catch_exceptions=False)
    assert outcome.exit_code == 0, outcome.output
    lines = pd.read_csv("made/claims.csv")
    assert list(lines) == verdicts.COLUMNS
    assert set(lines["source"]) == {"printed", *plan.columns}
    text = Path("made/claims.md").read_text(encoding="utf-8")
    assert "On our runs, cifar (rule deepcore)" in text
    assert "eva 62.93, ccs 64.72 (cifar100, 30 %)" in text
    page = Path("made/claims.html").read_text(encoding="utf-8")
    assert "<td><strong>contradicted</strong>" in page


def test_plan_and_seeds_go_together(tmp_path):
    outcome = CliRunner().invoke(claims_command, ["--plan", "p.json", "--out", str(tmp_path / "x")])
    assert isinstance(outcome.exception, UserError)
    assert "--plan and --seeds" in str(outcome.exception)


# --- the workflow ------------------------------------------------------------------------------


def test_published_makes_tables_figures_and_verdicts_without_training(snakemake, tmp_path):
    outcome = snakemake(tmp_path, "published")
    assert outcome.returncode == 0, outcome.stderr
    made = tmp_path / "results" / "published"
    assert sorted(path.name for path in made.iterdir() if path.is_dir()) == sorted(
        configuration.published_tables()
    )
    for table in configuration.published_tables():
        suffixes = {path.suffix for path in made.glob(f"{table}/table.*")}
        assert suffixes == {".csv", ".md", ".html", ".tex"}
    text = (made / "eva_tableA4" / "table.md").read_text(encoding="utf-8")
    rows = papers.read_published(PUBLISHED_TABLES, ["eva_tableA4"])
    for row in rows[rows["method"] != "full"].itertuples():
        assert f"{row.accuracy_mean:.2f} ± {row.accuracy_std:.2f}" in text
    assert (made / "deepcore_table1" / "accuracy_over_rate.svg").stat().st_size > 10_000
    assert (made / "eva_tableA5" / "accuracy_cross_architecture.pdf").is_file()
    assert not list(made.glob("eva_tableA2/*.svg"))  # a single rate, of the full sets
    lines = pd.read_csv(made / "claims.csv")
    assert set(lines["verdict"]) == {"supported", "contradicted", "not printed", "not run"}
    assert {path.name for path in (tmp_path / "results").iterdir()} == {"published", "logs"}
    again = snakemake(tmp_path, "published", "-n")
    assert "Nothing to be done" in again.stdout + again.stderr


def test_a_target_judges_the_claims_whose_cells_it_has(snakemake, tmp_path):
    study_with(tmp_path / "own")
    outcome = snakemake(tmp_path, "own", "--config", f"studies=['{tmp_path / 'own'}']")
    assert outcome.returncode == 0, outcome.stderr
    lines = pd.read_csv(tmp_path / "results" / "experiments" / "own" / "claims.csv")
    assert lines[["claim", "source", "verdict"]].to_numpy().tolist() == [
        ["one", "printed", "not printed"],
        ["one", "tiny", "undecided"],  # one seed
    ]


def test_a_mistake_in_a_claim_stops_before_the_first_job(snakemake, tmp_path):
    study_with(tmp_path / "own", experiment="nowhere")
    given = ("--config", f"studies=['{tmp_path / 'own'}']", "-n")
    for target in ("published", "own"):
        outcome = snakemake(tmp_path, target, *given)
        assert outcome.returncode != 0
        said = [line for line in outcome.stderr.splitlines() if "medcoreset:" in line]
        assert len(said) == 1
        assert "claims.one: unknown experiment 'nowhere'" in said[0]
