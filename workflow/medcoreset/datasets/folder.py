"""Folders of images, one folder per class: anyone's, and ImageNet's."""

import os
from pathlib import Path
from typing import Any

import numpy as np

from medcoreset.datasets import layout, pictures
from medcoreset.datasets.canonical import Dataset
from medcoreset.datasets.splits import hold_out
from medcoreset.datasets.streaming import StreamedImages
from medcoreset.reading import file_of

TEST_FRACTION = 0.2

Files = tuple[np.ndarray, np.ndarray, np.ndarray]  # paths (N,), sizes in bytes (N,), labels (N,)


def read(
    name: str,
    root: str | Path,
    *,
    image_size: int,
    resized_to: int | None = None,
    colour: bool | None = None,
    look: bool = False,
    info: dict[str, Any] | None = None,
) -> Dataset:
    """Return the images under `root` as a dataset of `StreamedImages`, none of them decoded yet.

    Layouts: `train/CLASS/*.png` with `test/` and perhaps `val/`; with `val/` but no `test/`, `val/` is
    the test split, as in ImageNet, whose test labels are secret. Or just `CLASS/*.png`, of which a
    stratified, seeded 20 % become the test split. Classes are the folders of the training set, in
    alphabetical order; images may be in folders within them, and links are followed. Splits may be
    spelled otherwise (`Training`, `valid`, `test_set`: `layout.SPLIT_WORDS`).

    An image's shorter side is resized to `resized_to` (default: `image_size`) and the central
    `image_size` square of pixels is kept. `colour=None` means grey if all of the files are. For that
    all are opened, and with `look` in any case, so that one that cannot be read is refused now.
    `info["notes"]` say what was not read. Raises UserError for a folder that is laid out otherwise.
    """
    found = layout.find(name, root)
    splits, source = _splits(name, found)
    if look or colour is None:
        facts = [pictures.look_at(found.root / path) for path in found.paths()]
        colour = not all(each.grey for each in facts) if colour is None else colour
        if stacks := sum(each.pages > 1 for each in facts):
            found.notes.append(
                f"read is the first picture alone of {stacks} files that have several"
            )
    images: dict[str, Any] = {
        f"{split}_images": StreamedImages(
            found.root, paths, sizes, image_size, resized_to or image_size, colour
        )
        for split, (paths, sizes, _) in splits.items()
    }
    labels: dict[str, Any] = {f"{split}_labels": splits[split][2] for split in splits}
    return Dataset(
        name=name,
        **images,
        **labels,
        train_source=source,
        info={
            "class_names": found.class_names,
            "source": str(found.root),
            "notes": found.notes,
            **(info or {}),
        },
    )


def _splits(name: str, found: layout.Layout) -> tuple[dict[str, Files], np.ndarray]:
    """Return the files of train, val and test, of which test is held out where none is given.

    With them the places of the files of train, (N,), among those from which test is held out.
    """
    splits = {split: _files(found.root, images) for split, images in found.splits.items()}
    if "" in splits:
        files = splits.pop("")
        train, test = hold_out(files[2], TEST_FRACTION, name=name)
        parts = {"train": train, "val": train[:0], "test": test}
        return {split: _take(files, part) for split, part in parts.items()}, train
    none = _take(splits["train"], np.arange(0))
    return {"val": none, **splits}, np.arange(len(splits["train"][0]))


def _files(root: Path, images: list[list[str]]) -> Files:
    """Return the images of each class as arrays, in order."""
    paths = [path for of_class in images for path in of_class]
    sizes = []
    for path in paths:
        with file_of(place := f"{root}/{path}", "a readable image"):
            sizes.append(os.stat(place).st_size)
    labels = np.repeat(np.arange(len(images)), [len(of_class) for of_class in images])
    return np.array(paths), np.array(sizes, np.int64), labels.astype(np.int64)


def _take(files: Files, indices: np.ndarray) -> Files:
    paths, sizes, labels = files
    return paths[indices], sizes[indices], labels[indices]
