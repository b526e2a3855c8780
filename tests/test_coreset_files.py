"""Files of coresets and scores, as they are read again: whatever is wrong with one is one line."""

from pathlib import Path

import numpy as np
import pytest

from medcoreset.datasets.canonical import Dataset
from medcoreset.errors import UserError
from medcoreset.selection.files import read_scores, write_scores
from medcoreset.training import coreset

N = 6
OF = {"samples": N, "dataset": "0" * 64, "recipe": ""}
GOOD = {"indices": np.array([4, 0, 2]), "weights": np.array([1.0, 0, 2.5])}

WRONG = {
    "reals": ({"indices": np.array([4.0, 0, 2])}, "float64 (3,), but it is to be integers (M,)"),
    "booleans": ({"indices": np.array([True, False, True])}, "indices is bool (3,)"),
    "texts": ({"indices": np.array(["4", "0", "2"])}, "indices is <U1 (3,)"),
    "a column": ({"indices": np.array([[4], [0], [2]])}, "indices is int64 (3, 1)"),
    "one number": ({"indices": np.array(4)}, "indices is int64 ()"),
    "nothing": ({"indices": np.array([], int)}, "names no sample"),
    "twice": ({"indices": np.array([4, 0, 4])}, "names a sample twice"),
    "negative": ({"indices": np.array([4, -1, 2])}, "outside 0 … 5: indices[1] is -1"),
    "beyond": ({"indices": np.array([4, 0, 6], np.uint8)}, "outside 0 … 5: indices[2] is 6"),
    "no indices": ({"indices": None}, "it has no indices"),
    "no dataset": ({"dataset_sha256": None}, "it has no dataset_sha256"),
    "NaN": ({"weights": np.array([1, np.nan, 1])}, "weights[1] is nan"),
    "infinite": ({"weights": np.array([1, 1, np.inf])}, "weights[2] is inf"),
    "beyond float32": ({"weights": np.array([1, 1, 1e300])}, "weights[2] is 1e+300"),
    "negative weight": ({"weights": np.array([-1, 1, 1])}, "weights[0] is -1"),
    "all 0": ({"weights": np.zeros(3)}, "all weights are 0"),
    "too few": ({"weights": np.ones(2)}, "one for each of the 3 indices"),
    "complex": ({"weights": np.ones(3, complex)}, "weights is complex128 (3,)"),
    "pickles": ({"indices": np.array([{}, {}, {}])}, "allow_pickle=False"),
}


@pytest.fixture
def dataset() -> Dataset:
    images, labels = np.zeros((N, 4, 4), np.uint8), np.arange(N) % 2
    splits = {f"{split}_images": images for split in ("train", "val", "test")}
    splits |= {f"{split}_labels": labels for split in ("train", "val", "test")}
    return Dataset(name="phantom", info={"class_names": ["a", "b"], "sha256": "0" * 64}, **splits)


def written(folder: Path, dataset: Dataset, **changes) -> Path:
    arrays = GOOD | {"dataset_sha256": dataset.sha256} | changes
    given = {name: array for name, array in arrays.items() if array is not None}
    np.savez(folder / "seed0.npz", **given)
    return folder / "seed0.npz"


@pytest.mark.parametrize("weights", [GOOD["weights"], None, np.array([1, 2, 3], np.float16)])
def test_a_coreset_is_read(tmp_path, dataset, weights):
    written(tmp_path, dataset, indices=GOOD["indices"].astype(">u2"), weights=weights)
    (member,) = coreset.read(tmp_path, [0], dataset)
    assert (member.seed, member.indices.dtype, member.indices.tolist()) == (0, np.int64, [4, 0, 2])
    np.testing.assert_array_equal(member.weights, weights)


@pytest.mark.parametrize("what", WRONG)
def test_a_wrong_coreset_is_named(tmp_path, dataset, what):
    changes, message = WRONG[what]
    path = written(tmp_path, dataset, **changes)
    with pytest.raises(UserError) as mistake:
        coreset.read(tmp_path, [0], dataset)
    assert message in str(mistake.value)
    assert str(path) in str(mistake.value)


@pytest.mark.parametrize("damage", ["absent", "empty", "text", "half", "bit", "npy"])
def test_a_damaged_file_is_named(tmp_path, dataset, damage):
    path = written(tmp_path, dataset)
    content = bytearray(path.read_bytes())
    place = content.index(GOOD["indices"].tobytes())
    content[place] ^= 1
    if damage == "npy":
        np.save(tmp_path / "x.npy", GOOD["indices"])
    path.write_bytes(
        {
            "empty": b"",
            "text": b"4\n0\n2\n",
            "half": path.read_bytes()[: path.stat().st_size // 2],
            "bit": bytes(content),
            "npy": (tmp_path / "x.npy").read_bytes() if damage == "npy" else b"",
            "absent": b"",
        }[damage]
    )
    if damage == "absent":
        path.unlink()
    with pytest.raises(UserError, match="seed0"):
        coreset.read(tmp_path, [0], dataset)
    with pytest.raises(UserError, match="seed0"):
        read_scores(path, "el2n", {}, **OF)


@pytest.mark.parametrize(
    ("scores", "message"),
    [
        (np.zeros(N + 1), "scores is float64 (7,), but it is to be real (6,)"),
        (np.zeros((N, 1)), "(6, 1)"),
        (np.zeros(N, int), "int64"),
        (np.array(["a"] * N), "<U1"),
    ],
)
def test_scores_are_a_number_for_each_sample(tmp_path, scores, message):
    path = tmp_path / "scores.npz"
    write_scores(path, scores, "el2n", {}, "0" * 64, "")
    with pytest.raises(UserError, match=r"scores\.npz") as mistake:
        read_scores(path, "el2n", {}, **OF)
    assert message in str(mistake.value)


def test_scores_may_be_infinite(tmp_path):
    scores = np.array([1, np.inf, -np.inf, 0, 2, 3])
    write_scores(tmp_path / "scores.npz", scores, "el2n", {}, "0" * 64, "")
    found = read_scores(tmp_path / "scores.npz", "el2n", {}, **OF)
    np.testing.assert_array_equal(found, scores)
