"""Training in every step on the samples of largest reducible holdout loss."""

import dataclasses
import json

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from torch.nn.functional import cross_entropy

from medcoreset import methods, seeding
from medcoreset.__main__ import cli
from medcoreset.datasets import sources
from medcoreset.errors import UserError
from medcoreset.evidence import Evidence
from medcoreset.networks.factory import build
from medcoreset.producers import PRODUCERS
from medcoreset.producers.source import Source
from medcoreset.selection.redraw import Redraw
from medcoreset.study import configuration, forecast, rehearsal, results
from medcoreset.training.data import epoch_order, resident
from medcoreset.training.loop import Training
from medcoreset.training.run import train_coresets, train_surrogate
from medcoreset.training.schedule import learning_rate, plan
from tests.studies import TINY, write, write_experiment
from tests.training_cases import content, coresets, digits, job

SAMPLES = 130


def redraw(rate: float = 0.3, seed: int = 0, **how) -> Redraw:
    """Return RHO-LOSS with made-up irreducible losses of 130 samples."""
    method = methods.get("rho_loss")
    losses = np.random.default_rng(seed).gamma(2, size=SAMPLES)
    evidence = Evidence({"irreducible_losses": losses})
    return Redraw(method, method.defaults(), rate, evidence=evidence, **how)


def test_priorities_are_losses_above_the_irreducible_ones():
    draw = redraw()
    irreducible = draw.evidence["irreducible_losses"]
    samples = np.random.default_rng(1).permutation(SAMPLES)[:40]
    losses = np.random.default_rng(2).gamma(2, size=40).astype(np.float32)
    found = draw.priorities(torch.from_numpy(losses), torch.from_numpy(samples))
    np.testing.assert_allclose(found, losses - irreducible[samples], rtol=1e-5, atol=1e-6)


