"""Labels of the user's own .npz: what becomes 0 … C−1, and what is refused in one line."""

import numpy as np
import pytest

from medcoreset.datasets import facts, sources
from medcoreset.datasets.canonical import SPLITS
from medcoreset.datasets.catalog import parse
from medcoreset.errors import UserError

COUNTS = {"train": 60, "val": 20, "test": 20}
CLASSES = {split: np.arange(count) % 3 for split, count in COUNTS.items()}
NAMES = np.array(["no", "mild", "severe"])


def write(path, labels=None, **changed):
    """Write a small `.npz` whose labels are a function of 0, 1, 2, 0 …, with changed arrays."""
    rng = np.random.default_rng(0)
    given = {}
    for split, count in COUNTS.items():
        given[f"{split}_images"] = rng.integers(0, 256, (count, 8, 8), np.uint8)
        given[f"{split}_labels"] = (labels or np.asarray)(CLASSES[split])
    given.update(changed)
    np.savez(path, **{name: array for name, array in given.items() if array is not None})
    return path


@pytest.mark.parametrize(
    ("labels", "names"),
    [
        (lambda y: y.astype(np.uint8)[:, None], "0 1 2"),
        (lambda y: y.astype(">i4"), "0 1 2"),
        (lambda y: y.astype(np.float32), "0 1 2"),
        (lambda y: y.astype(str), "0 1 2"),
        (lambda y: np.eye(3, dtype=np.int64)[y], "0 1 2"),
        (lambda y: np.eye(3, dtype=bool)[y], "0 1 2"),
        (lambda y: y + 1, "1 2 3"),
        (lambda y: (y + 1.0)[:, None], "1 2 3"),
        (lambda y: np.eye(4)[y + 1], "1 2 3"),
        (lambda y: np.array([3, 7, 20])[y], "3 7 20"),
        (lambda y: np.array(["9", "10", " 11 "])[y], "9 10 11"),
        (lambda y: np.array(["1.0", "2.0", "30.0"])[y], "1 2 30"),
        (lambda y: NAMES[y], "mild no severe"),
        (lambda y: NAMES.astype("S")[y][:, None], "mild no severe"),
    ],
)
def test_labels_become_classes(tmp_path, labels, names):
    path = write(tmp_path / "own.npz", labels)
    dataset = sources.read_own("skin", path)
    assert dataset.info["class_names"] == names.split()
    changed = names.split() != ["0", "1", "2"]
    became = f"labels {names.replace(' ', ', ')} became the classes 0 … 2, in this order"
    assert dataset.info["notes"] == [became] * changed
    place = [1, 0, 2] if "mild" in names else [0, 1, 2]
    for split in SPLITS:
        np.testing.assert_array_equal(dataset.labels(split), np.array(place)[CLASSES[split]])
    assert facts.of(parse("skin", ["skin"]), {"path": str(path)}).classes == 3


