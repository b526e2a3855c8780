"""From an identity to a dataset: the front door of every source."""

from dataclasses import replace
from pathlib import Path

from medcoreset.datasets import digits, medmnist, npz
from medcoreset.datasets.canonical import Dataset
from medcoreset.datasets.catalog import Identity, check_own_name, parse
from medcoreset.datasets.download import DEFAULT_CACHE
from medcoreset.datasets.splits import subset


def read(
    name: str,
    *,
    data_dir: str | Path | None = None,
    mirror: str | None = None,
    cache: str | Path = DEFAULT_CACHE,
) -> Dataset:
    """Return the dataset of the identity `name`, as `catalog` defines them.

    Its files are taken from the folder `data_dir`, or else downloaded into `cache`, from the
    official address or from `mirror`. Raises UserError if it cannot be had or is not what it says.
    """
    identity = parse(name)
    if identity.source.reader == "digits":
        return _finish(digits.read(), identity)
    return _finish(
        medmnist.read(identity.base, data_dir=data_dir, mirror=mirror, cache=cache), identity
    )


def read_own(name: str, file: str | Path) -> Dataset:
    """Return the user's own data in the `.npz` file `file`, under the identity `name`."""
    base = name.partition("+")[0]
    check_own_name(base)
    return _finish(npz.read(base, file), parse(name, own=[base]))


def _finish(dataset: Dataset, identity: Identity) -> Dataset:
    """Reduce the training set to the identity's subset, and give the dataset its full name."""
    if identity.train is not None:
        kept = subset(dataset.train_labels, identity.train, name=identity.name)
        dataset = replace(
            dataset,
            train_images=dataset.train_images[kept],
            train_labels=dataset.train_labels[kept],
        )
    return replace(dataset, name=identity.name)
