"""Every training sample leads back to the data that it was read from, whatever was done to them."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from medcoreset.datasets import canonical, sources
from medcoreset.errors import UserError

REAL = os.environ.get("MEDCORESET_DATA", "")


def test_digits_are_those_of_scikit_learn(tmp_path):
    from sklearn.datasets import load_digits

    whole = np.round(load_digits().images * (255 / 16)).astype(np.uint8)
    for name in ("digits", "digits+train=100", "digits+imbalance=0.1+duplicates=0.2"):
        dataset = sources.read(name)
        np.testing.assert_array_equal(whole[dataset.train_source], dataset.train_images)
        canonical.write(dataset, tmp_path / "made.npz")
        source, files, where = canonical.load_source(tmp_path / "made.npz")
        np.testing.assert_array_equal(source, dataset.train_source)
        assert (files, where) == (None, "sklearn.datasets.load_digits")
        np.testing.assert_array_equal(
            canonical.load(tmp_path / "made.npz").train_source, dataset.train_source
        )


@pytest.mark.skipif(not REAL, reason="needs MEDCORESET_DATA, a folder with FashionMNIST's files")
def test_those_that_validation_leaves_are_torchvisions():
    from torchvision.datasets import FashionMNIST

    official = FashionMNIST(REAL, train=True)
    dataset = sources.read("fashionmnist+noise=0.2+train=600", data_dir=REAL)
    np.testing.assert_array_equal(official.data[dataset.train_source], dataset.train_images)
    np.testing.assert_array_equal(official.targets[dataset.train_source], dataset.train_true_labels)


@pytest.mark.parametrize("layout", ["train", ""])
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("policy", ["keep", "drop"])
def test_images_of_a_folder_lead_to_their_files(tmp_path, layout, stream, policy):
    """The places are those of torchvision's ImageFolder, which users have beside us."""
    from torchvision.datasets import ImageFolder

    root = tmp_path / "skin"
    for split in [layout, "test"] if layout else [""]:
        for label, name in enumerate(("benign", "malignant")):
            (root / split / name).mkdir(parents=True)
            for number in range(20):
                image = np.full(
                    (8, 8, 3), 100 * label + 3 * (number % 18) + (split == "test"), np.uint8
                )
                Image.fromarray(image).save(root / split / name / f"{number}.png")
    how = {"image_size": 8, "stream": stream, "policy": policy}
    made = sources.read_own_folder("skin+noise=0.1+train=20+val=0.1", root, **how)
    canonical.write(made, tmp_path / "skin.npz")
    source, files, where = canonical.load_source(tmp_path / "skin.npz")
    listed = ImageFolder(root / layout)
    for place, file, image in zip(source, files, made.train_images[:], strict=True):
        assert Path(listed.samples[place][0]) == Path(where) / file
        assert (np.asarray(Image.open(Path(where) / file))[..., :1] == image[..., :1]).all()


@pytest.mark.parametrize(
    ("field", "array", "said"),
    [
        ("train_source", np.arange(3), r"train_source is int64 \(3,\), not int64 \(4,\)"),
        ("train_files", np.arange(4), r"train_files is int64 \(4,\), not str \(4,\)"),
    ],
)
def test_an_origin_that_does_not_fit_is_refused(field, array, said):
    images, labels = np.zeros((4, 4, 4), np.uint8), np.arange(4) % 2
    parts = images, labels, images[:0], labels[:0], images, labels
    with pytest.raises(UserError, match=said):
        canonical.Dataset("own", *parts, **{field: array})