@pytest.mark.trains
@pytest.mark.parametrize(
    ("rate", "more"),
    [(0.3, {}), (0.3, {"last_batch": "drop"}), (0.077, {"min_batches": 1}), (1.0, {})],
)
def test_a_training_is_that_of_a_loop_made_by_hand(tmp_path, monkeypatch, rate, more):
    """The loop by hand has torch's own optimiser, and sorts by numpy."""
    dataset, draw, seed = digits(train=SAMPLES, held_out=40), redraw(rate), 3
    one = job(tmp_path, dataset, epochs=4, batch_size=16, **more)
    found, step = [], Training._train_step

    def watched(self, indices, images, weights):
        found.append(sorted(indices.tolist()))
        assert set(weights.tolist()) == {1.0}
        np.testing.assert_array_equal(images, self.data.train.batch(indices))
        step(self, indices, images, weights)

    monkeypatch.setattr(Training, "_train_step", watched)
    train_coresets(dataclasses.replace(one, draw=draw), [seed], None)

    size = int(np.ceil(round(rate * SAMPLES, 9)))
    laid_out = plan(size, one.options)
    data = resident(dataset, one.options, torch.device("cpu"))
    torch.manual_seed(seeding.stream_seed(seed, "initialisation"))
    module = build(one.network, channels=data.channels, classes=10, image_size=data.image_size)
    optimizer = torch.optim.SGD(
        module.parameters(), lr=0.1, momentum=0.9, nesterov=True, weight_decay=5e-4
    )
    irreducible, expected, done = draw.evidence["irreducible_losses"], [], 0
    for epoch in range(4):
        order = epoch_order(seed, epoch, SAMPLES)
        shown = []
        for start, stop in laid_out.batches:
            candidates = order[start * SAMPLES // size : stop * SAMPLES // size]
            shown += candidates.tolist()
            module.train()
            images, labels = data.train.batch(torch.from_numpy(candidates)), None
            labels = data.train.labels[torch.from_numpy(candidates)]
            if len(candidates) > stop - start:
                with torch.no_grad():
                    logits = module.head(module.features(images))
                losses = cross_entropy(logits, labels, reduction="none").numpy()
                reducible = losses - irreducible[candidates].astype(np.float32)
                best = np.argsort(-reducible, kind="stable")[: stop - start]
                images, labels, candidates = images[best], labels[best], candidates[best]
            expected.append(sorted(candidates.tolist()))
            for part in optimizer.param_groups:
                part["lr"] = learning_rate(done, laid_out.scheduled, one.options)
            optimizer.zero_grad()
            cross_entropy(module.head(module.features(images)), labels).backward()
            optimizer.step()
            done += 1
        assert len(set(shown)) == len(shown)
        if "last_batch" not in more:
            assert len(shown) == SAMPLES
    assert found == expected
    assert {len(samples) for samples in found} == {b - a for a, b in laid_out.batches}
    module.eval()
    with torch.no_grad():
        images = data.test.batch(torch.arange(len(data.test)))
        logits = module.head(module.features(images))
    predictions = np.load(one.out / "predictions.npz")
    np.testing.assert_allclose(predictions["test_logits"][0], logits, rtol=1e-3, atol=1e-4)


@pytest.mark.trains
@pytest.mark.parametrize("length", [{"epochs": 5}, {"length": "iterations", "iterations": 13}])
def test_it_takes_as_many_steps_as_on_a_coreset_of_the_rate(tmp_path, length):
    dataset = digits(train=SAMPLES, held_out=40)
    static = job(tmp_path / "static", dataset, **length)
    train_coresets(static, [0], coresets(tmp_path / "coresets", dataset, [0], 39))
    dynamic = dataclasses.replace(job(tmp_path / "dynamic", dataset, **length), draw=redraw())
    train_coresets(dynamic, [0], None)
    found = [json.loads((each.out / "metrics.json").read_text()) for each in (static, dynamic)]
    assert [metrics["run"]["coreset_size"] for metrics in found] == [39, 39]
    schedules = [
        [(entry["epoch"], entry["lr"]) for entry in metrics["seeds"]["0"]["history"]]
        for metrics in found
    ]
    assert schedules[0] == schedules[1]


@pytest.mark.trains
def test_other_irreducible_losses_are_another_training(tmp_path):
    dataset = digits(train=SAMPLES, held_out=40)
    one = job(tmp_path, dataset)
    first, other = (dataclasses.replace(one, draw=redraw(seed=seed)) for seed in (0, 1))
    train_coresets(first, [0], None)
    before = content(one.out)
    train_coresets(other, [0], None)
    assert content(one.out)["predictions.npz"] != before["predictions.npz"]
    train_coresets(first, [0], None)
    assert content(one.out) == before


@pytest.mark.trains
def test_a_training_that_is_cut_off_between_steps_goes_on_to_the_same_bytes(tmp_path, monkeypatch):
    dataset = digits(train=SAMPLES, held_out=40)

    def case(name: str):
        # Of a network whose running statistics the pass that chooses changes, too.
        one = job(tmp_path / name, dataset, network="resnet18+width=4", epochs=4, batch_size=16)
        return dataclasses.replace(one, draw=redraw())

    whole, cut = case("whole"), case("cut")
    train_coresets(dataclasses.replace(whole, checkpoint_seconds=1000), [0], None)
    pause, pauses = Training.pause, []

    class Crash(Exception):
        pass

    def crash(self):
        pause(self)  # writes a checkpoint each time
        pauses.append((self.epoch, self.step))
        if len(pauses) % 5 == 0:
            raise Crash

    monkeypatch.setattr(Training, "pause", crash)
    for _ in range(100):
        try:
            train_coresets(cut, [0], None)
            break
        except Crash:
            pass
    assert any(step for _, step in pauses[4::5])
    assert content(cut.out) == content(whole.out)


@pytest.fixture(scope="module")
def halves(tmp_path_factory):
    """Two surrogates that were trained on a half each, and the job of the first."""
    folder, dataset = tmp_path_factory.mktemp("halves"), digits(train=121, held_out=40)
    one = job(folder, dataset, epochs=6, batch_size=16)
    jobs = [dataclasses.replace(one, out=folder / f"half{half}") for half in (1, 2)]
    for half, each in enumerate(jobs, start=1):
        train_surrogate(each, 5, 10, half)
    return jobs, dataset


def losses_of(folder, labels: np.ndarray) -> np.ndarray:
    logits = np.load(folder / "evidence" / "logits.npy").astype(np.float64)
    return np.array(
        [np.log(np.exp(row).sum()) - row[y] for row, y in zip(logits, labels, strict=True)]
    )


@pytest.mark.trains
def test_each_half_gives_the_losses_of_the_other(halves):
    jobs, dataset = halves
    members = [np.load(each.out / "evidence" / "members.npy") for each in jobs]
    assert [part.sum() for part in members] == [61, 60]
    assert (members[0] ^ members[1]).all()
    assert not (jobs[0].out / "evidence" / "error_norm.npy").exists()
    sources = [Source(each.out, dataset, "cpu", 1) for each in jobs]
    found = PRODUCERS["irreducible_losses"].produce(sources)
    first, second = (losses_of(each.out, dataset.train_labels) for each in jobs)
    np.testing.assert_allclose(found, np.where(members[0], second, first), rtol=1e-9)
    # A network knows what it was trained on: the losses are of the others.
    assert np.where(members[0], first, second).mean() < found.mean()
    with pytest.raises(UserError, match=r"was trained on sample .*give those of both halves"):
        PRODUCERS["irreducible_losses"].produce(sources[:1] * 2)


@pytest.mark.trains
def test_a_half_trains_on_its_samples_alone_and_begins_as_no_other(tmp_path, monkeypatch, halves):
    seen, begun = set(), []
    step, init = Training._train_step, Training.__init__

    def watched(self, indices, images, weights):
        seen.update(indices.tolist())
        step(self, indices, images, weights)

    def starting(self, model, *rest, **more):
        begun.append(torch.cat([each.detach().flatten() for each in model.parameters()]))
        init(self, model, *rest, **more)

    monkeypatch.setattr(Training, "_train_step", watched)
    monkeypatch.setattr(Training, "__init__", starting)
    jobs, dataset = halves
    one = dataclasses.replace(job(tmp_path, dataset, epochs=2, batch_size=16), out=tmp_path / "a")
    train_surrogate(one, 5, 10, 2)
    members = np.load(jobs[1].out / "evidence" / "members.npy")
    assert seen == set(np.flatnonzero(members).tolist())
    train_surrogate(dataclasses.replace(one, out=tmp_path / "b"), 5, 10, 1)
    train_surrogate(dataclasses.replace(one, out=tmp_path / "c"), 5, 10)
    assert not any(torch.equal(begun[i], begun[j]) for i, j in ((0, 1), (0, 2), (1, 2)))
    assert json.loads((one.out / "metrics.json").read_text())["coreset_sha256"]


def command(folder, data, *more: str) -> list[str]:
    given = ["train", "--dataset", str(data), "--protocol", "p", "--network", "mlp+width=16"]
    given += ["--seeds", "0", "--surrogate", "none", "--method", "m", "--rate", "0.3"]
    given += ["--epochs", "2", "--channels", "0", "--device", "cpu", "--out", str(folder / "out")]
    return [*given, *more]


@pytest.mark.trains
def test_the_commands_make_what_it_looks_at_and_refuse_what_is_none(tmp_path, halves):
    jobs, _ = halves
    data, made = jobs[0].dataset, tmp_path / "made" / "irreducible_losses.npy"
    given = ["evidence", "irreducible_losses", "--dataset", str(data), "--out", str(made)]
    for each in jobs:
        given += ["--surrogate", str(each.out)]
    assert CliRunner().invoke(cli, given, catch_exceptions=False).exit_code == 0
    trained = command(tmp_path, data, "--draw", "rho_loss", "--evidence", str(made.parent))
    assert CliRunner().invoke(cli, trained, catch_exceptions=False).exit_code == 0
    measured = json.loads((tmp_path / "out" / "metrics.json").read_text())["measured"]
    both = sum(
        json.loads((each.out / "metrics.json").read_text())["measured"]["seconds"]["5"]
        for each in jobs
    )
    assert measured["before"]["seconds"]["surrogate"] == pytest.approx(both)
    np.savez(tmp_path / "short.npz", irreducible_losses=np.ones(7))
    np.savez(tmp_path / "other.npz", features=np.ones((121, 2)))
    for more, words in (
        (["--draw", "rho_loss"], "--draw rho_loss needs --evidence, of irreducible_losses"),
        (["--evidence", "x"], "--evidence x: it is of a --draw METHOD that looks at such"),
        (["--draw", "rs2", "--evidence", "x"], "--evidence x: it is of a --draw METHOD"),
        (
            ["--draw", "rho_loss", "--evidence", str(tmp_path / "short.npz")],
            "is not about the 121 samples of digits",
        ),
        (
            ["--draw", "rho_loss", "--evidence", str(tmp_path / "other.npz")],
            "lacks irreducible_losses",
        ),
    ):
        outcome = CliRunner().invoke(cli, command(tmp_path, data, *more))
        assert isinstance(outcome.exception, UserError)
        assert words in str(outcome.exception)
        assert "\n" not in str(outcome.exception)


def study(folder, row: dict, **changes):
    name = write_experiment(folder, "rho", methods={"rho_loss": row, "random": {}}, **changes)
    write(folder, "protocols", "tiny", TINY | {"training": {"epochs": 50}})
    found = configuration.load({"studies": [name]})
    return found, found.experiments["rho"]


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"at": 51}, "after epoch 51, but they are trained for 50"),
        ({"at": 0}, "rho_loss: at is 0, allowed: integer, at least 1, or none"),
        ({"balance": "drop"}, "balance is drop"),
        ({"reselect": 5}, "rho_loss: reselect is of no use"),
    ],
)
def test_what_makes_no_sense_is_refused_in_one_line_before_the_first_job(tmp_path, row, words):
    with pytest.raises(UserError, match=words):
        study(tmp_path, row)


