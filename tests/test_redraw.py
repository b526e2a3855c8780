"""Methods that select anew in every epoch of a training."""

import dataclasses
import itertools
import json
import math

import numpy as np
import pandas as pd
import pytest
import torch
from torch.nn.functional import cross_entropy

from medcoreset import methods
from medcoreset.errors import UserError
from medcoreset.evidence import Evidence
from medcoreset.seeding import generator
from medcoreset.selection.budget import class_budgets
from medcoreset.selection.redraw import Redraw
from medcoreset.selection.select import select
from medcoreset.training.draw import Progressed
from medcoreset.training.run import train_coresets
from tests.conftest import STUDY
from tests.training_cases import content, coresets, digits, job

DYNAMIC = [each for each in methods.METHODS.values() if each.dynamic and each.selects]
PRUNING = [each for each in methods.METHODS.values() if each.prune is not None]
every_one = pytest.mark.parametrize("method", DYNAMIC, ids=[each.name for each in DYNAMIC])
LABELS = np.repeat(np.arange(4), (37, 11, 30, 22))


def epochs_of(name: str, rate: float, epochs: int, **how) -> list[np.ndarray]:
    """Return what a method draws in each of so many epochs."""
    method = methods.get(name)
    options = method.parse_options(how.pop("options", {}))
    draw = Redraw(method, options, rate, **how)
    return [drawn(draw, epoch) for epoch in range(epochs)]


def drawn(draw: Redraw, epoch: int, seed: int = 7, labels: np.ndarray = LABELS) -> np.ndarray:
    """Return the samples that are drawn whatever their losses are."""
    indices, weights = draw(labels, seed, Progressed(epoch, 0.5, np.zeros(len(labels))))
    assert weights is None
    return indices


@every_one
@pytest.mark.parametrize("balance", ["global", "class"])
@pytest.mark.parametrize("rate", [0.01, 0.1, 0.33, 0.9, 1.0])
def test_every_epoch_has_the_samples_of_the_budget(method, balance, rate):
    size = int(np.ceil(round(rate * 100, 9)))
    found = epochs_of(method.name, rate, 8, balance=balance)
    for indices in found:
        assert len(set(indices.tolist())) == len(indices) == size
        if balance == "class":
            expected = class_budgets(np.bincount(LABELS), size)
            np.testing.assert_array_equal(np.bincount(LABELS[indices], minlength=4), expected)
    if rate == 0.1:
        assert len({tuple(sorted(indices)) for indices in found}) > 1


@every_one
def test_an_epoch_is_the_same_whichever_came_before(method):
    forwards = epochs_of(method.name, 0.3, 6)
    draw = Redraw(method, method.defaults(), 0.3)
    for epoch in reversed(range(6)):
        np.testing.assert_array_equal(drawn(draw, epoch), forwards[epoch])
    assert set(drawn(draw, 0, seed=8)) != set(forwards[0])


@every_one
def test_the_first_epoch_is_what_it_selects_by_itself(method):
    evidence = Evidence({"labels": LABELS})
    alone = select(method, evidence, 30, seed=7, balance="class").indices
    np.testing.assert_array_equal(alone, epochs_of(method.name, 0.3, 1, balance="class")[0])


@pytest.mark.parametrize("balance", ["global", "class"])
@pytest.mark.parametrize("rate", [0.1, 0.2, 0.3, 0.45, 1.0])
def test_rs2_without_replacement_deals_all_samples_out_before_any_comes_again(rate, balance):
    found = epochs_of("rs2", rate, 24, balance=balance)
    groups = [label == LABELS for label in range(4)] if balance == "class" else [LABELS >= 0]
    for members in groups:
        drawn = [indices[members[indices]].tolist() for indices in found]
        deals = math.ceil(members.sum() / len(drawn[0]))
        for first in range(0, 25 - deals, deals):
            hand = list(itertools.chain(*drawn[first : first + deals]))
            every, again = hand[: members.sum()], hand[members.sum() :]
            # In the order of the deal each comes once; what is left over are the first again.
            assert sorted(every) == np.flatnonzero(members).tolist()
            assert again == every[: len(again)]


def test_rs2_shuffles_before_it_deals_again():
    first, second = (epochs_of("rs2", 0.5, 4)[i : i + 2] for i in (0, 2))
    assert set(first[0]) not in (set(second[0]), set(second[1]))


