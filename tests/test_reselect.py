"""Methods that select again while a network trains, by the network as it is then."""

import dataclasses
import json

import numpy as np
import pytest
import torch

from medcoreset import methods
from medcoreset.datasets import sources
from medcoreset.errors import UserError
from medcoreset.evidence import Evidence
from medcoreset.evidence.arrays import OUTPUTS, follows
from medcoreset.plan import NO_SURROGATE
from medcoreset.producers import PRODUCERS
from medcoreset.seeding import stream_seed
from medcoreset.selection.redraw import Redraw
from medcoreset.selection.select import score, select
from medcoreset.study import configuration, forecast, rehearsal, results
from medcoreset.training.draw import Progressed
from medcoreset.training.loop import Training
from medcoreset.training.run import train_coresets
from tests.studies import TINY, write, write_experiment
from tests.training_cases import content, coresets, digits, job

AGAIN = [each for each in methods.METHODS.values() if "reselect" in each.options]
every_one = pytest.mark.parametrize("method", AGAIN, ids=[each.name for each in AGAIN])
CORDS = ("craig", "glister", "gradmatch")


def redraw(name: str, rate: float = 0.3, **options) -> Redraw:
    method = methods.get(name)
    return Redraw(method, method.parse_options(options), rate)


def outputs(n: int = 120, seed: int = 0) -> dict[str, np.ndarray]:
    """Return what a network of 4 classes may make of `n` training and 40 validation samples."""
    rng = np.random.default_rng(seed)
    labels, val_labels = rng.integers(0, 4, n), rng.integers(0, 4, 40)
    val = rng.normal(size=(40, 4)) + np.eye(4)[val_labels]
    return {
        "labels": labels,
        "logits": 3 * rng.normal(size=(n, 4)) + 2 * np.eye(4)[labels],
        "features": rng.normal(size=(n, 6)) + labels[:, None],
        "val_labels": val_labels,
        "val_probs": np.exp(val) / np.exp(val).sum(1, keepdims=True),
        "val_features": rng.normal(size=(40, 6)) + val_labels[:, None],
    }


def test_the_methods_of_cords_are_among_them_and_those_of_dynamics_are_not():
    assert {each.name for each in AGAIN} >= {*CORDS, "retrieve", "entropy", "kcenter_greedy"}
    for method in methods.METHODS.values():
        needed = method.needed()
        if method not in AGAIN and not method.others(method.defaults()):
            looks = [name for name in needed if name in PRODUCERS or not follows(name, OUTPUTS)]
            assert method.dynamic or looks or not method.uses_surrogate, method.name


@every_one
def test_it_selects_by_the_outputs_of_the_network_as_it_does_by_evidence(method):
    arrays, asked = outputs(), []

    def look():
        asked.append(True)
        return arrays

    draw = redraw(method.name, reselect=3)
    labels = arrays["labels"]

    def at(epoch):
        return draw(labels, 5, Progressed(epoch, 0.5, np.zeros(120), look, "cpu"))

    first = select(
        methods.get("random"), Evidence({"labels": labels}), 36, seed=5, **balance(method)
    )
    np.testing.assert_array_equal(at(0)[0], first.indices)
    assert at(0)[1] is None
    assert [at(epoch) for epoch in (1, 2, 4, 5, 7)] == [None] * 5
    assert not asked
    for epoch in (3, 6):
        again = stream_seed(5, "redraw", epoch)
        expected = select(method, Evidence(arrays), 36, seed=again, **balance(method))
        indices, weights = at(epoch)
        np.testing.assert_array_equal(indices, expected.indices)
        assert len(set(indices.tolist())) == 36
        if method.weighted:
            np.testing.assert_allclose(weights, expected.weights / expected.weights.mean())
        else:
            assert weights is None


def balance(method) -> dict[str, str]:
    return {"balance": method.balance}


