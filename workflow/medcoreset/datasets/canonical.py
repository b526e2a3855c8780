"""The one form in which every dataset reaches the pipeline: an uncompressed `.npz` and a `.json`.

The `.npz` has `{train,val,test}_{images,labels}`, and for each training sample its place in the
official training set, `train_source`, and, if it was read from a file of its own, the path of that,
`train_files`. Of a streamed dataset, one that stays in its image files, it has `{train,val,test}_{paths,bytes,labels}` instead: each file's path under the
`root` that the `.json` names, and its size. If it is to be decoded once, the pixels are in a folder
beside, see `decoded`. A dataset whose training set was changed by `conditions` also has what it was
changed from, the arrays of `RECORD`.
"""

import hashlib
import os
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np

from medcoreset.atomic import write_json, write_npz
from medcoreset.datasets import decoded
from medcoreset.datasets.streaming import ImagesOnDisk, StreamedImages
from medcoreset.errors import UserError
from medcoreset.reading import file_of, read_json, read_npz

Images = np.ndarray | ImagesOnDisk
SPLITS = ("train", "val", "test")
ARRAYS = tuple(f"{split}_{kind}" for split in SPLITS for kind in ("images", "labels"))
STREAMED_ARRAYS = tuple(
    f"{split}_{kind}" for split in SPLITS for kind in ("paths", "bytes", "labels")
)
SOURCE = ("train_source", "train_files")
"""Where each training sample comes from; the second is not always there."""
RECORD = ("train_true_labels", "val_true_labels", "train_origin")
"""Of a training set that was changed: labels before the change, and places in the set before it."""

DESCRIBED = {
    "name": str,
    "sha256": str,
    "class_names": list,
    "streamed": bool,
    "channels": int,
    "image_size": int,
}
"""What of a description is relied on."""
LARGEST_LABEL = 999_999
"""A greater one is no class; the names of so many classes would fill the memory."""
WHAT = "a dataset as `medcoreset dataset` writes it"
REMAKE = "make it anew: medcoreset dataset, or snakemake … --forcerun prepare_dataset"