def test_rs2_with_replacement_draws_from_all_in_every_epoch():
    found = epochs_of("rs2", 0.1, 2000, options={"replacement": True})
    counts = np.bincount(np.concatenate(found), minlength=100)
    # Of 2,000 draws of probability 0.1 each: 200, deviation 13.4.
    assert (abs(counts - 200) < 5 * 13.4).all()
    # Two epochs share 10 · 10 / 100 samples on average, as without replacement they share none.
    shared = np.mean([len(set(a) & set(b)) for a, b in itertools.pairwise(found)])
    assert shared == pytest.approx(1, abs=0.1)


def test_rs2_of_a_rate_is_dealt_as_worked_out_by_hand():
    order = generator(7, "redraw", 0).permutation(100)
    found = epochs_of("rs2", 0.4, 3)
    np.testing.assert_array_equal(found[0], order[:40])
    np.testing.assert_array_equal(found[1], order[40:80])
    np.testing.assert_array_equal(found[2], [*order[80:], *order[:20]])


def redraw(name: str = "rs2", rate: float = 0.5, **options) -> Redraw:
    method = methods.get(name)
    return Redraw(method, method.parse_options(options), rate)


@pytest.mark.trains
@pytest.mark.parametrize("length", [{"epochs": 5}, {"length": "iterations", "iterations": 13}])
def test_a_training_takes_as_many_steps_as_on_a_coreset_of_the_rate(tmp_path, length):
    dataset = digits(train=130, held_out=40)
    static = job(tmp_path / "static", dataset, **length)
    train_coresets(static, [0], coresets(tmp_path / "coresets", dataset, [0], 65))
    dynamic = dataclasses.replace(job(tmp_path / "dynamic", dataset, **length), draw=redraw())
    train_coresets(dynamic, [0], None)
    found = [json.loads((each.out / "metrics.json").read_text()) for each in (static, dynamic)]
    assert [metrics["run"]["coreset_size"] for metrics in found] == [65, 65]
    schedules = [
        [(entry["epoch"], entry["lr"]) for entry in metrics["seeds"]["0"]["history"]]
        for metrics in found
    ]
    assert schedules[0] == schedules[1]


@pytest.mark.trains
def test_a_training_sees_the_samples_of_each_epoch(tmp_path, monkeypatch):
    from medcoreset.training.loop import Training

    seen: list[set[int]] = [set() for _ in range(4)]
    step = Training._train_step

    def watched(self, indices, images, weights):
        seen[self.epoch].update(indices.tolist())
        step(self, indices, images, weights)

    monkeypatch.setattr(Training, "_train_step", watched)
    dataset, draw = digits(train=130, held_out=40), redraw(rate=0.3)
    train_coresets(dataclasses.replace(job(tmp_path, dataset, epochs=4), draw=draw), [3], None)
    assert seen == [set(drawn(draw, epoch, 3, dataset.train_labels).tolist()) for epoch in range(4)]


@pytest.mark.trains
def test_what_is_drawn_otherwise_is_another_training(tmp_path):
    dataset = digits(train=130, held_out=40)
    one = dataclasses.replace(job(tmp_path, dataset), draw=redraw())
    train_coresets(one, [0], None)
    before = content(one.out)
    train_coresets(dataclasses.replace(one, draw=redraw(replacement=True)), [0], None)
    assert content(one.out)["predictions.npz"] != before["predictions.npz"]
    train_coresets(one, [0], None)
    assert content(one.out) == before


@pytest.mark.parametrize("method", PRUNING, ids=[each.name for each in PRUNING])
def test_what_prunes_selects_no_coreset(method):
    with pytest.raises(UserError, match=f"^{method.name} chooses while a network trains"):
        select(method, Evidence({"labels": LABELS}), 30)
    losses = np.random.default_rng(0).exponential(size=300)
    picks = method.prune(losses, 0.5, np.random.default_rng(1), **method.defaults())
    assert len(set(picks.indices.tolist())) == len(picks.indices) == len(picks.weights) >= 2
    assert set(picks.indices.tolist()) <= set(range(300))
    again = method.prune(losses, 0.5, np.random.default_rng(1), **method.defaults())
    np.testing.assert_array_equal(again.indices, picks.indices)


def infobatch(losses: list[float], share: float, draw: int, **options) -> dict[int, float]:
    """Return the samples that InfoBatch keeps, and the factors of their losses."""
    rng = np.random.default_rng(draw)
    method = methods.get("infobatch")
    options = method.parse_options(options)
    picks = method.prune(np.array(losses, np.float32), share, rng, **options)
    return dict(zip(picks.indices.tolist(), picks.weights.tolist(), strict=True))


