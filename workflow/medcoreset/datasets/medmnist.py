"""The MedMNIST sets, of images and of volumes, in their official files."""

from pathlib import Path

from medcoreset.datasets import npz
from medcoreset.datasets.canonical import SPLITS, Dataset
from medcoreset.datasets.catalog import SOURCES
from medcoreset.datasets.download import DEFAULT_CACHE, obtain
from medcoreset.errors import UserError


def read(
    name: str,
    *,
    data_dir: str | Path | None = None,
    mirror: str | None = None,
    cache: str | Path = DEFAULT_CACHE,
) -> Dataset:
    """Return MedMNIST's `name` (`organsmnist`, `organsmnist_64`) from its official `.npz` file.

    The file is looked for in `data_dir`, or else downloaded into `cache`. Its MD5 must be the
    official one, and its counts those of the installed `medmnist.INFO`. Raises UserError if not.
    """
    from medmnist import INFO

    flag, _, size = name.partition("_")
    facts = INFO[flag]
    suffix = f"_{size}" if size else ""
    url, md5 = facts[f"url{suffix}"], facts[f"MD5{suffix}"]
    path = obtain(url, f"{name}.npz", md5=md5, data_dir=data_dir, mirror=mirror, cache=cache)
    dataset = npz.read(
        name,
        path,
        {
            "class_names": list(facts["label"].values()),
            "licence": facts["license"],
            "citation": SOURCES[name].citation,
            "source": url,
            "md5": md5,
            "verified": True,
        },
    )
    counts = {split: len(dataset.labels(split)) for split in SPLITS}
    if counts != facts["n_samples"]:
        raise UserError(
            f"dataset {name}: {path} holds {counts}, but MedMNIST says {facts['n_samples']}"
        )
    return dataset
