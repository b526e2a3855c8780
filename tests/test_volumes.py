"""Volumes: the layout of batches, what refuses them, and the whole workflow on a file of them."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from torch import nn

from medcoreset.datasets import sources
from medcoreset.datasets.canonical import SPLITS, Dataset
from medcoreset.device import resolve
from medcoreset.errors import UserError
from medcoreset.evidence.perturbations import deepfool
from medcoreset.figures.pictures import mosaic
from medcoreset.study import configuration
from medcoreset.training import speed
from medcoreset.training.data import resident
from medcoreset.training.options import TrainingOptions
from tests.studies import TINY, write, write_experiment

CPU = torch.device("cpu")


def volumes(size: int = 6) -> Dataset:
    pixels = np.random.default_rng(0).integers(0, 256, (20, size, size, size), dtype=np.uint8)
    labels = np.arange(20) % 4
    return Dataset("scans", pixels, labels, pixels, labels, pixels, labels)


def test_a_batch_is_the_normalised_volumes_in_all_channels():
    dataset = volumes()
    found = resident(dataset, TrainingOptions(), CPU).train.batch(torch.tensor([5, 0]))
    assert found.shape == (2, 3, 6, 6, 6)
    assert found.is_contiguous()
    expected = dataset.train_images[[5, 0]] / 255 * 2 - 1
    for channel in range(3):
        np.testing.assert_allclose(found[:, channel].numpy(), expected, atol=1e-6)


def test_volumes_are_not_augmented():
    with pytest.raises(UserError, match="crop_flip is for images, scans has volumes"):
        resident(volumes(), TrainingOptions(augmentation="crop_flip"), CPU)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"datasets": ["organmnist3d"]}, ["lenet takes images, not volumes", "resnet18_3d"]),
        ({"networks": ["resnet18_3d"]}, ["resnet18_3d takes volumes, not images", "digits"]),
        (
            {"surrogate": {"network": "resnet18_3d"}, "networks": ["lenet"]},
            ["takes volumes, not images"],
        ),
        (
            {
                "datasets": ["organmnist3d"],
                "networks": ["resnet18_3d"],
                "surrogate": {"network": "resnet18_3d"},
                "protocols": ["cropped"],
            },
            ["crop_flip is for images", "organmnist3d has volumes"],
        ),
    ],
)
def test_what_does_not_fit_is_known_before_the_first_job(tmp_path, changes, words):
    folder = write_experiment(tmp_path, "small", **changes)
    cropped = {"training": TINY["training"] | {"augmentation": "crop_flip"}}
    write(tmp_path, "protocols", "cropped", TINY | cropped)
    with pytest.raises(UserError) as mistake:
        _ = configuration.load({"studies": [folder]}).experiments["small"]
    assert all(word in str(mistake.value) for word in words), mistake.value
    assert "\n" not in str(mistake.value)


def test_deepfool_is_the_closed_form_on_a_linear_model():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(27, 2)).double().requires_grad_(False)
    scans = torch.randn(9, 1, 3, 3, 3, dtype=torch.double)
    found = deepfool(network, scans, 50)
    slope = network[1].weight[1] - network[1].weight[0]
    gap = network(scans)[:, 1] - network(scans)[:, 0]
    torch.testing.assert_close(found.flatten(1).norm(dim=1), gap.abs() / slope.norm())


def test_pictures_show_the_middle_slice():
    scans = volumes().train_images
    found = mosaic(scans, [[3, None]], 7)
    np.testing.assert_array_equal(found[:6, :6], scans[3, 3])


def test_the_speed_of_a_network_for_volumes_is_measured():
    options = TrainingOptions(channels=0)
    found = speed.measure(
        "resnet18_3d+width=2", channels=3, image_size=8, options=options, place=resolve("cpu", 1)
    )
    assert (found["channels"], found["image_size"], found["features"]) == (3, 8, 16)
    assert found["train_images_per_second"] > 0


@pytest.mark.long
def test_the_workflow_on_a_file_of_volumes(snakemake, tmp_path: Path):
    """A file as MedMNIST's are, of volumes made of digits."""
    made = sources.read_stand_in("fracturemnist3d", 240, tmp_path)
    arrays = {f"{split}_images": made.images(split) for split in SPLITS}
    arrays |= {f"{s}_labels": made.labels(s)[:, None].astype(np.uint8) for s in SPLITS}
    np.savez_compressed(tmp_path / "ribs.npz", **arrays)
    network = "resnet18_3d+width=2"
    folder = write_experiment(
        tmp_path / "own",
        "ribs",
        datasets=["ribs"],
        networks=[network],
        surrogate={"network": network},
        methods={"random": {}, "el2n": {"epochs": 2}, "kcenter_greedy": {}, "deepfool": {}},
        rates=[0.2],
        figures=["accuracy_over_rate", "gallery"],
    )
    own = {"datasets": {"ribs": {"path": str(tmp_path / "ribs.npz")}}, "studies": [folder]}
    (tmp_path / "own.yaml").write_text(yaml.safe_dump(own))
    outcome = snakemake(tmp_path, "ribs", "--configfile", str(tmp_path / "own.yaml"))
    assert outcome.returncode == 0, outcome.stderr[-5000:]
    table = pd.read_csv(tmp_path / "results" / "experiments" / "ribs" / "table.csv")
    accuracy = table[table.metric == "accuracy"].set_index("method")["mean"]
    assert set(accuracy.index) == {"random", "el2n", "kcenter_greedy", "deepfool"}
    assert accuracy.between(0, 100).all()