def test_infobatch_prunes_below_the_mean_alone_with_its_probability():
    losses = [1.0, 2.0, 3.0, 6.0]  # mean 3, which is not below itself
    draws = [infobatch(losses, 0.5, draw, ratio=0.2) for draw in range(4000)]
    assert all({2: 1.0, 3: 1.0}.items() <= kept.items() for kept in draws)
    for sample in (0, 1):
        kept = [draw[sample] for draw in draws if sample in draw]
        assert set(kept) == {1 / (1 - 0.2)}
        # Deviation of a share of 4,000 at 0.8: 0.0063.
        assert len(kept) / 4000 == pytest.approx(0.8, abs=5 * 0.0063)
    both = sum(0 not in draw and 1 not in draw for draw in draws) / 4000
    assert both == pytest.approx(0.04, abs=0.016)  # independent of each other
    # So that the expected sum of losses is that of all samples.
    sums = [sum(factor * losses[sample] for sample, factor in draw.items()) for draw in draws]
    assert np.mean(sums) == pytest.approx(12, abs=5 * np.std(sums) / 4000**0.5)


def test_infobatch_keeps_all_before_anything_is_known_and_in_the_end():
    everything = dict.fromkeys(range(4), 1.0)
    assert infobatch([0.0] * 4, 0.0, 0) == everything
    assert infobatch([1.0, 2.0, 3.0, 6.0], 0.875, 0) == everything
    assert infobatch([1.0, 2.0, 3.0, 6.0], 0.5, 0, delta=0.5) == everything
    assert infobatch([1.0, 2.0, 3.0, 6.0], 0.5, 0, ratio=0.0) == everything
    assert any(infobatch([1.0, 2.0, 3.0, 6.0], 0.874, draw) != everything for draw in range(9))


def test_a_network_is_never_trained_on_one_sample():
    draw = redraw("infobatch", ratio=0.9)
    losses = np.array([0.0, 0.0, 5.0])
    for epoch in range(20):
        indices, weights = draw(np.zeros(3, int), 0, Progressed(epoch, 0.5, losses))
        assert len(indices) >= 2
        assert weights is None or (weights > 1).any()


@pytest.mark.trains
def test_infobatch_trains_by_the_losses_that_samples_had_last(tmp_path, monkeypatch):
    from medcoreset.training.loop import Training

    step, redraw_of = Training._train_step, Training._redraw
    last, epochs, expected = np.zeros(130, np.float32), [], []

    def watched(self, indices, images, weights):
        with torch.no_grad():  # in training mode, as the step's own pass
            statistics = [buffer.clone() for buffer in self.model.buffers()]
            losses = cross_entropy(
                self.model(images)[1], self.data.train.labels[indices], reduction="none"
            )
            for buffer, before in zip(self.model.buffers(), statistics, strict=True):
                buffer.copy_(before)
        last[indices.numpy()] = losses.numpy()
        epochs[-1].update(zip(indices.tolist(), weights.tolist(), strict=True))
        step(self, indices, images, weights)

    def asked(self):
        share = self.done / self.plan.iterations
        rng = generator(3, "redraw", self.epoch)
        expected.append(methods.get("infobatch").prune(last, share, rng, ratio=0.5, delta=0.875))
        epochs.append({})
        redraw_of(self)

    monkeypatch.setattr(Training, "_train_step", watched)
    monkeypatch.setattr(Training, "_redraw", asked)
    dataset = digits(train=130, held_out=40)
    one = job(tmp_path, dataset, epochs=20, batch_size=32)
    train_coresets(dataclasses.replace(one, draw=redraw("infobatch", rate=0.5)), [3], None)
    found = [dict(sorted(epoch.items())) for epoch in epochs]
    picked = [dict(zip(p.indices.tolist(), p.weights.tolist(), strict=True)) for p in expected]
    assert found[:-1] == picked[:-1]
    assert found[-1].items() <= picked[-1].items()
    assert len(found[0]) == 130
    assert min(map(len, found)) < 100
    metrics = json.loads((one.out / "metrics.json").read_text())
    assert metrics["run"]["coreset_size"] == 65
    assert len(metrics["seeds"]["3"]["history"]) == len(found) < 20