@dataclass(eq=False)
class Dataset:
    """Images and labels in three splits; whoever holds one may rely on what is said here.

    `*_images`: uint8, (N, H, W) for grey or (N, H, W, 3) for colour images, H = W, or (N, D, H, W) for
    grey volumes, D = H = W, the same in all splits. `*_labels`: int64 (N,), in [0, classes), or with
    several labels per sample (N, classes), 0 or 1 each. Only val may be empty. `info` has what the
    `.json` holds. Raises UserError, with the dataset's name, if the arrays are not like this.

    `train_source`, int64 (N,), is the place of each training sample in the training set as its makers
    number it (torchvision's, MedMNIST's; of a folder, the sorted files of sorted classes), by default
    0 … N−1. `train_files`, str (N,), are the paths below `info["source"]` of samples that were read
    from files of their own; None if they were not, or are still there (`ImagesOnDisk`).

    Only a dataset whose training set was changed by `conditions` has a record of it:
    `train_true_labels` and `val_true_labels` like the labels, and `train_origin`, int64 (N,), the
    place of each training sample in the set before: what share one are copies of each other.

    Images may instead be `ImagesOnDisk`, which answer to `len`, `shape`, `dtype` and indexing
    like the array they stand for, but read files to do so: a training loop should read
    either kind through `streaming.load_batches`.
    """

    name: str
    train_images: Images
    train_labels: np.ndarray
    val_images: Images
    val_labels: np.ndarray
    test_images: Images
    test_labels: np.ndarray
    info: dict[str, Any] = field(default_factory=dict)
    train_source: np.ndarray | None = None
    train_files: np.ndarray | None = None
    train_true_labels: np.ndarray | None = None
    val_true_labels: np.ndarray | None = None
    train_origin: np.ndarray | None = None

    def __post_init__(self) -> None:
        for split in SPLITS:
            _check_images(self.name, split, self.images(split), self.train_images)
            labels = _check_labels(self.name, split, self.labels(split), len(self.images(split)))
            setattr(self, f"{split}_labels", labels)
        if self.train_source is None:
            self.train_source = np.arange(len(self.train_labels))
        _check_source(self, self.train_source)
        _check_record(self)
        if any(self.labels(split).ndim == 2 for split in SPLITS):
            _check_rows(self)
            return
        if "class_names" not in self.info:
            classes = 1 + max(int(self.labels(split).max(initial=0)) for split in SPLITS)
            if classes - 1 > LARGEST_LABEL:
                raise UserError(
                    f"dataset {self.name}: {classes - 1} is no label, the largest is {LARGEST_LABEL}"
                )
            self.info["class_names"] = [str(label) for label in range(classes)]
        for split in SPLITS:
            if self.labels(split).max(initial=0) >= self.classes:
                raise UserError(
                    f"dataset {self.name}: {split}_labels has label {self.labels(split).max()}, "
                    f"but there are {self.classes} classes"
                )

    def images(self, split: str) -> Images:
        """Return the images of `train`, `val` or `test`."""
        return getattr(self, f"{split}_images")

    def labels(self, split: str) -> np.ndarray:
        """Return the labels of `train`, `val` or `test`."""
        return getattr(self, f"{split}_labels")

    def streamed_images(self) -> list[StreamedImages]:
        """Return the images of train, val and test that stay in image files: all three, or none."""
        images = [self.images(split) for split in SPLITS]
        return [each for each in images if isinstance(each, StreamedImages)]

    def train_at(self, places: np.ndarray) -> dict[str, Any]:
        """Return the fields that `train` has with the samples at these places, int (n,), alone."""
        source, files = self.train_source, self.train_files
        assert source is not None  # from the start
        return {
            "train_images": take(self.train_images, places),
            "train_labels": self.train_labels[places],
            "train_source": source[places],
            "train_files": None if files is None else files[places],
        }

    @property
    def corrupted(self) -> np.ndarray | None:
        """Which training samples have a wrong label, bool (N,); None if nothing was changed."""
        return (
            None if self.train_true_labels is None else self.train_labels != self.train_true_labels
        )

    @property
    def multilabel(self) -> bool:
        """Whether there are several labels per sample."""
        return self.train_labels.ndim == 2

    @property
    def classes(self) -> int:
        """Return the number of classes, or of labels that a sample may have."""
        return len(self.info["class_names"])

    @property
    def channels(self) -> int:
        """Return 1 for grey and 3 for colour images."""
        return channels_of(self.train_images.shape)

    @property
    def dimensions(self) -> int:
        """Return 2 for images and 3 for volumes."""
        return dimensions_of(self.train_images.shape)

    @property
    def image_size(self) -> int:
        """Return the height of an image in pixels, which is also its width and a volume's depth."""
        return self.train_images.shape[1]

    @cached_property
    def sha256(self) -> str:
        """The hash of the names, dtypes, shapes and bytes of the arrays in the `.npz`.

        Of a streamed dataset these are the paths, sizes and labels of its files, and how their
        pixels are had counts too: how images are resized, and whether random crops are of decoded
        ones. What the files hold is known, and counts, as `info["contents"]` (not of ImageNet's
        140 GB).
        """
        return _sha256(_arrays(self), _description(self))


def take(images: Images, places: np.ndarray) -> Images:
    """Return the images at these places, int (n,); those on disk stay there."""
    return images[places] if isinstance(images, np.ndarray) else images.subset(places)


def channels_of(shape: tuple[int, ...]) -> int:
    """Return the channels of images of this shape, (N, H, W), (N, H, W, 3) or (N, D, H, W)."""
    return 3 if len(shape) == 4 and shape[3] == 3 else 1


def dimensions_of(shape: tuple[int, ...]) -> int:
    """Return the dimensions of images of this shape: 3 of volumes (N, D, H, W), else 2."""
    return 3 if len(shape) == 4 and shape[3] != 3 else 2


def write(dataset: Dataset, path: str | Path) -> None:
    """Write `dataset` to `path` (`.npz`) and its description beside it (`.json`).

    Both appear whole or not at all, and the description last: where it is, the arrays are.
    """
    path = Path(path)
    arrays, description = _arrays(dataset), _description(dataset)
    # Anew: the arrays may have changed since it was first asked for.
    description["sha256"] = _sha256(arrays, description)
    description_path(path).unlink(missing_ok=True)
    write_npz(path, **arrays)
    write_json(description_path(path), description)


