"""Folders of images, in memory and streamed, and ImageNet's layout."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from medcoreset.datasets import canonical, catalog, sources
from medcoreset.datasets.streaming import StreamedImages, load_batches
from medcoreset.errors import UserError

CLASSES = {"benign": 60, "malignant": 180}


def save(path: Path, value: int, mode: str = "L", size: tuple[int, int] = (20, 12)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    colour = value if mode in ("L", "I;16") else (value, 0, 255 - value)
    Image.new(mode, size, colour).save(path)


def fill(root: Path, *, count: int = 10, mode: str = "L", suffix: str = ".png") -> Path:
    for name, value in CLASSES.items():
        for number in range(count):
            save(root / name / f"{number:02}{suffix}", value + number, mode)
    return root


def test_folder_without_splits(tmp_path):
    dataset = sources.read_own_folder("skin", fill(tmp_path / "skin"), image_size=8)
    assert [len(dataset.labels(split)) for split in canonical.SPLITS] == [14, 2, 4]
    assert (dataset.channels, dataset.image_size) == (1, 8)
    assert dataset.info["class_names"] == ["benign", "malignant"]
    for split in canonical.SPLITS:
        counts = np.bincount(dataset.labels(split))
        assert counts[0] == counts[1]
        kinds = dataset.images(split).reshape(len(dataset.labels(split)), -1).max(axis=1) > 120
        np.testing.assert_array_equal(kinds, dataset.labels(split) == 1)
    values = np.concatenate([dataset.images(split)[:, 0, 0] for split in canonical.SPLITS])
    assert sorted(values) == [*range(60, 70), *range(180, 190)]  # each image is in one split


def test_folder_with_splits(tmp_path):
    fill(tmp_path / "train", count=20)
    fill(tmp_path / "test", count=3)
    dataset = sources.read_own_folder("skin+val=0.2", tmp_path, image_size=8)
    assert [len(dataset.labels(split)) for split in canonical.SPLITS] == [32, 8, 6]
    fill(tmp_path / "val", count=2)
    dataset = sources.read_own_folder("skin+train=10", tmp_path, image_size=8)
    assert [len(dataset.labels(split)) for split in canonical.SPLITS] == [10, 4, 6]
    with pytest.raises(UserError, match="its own validation set"):
        sources.read_own_folder("skin+val=0.2", tmp_path, image_size=8)


def test_val_is_test_where_there_is_no_test(tmp_path):
    fill(tmp_path / "train", count=20)
    fill(tmp_path / "val", count=2)
    dataset = sources.read_own_folder("skin+val=0", tmp_path, image_size=8)
    assert [len(dataset.labels(split)) for split in canonical.SPLITS] == [40, 0, 4]


def test_center_is_kept_and_colour_too(tmp_path):
    fill(tmp_path / "data", mode="RGB")
    wide = np.zeros((10, 30, 3), np.uint8)
    wide[:, 10:20] = (10, 20, 30)
    Image.fromarray(wide).save(tmp_path / "data" / "benign" / "zz.png")
    dataset = sources.read_own_folder("skin+val=0", tmp_path / "data", image_size=10)
    assert dataset.channels == 3
    whole = np.concatenate([dataset.train_images, dataset.test_images])
    assert np.all(whole == np.array([10, 20, 30]), axis=(1, 2, 3)).sum() == 1


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda root: save(root / "benign" / "x.png", 40_000, "I;16"), "only 8-bit images"),
        (lambda root: (root / "benign" / "x.png").write_bytes(b"none"), "not a readable image"),
        (lambda root: fill(root / "train"), "neither test/ nor val/"),
        (lambda root: fill(root / "test"), "given splits but no train/"),
        (lambda root: [f.unlink() for f in (root / "benign").iterdir()], "cannot split by class"),
    ],
)
def test_folders_that_are_wrong(tmp_path, change, said):
    fill(tmp_path)
    change(tmp_path)
    if said == "cannot split by class":
        save(tmp_path / "benign" / "only.png", 1)
    with pytest.raises(UserError, match=said):
        sources.read_own_folder("skin", tmp_path, image_size=8)


def test_splits_must_share_classes(tmp_path):
    fill(tmp_path / "train")
    save(tmp_path / "test" / "other" / "0.png", 1)
    with pytest.raises(UserError, match="a class that train/ lacks: other"):
        sources.read_own_folder("skin", tmp_path, image_size=8)
    with pytest.raises(UserError, match="has 1 class folders"):
        sources.read_own_folder("skin", tmp_path / "test", image_size=8)
    with pytest.raises(UserError, match="no folder"):
        sources.read_own_folder("skin", tmp_path / "none", image_size=8)


# --- streamed ------------------------------------------------------------------------------------


@pytest.fixture
def streamed(tmp_path) -> canonical.Dataset:
    """A streamed dataset that went through its file."""
    fill(tmp_path / "images", count=20, mode="RGB", suffix=".jpeg")
    dataset = sources.read_own_folder("skin", tmp_path / "images", image_size=8, stream=True)
    canonical.write(dataset, tmp_path / "skin.npz")
    loaded = canonical.load(tmp_path / "skin.npz")
    assert loaded.sha256 == dataset.sha256
    return loaded


def test_streamed_images_stand_for_the_array(streamed, tmp_path):
    in_memory = sources.read_own_folder("skin", tmp_path / "images", image_size=8)
    for split in canonical.SPLITS:
        images = streamed.images(split)
        assert isinstance(images, StreamedImages)
        assert images.shape == in_memory.images(split).shape
        np.testing.assert_array_equal(images[:], in_memory.images(split))
        np.testing.assert_array_equal(streamed.labels(split), in_memory.labels(split))
    np.testing.assert_array_equal(streamed.train_images[3], in_memory.train_images[3])
    np.testing.assert_array_equal(streamed.train_images[[5, 1]], in_memory.train_images[[5, 1]])
    assert (tmp_path / "skin.npz").stat().st_size < 40_000
    assert (streamed.channels, streamed.image_size, streamed.classes) == (3, 8, 2)


@pytest.mark.parametrize("crop", ["center", "random"])
def test_workers_change_nothing(streamed, crop):
    images = streamed.train_images
    batches = np.array_split(np.random.default_rng(0).permutation(len(images)), 4)
    one, two = (
        list(load_batches(images, batches, workers=workers, crop=crop, seed=7))
        for workers in (0, 2)
    )
    for batch, ours, theirs in zip(batches, one, two, strict=True):
        np.testing.assert_array_equal(ours, theirs)
        assert ours.shape == (len(batch), 8, 8, 3)
    if crop == "center":
        np.testing.assert_array_equal(one[0], images[batches[0]])


def test_random_crops_are_random_and_inside(tmp_path):
    gradient = np.tile(np.arange(64, dtype=np.uint8)[:, None], (1, 64))
    Image.fromarray(gradient).save(tmp_path / "a.png")
    images = StreamedImages(tmp_path, np.array(["a.png"]), np.zeros(1, int), 16, 16, colour=False)
    crops = [next(load_batches(images, [[0]], crop="random", seed=seed)) for seed in range(50)]
    heights = [int(crop.max()) - int(crop.min()) for crop in crops]
    assert len({crop.tobytes() for crop in crops}) > 40
    assert min(heights) < 30 < 50 < max(heights)
    for crop in crops:  # neither mirrored nor turned
        assert np.all(np.diff(crop[0].astype(int), axis=0) >= 0)
        assert np.all(crop[0] == crop[0][:, :1])


def test_images_in_memory_are_batches_too():
    images = np.arange(10 * 4, dtype=np.uint8).reshape(10, 2, 2)
    batches = [np.array([3, 1]), np.array([7])]
    loaded = list(load_batches(images, batches, workers=2))
    np.testing.assert_array_equal(loaded[0], images[[3, 1]])
    np.testing.assert_array_equal(loaded[1], images[[7]])


@pytest.mark.parametrize("workers", [0, 1])
def test_file_that_breaks_later(streamed, workers):
    images = streamed.train_images
    path = images.root / str(images.paths[2])
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(UserError, match=f"{path.name} is not a readable image"):
        list(load_batches(images, [np.arange(4)], workers=workers))


def test_what_the_images_hold_is_part_of_what_a_streamed_dataset_is(streamed, tmp_path):
    def prepared() -> str:
        dataset = sources.read_own_folder("skin", tmp_path / "images", image_size=8, stream=True)
        return dataset.sha256

    assert prepared() == streamed.sha256
    image = streamed.train_images.root / str(streamed.train_images.paths[0])
    content = image.read_bytes()
    image.write_bytes(content[:-3] + b"\0" + content[-2:])
    assert prepared() != streamed.sha256
    image.write_bytes(content)
    assert prepared() == streamed.sha256


def test_a_streamed_dataset_with_a_bad_image_is_not_prepared(tmp_path):
    save(fill(tmp_path / "images") / "benign" / "x.png", 40_000, "I;16")
    with pytest.raises(UserError, match="only 8-bit images"):
        sources.read_own_folder("skin", tmp_path / "images", image_size=8, stream=True)


def test_images_that_moved(streamed, tmp_path):
    (tmp_path / "images").rename(tmp_path / "moved")
    with pytest.raises(UserError, match="its images are no longer at"):
        canonical.load(tmp_path / "skin.npz")


def test_imagenet(tmp_path, monkeypatch):
    root = tmp_path / "imagenet"
    for split, count in {"train": 10, "val": 2}.items():
        for wnid, value in {"n01440764": 20, "n01443537": 200}.items():
            for number in range(count):
                path = root / split / wnid / f"{wnid}_{number}.JPEG"
                save(path, value, "RGB", size=(400, 300))
    with pytest.raises(UserError, match=r"ImageNet-1K .*1281167"):
        sources.read("imagenet", data_dir=tmp_path)
    source = replace(catalog.SOURCES["imagenet"], counts={"train": 20, "test": 4})
    monkeypatch.setitem(catalog.SOURCES, "imagenet", source)
    dataset = sources.read("imagenet", data_dir=tmp_path)
    assert isinstance(dataset.train_images, StreamedImages)
    assert dataset.train_images.shape == (18, 224, 224, 3)
    assert dataset.val_images.shape == (2, 224, 224, 3)
    assert dataset.test_labels.tolist() == [0, 0, 1, 1]
    np.testing.assert_allclose(dataset.test_images[0][100, 100], [20, 0, 235], atol=4)
    with pytest.raises(UserError, match="cannot be downloaded"):
        sources.read("imagenet")


# --- the command line ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--folder", "."], "--folder needs --image-size"),
        (["--folder", ".", "--file", "x.npz"], "give one of them"),
        (["--file", "x.npz", "--stream"], "are for a --folder"),
        (["--folder", ".", "--image-size", "0"], "0 is not in the range"),
    ],
)
def test_options_that_do_not_go_together(tmp_path, options, said):
    command = [sys.executable, "-m", "medcoreset", "dataset", "skin", *options]
    command += ["--out", str(tmp_path / "skin.npz")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert said in done.stderr
    assert not list(tmp_path.iterdir())


def test_command_on_a_folder(tmp_path):
    fill(tmp_path / "skin")
    command = [sys.executable, "-m", "medcoreset", "dataset", "skin", "--folder", "skin"]
    command += ["--image-size", "8", "--out", "results/data/skin.npz"]
    subprocess.run(command, check=True, cwd=tmp_path)
    assert canonical.load(tmp_path / "results/data/skin.npz").train_images.shape == (14, 8, 8)