def test_the_command_refuses_what_it_cannot_draw_in_one_line(tmp_path, capsys):
    from click.testing import CliRunner

    from medcoreset.__main__ import cli

    folder = tmp_path / "coresets"
    folder.mkdir()
    (tmp_path / "data.npz").touch()
    given = [
        "train",
        "--dataset",
        str(tmp_path / "data.npz"),
        "--protocol",
        "p",
        "--network",
        "lenet",
    ]
    given += ["--seeds", "0", "--surrogate", "none", "--method", "m", "--rate", "0.1"]
    given += ["--out", str(tmp_path / "out")]
    for more, words in (
        (["--draw", "el2n"], "--draw el2n: it selects a coreset"),
        (["--draw", "rs2", "--coresets", str(folder)], "either --coresets or --draw"),
        (["--draw", "rs2", "--set", "nonsense=1"], "rs2: unknown option 'nonsense'"),
        (["--draw", "nonsense"], "unknown method 'nonsense'"),
    ):
        outcome = CliRunner().invoke(cli, [*given, *more])
        assert isinstance(outcome.exception, UserError)
        assert words in str(outcome.exception)


@pytest.mark.long
def test_rows_that_draw_stand_beside_coresets_in_a_block_of_their_own(snakemake, tmp_path):
    outcome = snakemake(tmp_path, "dynamic", "--config", STUDY)
    assert outcome.returncode == 0, outcome.stderr[-5000:]
    made = tmp_path / "results"
    table = pd.read_csv(made / "experiments" / "dynamic" / "table.csv")
    accuracy = table[table.metric == "accuracy"]
    assert accuracy.groupby("method").size().to_dict() == {
        "infobatch": 2,
        "glister_again": 2,
        "rho_loss": 2,
        "random": 2,
        "el2n": 2,
        "full": 1,
        "rs2": 2,
        "rs2_fresh": 2,
    }
    assert (accuracy["n"] == 2).all()
    anew = accuracy[accuracy["method"].isin(["rs2", "rs2_fresh", "infobatch", "glister_again"])]
    assert (anew["surrogate"] == "none").all()
    assert anew["gain"].notna().all()
    text = (made / "experiments" / "dynamic" / "table.md").read_text()
    rows = [line.split("|")[1].strip() for line in text.splitlines() if line.startswith("| ")]
    stored = "*Stores all training samples*"
    assert rows[2:] == [
        "Random",
        "EL2N",
        "Full",
        stored,
        "RS2",
        "RS2, with replacement",
        "InfoBatch",
        "GLISTER (glister_again)",
        "RHO-LOSS",
    ]
    assert (
        "Stores all training samples: RS2, RS2, with replacement, InfoBatch, GLISTER (glister_again), "
        "RHO-LOSS." in text
    )
    latex = (made / "experiments" / "dynamic" / "table.tex").read_text()
    assert (
        "\\midrule\n\\multicolumn{3}{l}{\\emph{Stores all training samples}} \\\\\nRS2 &" in latex
    )
    costs = pd.read_csv(made / "experiments" / "dynamic" / "cost.csv").set_index("method")
    again = costs.loc["glister_again"]
    assert (again["selection_s"] > 0).all()
    assert (again["training_s"] > 0).all()
    assert again[["surrogate_s", "evidence_s", "score_s"]].isna().all(axis=None)
    rho_loss = costs.loc["rho_loss"]
    assert (rho_loss[["surrogate_s", "evidence_s", "training_s"]] > 0).all(axis=None)
    halves = list(made.glob("surrogates/digits/tiny/lenet+half=*"))
    assert len(halves) == 4  # two for each seed
    assert not list(made.glob("surrogates/digits/tiny/lenet+half=*/evidence/error_norm.npy"))
    for variant in ("rs2*", "infobatch*", "glister*", "rho_loss*"):
        assert list(made.glob(f"runs/**/{variant}"))
        assert not list(made.glob(f"coresets/**/{variant}"))
    runs = {path: json.loads(path.read_text()) for path in made.glob("runs/**/metrics.json")}
    # The last epoch of a pruned set may stop short: what all share is the rate of the first step.
    sizes = {
        (metrics["run"]["rate"], metrics["run"]["coreset_size"])
        for metrics in runs.values()
        if metrics["run"]["method"] != "full"
    }
    assert sizes == {(0.1, 108), (0.3, 324)}
    again = snakemake(tmp_path, "dynamic", "--config", STUDY, "-n")
    assert "Nothing to be done" in again.stderr + again.stdout