@pytest.mark.trains
@pytest.mark.parametrize("name", CORDS)
def test_a_training_is_on_what_the_network_of_the_epoch_before_selects(tmp_path, monkeypatch, name):
    """Beside every epoch, the selection is made by hand of a plain pass over all images."""
    dataset, draw = digits(train=130, held_out=40), redraw(name, reselect=2)
    expected, found, modes = {}, {}, []
    start, step = Training._train_epoch, Training._train_step

    def by_hand(self):
        if self.epoch and self.epoch % 2 == 0:
            expected[self.epoch] = selected_by_hand(self, name, draw.rate)
        else:
            expected[self.epoch] = expected.get(self.epoch - 1)
        start(self)

    def watched(self, indices, images, weights):
        modes.append(self.model.training)
        pairs = zip(indices.tolist(), weights.tolist(), strict=True)
        found.setdefault(self.epoch, {}).update(pairs)
        step(self, indices, images, weights)

    monkeypatch.setattr(Training, "_train_epoch", by_hand)
    monkeypatch.setattr(Training, "_train_step", watched)
    one = job(tmp_path, dataset, epochs=7, batch_size=32, augmentation="crop_flip")
    train_coresets(dataclasses.replace(one, draw=draw), [3], None)
    assert list(found) == list(range(7))
    assert all(len(samples) == 39 for samples in found.values())
    assert set(found[0].values()) == {1.0}
    assert found[0].keys() == found[1].keys()
    for epoch in range(2, 7):
        assert found[epoch].keys() == expected[epoch].keys()
        for sample, weight in found[epoch].items():
            assert weight == pytest.approx(expected[epoch][sample], rel=1e-4)
    assert len({frozenset(samples) for samples in found.values()}) >= 3
    assert all(modes)


def selected_by_hand(training: Training, name: str, rate: float) -> dict[int, float]:
    """Return the samples, with weights of mean 1, by images that are neither cropped nor flipped."""
    module, arrays = training.model.network, {}
    module.eval()
    for split, prefix in ((training.data.train, ""), (training.data.val, "val_")):
        images = split.batch(torch.arange(len(split)))
        with torch.no_grad():
            features = module.features(images)
            logits = module.head(features)
        arrays[f"{prefix}features"] = features.numpy()
        arrays[f"{prefix}labels"] = split.labels.numpy()
        shown = {"logits": logits} if not prefix else {"val_probs": logits.softmax(1)}
        arrays |= {key: value.numpy() for key, value in shown.items()}
    module.train()
    method = methods.get(name)
    seed = stream_seed(3, "redraw", training.epoch)
    found = select(method, Evidence(arrays), 39, seed=seed, **balance(method))
    weights = np.ones(39) if found.weights is None else found.weights / found.weights.mean()
    return dict(zip(found.indices.tolist(), weights.tolist(), strict=True))


@pytest.mark.trains
@pytest.mark.parametrize("length", [{"epochs": 5}, {"length": "iterations", "iterations": 13}])
def test_it_takes_as_many_steps_as_on_a_coreset_of_the_rate(tmp_path, length):
    dataset = digits(train=130, held_out=40)
    static = job(tmp_path / "static", dataset, **length)
    train_coresets(static, [0], coresets(tmp_path / "coresets", dataset, [0], 39))
    again = job(tmp_path / "again", dataset, **length)
    train_coresets(dataclasses.replace(again, draw=redraw("glister", reselect=2)), [0], None)
    found = [json.loads((each.out / "metrics.json").read_text()) for each in (static, again)]
    assert [metrics["run"]["coreset_size"] for metrics in found] == [39, 39]
    schedules = [
        [(entry["epoch"], entry["lr"]) for entry in metrics["seeds"]["0"]["history"]]
        for metrics in found
    ]
    assert schedules[0] == schedules[1]
    took = found[1]["measured"]
    assert 0 < took["selection_seconds"]["0"] < took["seconds"]["0"]
    assert "selection_seconds" not in found[0]["measured"]


