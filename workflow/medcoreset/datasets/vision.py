"""The classical sets that torchvision reads: CIFAR-10/100, SVHN, and those in the files of MNIST.

Every set of the latter kind is an entry of the catalogue, and nothing here.

Files are laid out as torchvision lays them out. The archives come through the pipeline's own
downloader, which resumes and retries; torchvision unpacks and reads them.
"""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from medcoreset.datasets.canonical import Dataset
from medcoreset.datasets.catalog import SOURCES
from medcoreset.datasets.download import DEFAULT_CACHE, check_md5, obtain
from medcoreset.errors import UserError
from medcoreset.reading import file_of

UNPACKED_MD5 = {
    "MNIST/raw/train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
    "MNIST/raw/train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
    "MNIST/raw/t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
    "MNIST/raw/t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
    "FashionMNIST/raw/train-images-idx3-ubyte": "f4a8712d7a061bf5bd6d2ca38dc4d50a",
    "FashionMNIST/raw/train-labels-idx1-ubyte": "9018921c3c673c538a1fc5bad174d6f9",
    "FashionMNIST/raw/t10k-images-idx3-ubyte": "8181f5470baa50b63fa0f6fddb340f0a",
    "FashionMNIST/raw/t10k-labels-idx1-ubyte": "15d484375f8d13e6eb1aabb0c3f46965",
}
"""MD5 of what the official archives hold; torchvision has only those of the archives."""


@dataclass(frozen=True)
class Archive:
    """An official file, at `path` under the folder that torchvision is given."""

    path: str
    url: str
    md5: str


def read(
    name: str,
    *,
    data_dir: str | Path | None = None,
    mirror: str | None = None,
    cache: str | Path = DEFAULT_CACHE,
) -> Dataset:
    """Return torchvision's `name` with an empty val split, since none of these sources has one.

    `data_dir` has the archives, or their files unpacked (`FashionMNIST/raw/train-images-idx3-ubyte`);
    without it, the archives are downloaded into `cache`. Archives have the official MD5, unpacked
    files that on record. Of QMNIST's none is on record: unpacked, it is `verified: False` in `info`.
    Raises UserError if a file is missing, or its MD5 or the number of images is not the official one.
    """
    archives, unpacked = _archives(name), _unpacked(name)
    if data_dir is not None and not all(
        (Path(data_dir) / each.path).is_file() for each in archives
    ):
        files = {path: Path(data_dir) / path for path in unpacked}
        if all(file.is_file() for file in files.values()):
            for path, md5 in unpacked.items():
                if md5 is not None:
                    check_md5(files[path], md5)
            dataset = _read_linked(name, files, Path(data_dir), download=False)
            dataset.info["verified"] = None not in unpacked.values()
            return dataset
    try:
        files = {
            archive.path: obtain(
                archive.url,
                archive.path,
                md5=archive.md5,
                data_dir=data_dir,
                mirror=mirror,
                cache=cache,
            )
            for archive in archives
        }
    except UserError as error:
        if data_dir is None:
            raise
        raise UserError(
            f"dataset {name}: {error}; nor has it all of {', '.join(unpacked)}"
        ) from error
    # torchvision finds what it would download, so that it only checks and unpacks.
    dataset = _read_linked(name, files, Path(data_dir or cache), download=True)
    dataset.info["verified"] = True
    return dataset


def _read_linked(name: str, files: dict[str, Path], where: Path, *, download: bool) -> Dataset:
    """Read `files`, by their paths under the folder that torchvision is given, and nothing else.

    In the user's own folder it would read what an older release of it left behind (`processed/`),
    in place of the files, and unpack archives.
    """
    with tempfile.TemporaryDirectory() as folder:
        for path, file in files.items():
            link = Path(folder) / path
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(file.resolve())
        return _read(name, Path(folder), where, download=download)


def _class(name: str) -> Any:
    from torchvision import datasets

    classes = {each.lower(): getattr(datasets, each) for each in datasets.__all__}
    if name not in classes:
        raise UserError(f"dataset {name}: torchvision has no such set")
    return classes[name]


def _archives(name: str) -> list[Archive]:
    """Return the official files of a source as torchvision has them on record."""
    source = _class(name)
    if name.startswith("cifar"):
        return [Archive(source.filename, source.url, source.tgz_md5)]
    if name == "svhn":
        files = [source.split_list[split] for split in ("train", "test")]
        return [Archive(filename, url, md5) for url, filename, md5 in files]
    if name == "qmnist":
        files = [*source.resources["train"], *source.resources["test"]]
    else:
        files = [(source.mirrors[0] + filename, md5) for filename, md5 in source.resources]
    folder = f"{source.__name__}/raw"
    return [Archive(f"{folder}/{url.rpartition('/')[2]}", url, md5) for url, md5 in files]


def _unpacked(name: str) -> dict[str, str | None]:
    """Return the files from which torchvision reads images and labels, with their MD5 if on record."""
    source = _class(name)
    if name.startswith("cifar"):
        files = [*source.train_list, *source.test_list]
        files.append((source.meta["filename"], source.meta["md5"]))
        return {f"{source.base_folder}/{filename}": md5 for filename, md5 in files}
    paths = [archive.path.removesuffix(".gz") for archive in _archives(name)]
    return {path: UNPACKED_MD5.get(path) for path in paths}


def _read(name: str, root: Path, where: Path, *, download: bool) -> Dataset:
    """Read both official splits from `root`, whose files are those in `where`; check their sizes."""
    archives = _archives(name)
    arrays: dict[str, np.ndarray] = {}
    class_names: Sequence[str] = ()
    for split in ("train", "test"):
        chosen = {"split": split} if name == "svhn" else {"train": split == "train"}
        with file_of(where, f"a folder with the files of {name}"):
            source = _class(name)(root, download=download, **chosen)
        images, labels = _images_and_labels(name, source)
        expected = SOURCES[name].counts[split]
        if len(images) != expected:
            raise UserError(
                f"dataset {name}: {where} has {len(images)} {split} images, not the official {expected}"
            )
        arrays |= {f"{split}_images": images, f"{split}_labels": labels}
        class_names = getattr(source, "classes", None) or [str(digit) for digit in range(10)]
    return Dataset(
        name=name,
        val_images=arrays["train_images"][:0],
        val_labels=arrays["train_labels"][:0],
        **arrays,
        info={
            "class_names": list(class_names),
            "licence": SOURCES[name].licence,
            "citation": SOURCES[name].citation,
            "source": archives[0].url,
        },
    )


def _images_and_labels(name: str, source: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return torchvision's data as uint8 (N, H, W[, 3]) and int64 (N,)."""
    if name.startswith("cifar"):
        return source.data, np.array(source.targets, np.int64)
    if name == "svhn":
        return np.ascontiguousarray(source.data.transpose(0, 2, 3, 1)), source.labels
    labels = source.targets.numpy()
    # QMNIST's labels are rows of facts (writer, position …), of which the class is the first.
    return source.data.numpy(), labels[:, 0] if name == "qmnist" else labels
