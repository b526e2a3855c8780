"""The stage `evidence`, from a surrogate that the stage `surrogate` trained."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from medcoreset import producers
from medcoreset.__main__ import cli
from medcoreset.errors import UserError
from medcoreset.evidence import Evidence
from medcoreset.evidence.gradients import Gradients
from medcoreset.evidence.surrogate import load
from tests.method_cases import choose
from tests.studies import TINY, write, write_experiment

pytestmark = pytest.mark.trains


def run(*arguments: object) -> None:
    cli.main([str(argument) for argument in arguments], standalone_mode=False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Return a folder with digits.npz and the surrogates `a`, `b`, trained for two epochs."""
    folder = tmp_path_factory.mktemp("surrogates")
    run("dataset", "digits", "--out", folder / "digits.npz")
    for seed, name in enumerate("ab"):
        run(
            *("surrogate", "--dataset", folder / "digits.npz", "--protocol", "clean"),
            *("--network", "resnet18+width=2", "--epochs", 2, "--seed", seed, "--device", "cpu"),
            *("--precision", "float32", "--out", folder / name),
        )  # fmt: skip
    return folder


def compute(folder: Path, kind: str, *flags: object, surrogates: str = "a") -> np.ndarray:
    out = folder / "made" / f"{kind}.npy"
    named = [part for name in surrogates for part in ("--surrogate", folder / name)]
    data = ("--dataset", folder / "digits.npz", "--device", "cpu")
    run("evidence", kind, *data, *named, *flags, "--out", out)
    return np.load(out)


def test_the_network_is_the_one_that_made_the_evidence(folder):
    import torch

    from medcoreset.datasets import canonical

    trained = load(folder / "a", canonical.load(folder / "digits.npz"), torch.device("cpu"))
    logits = trained.network(trained.train.batch(torch.arange(50)))
    made = np.load(folder / "a" / "evidence" / "logits.npy")
    np.testing.assert_allclose(logits, made[:50], rtol=1e-3, atol=1e-4)
    assert not trained.network.training


def test_a_damaged_network_is_not_used(folder, tmp_path):
    import torch

    from medcoreset.datasets import canonical

    shutil.copytree(folder / "a", tmp_path / "a")
    model = tmp_path / "a" / "model.pt"
    content = bytearray(model.read_bytes())
    content[len(content) // 2] ^= 1
    model.write_bytes(content)
    data = canonical.load(folder / "digits.npz")
    with pytest.raises(UserError, match=r"model\.pt was damaged or changed since it was written"):
        load(tmp_path / "a", data, torch.device("cpu"))


def test_gradient_norms_of_two_surrogates(folder):
    last = compute(folder, "gradient_norms", surrogates="ab")
    expected = [
        Gradients.of_last_layer(Evidence.load(folder / name / "evidence")).norms.cpu().numpy()
        for name in "ab"
    ]
    np.testing.assert_array_equal(last, expected)
    whole = compute(folder, "gradient_norms", "--layers", "all", surrogates="ab")
    assert whole.shape == last.shape
    assert (whole > last * 0.999).all()  # the last layer's gradient is part of it
    arrays = {"labels": np.load(folder / "a" / "evidence" / "labels.npy"), "gradient_norms": whole}
    found = choose("grand", Evidence(arrays), 50, options={"layers": "all"})
    np.testing.assert_allclose(found.scores, whole.mean(axis=0))


def test_probabilities_of_two_surrogates(folder):
    found = compute(folder, "run_probs", surrogates="ab")
    for name, probs in zip("ab", found, strict=True):
        logits = np.load(folder / name / "evidence" / "logits.npy").astype(np.float64)
        powers = np.exp(logits)
        np.testing.assert_allclose(probs, powers / powers.sum(axis=1, keepdims=True), rtol=1e-5)


@pytest.mark.long
def test_el2n_of_models_that_the_study_trains_until_an_early_epoch(snakemake, tmp_path):
    """What a whole training that evaluates every epoch saw after the first is what the early one is."""
    study = write_experiment(tmp_path, "early", methods={"el2n": {"runs": 2, "at": 1}})
    write(tmp_path, "protocols", "tiny", TINY | {"surrogate": {"record": "eval"}})
    outcome = snakemake(tmp_path, "early", "--config", f"studies=['{study}']")
    assert outcome.returncode == 0, outcome.stderr[-5000:]
    results = tmp_path / "results"
    (made,) = results.glob("evidence/**/run_probs.npy")
    probs = np.load(made)
    place = results / "surrogates" / "digits" / "tiny"
    assert {each.name for each in place.glob("[!.]*")} == {
        "lenet+seed=0", "lenet+until=1+seed=0", "lenet+until=1+seed=1000",
    }  # fmt: skip
    whole = np.load(place / "lenet+seed=0" / "evidence" / "probs.npy")
    assert (len(probs), len(whole)) == (2, 2)
    np.testing.assert_allclose(probs[0], whole[0], atol=2e-3)
    assert np.abs(probs[0] - whole[1]).max() > 0.01
    assert np.abs(probs[0] - probs[1]).max() > 0.01
    labels = np.load(place / "lenet+seed=0" / "evidence" / "labels.npy")
    (scores,) = results.glob("scores/**/*.npz")
    errors = np.linalg.norm(probs - np.eye(probs.shape[2])[labels], axis=2)
    np.testing.assert_allclose(np.load(scores)["scores"], errors.mean(axis=0), rtol=1e-5)


def test_perturbations_select(folder):
    found = compute(folder, "perturbations", "--max-iterations", 5)
    labels = np.load(folder / "a" / "evidence" / "labels.npy")
    assert found.shape == labels.shape
    assert found.min() > 0
    assert len(choose("deepfool", Evidence({"labels": labels, "perturbations": found}), 50).indices)


def test_perturbations_are_of_one_surrogate(folder):
    with pytest.raises(UserError, match="perturbations are of one surrogate"):
        compute(folder, "perturbations", surrogates="ab")


@pytest.mark.parametrize("kind", producers.PRODUCERS)
def test_a_folder_without_a_surrogate_is_named(folder, kind):
    out = folder / "none.npy"
    data = ("--dataset", folder / "digits.npz")
    with pytest.raises(UserError, match="nowhere"):
        run("evidence", kind, *data, "--surrogate", folder / "nowhere", "--out", out)
    assert not out.exists()


@pytest.mark.parametrize("flags", [("gradient_norms", "--layers", "all"), ("perturbations",)])
def test_a_surrogate_of_other_data_is_refused(folder, tmp_path, flags):
    from medcoreset.datasets import canonical

    data = canonical.load(folder / "digits.npz")
    data.train_images = np.array(data.train_images)
    data.train_images[0, 0, 0] ^= 1
    other = canonical.Dataset(
        **{
            name: getattr(data, name)
            for name in ("name", *canonical.ARRAYS)
        }, info={"class_names": data.info["class_names"]},
    )  # fmt: skip
    canonical.write(other, tmp_path / "other.npz")
    with pytest.raises(UserError, match="was trained on digits, not on this digits"):
        run(
            *("evidence", *flags, "--dataset", tmp_path / "other.npz"),
            *("--surrogate", folder / "a", "--out", tmp_path / "out.npy"),
        )