@pytest.mark.trains
def test_a_training_that_is_cut_off_anywhere_goes_on_to_the_same_bytes(tmp_path, monkeypatch):
    dataset, draw = digits(train=130, held_out=40), redraw("craig", reselect=2)

    def case(name: str):
        return dataclasses.replace(job(tmp_path / name, dataset, epochs=6), draw=draw)

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
    assert len(pauses) > 25
    # Twice while the network is looked at, for between two epochs there is one pause.
    assert any(pauses[i] == pauses[i - 1] and pauses[i][1] == 0 for i in range(4, len(pauses), 5))
    assert content(cut.out) == content(whole.out)


def study(folder, row: dict, key: str = "gradmatch", training: dict | None = None, **changes):
    """Return a study of 20 epochs with one row, and its experiment."""
    name = write_experiment(folder, "again", methods={key: row, "random": {}}, **changes)
    options = {"epochs": 20, **(training or {})}
    write(folder, "protocols", "tiny", TINY | {"training": options})
    found = configuration.load({"studies": [name]})
    return found, found.experiments["again"]


@pytest.mark.parametrize(
    ("key", "row", "more", "words"),
    [
        ("gradmatch", {"reselect": 0}, {}, ["gradmatch: reselect is 0", "at least 1"]),
        ("gradmatch", {"reselect": "often"}, {}, ["reselect is 'often'", "integer"]),
        ("gradmatch", {"reselect": 20}, {}, ["reselect is 20", "less than the 20 epochs"]),
        (
            "gradmatch",
            {"reselect": 9},
            {"training": {"stop_after": 9}},
            ["reselect is 9", "less than the 9 epochs"],
        ),
        ("aum", {"reselect": 5}, {}, ["aum: reselect is of no use: it looks at margin"]),
        ("el2n", {"reselect": 5, "epochs": 3}, {}, ["el2n: reselect is of no use", "error_norm"]),
        ("grand", {"reselect": 5}, {}, ["grand: reselect is of no use", "gradient_norms"]),
        ("chance", {"method": "random", "reselect": 5}, {}, ["random: reselect", "no network"]),
        ("rs2", {"reselect": 5}, {}, ["rs2: reselect is of no use", "while a network trains"]),
        (
            "gradmatch",
            {"candidates": [{"reselect": 5}, {"lam": 0.5}]},
            {},
            ["methods.gradmatch: reselect is none, and elsewhere it is not"],
        ),
        (
            "gradmatch",
            {"reselect": {0.1: 5, 0.2: "none"}},
            {"rates": [0.1, 0.2]},
            ["methods.gradmatch: reselect is none, and elsewhere it is not"],
        ),
        (
            "glister",
            {"reselect": 5},
            {"datasets": ["cifar10+val=0"]},
            ["glister looks at validation data, and cifar10+val=0 has none"],
        ),
        ("gradmatch", {"reselect": 5, "balance": "drop"}, {}, ["balance is drop", "has none"]),
        ("rs2", {"balance": "drop"}, {}, ["balance is drop", "has none"]),
        (
            "entropy",
            {"reselect": 5},
            {"figures": ["gallery"]},
            ["figures: gallery is drawn from scores, and methods has none that scores"],
        ),
    ],
)
def test_what_makes_no_sense_is_refused_in_one_line_before_the_first_job(
    tmp_path, key, row, more, words
):
    with pytest.raises(UserError) as mistake:
        study(tmp_path, row, key, **more)
    message = str(mistake.value)
    assert "\n" not in message
    assert all(word in message for word in words), message


def test_a_row_that_selects_again_has_neither_surrogate_nor_coresets(tmp_path):
    found, experiment = study(tmp_path, {"candidates": [{"reselect": 4}, {"reselect": 9}]})
    runs = [run for run in results.runs(found, experiment) if "gradmatch" in run.variant]
    assert [run.variant for run in runs] == ["gradmatch+reselect=4", "gradmatch+reselect=9"]
    for run in runs:
        assert run.surrogate == NO_SURROGATE
        assert not results.has_coresets(run.variant)
    assert found.selects_anew(experiment, "gradmatch")
    assert not found.selects_anew(experiment, "random")
    static, usual = study(tmp_path / "static", {"reselect": "none"})
    assert not static.selects_anew(usual, "gradmatch")
    (run, _) = results.runs(static, usual)
    assert (run.variant, run.surrogate) == ("gradmatch", "lenet+seed=0")


