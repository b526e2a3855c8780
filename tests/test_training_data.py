"""Batches made on the device: the same pixels as by hand."""

import numpy as np
import pytest
import torch

from medcoreset.datasets.canonical import Dataset
from medcoreset.errors import UserError
from medcoreset.training.data import Crops, epoch_crops, epoch_order, resident
from medcoreset.training.options import TrainingOptions
from tests.training_cases import digits

CPU = torch.device("cpu")


def colour(images: int = 20, size: int = 12) -> Dataset:
    random = np.random.default_rng(0)
    pixels = random.integers(0, 256, (images, size, size, 3), dtype=np.uint8)
    labels = np.arange(images) % 4
    return Dataset("colour", pixels, labels, pixels, labels, pixels, labels, {})


def test_grey_images_are_normalised_and_replicated():
    dataset = digits()
    indices = torch.tensor([5, 0, 5])
    found = resident(dataset, TrainingOptions(), CPU).train.batch(indices)
    expected = (dataset.train_images[[5, 0, 5]] / 255 - 0.5) / 0.5
    assert found.shape == (3, 3, 8, 8)
    assert found.is_contiguous(memory_format=torch.channels_last)
    for channel in range(3):
        np.testing.assert_allclose(found[:, channel].numpy(), expected, atol=1e-6)


def test_channels_zero_keeps_those_of_the_data():
    assert resident(digits(), TrainingOptions(channels=0), CPU).channels == 1
    assert resident(colour(), TrainingOptions(channels=0), CPU).channels == 3
    with pytest.raises(UserError, match="channels: colour has 3"):
        resident(colour(), TrainingOptions(channels=1), CPU)


@pytest.mark.parametrize("dataset", [digits(), colour()], ids=["grey", "colour"])
def test_dataset_normalisation_has_mean_zero_and_deviation_one(dataset):
    data = resident(dataset, TrainingOptions(normalization="dataset", channels=0), CPU)
    images = data.train.batch(torch.arange(len(data.train)))
    np.testing.assert_allclose(images.mean((0, 2, 3)), 0, atol=1e-4)
    np.testing.assert_allclose(images.std((0, 2, 3), correction=0), 1, atol=1e-4)


def test_crops_are_those_of_reflect_padding_and_slicing():
    dataset = colour()
    data = resident(dataset, TrainingOptions(augmentation="crop_flip"), CPU)
    shifts, flips = epoch_crops(3, 1, len(dataset.train_labels))
    everything = torch.arange(len(flips))
    found = data.train.batch(everything, Crops(torch.from_numpy(shifts), torch.from_numpy(flips)))
    assert flips.any()
    assert not flips.all()
    for image, (down, right), flip, pixels in zip(
        dataset.train_images, shifts, flips, found.permute(0, 2, 3, 1).numpy(), strict=True
    ):
        padded = np.pad(image, ((4, 4), (4, 4), (0, 0)), mode="reflect")
        cut = padded[4 + down : 16 + down, 4 + right : 16 + right]
        expected = (cut[:, ::-1] if flip else cut) / 127.5 - 1
        np.testing.assert_allclose(pixels, expected, atol=1e-5)


def test_crops_of_images_too_small_are_refused():
    with pytest.raises(UserError, match="above 4 pixels"):
        resident(colour(size=4), TrainingOptions(augmentation="crop_flip"), CPU)


def test_order_and_augmentation_are_streams_of_their_own():
    assert np.array_equal(epoch_order(0, 1, 50), epoch_order(0, 1, 50))
    assert sorted(epoch_order(0, 1, 50)) == list(range(50))
    assert not np.array_equal(epoch_order(0, 1, 50), epoch_order(0, 2, 50))
    assert not np.array_equal(epoch_order(0, 1, 50), epoch_order(1, 1, 50))
    shifts, _ = epoch_crops(0, 1, 1000)
    assert set(np.unique(shifts)) == set(range(-4, 5))
