"""From an identity to a dataset: the front door of every source.

What is read is first made what it is without conditions, and then changed by these.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from medcoreset.contents import digest
from medcoreset.datasets import (
    braintumor,
    canonical,
    conditions,
    digits,
    duplicates,
    folder,
    medmnist,
    npz,
    stand_in,
    tinyimagenet,
    vision,
)
from medcoreset.datasets.canonical import Dataset
from medcoreset.datasets.catalog import (
    DEFAULT_VAL,
    SOURCES,
    Identity,
    check_own_name,
    check_stream,
    parse,
)
from medcoreset.datasets.download import DEFAULT_CACHE
from medcoreset.datasets.splits import hold_out, subset
from medcoreset.errors import UserError
from medcoreset.identity import split


def read(
    name: str,
    *,
    data_dir: str | Path | None = None,
    mirror: str | None = None,
    cache: str | Path = DEFAULT_CACHE,
) -> Dataset:
    """Return the dataset of the identity `name`, as `catalog` defines them.

    Its files are taken from the folder `data_dir`, or else downloaded into `cache`, from the
    official address or from `mirror`, which is laid out like `data_dir`. Raises UserError if it
    cannot be had or is not what it says.
    """
    identity = parse(name)
    places: dict[str, Any] = {"data_dir": data_dir, "mirror": mirror, "cache": cache}
    match identity.source.reader:
        case "digits":
            dataset = digits.read()
        case "medmnist":
            dataset = medmnist.read(identity.base, **places)
        case "torchvision":
            dataset = vision.read(identity.base, **places)
        case "tinyimagenet":
            dataset = tinyimagenet.read(**places)
        case "braintumor":
            dataset = braintumor.read(identity.base, **places)
        case "imagenet":  # of which each file would have to be opened, to be told from others
            return conditions.applied(_finish(_imagenet(data_dir), identity), identity)
        case unknown:
            raise UserError(f"dataset {name}: its entry of the catalogue has no reader {unknown!r}")
    return conditions.applied(duplicates.handled(_finish(dataset, identity)), identity)


def read_own(
    name: str,
    file: str | Path,
    *,
    policy: duplicates.Policy = "keep",
    multilabel: bool = False,
) -> Dataset:
    """Return the user's own data in the `.npz` file `file`, under the identity `name`.

    `policy` says what becomes of images that are there more than once, see `duplicates`. With
    `multilabel` an image has several labels.
    """
    identity = _own_identity(name, streamed=False)
    return _own(npz.read(identity.base, file, multilabel=multilabel), identity, policy)


def read_own_folder(
    name: str,
    root: str | Path,
    *,
    image_size: int,
    stream: bool = False,
    contents: str | Path | None = None,
    policy: duplicates.Policy = "keep",
) -> Dataset:
    """Return the user's own folder of images, under the identity `name`.

    Images become `image_size` × `image_size` pixels, grey if all files are. With `stream` they stay
    in their files and are read as RGB, as they are needed: for sets larger than the memory. What
    the files hold is then in `info["contents"]`, a SHA-256, and kept in the file `contents`
    (`medcoreset.contents`). `policy` says what becomes of images that are there more than once, see
    `duplicates`.
    """
    identity = _own_identity(name, streamed=stream)
    if image_size < 1:
        raise UserError(f"dataset {name}: image size {image_size}: one pixel is the least")
    colour = True if stream else None
    dataset = folder.read(identity.base, root, image_size=image_size, colour=colour, look=True)
    if stream:
        images = dataset.streamed_images()
        names = (path for part in images for path in part.paths.tolist())
        dataset.info["contents"] = digest(images[0].root, names, contents)
    return _own(dataset, identity, policy, stream=stream)


def read_changed(name: str, clean: str | Path) -> Dataset:
    """Return the dataset of the identity `name`, made from the canonical file of it without conditions."""
    base = split(name, "dataset")[0]
    identity = parse(name, own=() if base in SOURCES else [base])
    dataset = canonical.load(clean)
    if dataset.name != identity.clean.name:
        raise UserError(f"dataset {name}: {clean} is {dataset.name}, not {identity.clean.name}")
    check_stream(identity, streamed=not isinstance(dataset.train_images, np.ndarray))
    return _to_be_decoded(conditions.applied(dataset, identity), identity)


def read_stand_in(
    name: str,
    samples: int,
    images: str | Path,
    *,
    file: str | Path | None = None,
    root: str | Path | None = None,
    image_size: int | None = None,
    stream: bool = False,
    multilabel: bool = False,
) -> Dataset:
    """Return a small stand-in for the dataset of the identity `name`, of at least `samples` images.

    Of a user's own data, in `file` or in the folder `root`, the labels are read, to be like them.
    JPEGs of a streamed dataset are written below the folder `images`.
    """
    if file is not None:
        identity = _own_identity(name, streamed=False)
        own = npz.read(identity.base, file, multilabel=multilabel)
        like = stand_in.Likeness.of_own(_finish(own, identity))
    elif root is not None:
        assert image_size is not None  # of a folder it is always given
        identity = _own_identity(name, streamed=stream)
        own = folder.read(identity.base, root, image_size=image_size, colour=stream or None)
        like = stand_in.Likeness.of_own(_finish(own, identity), streamed=stream)
    else:
        identity = parse(name)
        like = stand_in.Likeness.of_source(identity)
    samples = conditions.clean_size(identity.conditions, like.class_counts, samples)
    made = stand_in.make(identity.clean.name, like, samples, Path(images))
    return _to_be_decoded(conditions.applied(made, identity), identity)


def _imagenet(data_dir: str | Path | None) -> Dataset:
    """Return ImageNet-1K from `data_dir/imagenet/{train,val}/WNID/`, streamed: 140 GB of JPEGs."""
    source = SOURCES["imagenet"]
    if data_dir is None:
        raise UserError(
            "dataset imagenet cannot be downloaded: give data_dir, with imagenet/train/"
        )
    dataset = folder.read(
        "imagenet",
        Path(data_dir) / "imagenet",
        image_size=224,
        resized_to=256,
        colour=True,
        info={"licence": source.licence, "citation": source.citation, "verified": False},
    )
    counts = {split: len(dataset.labels(split)) for split in source.counts}
    if counts != source.counts:
        raise UserError(
            f"dataset imagenet: {dataset.info['source']} has {counts}, ImageNet-1K {source.counts}; "
            "a subset of it is a folder of your own"
        )
    return dataset


def _own_identity(name: str, *, streamed: bool) -> Identity:
    base, _ = split(name, "dataset")
    check_own_name(base)
    identity = parse(name, own=[base])
    check_stream(identity, streamed=streamed)
    return identity


def _own(
    dataset: Dataset, identity: Identity, policy: duplicates.Policy, *, stream: bool = False
) -> Dataset:
    """Finish a user's own data: with images in memory unless `stream`, and without duplicates."""
    if (
        policy == "drop"
    ):  # beforehand, so that none can be held out of a training set with the other
        dataset = duplicates.handled(dataset if stream else _decoded(dataset), policy)
        return _to_be_decoded(conditions.applied(_finish(dataset, identity), identity), identity)
    dataset = _finish(dataset, identity)
    dataset = duplicates.handled(dataset if stream else _decoded(dataset), policy)
    return _to_be_decoded(conditions.applied(dataset, identity), identity)


