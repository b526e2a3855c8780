"""Images that stay on disk train as those in memory do; splits and lengths that are empty."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from medcoreset.datasets import canonical, sources, streaming
from medcoreset.errors import UserError
from medcoreset.reporting.rules import possible
from medcoreset.training.data import resident
from medcoreset.training.options import TrainingOptions
from medcoreset.training.run import train_coresets, train_surrogate
from tests.synchronisations import synchronisations
from tests.training_cases import digits, job

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Digits as an ImageNet-style folder of colour images, train and val."""
    root = tmp_path_factory.mktemp("images")
    source = digits(train=200, held_out=60)
    for split, images, labels in (
        ("train", source.train_images, source.train_labels),
        ("val", source.test_images, source.test_labels),
    ):
        for number, (image, label) in enumerate(zip(images, labels, strict=True)):
            path = root / split / f"class{label}" / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).convert("RGB").resize((20, 16)).save(path)
    return root


@pytest.fixture
def streamed(folder):
    return sources.read_own_folder("mine", folder, image_size=12, stream=True)


def test_streamed_batches_are_those_of_the_decoded_array(streamed):
    split = resident(streamed, TrainingOptions(), CPU, workers=2).train
    batches = [torch.tensor([3, 0]), torch.tensor([7]), torch.tensor([0, 150, 5])]
    for indices, images in zip(batches, split.batches(batches), strict=True):
        pixels = torch.from_numpy(streamed.train_images[indices.numpy()]).permute(0, 3, 1, 2)
        torch.testing.assert_close(images, (pixels / 255 - 0.5) / 0.5)
        torch.testing.assert_close(images, split.batch(indices))


def test_the_order_of_streamed_images_is_read_once(streamed):
    split = resident(streamed, TrainingOptions(), CPU).train
    with synchronisations() as found:
        count = len(list(split.batches(torch.arange(100).split(30))))
    assert (count, found.count("cpu")) == (4, 1)


def test_a_surrogate_learns_from_images_that_stay_on_disk(streamed, tmp_path):
    options = {"epochs": 6, "augmentation": "resized_crop_flip", "normalization": "dataset"}
    one = job(tmp_path, streamed, network="resnet18+width=4", **options)
    train_surrogate(one, 0, probs_budget_mb=1)
    correct = np.load(one.out / "evidence" / "correct.npy")
    assert correct.shape == (6, len(streamed.train_labels))
    assert correct[-1].mean() > correct[0].mean()
    assert np.load(one.out / "evidence" / "features.npy").shape[0] == len(streamed.train_labels)


@pytest.mark.parametrize("free", [0, 10**9])
def test_workers_send_batches_where_shared_memory_is_small(streamed, monkeypatch, free):
    """In containers it often has 64 MB; a worker that finds it full is killed."""
    monkeypatch.setattr(streaming.shutil, "disk_usage", lambda path: SimpleNamespace(free=free))
    assert streaming._can_share(10**6) == (free > 0)
    batches = [np.arange(5), np.arange(5, 12)]
    here = [*streaming.load_batches(streamed.train_images, batches)]
    away = [*streaming.load_batches(streamed.train_images, batches, workers=2)]
    for one, other in zip(here, away, strict=True):
        np.testing.assert_array_equal(one, other)


def test_random_crops_are_the_same_for_any_number_of_workers(streamed):
    batches = [torch.arange(5), torch.arange(5, 9)]
    found = [
        [*resident(streamed, TrainingOptions(), CPU, workers).train.batches(batches, random=7)]
        for workers in (0, 2)
    ]
    for one, two in zip(*found, strict=True):
        torch.testing.assert_close(one, two)
    centred = resident(streamed, TrainingOptions(), CPU).train.batch(batches[0])
    assert not torch.equal(found[0][0], centred)


@pytest.mark.parametrize(
    ("kind", "augmentation", "advice"),
    [("memory", "resized_crop_flip", "crop_flip"), ("streamed", "crop_flip", "resized_crop_flip")],
)
def test_an_augmentation_that_the_images_cannot_give_is_refused(
    streamed, kind, augmentation, advice
):
    dataset = streamed if kind == "streamed" else digits()
    with pytest.raises(UserError, match=advice):
        resident(dataset, TrainingOptions(augmentation=augmentation), CPU)


def without_val(tmp_path, **options):
    source = digits()
    empty = {"val_images": source.val_images[:0], "val_labels": source.val_labels[:0]}
    arrays = {name: getattr(source, name) for name in canonical.ARRAYS}
    return job(tmp_path, canonical.Dataset("digits", **arrays | empty, info={}), **options)


def test_without_validation_data_the_rules_that_need_none_remain(tmp_path):
    import json

    one = without_val(tmp_path)
    train_coresets(one, [0], None)
    rules = json.loads((one.out / "metrics.json").read_text())["seeds"]["0"]["rules"]
    assert tuple(rules) == possible(has_val=False)
    with np.load(one.out / "predictions.npz") as predictions:
        assert predictions["val_logits"].shape == (1, 0, 10)


def test_a_surrogate_of_no_epoch_leaves_the_evidence_of_its_initialisation(tmp_path):
    one = job(tmp_path, digits(), epochs=0)
    train_surrogate(one, 0, probs_budget_mb=1)
    names = {path.stem for path in (one.out / "evidence").glob("*.npy")}
    assert names == {"labels", "logits", "features", "val_labels", "val_probs", "val_features"}
