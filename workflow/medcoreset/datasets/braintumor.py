"""Jun Cheng's brain tumours: 3,064 T1-weighted, contrast-enhanced slices of 233 patients.

The official files are four archives of MATLAB 7.3 files, which are HDF5, one per slice (`1.mat`,
`2.mat`, …), and `cvind.mat`, the fold of every slice in the authors' five-fold cross-validation.
"""

import io
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from PIL import Image

from medcoreset.datasets.canonical import Dataset
from medcoreset.datasets.catalog import SOURCES
from medcoreset.datasets.download import DEFAULT_CACHE, obtain
from medcoreset.errors import UserError
from medcoreset.reading import file_of

FOLDER = "braintumor"
ADDRESS = "https://ndownloader.figshare.com/files"
ARCHIVES = {
    "brainTumorDataPublic_1-766.zip": (3381290, "74b949ad33f042e6e103523091cd1428"),
    "brainTumorDataPublic_767-1532.zip": (3381296, "7e8a875500d2c8a346f270538e29890e"),
    "brainTumorDataPublic_1533-2298.zip": (3381293, "8227bf6080cb71f15a88be8d25c79ae7"),
    "brainTumorDataPublic_2299-3064.zip": (3381302, "b378a80d6174e5317d59eb28430c6652"),
}
"""Archive → its number at figshare (article 1512427, version 8) and its MD5."""
FOLDS = {"cvind.mat": (7005344, "5ea82eb3212c9fcb84290ccf0beb486d")}
TEST, VAL = 1, 2
"""The folds that are the test and the validation split; the other three are the training set."""
CLASS_NAMES = ["meningioma", "glioma", "pituitary tumor"]

SLICE = re.compile(r"(?:.*/)?(\d+)\.mat")
WHAT = "a slice of the brain tumours, a MATLAB 7.3 file with cjdata"


def read(
    name: str,
    *,
    data_dir: str | Path | None = None,
    mirror: str | None = None,
    cache: str | Path = DEFAULT_CACHE,
) -> Dataset:
    """Return the slices as `name` has them: `braintumor` of 28 pixels, `braintumor_128` of 128.

    The folder `braintumor` in `data_dir` has `cvind.mat` and either the four archives or, anywhere
    below it, what they hold; of that no checksums are on record: `info` then has `verified: False`.
    Else the files are downloaded into `cache`. A slice, int16 of 512 × 512 pixels (a few of
    256 × 256), is averaged over the area of each pixel, and its own least and greatest value become
    0 and 255: intensities of MRI have no unit. No patient is in two splits: all slices of one are in
    the fold of most of them. Raises UserError for a file or a slice that is missing or broken.
    """
    places = {"data_dir": data_dir, "mirror": mirror, "cache": cache}
    (where,) = _obtain(FOLDS, **places)
    folds = _read_folds(where)
    unpacked = _unpacked(data_dir)
    slices = _of_files(unpacked) if unpacked else _of_archives(_obtain(ARCHIVES, **places))
    size = SOURCES[name].image_size
    images = np.zeros((len(folds), size, size), np.uint8)
    labels = np.full(len(folds), -1, np.int64)
    patients = np.zeros(len(folds), object)
    for number, place, file in slices:
        if not 1 <= number <= len(folds):
            raise UserError(f"dataset {name}: {place}: the slices are 1 to {len(folds)}")
        images[number - 1], labels[number - 1], patients[number - 1] = _slice(place, file, size)
    if (labels < 0).any():
        first = 1 + int(np.argmax(labels < 0))
        raise UserError(
            f"dataset {name}: {where.parent} lacks {(labels < 0).sum()} of {len(folds)} slices, "
            f"the first of them {first}.mat"
        )
    assigned, notes = _by_patient(folds, patients)
    in_split = {"train": ~np.isin(assigned, [TEST, VAL]), "val": assigned == VAL}
    in_split["test"] = assigned == TEST
    return Dataset(
        name,
        **{f"{split}_images": images[chosen] for split, chosen in in_split.items()},
        **{f"{split}_labels": labels[chosen] for split, chosen in in_split.items()},
        train_source=np.flatnonzero(in_split["train"]),
        info={
            "class_names": CLASS_NAMES,
            "licence": SOURCES[name].licence,
            "citation": SOURCES[name].citation,
            "source": "https://doi.org/10.6084/m9.figshare.1512427",
            "verified": not unpacked,
            "notes": notes,
        },
    )


def _obtain(files: dict[str, tuple[int, str]], **places: Any) -> list[Path]:
    return [
        obtain(f"{ADDRESS}/{number}", f"{FOLDER}/{name}", md5=md5, **places)
        for name, (number, md5) in files.items()
    ]


def _unpacked(data_dir: str | Path | None) -> dict[int, Path]:
    """Return the files of slices in `data_dir` by number, if it has not all of the archives."""
    folder = Path(data_dir or "", FOLDER)
    if data_dir is None or all((folder / name).is_file() for name in ARCHIVES):
        return {}
    matches = ((SLICE.fullmatch(path.as_posix()), path) for path in sorted(folder.rglob("*.mat")))
    return {int(match[1]): path for match, path in matches if match}


Slices = Iterator[tuple[int, str, BinaryIO | Path]]


def _of_files(files: dict[int, Path]) -> Slices:
    for number, path in files.items():
        yield number, str(path), path


def _of_archives(paths: list[Path]) -> Slices:
    for path in paths:
        with file_of(path, "an official archive"), zipfile.ZipFile(path) as archive:
            for member in archive.namelist():
                if match := SLICE.fullmatch(member):
                    yield int(match[1]), f"{path}/{member}", io.BytesIO(archive.read(member))


def _slice(place: str, file: BinaryIO | Path, size: int) -> tuple[np.ndarray, int, str]:
    """Return the image, uint8 (size, size), the class and the patient of a slice."""
    import h5py

    with file_of(place, WHAT), h5py.File(file, "r") as content:
        record = content["cjdata"]
        pixels = record["image"][()].T.astype(np.float32)  # MATLAB's order is by columns
        label = int(record["label"][()].item()) - 1
        patient = record["PID"][()].tobytes().hex()
        if pixels.ndim != 2 or pixels.shape[0] != pixels.shape[1]:
            raise ValueError(f"its image is {pixels.shape}")
        if label not in range(len(CLASS_NAMES)):
            raise ValueError(f"its label is {label + 1}")
    small = np.asarray(Image.fromarray(pixels).resize((size, size), Image.Resampling.BOX))
    low, high = small.min(), small.max()
    return np.round(255 * (small - low) / max(high - low, 1e-9)).astype(np.uint8), label, patient


def _read_folds(path: Path) -> np.ndarray:
    """Return the fold of every slice, int (N,), from 1."""
    import h5py

    with file_of(path, "the folds of the brain tumours"), h5py.File(path, "r") as content:
        return content["cvind"][()].ravel().astype(np.int64)


def _by_patient(folds: np.ndarray, patients: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """Return the folds (N,) with each patient in one, that of most slices, and what is to be said."""
    assigned = folds.copy()
    for patient in set(patients.tolist()):
        own = patients == patient
        assigned[own] = np.bincount(folds[own]).argmax()
    notes = [f"test is fold {TEST} and val fold {VAL} of the authors' cross-validation, by patient"]
    if moved := int((assigned != folds).sum()):
        notes.append(f"{moved} slices are in the fold of most slices of their patient")
    return assigned, notes