def test_a_study_trains_two_halves_for_every_surrogates_seed(tmp_path):
    found, experiment = study(tmp_path, {"at": 20}, seeds=[0, 1])
    runs = [run for run in results.runs(found, experiment) if "rho_loss" in run.variant]
    assert [run.surrogate for run in runs] == ["lenet+seed=0", "lenet+seed=1"]
    names = {place.surrogate for place in results.every_surrogate(found, experiment)}
    halves = {f"lenet+half={half}+until=20+seed={seed}" for half in (1, 2) for seed in (0, 1)}
    assert names == halves
    outputs = results.outputs(found, experiment)
    assert any("evidence/digits/tiny/lenet+seed=1/rho_loss+at=20" in path for path in outputs)
    assert not any("coresets" in path and "rho_loss" in path for path in outputs)
    work = forecast.of(found, [experiment]).work
    random, rho_loss = work[:2], work[2:4]
    assert rho_loss[0].images == random[0].images
    assert rho_loss[0].evaluated - random[0].evaluated == 50 * 1077
    assert [each.images for each in work[4:]] == [20 * 539] * 4
    small = rehearsal.of(found)
    (options,) = small.options(small.experiments["rho"], "rho_loss", "digits", "tiny", 0.1)
    assert options["at"] == 4


@pytest.mark.trains
def test_of_several_labels_per_sample_losses_are_means_over_labels(tmp_path):
    dataset = sources.read_stand_in("chestmnist", 120, tmp_path)
    one = job(tmp_path, dataset, epochs=2)
    jobs = [dataclasses.replace(one, out=tmp_path / f"half{half}") for half in (1, 2)]
    for half, each in enumerate(jobs, start=1):
        train_surrogate(each, 0, 10, half)
    made = [Source(each.out, dataset, "cpu", 1) for each in jobs]
    found = PRODUCERS["irreducible_losses"].produce(made)
    labels, expected = np.asarray(dataset.train_labels), np.empty(len(dataset.train_labels))
    for each in jobs:
        logits = np.load(each.out / "evidence" / "logits.npy").astype(np.float64)
        p = np.where(labels == 1, 1, -1) * logits
        other = ~np.load(each.out / "evidence" / "members.npy")
        expected[other] = np.log1p(np.exp(-p)).mean(axis=1)[other]
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    method = methods.get("rho_loss")
    evidence = Evidence({"irreducible_losses": found})
    draw = Redraw(method, method.defaults(), 0.3, evidence=evidence)
    train_coresets(dataclasses.replace(one, draw=draw), [0], None)
    assert (one.out / "metrics.json").exists()
