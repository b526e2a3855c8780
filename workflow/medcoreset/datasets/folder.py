"""Folders of images, one folder per class: anyone's, and ImageNet's."""

import os
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from medcoreset.datasets.canonical import Dataset
from medcoreset.datasets.splits import hold_out
from medcoreset.datasets.streaming import GREY_MODES, StreamedImages
from medcoreset.errors import UserError

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm")
TEST_FRACTION = 0.2

Files = tuple[np.ndarray, np.ndarray, np.ndarray]  # paths (N,), sizes in bytes (N,), labels (N,)


def read(
    name: str,
    root: str | Path,
    *,
    image_size: int,
    resized_to: int | None = None,
    colour: bool | None = None,
    info: dict[str, Any] | None = None,
) -> Dataset:
    """Return the images under `root` as a dataset of `StreamedImages`, none of them decoded yet.

    Layouts: `train/CLASS/*.png` with `test/` and perhaps `val/`; with `val/` but no `test/`, `val/` is
    the test split, as in ImageNet, whose test labels are secret. Or just `CLASS/*.png`, of which a
    stratified, seeded 20 % become the test split. Classes are the folders of the training set, in
    alphabetical order.

    An image's shorter side is resized to `resized_to` (default: `image_size`) and the central
    `image_size` square of pixels is kept. `colour=None` means grey if all of the files are.
    Raises UserError for a folder that is laid out otherwise.
    """
    root = Path(root).resolve()
    splits, class_names = _splits(name, root)
    if colour is None:
        colour = not all(_is_grey(root / path) for paths, _, _ in splits.values() for path in paths)
    images = {
        split: StreamedImages(root, paths, sizes, image_size, resized_to or image_size, colour)
        for split, (paths, sizes, _) in splits.items()
    }
    return Dataset(
        name=name,
        **{f"{split}_images": images[split] for split in images},
        **{f"{split}_labels": labels for split, (_, _, labels) in splits.items()},
        info={"class_names": class_names, "source": str(root), **(info or {})},
    )


def _splits(name: str, root: Path) -> tuple[dict[str, Files], list[str]]:
    """Return the files of train, val and test, and the names of the classes."""
    if not root.is_dir():
        raise UserError(f"dataset {name}: no folder {root}")
    if not (root / "train").is_dir():
        class_names = _classes(name, root)
        if {"val", "test"} & set(class_names):
            raise UserError(f"dataset {name}: {root} has given splits but no train/")
        files = _list(name, root, "", class_names)
        train, test = hold_out(files[2], TEST_FRACTION, name=name)
        splits = {"train": train, "val": train[:0], "test": test}
        return {split: _take(files, part) for split, part in splits.items()}, class_names
    class_names = _classes(name, root / "train")
    given = {
        split: _list(name, root, split, class_names)
        for split in ("train", "val", "test")
        if (root / split).is_dir()
    }
    if "test" not in given:
        if "val" not in given:
            raise UserError(f"dataset {name}: {root} has train/ but neither test/ nor val/")
        given["test"] = given.pop("val")
    given.setdefault("val", _take(given["train"], np.arange(0)))
    return given, class_names


def _classes(name: str, folder: Path) -> list[str]:
    names = sorted(entry.name for entry in folder.iterdir() if _is_class(entry))
    if len(names) < 2:
        raise UserError(f"dataset {name}: {folder} has {len(names)} class folders, two are needed")
    return names


def _is_class(entry: Path) -> bool:
    return entry.is_dir() and not entry.name.startswith(".")


def _list(name: str, root: Path, split: str, class_names: list[str]) -> Files:
    """List a split's images in the order of class and path, with their sizes and labels."""
    unknown = {entry.name for entry in (root / split).iterdir() if _is_class(entry)}
    unknown -= set(class_names)
    if unknown:
        raise UserError(
            f"dataset {name}: {root / split} has a class that train/ lacks: {min(unknown)}"
        )
    paths, sizes, labels = [], [], []
    for label, class_name in enumerate(class_names):
        found = sorted(
            Path(folder, file)
            for folder, _, files in os.walk(root / split / class_name)
            for file in files
            if file.lower().endswith(SUFFIXES) and not file.startswith(".")
        )
        paths += [path.relative_to(root).as_posix() for path in found]
        sizes += [path.stat().st_size for path in found]
        labels += [label] * len(found)
    if not paths:
        raise UserError(f"dataset {name}: {root / split} has no images ({', '.join(SUFFIXES)})")
    return np.array(paths), np.array(sizes, np.int64), np.array(labels, np.int64)


def _take(files: Files, indices: np.ndarray) -> Files:
    paths, sizes, labels = files
    return paths[indices], sizes[indices], labels[indices]


def _is_grey(path: Path) -> bool:
    try:
        with Image.open(path) as image:
            return image.mode in GREY_MODES
    except (OSError, SyntaxError) as error:
        raise UserError(f"{path} is not a readable image: {error}") from error
