"""Cheng's brain tumours, from small files in the official layout: MATLAB 7.3, archived or unpacked.

The checksums are replaced by those of the small files; all else is real.
"""

import hashlib
import io
import shutil
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest

from medcoreset.datasets import braintumor, canonical, sources
from medcoreset.errors import UserError

SLICES = 40
PATIENTS = [number % 8 for number in range(SLICES)]
# Patient 3 has one slice outside of its fold.
CVIND = np.array([1 + patient % 5 for patient in PATIENTS])
CVIND[3] = 5


def pixels(number: int) -> np.ndarray:
    """An image as MATLAB has it, rows by columns, of a size that some of the official ones have."""
    size = 16 if number == 5 else 32
    made = np.random.default_rng(number).integers(0, 3000, (size, size)).astype(np.int16)
    made[: size // 4] = 9000  # the top is bright
    return made


def matlab(**variables: np.ndarray | dict[str, np.ndarray]) -> bytes:
    """A MATLAB 7.3 file: HDF5 after a block of 512 bytes, its arrays by columns."""
    file = io.BytesIO()
    with h5py.File(file, "w", userblock_size=512) as content:
        for name, value in variables.items():
            fields = value.items() if isinstance(value, dict) else [(None, value)]
            for field, array in fields:
                content[f"{name}/{field}" if field else name] = np.asarray(array).T
    text = file.getvalue()
    return b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM" + text[128:]


def official(number: int) -> bytes:
    patient = f"{1000 + PATIENTS[number - 1]}"
    return matlab(
        cjdata={
            "label": np.array([[1.0 + number % 3]]),
            "PID": np.array([[ord(character) for character in patient]], np.uint16),
            "image": pixels(number),
            "tumorBorder": np.zeros((1, 8)),
            "tumorMask": np.zeros(pixels(number).shape, np.uint8),
        }
    )


@pytest.fixture
def data_dir(tmp_path, monkeypatch) -> Path:
    """The official files, in four archives."""
    folder = tmp_path / "data" / "braintumor"
    folder.mkdir(parents=True)
    parts = np.array_split(np.arange(1, SLICES + 1), 4)
    archives = {}
    for part, (name, (key, _)) in zip(parts, braintumor.ARCHIVES.items(), strict=True):
        with zipfile.ZipFile(folder / name, "w") as archive:
            for number in part.tolist():
                archive.writestr(f"{number}.mat", official(number))
        archives[name] = key, hashlib.md5((folder / name).read_bytes()).hexdigest()
    monkeypatch.setattr(braintumor, "ARCHIVES", archives)
    put_folds(folder, monkeypatch)
    return folder.parent


def put_folds(folder: Path, monkeypatch) -> None:
    content = matlab(cvind=CVIND[:, None].astype(float))
    (folder / "cvind.mat").write_bytes(content)
    known = {"cvind.mat": (1, hashlib.md5(content).hexdigest())}
    monkeypatch.setattr(braintumor, "FOLDS", known)


def unpack(data_dir: Path) -> Path:
    folder = data_dir / "braintumor"
    for archive in sorted(folder.glob("*.zip")):
        shutil.unpack_archive(archive, folder / archive.stem)
        archive.unlink()
    return folder


def test_slices_are_scaled_reduced_and_split_by_patient(data_dir):
    dataset = sources.read("braintumor", data_dir=data_dir)
    assert dataset.info["verified"]
    assert dataset.info["class_names"] == ["meningioma", "glioma", "pituitary tumor"]
    assert "1 slices are in the fold of most slices of their patient" in dataset.info["notes"]
    fold = np.array([1 + patient % 5 for patient in PATIENTS])
    wanted = {"test": fold == 1, "val": fold == 2, "train": fold > 2}
    for split, chosen in wanted.items():
        numbers = 1 + np.flatnonzero(chosen)
        np.testing.assert_array_equal(dataset.labels(split), numbers % 3)
        for image, number in zip(dataset.images(split), numbers.tolist(), strict=True):
            assert image.shape == (28, 28)
            assert (image.min(), image.max()) == (0, 255)
            # As it is shown: MATLAB's order is by columns.
            size = len(pixels(number))
            assert image[: 28 // 4].min() == 255, size


def test_a_pixel_is_the_mean_of_its_area(data_dir):
    small, _, _ = braintumor._slice("1.mat", io.BytesIO(official(1)), 8)
    means = pixels(1).reshape(8, 4, 8, 4).mean(axis=(1, 3))
    expected = np.round(255 * (means - means.min()) / (means.max() - means.min()))
    np.testing.assert_allclose(small, expected, atol=1)


def test_unpacked_files_are_the_same_images(data_dir, tmp_path):
    archived = sources.read("braintumor_64", data_dir=data_dir)
    assert archived.image_size == 64
    unpack(data_dir)
    unpacked = sources.read("braintumor_64", data_dir=data_dir)
    assert not unpacked.info["verified"]
    assert unpacked.sha256 == archived.sha256
    canonical.write(unpacked, tmp_path / "braintumor_64.npz")
    assert canonical.load(tmp_path / "braintumor_64.npz").sha256 == archived.sha256


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda folder: (folder / "cvind.mat").unlink(), "no official file .*cvind.mat"),
        (lambda folder: next(folder.rglob("7.mat")).unlink(), "lacks 1 of 40 slices.* 7.mat"),
        (lambda folder: next(folder.rglob("7.mat")).write_bytes(b"x"), "7.mat is not a slice"),
        (
            lambda folder: next(folder.rglob("7.mat")).write_bytes(
                matlab(cjdata={"label": [[4.0]], "PID": [[1]], "image": np.zeros((4, 4))})
            ),
            "7.mat is not a slice .*its label is 4",
        ),
        (
            lambda folder: (folder / "41.mat").write_bytes(official(1)),
            "41.mat: the slices are 1 to 40",
        ),
    ],
)
def test_mistakes_are_one_line(data_dir, change, said):
    change(unpack(data_dir))
    with pytest.raises(UserError, match=said) as raised:
        sources.read("braintumor", data_dir=data_dir)
    assert "\n" not in str(raised.value)


def test_a_damaged_archive_is_refused(data_dir):
    archive = next((data_dir / "braintumor").glob("*.zip"))
    archive.write_bytes(archive.read_bytes() + b"x")
    with pytest.raises(UserError, match="has MD5"):
        sources.read("braintumor", data_dir=data_dir)
