"""Any `.npz` in MedMNIST's layout: `{train,val,test}_{images,labels}`."""

from pathlib import Path
from typing import Any

import numpy as np

from medcoreset.datasets import labels as label_forms
from medcoreset.datasets.canonical import SPLITS, Dataset
from medcoreset.errors import UserError
from medcoreset.reading import npz_headers, read_npz

WHAT = "a readable .npz file"


def read(
    name: str, path: str | Path, info: dict[str, Any] | None = None, *, multilabel: bool = False
) -> Dataset:
    """Return the dataset in the `.npz` file `path`.

    Images are uint8 (N, H, H), (N, H, H, 1) or (N, H, H, 3), or volumes (N, H, H, H). Labels are in any form that
    `labels.classes` reads, or with `class_names` in `info`, the numbers of those classes; with
    `multilabel` rows (N, L) of 0 and 1, several labels per image. `val` may
    be absent or empty. Pickled objects are refused. Raises UserError, naming the file, if it is
    missing, broken, or laid out otherwise.
    """
    where = f"dataset {name}: {path}"
    splits = _given(where, path)
    info = {"source": str(path), **(info or {})}
    if "class_names" in info:
        arrays = read_npz(path, WHAT, *(f"{split}_labels" for split in splits))
    else:
        found, info["class_names"], info["notes"] = read_labels(name, path, multilabel=multilabel)
        arrays = {f"{split}_labels": labels for split, labels in found.items()}
    for split in splits:
        (images,) = read_npz(path, WHAT, f"{split}_images").values()
        arrays[f"{split}_images"] = images[..., 0] if images.shape[3:] == (1,) else images
    if "val" not in splits:
        arrays |= {f"val_{kind}": arrays[f"train_{kind}"][:0] for kind in ("images", "labels")}
    dataset = Dataset(name=name, info=info, **arrays)
    _check_range(where, arrays["train_images"])
    return dataset


def read_labels(
    name: str, path: str | Path, *, multilabel: bool = False
) -> tuple[dict[str, np.ndarray], list[str], list[str]]:
    """Return the labels of each split that has any, as `labels.classes` does; no image is read.

    With `multilabel` as `labels.rows` does.
    """
    where = f"dataset {name}: {path}"
    splits = _given(where, path)
    arrays = read_npz(path, WHAT, *(f"{split}_labels" for split in splits))
    read_as = label_forms.rows if multilabel else label_forms.classes
    return read_as(where, {split: arrays[f"{split}_labels"] for split in splits})


def _given(where: str, path: str | Path) -> list[str]:
    """Return the splits that a file has, whose headers are right; nothing else of it is read."""
    headers = npz_headers(path, WHAT)
    kinds = ("images", "labels")
    wanted = [f"{split}_{kind}" for split in SPLITS for kind in kinds]
    absent = [array for array in wanted if array not in headers]
    if set(absent) >= {"val_images", "val_labels"}:
        absent = [array for array in absent if not array.startswith("val_")]
        headers |= {f"val_{kind}": ((0,), np.dtype(np.uint8)) for kind in kinds}
    if absent:
        has = ", ".join(sorted(headers)[:10]) or "nothing"
        raise UserError(f"{where} has no {', '.join(absent)} (it has {has})")
    given = []
    for split in SPLITS:
        shape, dtype = headers[f"{split}_images"]
        counts = {kind: headers[f"{split}_{kind}"][0][:1] for kind in kinds}
        if headers[f"{split}_labels"][1].hasobject:
            raise UserError(
                f"{where}: {split}_labels are Python objects, which are not read: save numbers, or "
                "names as labels.astype(str)"
            )
        if split == "val" and counts["images"] == counts["labels"] == (0,):
            continue
        if dtype != np.uint8:
            raise UserError(
                f"{where}: {split}_images is {dtype} {shape}, not uint8 (N, size, size), "
                f"(N, size, size, 3) or (N, size, size, size): {_advice(dtype)}"
            )
        if counts["images"] != counts["labels"]:
            of_labels = counts["labels"][0] if counts["labels"] else "no"
            of_images = counts["images"][0] if counts["images"] else "no"
            raise UserError(f"{where}: {split} has {of_images} images but {of_labels} labels")
        given.append(split)
    return given


def _advice(dtype: np.dtype) -> str:
    if dtype.kind == "f":
        return "floats in [0, 1] become np.round(255 * images).astype(np.uint8)"
    return "scale the values to 0 … 255 and save them as uint8"


def _check_range(where: str, images: np.ndarray) -> None:
    """Raise UserError for floats in [0, 1] that were cast to bytes: nothing is to be seen in them."""
    if images.size and images.max() <= 1:
        raise UserError(
            f"{where}: train_images have no value above {images.max()}, so all are black: pixels are "
            "0 … 255"
        )
