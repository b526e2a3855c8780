"""What a result took, carried from one job to the next, and added up per row."""

from dataclasses import replace
from pathlib import Path

import pytest

from medcoreset import cost
from medcoreset.analysis.costs import costs
from medcoreset.atomic import write_json
from medcoreset.errors import UserError
from medcoreset.figures import cost as figure
from medcoreset.figures import style
from medcoreset.plan import FULL, Plan
from tests.small_study import RATES, save_plan, write_study


@pytest.fixture(scope="module")
def plan(tmp_path_factory) -> Plan:
    folder = tmp_path_factory.mktemp("study")
    return Plan.read(save_plan(write_study(folder), folder))


def surrogate(folder: Path, seconds: float) -> Path:
    write_json(folder / "metrics.json", {"measured": {"seconds": {"0": seconds}, "device": "GPU"}})
    (folder / "evidence").mkdir()
    return folder


def test_costs_are_carried_on(tmp_path):
    folders = [surrogate(tmp_path / name, seconds) for name, seconds in (("a", 5), ("b", 7))]
    took = cost.of_surrogates(folders)
    assert took == cost.Cost({"surrogate": 12}, {"surrogate": "GPU"})
    with took.adding("evidence", threads=2):
        pass
    (tmp_path / "made").mkdir()
    took.write(tmp_path / "made" / cost.FILE)
    found = cost.of_evidence([folders[0] / "evidence", tmp_path / "made"])
    assert found == took
    assert found.seconds["surrogate"] == 12  # `a` is among the two
    with found.adding("selection", threads=1, shares=1000):
        sum(range(100_000))
    assert 0 < found.seconds["selection"] < 1
    assert found.on["evidence"].endswith("CPU, 2 threads")
    found.write(cost.beside(tmp_path / "eva+weight=0.5.npz"))
    assert (tmp_path / "eva+weight=0.5.cost.json").is_file()
    assert cost.of_scores(tmp_path / "eva+weight=0.5.npz") == found


def test_of_what_was_made_by_hand_nothing_is_known(tmp_path):
    assert cost.of_evidence([tmp_path]) == cost.of_scores(tmp_path / "x.npz") == cost.Cost()
    assert cost.of_surrogates([surrogate(tmp_path / "a", 5), tmp_path / "b"]) == cost.Cost()


def test_a_row_adds_up_its_stages(plan):
    rows = costs(plan).set_index(["dataset", "network", "method", "rate"])
    eva, random = (rows.loc["digits", "pixels", method, RATES[0]] for method in ("eva", "random"))
    assert eva["training_s"] == pytest.approx(10 * RATES[0] + 1)  # the mean of three seeds
    assert eva["total_s"] == pytest.approx(12 + eva["training_s"])
    assert eva["share"] == pytest.approx(eva["total_s"] / 11)
    assert random["total_s"] == pytest.approx(4 + random["training_s"])
    assert random[["surrogate_s", "evidence_s", "score_s"]].isna().all()


def test_without_the_full_set_there_is_no_share(plan):
    runs = tuple(run for run in plan.runs if run.method != FULL)
    rows = costs(replace(plan, runs=runs))
    assert rows[["full_s", "share"]].isna().all(axis=None)
    with style.context():
        axes = figure.draw(plan, rows).axes
    labels = {line.get_label() for ax in axes for line in ax.lines}
    assert "Full training" not in labels


def test_candidates_add_up_and_surrogates_are_averaged(plan, tmp_path):
    (run, *_) = (run for run in plan.runs if run.method == "eva")
    other = replace(run, metrics=f"{tmp_path}/metrics.json", coresets=str(tmp_path))
    write_json(other.metrics, _metrics(run.metrics))
    seconds = {"surrogate": 8.0, "score": 2.0, "selection": 1.0}
    cost.Cost(seconds, dict.fromkeys(seconds, "CPU")).write(tmp_path / cost.FILE)
    (row,) = costs(replace(plan, runs=(run, other))).to_dict("records")
    own = 10 * run.rate + 1
    assert (row["candidates"], row["surrogate_s"], row["score_s"]) == (2, 8, 6)
    assert row["training_s"] == pytest.approx(2 * own)
    beside = replace(other, surrogate="pixels+seed=1")
    (row,) = costs(replace(plan, runs=(run, beside))).to_dict("records")
    assert (row["candidates"], row["surrogate_s"], row["score_s"]) == (1, 6, 3)
    assert row["surrogate"] == "pixels"


def _metrics(path: str) -> dict:
    import json

    return json.loads(Path(path).read_text())


def test_a_coreset_that_does_not_tell_its_cost_is_named(plan, tmp_path):
    (run, *_) = (run for run in plan.runs if run.method == "eva")
    with pytest.raises(UserError, match=r"cost\.json does not exist"):
        costs(replace(plan, runs=(replace(run, coresets=str(tmp_path)),)))
