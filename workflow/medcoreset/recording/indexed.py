"""Samples with their numbers, by which a recorder knows them whatever the order."""

from collections.abc import Mapping
from typing import Any


class IndexedDataset:
    """A map-style dataset whose samples are those of another, with their place in it.

    A sample (image, label) becomes (image, label, index), any other tuple likewise, and a mapping gets
    the key `index`. The index is an int from 0 to N − 1. Take subsets of it, and not it of subsets, so that
    places are those of the whole training set.
    """

    def __init__(self, dataset: Any) -> None:
        self.dataset = dataset

    def __len__(self) -> int:
        """Return N."""
        return len(self.dataset)

    def __getitem__(self, index: int) -> Any:
        """Return a sample and its index."""
        place = int(index)
        if not -len(self) <= place < len(self):
            raise IndexError(f"index is {place}, but there are {len(self)} samples")
        place %= len(self)
        sample = self.dataset[place]
        if isinstance(sample, Mapping):
            return {**sample, "index": place}
        if isinstance(sample, tuple | list):
            return (*sample, place)
        return sample, place
