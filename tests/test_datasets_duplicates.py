"""Images that are there more than once: counted and said, refused, or dropped."""

import json
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from medcoreset.datasets import sources
from medcoreset.datasets.canonical import SPLITS
from medcoreset.errors import UserError
from medcoreset.study import configuration
from medcoreset.study.jobs import Jobs

COUNTS = {"train": 30, "val": 10, "test": 10}


@pytest.fixture
def arrays() -> dict[str, np.ndarray]:
    """A dataset with 4 test images of train, 1 of val, 2 of val in train, 3 copies inside train."""
    rng = np.random.default_rng(0)
    given = {}
    for split, count in COUNTS.items():
        given[f"{split}_images"] = rng.integers(0, 256, (count, 8, 8), np.uint8)
        given[f"{split}_labels"] = np.arange(count) % 2
    given["test_images"][:4] = given["train_images"][:4]
    given["test_images"][4] = given["val_images"][0]
    given["val_images"][6:8] = given["train_images"][10:12]
    given["train_images"][20:23] = given["train_images"][14]
    return given


def write(path, given):
    np.savez(path, **given)
    return path


def test_duplicates_are_counted_and_noted(tmp_path, arrays):
    dataset = sources.read_own("skin", write(tmp_path / "own.npz", arrays))
    assert dataset.info["duplicates"] == {
        "train": 3,
        "val_in_train": 2,
        "test_in_train": 4,
        "test_in_val": 1,
        "contradictory": 1,
    }
    (note,) = dataset.info["notes"]
    assert note == (
        "2 val images are in train too; 4 test images are in train too; "
        "1 test image is in val too; there are copies inside a split (3 in train); "
        "1 of these have more than one label"
    )
    np.testing.assert_array_equal(dataset.train_images, arrays["train_images"])


def test_duplicates_are_refused(tmp_path, arrays):
    with pytest.raises(UserError, match=r"2 val images are in train too.*refused by the option"):
        sources.read_own("skin", write(tmp_path / "own.npz", arrays), policy="refuse")
    clean = {name: array[:0] if "val" in name else array for name, array in arrays.items()}
    clean["test_images"] = clean["test_images"][5:]
    clean["test_labels"] = clean["test_labels"][5:]
    for name in ("train_images", "train_labels"):
        clean[name] = clean[name][:20]
    sources.read_own("skin", write(tmp_path / "clean.npz", clean), policy="refuse")


def test_duplicates_are_dropped(tmp_path, arrays):
    dataset = sources.read_own("skin", write(tmp_path / "own.npz", arrays), policy="drop")
    kept = [i for i in range(30) if i not in (0, 1, 2, 3, 10, 11, 20, 21, 22)]
    np.testing.assert_array_equal(dataset.train_images, arrays["train_images"][kept])
    np.testing.assert_array_equal(dataset.train_labels, arrays["train_labels"][kept])
    np.testing.assert_array_equal(dataset.val_images, arrays["val_images"][1:])
    np.testing.assert_array_equal(dataset.test_images, arrays["test_images"])
    assert dataset.info["duplicates"]["dropped"]["train"] == 3
    assert dataset.info["notes"][-1] == "without these images there are 21 train, 9 val, 10 test"


def test_no_copy_is_held_out_of_what_it_is_a_copy_of(tmp_path, arrays):
    given = {name: array for name, array in arrays.items() if not name.startswith("val")}
    given["train_images"] = np.concatenate([given["train_images"]] * 2)
    given["train_labels"] = np.concatenate([given["train_labels"]] * 2)
    dataset = sources.read_own("skin+val=0.3", write(tmp_path / "own.npz", given), policy="drop")
    every = np.concatenate([dataset.images(split) for split in SPLITS])
    assert len({image.tobytes() for image in every}) == len(every)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda a: {"val_images": a["test_images"]}, "val has no image left"),
        (lambda a: {"train_images": np.zeros_like(a["train_images"]) + 9}, "left of the class 1"),
    ],
)
def test_dropping_that_leaves_nothing(tmp_path, arrays, change, said):
    with pytest.raises(UserError, match=said):
        sources.read_own(
            "skin", write(tmp_path / "own.npz", arrays | change(arrays)), policy="drop"
        )


@pytest.fixture
def folder(tmp_path):
    """Images of the same size in bytes (bitmaps), of which some are the same."""
    rng = np.random.default_rng(0)
    for split, count in COUNTS.items():
        for number in range(count):
            path = tmp_path / "images" / split / "ab"[number % 2] / f"{number:02}.bmp"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(rng.integers(0, 256, (80, 80), np.uint8)).save(path)
    root = tmp_path / "images"
    (root / "test/a/00.bmp").write_bytes((root / "train/a/02.bmp").read_bytes())
    (root / "test/b/01.bmp").write_bytes((root / "train/a/02.bmp").read_bytes())
    late = bytearray((root / "train/a/04.bmp").read_bytes())
    late[-1] ^= 1  # the same but for the last pixel
    (root / "train/a/06.bmp").write_bytes(late)
    return root


@pytest.mark.parametrize("stream", [True, False])
def test_duplicates_of_files(folder, stream):
    given = {"image_size": 80, "stream": stream}
    counts = {"test": 1, "test_in_train": 2, "contradictory": 1}
    dataset = sources.read_own_folder("skin", folder, **given)
    assert dataset.info["duplicates"] == counts
    dataset = sources.read_own_folder("skin+train=10", folder, policy="drop", **given)
    assert dataset.info["duplicates"] == {"dropped": counts}
    assert [len(dataset.labels(split)) for split in SPLITS] == [10, 10, 9]


def test_public_images_are_counted_too(medical_data):
    dataset = sources.read("pneumoniamnist", data_dir=medical_data)
    assert (dataset.info["duplicates"]["train"], dataset.info["duplicates"]["val_in_train"]) == (
        18,
        8,
    )
    assert dataset.info["notes"][0].startswith("8 val images are in train too")


def test_option_of_configuration_and_command(tmp_path, arrays):
    path = write(tmp_path / "own.npz", arrays)
    own = {"mine": {"path": str(path), "duplicates": "refuse"}, "other": {"path": str(path)}}
    jobs = Jobs(configuration.load({"datasets": own}))
    assert jobs.dataset_flags("other") == f"--file {path}"
    options = jobs.dataset_flags("mine").split()
    assert options == ["--file", str(path), "--duplicates", "refuse"]
    command = [sys.executable, "-m", "medcoreset", "dataset"]
    out = ["--out", str(tmp_path / "mine.npz")]
    done = subprocess.run([*command, "mine", *options, *out], capture_output=True, text=True)
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    options[-1] = "drop"
    subprocess.run([*command, "mine", *options, *out], check=True)
    assert json.loads((tmp_path / "mine.json").read_text())["counts"]["train"] == 21
    done = subprocess.run(
        [*command, "digits", "--duplicates", "drop", *out], capture_output=True, text=True
    )
    assert "--duplicates is for your own data" in done.stderr
    with pytest.raises(UserError, match=r"datasets\.mine\.duplicates is 'some', must be one of"):
        configuration.load({"datasets": {"mine": {"path": "a.npz", "duplicates": "some"}}})