def load(path: str | Path, *, files: bool = False) -> Dataset:
    """Load a dataset that `write` wrote; the images are memory-mapped, after they were read once.

    The arrays are copy-on-write: a change to them stays in this process. With `files`, images that
    are decoded once are those in their files all the same.
    Raises UserError if the file is missing, not in the canonical form, or not what its description
    says: damaged, or changed since it was made.
    """
    info = load_info(path)
    names = STREAMED_ARRAYS if info["streamed"] else ARRAYS
    arrays = _map_npz(Path(path), (*names, SOURCE[0]), (SOURCE[1], *RECORD))
    found = _sha256(arrays, info)
    if found != info["sha256"]:
        raise UserError(
            f"dataset file {path} was damaged or changed since it was made (SHA-256 {found[:12]}…, "
            f"not {info['sha256'][:12]}…); {REMAKE}"
        )
    fields: dict[str, Any]
    with file_of(description_path(path), f"the description of {WHAT}"):
        if info.get("decoded") and not files:
            fields = _decoded(arrays, info, decoded_path(path))
        elif info["streamed"]:
            fields = _streamed(arrays, info)
        else:
            fields = {name: arrays[name] for name in names}
        fields |= {name: arrays[name] for name in (*SOURCE, *RECORD) if name in arrays}
    dataset = Dataset(name=info["name"], info=info, **fields)
    dataset.sha256 = found
    return dataset


def load_labels(path: str | Path) -> np.ndarray:
    """Return the training labels, int64 (N,) or (N, L), of a canonical file without reading its images.

    They have the checksum that the archive states. Raises UserError as `load` does.
    """
    load_info(path)
    with _remaking():
        labels = read_npz(path, WHAT, "train_labels")["train_labels"]
        if labels.dtype != np.int64 or labels.ndim not in (1, 2):
            raise UserError(f"{path} is not {WHAT}: train_labels is {labels.dtype} {labels.shape}")
    return labels


def load_source(path: str | Path) -> tuple[np.ndarray, np.ndarray | None, str]:
    """Return where the training samples of a canonical file come from; no image is read.

    That is `train_source`, int64 (N,), the path of each file below a folder, str (N,), or None, and
    what they are below: a folder, or the address of the files. Raises UserError as `load` does.
    """
    info = load_info(path)
    with _remaking():
        arrays = read_npz(path, WHAT)
        paths = arrays.get("train_paths" if info["streamed"] else "train_files")
        return arrays["train_source"], paths, info.get("root") or info.get("source", "")


def load_info(path: str | Path) -> dict[str, Any]:
    """Return the description of a canonical file from the `.json` beside it."""
    for file in (Path(path), description_path(path)):
        if not os.path.isfile(file):
            raise UserError(
                f"dataset file {file} does not exist: make it with `medcoreset dataset`"
            )
    with _remaking():
        info = read_json(description_path(path), f"the description of {WHAT}")
        for key, kind in DESCRIBED.items():
            if not isinstance(info.get(key), kind):
                raise UserError(
                    f"{description_path(path)} is not the description of {WHAT}: {key} is "
                    f"{info.get(key)!r}, must be a {kind.__name__}"
                )
    return info


def description_path(path: str | Path) -> Path:
    """Return the path of the `.json` that belongs to a canonical `.npz`."""
    return Path(f"{os.path.splitext(path)[0]}.json")


def decoded_path(path: str | Path) -> Path:
    """Return the folder of the decoded images that belong to a canonical `.npz`."""
    return Path(os.path.splitext(path)[0])


def _description(dataset: Dataset) -> dict[str, Any]:
    """Return what the `.json` says of a dataset, but for its digest."""
    images = dataset.train_images
    description = {
        "recipe": "",
        **dataset.info,
        "name": dataset.name,
        "counts": {split: len(dataset.labels(split)) for split in SPLITS},
        "channels": dataset.channels,
        "image_size": dataset.image_size,
        "dimensions": dataset.dimensions,
        "multilabel": dataset.multilabel,
        "streamed": isinstance(images, StreamedImages),
    }
    if isinstance(images, StreamedImages):
        description |= {"root": str(images.root), "resized_to": images.resized_to}
    return description


