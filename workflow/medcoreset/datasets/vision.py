"""The classical sets that torchvision reads: CIFAR-10/100, SVHN, MNIST, QMNIST, FashionMNIST.

Files are laid out as torchvision lays them out. The archives come through the pipeline's own
downloader, which resumes and retries; torchvision unpacks and reads them.
"""

import pickle
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from medcoreset.datasets.canonical import Dataset
from medcoreset.datasets.catalog import SOURCES
from medcoreset.datasets.download import DEFAULT_CACHE, obtain
from medcoreset.errors import UserError


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

    `data_dir` has the files unpacked (`FashionMNIST/raw/train-images-idx3-ubyte`) or as archives;
    without it, the archives are downloaded into `cache`. Raises UserError if a file is missing, or
    its MD5 or the number of images is not the official one.
    """
    unpacked = _unpacked(name)
    if data_dir is not None and all((Path(data_dir) / file).is_file() for file in unpacked):
        return _read(name, Path(data_dir), download=False)
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
            for archive in _archives(name)
        }
    except UserError as error:
        if data_dir is None:
            raise
        raise UserError(
            f"dataset {name}: {error}; nor has it all of {', '.join(unpacked)}"
        ) from error
    with tempfile.TemporaryDirectory() as folder:
        for path, file in files.items():
            link = Path(folder) / path
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(file.resolve())
        # torchvision finds what it would download, so that it only checks and unpacks.
        return _read(name, Path(folder), download=True)


def _class(name: str) -> Any:
    from torchvision import datasets

    classes = (
        datasets.CIFAR10,
        datasets.CIFAR100,
        datasets.SVHN,
        datasets.MNIST,
        datasets.QMNIST,
        datasets.FashionMNIST,
    )
    return next(each for each in classes if each.__name__.lower() == name)


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


def _unpacked(name: str) -> list[str]:
    """Return the paths of the files from which torchvision reads the images and labels."""
    source = _class(name)
    if name.startswith("cifar"):
        lists = [*source.train_list, *source.test_list, [source.meta["filename"], ""]]
        return [f"{source.base_folder}/{filename}" for filename, _ in lists]
    return [archive.path.removesuffix(".gz") for archive in _archives(name)]


def _read(name: str, root: Path, *, download: bool) -> Dataset:
    """Read both official splits from `root` and check their sizes."""
    archives = _archives(name)
    arrays, class_names = {}, None
    for split in ("train", "test"):
        chosen = {"split": split} if name == "svhn" else {"train": split == "train"}
        try:
            source = _class(name)(root, download=download, **chosen)
        except (
            RuntimeError,
            ValueError,
            AssertionError,
            OSError,
            EOFError,
            pickle.PickleError,
        ) as e:
            reason = str(e).partition(" You can use download=True")[0]
            raise UserError(f"dataset {name}: cannot read its files in {root}: {reason}") from e
        images, labels = _images_and_labels(name, source)
        expected = SOURCES[name].counts[split]
        if len(images) != expected:
            raise UserError(
                f"dataset {name}: {root} has {len(images)} {split} images, not the official {expected}"
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
