"""TinyImageNet: 200 classes of ImageNet at 64×64, from the official zip file or its folder."""

import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from medcoreset.datasets import pictures
from medcoreset.datasets.canonical import Dataset
from medcoreset.datasets.catalog import SOURCES
from medcoreset.datasets.download import DEFAULT_CACHE, obtain
from medcoreset.errors import UserError
from medcoreset.reading import file_of

URL = "http://cs231n.stanford.edu/tiny-imagenet-200.zip"
MD5 = "90528d7ca1a48142e341f4ef8d21d0de"
FOLDER = "tiny-imagenet-200"
IMAGE_SIZE = 64

Read = Callable[[str], bytes]


def read(
    *,
    data_dir: str | Path | None = None,
    mirror: str | None = None,
    cache: str | Path = DEFAULT_CACHE,
) -> Dataset:
    """Return TinyImageNet with an empty val split: its own `val`, 50 images per class, is `test`.

    (The labels of the official test set were never published.) `data_dir` has the folder
    `tiny-imagenet-200.zip`, or the folder `tiny-imagenet-200`, of whose files no checksums are on
    record: `info` then has `verified: False`. Some files are grey: all are read as RGB.
    Raises UserError if a file is missing or not an official one.
    """
    if data_dir is not None and not (Path(data_dir) / f"{FOLDER}.zip").is_file():
        folder = Path(data_dir) / FOLDER
        if folder.is_dir():
            dataset = _read(str(folder), lambda path: (folder / path).read_bytes(), _list(folder))
            dataset.info["verified"] = False
            return dataset
    path = obtain(URL, f"{FOLDER}.zip", md5=MD5, data_dir=data_dir, mirror=mirror, cache=cache)
    with file_of(path, f"the official {FOLDER}.zip"), zipfile.ZipFile(path) as archive:
        paths = [member.removeprefix(f"{FOLDER}/") for member in archive.namelist()]
        dataset = _read(str(path), lambda path: archive.read(f"{FOLDER}/{path}"), paths)
    dataset.info["verified"] = True
    return dataset


def _list(folder: Path) -> list[str]:
    return [path.relative_to(folder).as_posix() for path in folder.glob("train/*/images/*")]


def _read(where: str, read_bytes: Read, paths: list[str]) -> Dataset:
    """Decode the images that `read_bytes` reads; `paths` are of at least all training images."""
    try:
        wnids = sorted(read_bytes("wnids.txt").decode().split())
        words = dict(line.split("\t", 1) for line in _lines(read_bytes, "words.txt"))
        train = [
            (path, path.split("/")[1])
            for path in sorted(paths)
            if path.startswith("train/") and path.endswith(".JPEG")
        ]
        rows = [line.split("\t") for line in _lines(read_bytes, "val/val_annotations.txt")]
        test = [(f"val/images/{row[0]}", row[1]) for row in rows]
        label = {wnid: number for number, wnid in enumerate(wnids)}
        arrays = {}
        for split, files in {"train": train, "test": test}.items():
            expected = SOURCES["tinyimagenet"].counts[split]
            if len(files) != expected:
                raise UserError(
                    f"dataset tinyimagenet: {where} has {len(files)} {split} images, not {expected}"
                )
            arrays[f"{split}_images"] = _decode(where, [path for path, _ in files], read_bytes)
            arrays[f"{split}_labels"] = np.array([label[wnid] for _, wnid in files], np.int64)
    except UserError:
        raise
    except (OSError, KeyError, ValueError, IndexError, zipfile.BadZipFile) as error:
        raise UserError(f"dataset tinyimagenet: {where} is not as published: {error}") from error
    return Dataset(
        name="tinyimagenet",
        val_images=arrays["train_images"][:0],
        val_labels=arrays["train_labels"][:0],
        **arrays,
        info={
            "class_names": [words.get(wnid, wnid).split(",")[0] for wnid in wnids],
            "licence": SOURCES["tinyimagenet"].licence,
            "citation": SOURCES["tinyimagenet"].citation,
            "source": URL,
        },
    )


def _lines(read_bytes: Read, path: str) -> list[str]:
    return read_bytes(path).decode().splitlines()


def _decode(where: str, paths: list[str], read_bytes: Read) -> np.ndarray:
    images = np.empty((len(paths), IMAGE_SIZE, IMAGE_SIZE, 3), np.uint8)
    for row, path in enumerate(paths):
        file = io.BytesIO(read_bytes(path))
        images[row] = np.asarray(pictures.read(file, f"{where}/{path}", colour=True))
    return images
