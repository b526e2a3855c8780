"""scikit-learn's bundled 8×8 handwritten digits: real images that need no network."""

import numpy as np

from medcoreset.datasets.canonical import Dataset
from medcoreset.datasets.catalog import SOURCES
from medcoreset.datasets.splits import hold_out


def read() -> Dataset:
    """Return the 1,797 digits, grey levels 0–16 stretched to 0–255, split 60/20/20 by class."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    images = np.round(bunch.images * (255 / 16)).astype(np.uint8)
    labels = bunch.target.astype(np.int64)
    rest, test = hold_out(labels, 0.2, name="digits")
    train, val = hold_out(labels[rest], 0.25, name="digits")
    parts = {"train": rest[train], "val": rest[val], "test": test}
    return Dataset(
        name="digits",
        **{f"{split}_images": images[part] for split, part in parts.items()},
        **{f"{split}_labels": labels[part] for split, part in parts.items()},
        train_source=parts["train"],
        info={
            "class_names": [str(name) for name in bunch.target_names],
            "licence": SOURCES["digits"].licence,
            "citation": SOURCES["digits"].citation,
            "source": "sklearn.datasets.load_digits",
        },
    )