def test_classes_are_numbered_over_all_splits(tmp_path):
    few = {"test_labels": np.full(20, 7), "val_labels": np.full(20, 20)}
    dataset = sources.read_own(
        "skin", write(tmp_path / "own.npz", lambda y: np.array([3, 7, 20])[y], **few)
    )
    assert set(dataset.test_labels) == {1}
    assert set(dataset.val_labels) == {2}
    assert "test has no image with the label 3, 20" in dataset.info["notes"]


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        (lambda y: y - 1, r"train labels have -1 \(20 images\), a negative label"),
        (lambda y: np.where(y == 2, -100, y), "have -100"),
        (lambda y: np.where(np.arange(len(y)) < 2, 255, y), r"have 255 \(2 images\), which says"),
        (lambda y: np.where(y == 2, 255, 3 * y + 1), "have 255"),
        (lambda y: np.where(np.arange(len(y)) < 5, 99, y), "have 99"),
        (lambda y: np.where(np.arange(len(y)) < 5, 65535, y).astype(np.uint16), "have 65535"),
        (lambda y: 20240101 + y, "have 20240103 .* a date"),
        (lambda y: (20240101 + y).astype(str), "have 20240103 .* a date"),
        (lambda y: 2019 + y, r"have 2021 \(20 images\), a year"),
        (
            lambda y: np.array(["2024-01-01", "2024-02-01", "2024-02-03"])[y],
            "have 2024-01-01 .* date",
        ),
        (lambda y: np.array(["1.2.2024", "2.2.2024", "3.2.2024 10:00"])[y], "a date"),
        (lambda y: np.where(np.arange(len(y)) < 5, 127, y).astype(np.int8), "have 127"),
        (lambda y: 2**40 + y, "have 1099511627778"),
        (lambda y: np.where(y == 2, np.uint64(2**64 - 1), y.astype(np.uint64)), "have 184467440"),
        (lambda y: 1e300 * y, "a date"),
        (lambda y: np.array("2024-01-01", "M8[D]") + y, "train labels are datetime64"),
        (lambda y: y * 1j, "train labels are complex128"),
        (lambda y: y.astype([("a", int)]), "not whole numbers, names or one-hot rows"),
        (lambda y: y / 2, "have 0.5, which is no whole number"),
        (lambda y: np.where(y == 2, np.nan, y), "have nan"),
        (lambda y: np.where(y == 2, np.inf, y), "have inf"),
        (lambda y: NAMES.astype(object)[y], r"Python objects.*labels\.astype\(str\)"),
        (lambda y: np.array(["no", " ", "mild"])[y], "an empty label"),
        (lambda y: np.array(["no", "nan", "mild"])[y], "'nan', an empty label"),
        (lambda y: np.array(["mild", "Mild", "no"])[y], "'Mild' and 'mild' differ in case"),
        (lambda y: np.array([b"a", b"\xff", b"c"])[y], "not UTF-8"),
        (lambda y: np.tile(y[:, None], 14), "14 values per image, and image 0 has 0, 0"),
        (lambda y: np.eye(3)[y] * 0.9, "3 values per image, and image 0 has 0.9, 0"),
        (lambda y: NAMES[y][:, None].repeat(2, 1), "not whole numbers, names"),
        (lambda y: np.zeros((len(y), 2, 2), int), "not whole numbers"),
        (lambda y: np.zeros((len(y), 0), int), "not whole numbers"),
        (lambda y: y * 0, "all images have the label 0, two classes are needed"),
        (lambda y: np.arange(len(y)), "60 different labels .* of 100 images are too many"),
        (lambda y: np.arange(len(y)) // 2 + 1001, "30 different labels .* patients"),
        (lambda y: np.char.add("id", np.arange(len(y)).astype(str)), "too many"),
    ],
)
def test_labels_that_are_refused(tmp_path, labels, said):
    path = write(tmp_path / "own.npz", labels)
    with pytest.raises(UserError, match=said) as problem:
        sources.read_own("skin", path)
    assert str(path) in str(problem.value)
    assert len(str(problem.value).splitlines()) == 1
    assert facts.of(parse("skin", ["skin"]), {"path": str(path)}) is None


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"test_labels": CLASSES["test"] + 1}, r"test labels have 3 \(6 images\), a class that"),
        ({"train_labels": CLASSES["train"] // 2}, "have 2 .* a class that the training set lacks"),
        ({"test_labels": NAMES[CLASSES["test"]]}, "of one kind in all splits: .*test has names"),
        ({"test_labels": np.zeros((20, 14))}, "image 0 has"),
        ({"test_labels": np.zeros(19, int)}, "test has 20 images but 19 labels"),
        ({"test_labels": np.int64(3)}, "test has 20 images but no labels"),
        ({"test_images": None}, r"has no test_images \(it has "),
        ({"test_images": None, "test_labels": None}, "has no test_images, test_labels"),
        ({"test_images": np.zeros((0, 8, 8), np.uint8), "test_labels": []}, "test_images is empty"),
        ({"val_images": None}, "has no val_images"),
        ({"val_labels": np.zeros(0)}, "val has 20 images but 0 labels"),
        ({"train_images": np.random.default_rng(0).random((60, 8, 8))}, "np.round"),
        ({"train_images": np.full((60, 8, 8), 1, np.uint8)}, "all are black"),
    ],
)
def test_splits_that_do_not_fit(tmp_path, changed, said):
    with pytest.raises(UserError, match=said):
        sources.read_own("skin", write(tmp_path / "own.npz", **changed))


@pytest.mark.parametrize("identity", ["skin", "skin+val=0", "skin+val=0.2"])
def test_without_validation_images(tmp_path, identity):
    """A file without the arrays, one with empty ones and a folder without val/ are alike."""
    without = write(tmp_path / "without.npz", val_images=None, val_labels=None)
    empty = write(tmp_path / "empty.npz", val_images=np.zeros(0), val_labels=np.zeros((0, 1)))
    one, other = (sources.read_own(identity, path) for path in (without, empty))
    assert one.sha256 == other.sha256
    held_out = {"skin": 6, "skin+val=0": 0, "skin+val=0.2": 12}[identity]
    assert [len(one.labels(split)) for split in SPLITS] == [60 - held_out, held_out, 20]
    note = f"val is {held_out} of the training images, held out"
    assert (note in one.info["notes"]) == (held_out > 0)
    told = facts.of(parse(identity, ["skin"]), {"path": str(without)})
    assert (told.train, told.val, told.test) == (60 - held_out, held_out, 20)


def test_own_validation_images_are_kept(tmp_path):
    path = write(tmp_path / "own.npz")
    with pytest.raises(UserError, match="its own validation set, so no val="):
        sources.read_own("skin+val=0", path)


def test_one_channel_in_a_last_axis(tmp_path):
    plain = write(tmp_path / "plain.npz")
    with np.load(plain) as arrays:
        last = {name: array[..., None] for name, array in arrays.items() if "images" in name}
    same = sources.read_own("skin", write(tmp_path / "last.npz", **last))
    assert same.sha256 == sources.read_own("skin", plain).sha256