def test_a_forecast_counts_what_is_looked_at(tmp_path):
    found, experiment = study(tmp_path, {"reselect": 6})
    again, random = forecast.of(found, [experiment]).work
    assert again.images == random.images
    assert again.evaluated - random.evaluated == 3 * (1077 + 360)  # after epochs 6, 12 and 18 of 20


@pytest.mark.parametrize(("epochs", "every", "short"), [(200, 20, 2), (200, 199, 11), (3, 2, 2)])
def test_a_rehearsal_selects_again_as_early(tmp_path, epochs, every, short):
    # The surrogate is another one's length: it has no say.
    full, _ = study(tmp_path, {"reselect": every}, training={"epochs": epochs})
    small = rehearsal.of(full)
    options = small.options(small.experiments["again"], "gradmatch", "digits", "tiny", 0.1)
    assert [each["reselect"] for each in options] == [short]


def test_what_it_took_is_beside_the_training(tmp_path):
    from medcoreset.analysis.costs import _Run

    path = tmp_path / "metrics.json"
    measured = {
        "seconds": {"0": 10.0, "1": 20.0},
        "selection_seconds": {"0": 2.0, "1": 4.0},
        "device": "CPU",
    }
    path.write_text(json.dumps({"measured": measured}))
    run = type("Run", (), {"metrics": str(path), "coresets": ""})
    found = _Run.of(run, lambda run, content: None)
    assert found.seconds == {"training": 12.0, "selection": 3.0}


def test_a_coreset_is_selected_once():
    method, evidence = methods.get("entropy"), Evidence(outputs())
    for function in (
        lambda: select(method, evidence, 9, options={"reselect": 3}),
        lambda: score(method, evidence, {"reselect": 3}),
    ):
        with pytest.raises(UserError, match=r"^entropy: reselect is 3, which is of a training"):
            function()


def test_the_command_says_what_selects_again(tmp_path):
    from click.testing import CliRunner

    from medcoreset.__main__ import cli

    (tmp_path / "data.npz").touch()
    given = ["train", "--dataset", str(tmp_path / "data.npz"), "--protocol", "p"]
    given += ["--network", "lenet", "--seeds", "0", "--surrogate", "none", "--method", "m"]
    given += ["--rate", "0.1", "--out", str(tmp_path / "out"), "--draw"]
    for more, words in (
        (["craig"], "--draw craig: it selects a coreset, give that or --set reselect=EPOCHS"),
        (["aum"], "--draw aum: it selects a coreset, give that (dynamic are"),
        (["aum", "--set", "reselect=3"], "aum: reselect is of no use"),
        (["craig", "--set", "reselect=0"], "craig: reselect is '0'"),
    ):
        outcome = CliRunner().invoke(cli, [*given, *more])
        assert isinstance(outcome.exception, UserError)
        assert words in str(outcome.exception)


@pytest.mark.trains
@pytest.mark.parametrize(("name", "options"), [("gradmatch", {"reselect": 2}), ("infobatch", {})])
def test_weights_that_come_while_it_trains_satisfy_a_loss_that_is_always_weighted(
    tmp_path, name, options
):
    one = job(tmp_path, digits(train=130, held_out=40), weighted_loss="true")
    train_coresets(dataclasses.replace(one, draw=redraw(name, **options)), [0], None)
    assert (one.out / "metrics.json").exists()


@pytest.mark.trains
def test_samples_of_several_labels_are_selected_again(tmp_path):
    dataset = sources.read_stand_in("chestmnist", 120, tmp_path)
    one = job(tmp_path, dataset, epochs=5)
    draw = dataclasses.replace(redraw("craig", reselect=2), balance="global")
    train_coresets(dataclasses.replace(one, draw=draw), [0], None)
    metrics = json.loads((one.out / "metrics.json").read_text())
    assert metrics["run"]["coreset_size"] == np.ceil(0.3 * len(dataset.train_labels))
    assert metrics["measured"]["selection_seconds"]["0"] > 0