def _arrays(dataset: Dataset) -> dict[str, np.ndarray]:
    """Return what goes into the `.npz`, by name."""
    arrays: dict[str, Any] = {}
    for split in SPLITS:
        images = dataset.images(split)
        if isinstance(images, StreamedImages):
            arrays[f"{split}_paths"] = images.paths
            arrays[f"{split}_bytes"] = images.file_bytes
        else:
            arrays[f"{split}_images"] = images
        arrays[f"{split}_labels"] = dataset.labels(split)
    record = {name: getattr(dataset, name) for name in (*SOURCE, *RECORD)}
    return arrays | {name: array for name, array in record.items() if array is not None}


def _streamed(arrays: dict[str, np.ndarray], info: dict[str, Any]) -> dict[str, Any]:
    """Put the images of a streamed dataset in the place of their paths."""
    root = Path(info["root"])
    if not root.is_dir():
        raise UserError(f"dataset {info['name']}: its images are no longer at {root}")
    colour = info["channels"] == 3
    fields: dict[str, Any] = _labels(arrays)
    for split in SPLITS:
        files = arrays[f"{split}_paths"], arrays[f"{split}_bytes"]
        size = info["image_size"], info["resized_to"]
        fields[f"{split}_images"] = StreamedImages(root, *files, *size, colour)
    return fields


def _decoded(
    arrays: dict[str, np.ndarray], info: dict[str, Any], folder: Path
) -> dict[str, np.ndarray | ImagesOnDisk]:
    """Put the decoded images of a streamed dataset in the place of their paths."""
    counts = [len(arrays[f"{split}_paths"]) for split in SPLITS]
    given = info["sha256"], counts, info["image_size"], info["channels"] == 3
    images = zip(SPLITS, decoded.load(folder, *given), strict=True)
    return _labels(arrays) | {f"{split}_images": of_split for split, of_split in images}