def _decoded(dataset: Dataset) -> Dataset:
    files = dataset.streamed_images()
    if not files:
        return dataset
    train, val, test = (images[:] for images in files)
    return replace(
        dataset,
        train_images=train,
        val_images=val,
        test_images=test,
        train_files=files[0].paths,
    )


def _finish(dataset: Dataset, identity: Identity) -> Dataset:
    """Hold out a validation set where there is none, reduce the training set, and name it all.

    Of the identity, conditions do not count yet.
    """
    identity = identity.clean
    _to_be_decoded(dataset, identity)
    parts = {"train": np.arange(len(dataset.train_labels))}
    if len(dataset.val_labels) == 0:
        parts["train"], parts["val"] = hold_out(
            dataset.train_labels, identity.val, name=identity.name
        )
        dataset.info["val_fraction"] = identity.val
        if identity.val:
            note = f"val is {len(parts['val'])} of the training images, held out"
            dataset.info["notes"] = [*dataset.info.get("notes", []), note]
    elif identity.val != DEFAULT_VAL:
        raise UserError(f"dataset {identity.name}: it has its own validation set, so no val=")
    if identity.train is not None:
        labels = dataset.train_labels[parts["train"]]
        kept = subset(labels, identity.train, name=identity.name)
        parts["train"] = parts["train"][kept]
    if len(parts["train"]) == len(dataset.train_labels):
        return replace(dataset, name=identity.name)
    made = dataset.train_at(parts["train"])
    if "val" in parts:
        made["val_images"] = canonical.take(dataset.train_images, parts["val"])
        made["val_labels"] = dataset.train_labels[parts["val"]]
    return replace(dataset, name=identity.name, **made)


def _to_be_decoded(dataset: Dataset, identity: Identity) -> Dataset:
    """Let the dataset say that its images are decoded once, if its identity does."""
    if identity.decoded:
        dataset.info["decoded"] = True
    return dataset
