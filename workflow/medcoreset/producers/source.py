"""What evidence is made from."""

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:  # the registry is imported by stages that read no dataset
    from medcoreset.datasets.canonical import Dataset


class Source(NamedTuple):
    """A trained surrogate's folder, the dataset it saw, and on what to compute."""

    folder: Path
    dataset: "Dataset"
    device: str = "auto"
    threads: int | None = None