def _labels(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {f"{split}_labels": arrays[f"{split}_labels"] for split in SPLITS}


def _sha256(arrays: dict[str, np.ndarray], description: dict[str, Any]) -> str:
    digest = hashlib.sha256(str(description.get("contents", "")).encode())
    if description["streamed"]:
        pixels = [description.get(key) for key in ("image_size", "resized_to", "decoded")]
        digest.update(f"{pixels}\n".encode())
    for name, array in arrays.items():
        digest.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
        digest.update(np.ascontiguousarray(array).view(np.uint8).data if array.size else b"")
    return digest.hexdigest()


@contextmanager
def _remaking() -> Iterator[None]:
    """Let what goes wrong in the block say how to make the file anew."""
    try:
        yield
    except UserError as problem:
        raise UserError(f"{problem}; {REMAKE}") from None


def _map_npz(
    path: Path, names: tuple[str, ...], optional: tuple[str, ...] = ()
) -> dict[str, np.ndarray]:
    """Memory-map members of an uncompressed `.npz`, which numpy itself always reads whole."""
    with _remaking(), file_of(path, WHAT), zipfile.ZipFile(path) as archive:
        there = set(archive.namelist())
        wanted = [*names, *(name for name in optional if f"{name}.npy" in there)]
        return {name: _map_member(path, archive, f"{name}.npy") for name in wanted}


def _map_member(path: Path, archive: zipfile.ZipFile, name: str) -> np.ndarray:
    member = archive.getinfo(name)
    if member.compress_type != zipfile.ZIP_STORED:
        raise ValueError(f"{name} is compressed")
    # Through the archive, only the array's header is read, to learn its length …
    with archive.open(member) as stream:
        version = np.lib.format.read_magic(stream)
        read_header = getattr(np.lib.format, f"read_array_header_{version[0]}_0")
        shape, fortran, dtype = read_header(stream)
        header = stream.tell()
    if dtype.hasobject:
        raise ValueError(f"{name} has Python objects")
    if not all(shape):
        return np.zeros(shape, dtype)
    # … and the array starts after the member's own header, which zipfile does not measure.
    with path.open("rb") as raw:
        raw.seek(member.header_offset + 26)
        name_length, extra_length = np.frombuffer(raw.read(4), "<u2")
    start = member.header_offset + 30 + int(name_length) + int(extra_length) + header
    order: Literal["F", "C"] = "F" if fortran else "C"
    return np.asarray(np.memmap(path, dtype, mode="c", offset=start, shape=shape, order=order))


def _check_images(name: str, split: str, images: Images, like: Images) -> None:
    shape = images.shape
    known = len(shape) in (3, 4) and len(set(shape[1 : 1 + dimensions_of(shape)])) == 1
    if images.dtype != np.uint8 or not known:
        raise UserError(
            f"dataset {name}: {split}_images is {images.dtype} {shape}, "
            "not uint8 (N, size, size), (N, size, size, 3) or, of volumes, (N, size, size, size)"
        )
    if shape[1:] != like.shape[1:]:
        raise UserError(
            f"dataset {name}: {split}_images are {shape[1:]}, train_images are {like.shape[1:]}"
        )
    if split != "val" and len(images) == 0:
        raise UserError(f"dataset {name}: {split}_images is empty")


def _check_source(dataset: Dataset, source: np.ndarray) -> None:
    """Raise UserError unless the place of each training sample is there, and of files each path."""
    count, files = len(dataset.train_labels), dataset.train_files
    if source.dtype != np.int64 or source.shape != (count,):
        found = f"{source.dtype} {source.shape}"
        raise UserError(f"dataset {dataset.name}: train_source is {found}, not int64 ({count},)")
    if files is not None and (files.dtype.kind != "U" or files.shape != (count,)):
        found = f"{files.dtype} {files.shape}"
        raise UserError(f"dataset {dataset.name}: train_files is {found}, not str ({count},)")


def _check_rows(dataset: Dataset) -> None:
    """Raise UserError unless all splits have the same several labels, 0 or 1; name these if need be."""
    labels = dataset.train_labels.shape[1:]
    dataset.info.setdefault("class_names", [str(label) for label in range(*labels)])
    for split in SPLITS:
        rows = dataset.labels(split)
        if rows.shape[1:] != labels or rows.shape[1:] != (dataset.classes,):
            raise UserError(
                f"dataset {dataset.name}: {split}_labels is {rows.shape}, not (N, {dataset.classes}) as "
                "there are labels"
            )
        if rows.max(initial=0) > 1:
            raise UserError(
                f"dataset {dataset.name}: {split}_labels has {rows.max()}: of several labels per image "
                "each is 0 or 1"
            )
    if dataset.train_true_labels is not None:
        raise UserError(f"dataset {dataset.name}: conditions are of one label per image")


def _check_record(dataset: Dataset) -> None:
    """Raise UserError unless all of `RECORD` is there, as long as the labels are, or none of it."""
    record = {name: getattr(dataset, name) for name in RECORD}
    if all(array is None for array in record.values()):
        return
    for name, array in record.items():
        count = len(dataset.labels(name.partition("_")[0]))
        if array is None or array.dtype != np.int64 or array.shape != (count,):
            found = "missing" if array is None else f"{array.dtype} {array.shape}"
            raise UserError(f"dataset {dataset.name}: {name} is {found}, not int64 ({count},)")


def _check_labels(name: str, split: str, labels: np.ndarray, count: int) -> np.ndarray:
    """Return `labels` as int64 (N,) or (N, L); MedMNIST's layout has one column per label: (N, 1)."""
    flat = labels[:, 0] if labels.ndim == 2 and labels.shape[1] == 1 else labels
    if flat.ndim not in (1, 2) or not np.issubdtype(flat.dtype, np.integer):
        raise UserError(
            f"dataset {name}: {split}_labels is {labels.dtype} {labels.shape}, not integers (N,) "
            "or (N, 1), one label per image, or (N, L)"
        )
    if len(flat) != count:
        raise UserError(f"dataset {name}: {split} has {count} images but {len(flat)} labels")
    if flat.min(initial=0) < 0:
        raise UserError(f"dataset {name}: {split}_labels has the negative label {flat.min()}")
    return flat.astype(np.int64)
