"""Images that stay on disk: read when asked for, by worker processes where that pays.

For sets that do not fit in memory, such as ImageNet. A dataset then holds `ImagesOnDisk` where it
otherwise holds arrays; `load_batches` serves both, and is all that a training loop needs to know.
"""

import shutil
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
from PIL import Image

from medcoreset.datasets import pictures
from medcoreset.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor

Crop = Literal["center", "random"]
Box = tuple[float, float, float, float]
"""Left, top, right and bottom, in pixels."""

SHARED = Path("/dev/shm")
AHEAD = 3
"""Batches of each worker that wait, with the one that is in use."""


class ImagesOnDisk(ABC):
    """N images that are not in memory.

    They behave as the uint8 array (N, image_size, image_size[, 3]) that they stand for: `len`,
    `shape`, `dtype`, and indexing, which reads. `subset` picks without reading.
    """

    image_size: int
    colour: bool

    dtype = np.dtype(np.uint8)

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def subset(self, indices: np.ndarray) -> Self:
        """Return the images `indices`, still on disk."""

    @abstractmethod
    def image(self, index: int, random: np.random.Generator | None = None) -> np.ndarray:
        """Return image `index`: its centre, or with `random` a crop of random size and aspect."""

    @abstractmethod
    def by_workers(self, crop: Crop) -> bool:
        """Say whether it pays to have other processes make such crops."""

    @abstractmethod
    def read_ahead(self, indices: np.ndarray) -> None:
        """Let the system read what the images `indices` are copied from, and do not wait for it."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Return the shape of the array that this stands for."""
        return (len(self), self.image_size, self.image_size, *((3,) if self.colour else ()))

    def __getitem__(self, indices: int | slice | Sequence[int] | np.ndarray) -> np.ndarray:
        """Return the images `indices` as uint8 (B, image_size, image_size[, 3]); an int, just one."""
        if isinstance(indices, int | np.integer):
            return self.image(int(indices))
        chosen = np.arange(len(self))[indices]
        images = np.empty((len(chosen), *self.shape[1:]), np.uint8)
        for row, index in enumerate(chosen):
            images[row] = self.image(int(index))
        return images


@dataclass(frozen=True, eq=False)
class StreamedImages(ImagesOnDisk):
    """N images in files: `paths` (N,) str under `root`, `file_bytes` (N,) int64 their sizes.

    Reading decodes. An image's shorter side is resized to `resized_to` pixels, then its centre is
    cut out.
    """

    root: Path
    paths: np.ndarray
    file_bytes: np.ndarray
    image_size: int
    resized_to: int
    colour: bool = True

    def __len__(self) -> int:
        return len(self.paths)

    def subset(self, indices: np.ndarray) -> Self:
        """Return the images `indices`, still in their files."""
        picked = self.paths[indices], self.file_bytes[indices]
        return type(self)(self.root, *picked, self.image_size, self.resized_to, self.colour)

    def image(self, index: int, random: np.random.Generator | None = None) -> np.ndarray:
        """Return image `index`: its centre, or with `random` a crop of random size and aspect.

        The random crop is `random_box`'s. Raises UserError for a file that `pictures.read` refuses.
        """
        if random is None:
            return self.centre(self.picture(index, reduced=True))
        picture = self.picture(index)
        return self._resized(picture, random_box(picture.size, random))

    def by_workers(self, crop: Crop) -> bool:
        """Say that it pays to have other processes decode, whatever the crop."""
        return True

    def read_ahead(self, indices: np.ndarray) -> None:
        """Do nothing: what is decoded is not copied."""

    def picture(self, index: int, *, reduced: bool = False) -> Image.Image:
        """Return picture `index` as its file holds it; `reduced`, perhaps smaller, see `pictures`."""
        path = self.root / str(self.paths[index])
        # A JPEG is decoded no larger than needed, which is several times faster.
        least = self.resized_to if self.colour and reduced else None
        return pictures.read(path, path, colour=self.colour, at_least=least)

    def centre(self, picture: Image.Image) -> np.ndarray:
        """Return the centre of a picture, uint8 (image_size, image_size[, 3])."""
        return self._resized(picture, center_box(picture.size, self.image_size / self.resized_to))

    def _resized(self, picture: Image.Image, box: Box) -> np.ndarray:
        size = (self.image_size, self.image_size)
        return np.asarray(picture.resize(size, Image.Resampling.BILINEAR, box=box))


def load_batches(
    images: np.ndarray | ImagesOnDisk,
    batches: Sequence[np.ndarray],
    *,
    workers: int = 0,
    crop: Crop = "center",
    seed: int = 0,
) -> Iterator[np.ndarray]:
    """Yield the images of each of `batches`, which are arrays of indices, in that order.

    Each is uint8 (B, size, size[, 3]). Images in memory are indexed, and so is what is no work to
    read; else `workers` processes (0: this one) read ahead. `crop="random"` cuts out random crops
    that depend on `seed` and the image's index alone, not on the number of workers: give each epoch
    its own seed (`seeding.stream_seed`). Raises UserError if a file cannot be decoded.
    """
    if isinstance(images, np.ndarray) or not images.by_workers(crop):
        for batch, following in zip_longest(batches, batches[1:]):
            if following is not None and not isinstance(images, np.ndarray):
                images.read_ahead(following)
            yield images[batch]
        return
    from torch.utils.data import DataLoader

    largest = max(map(len, batches), default=0) * int(np.prod(images.shape[1:]))
    # Whatever has numbered items will do as data, and whatever yields numbers as a sampler.
    loader: DataLoader[Any] = DataLoader(
        _Reader(images, seed if crop == "random" else None),  # type: ignore[arg-type]
        batch_sampler=batches,  # type: ignore[arg-type]
        num_workers=workers,
        collate_fn=_shared if workers and _can_share(largest * workers) else _stacked,
    )
    for found in loader:
        if isinstance(found, UserError):
            raise found
        yield np.asarray(found)


@dataclass(frozen=True)
class _Reader:
    """What a worker does: an index becomes an image."""

    images: ImagesOnDisk
    seed: int | None

    def __getitem__(self, index: np.integer) -> np.ndarray | UserError:
        random = None if self.seed is None else np.random.default_rng([self.seed, int(index)])
        try:
            return self.images.image(int(index), random)
        except UserError as error:
            return error  # raised in a worker, it would come back wrapped in a traceback


def _stacked(found: list[np.ndarray | UserError]) -> np.ndarray | UserError:
    """Return the images as one array, or an error."""
    images = [each for each in found if not isinstance(each, UserError)]
    error = next((each for each in found if isinstance(each, UserError)), None)
    return np.stack(images) if error is None else error


def _shared(found: list[np.ndarray | UserError]) -> "Tensor | UserError":
    """Return the same in shared memory: through a pipe it takes longer than random crops to make."""
    import torch

    batch = _stacked(found)
    return batch if isinstance(batch, UserError) else torch.from_numpy(batch).share_memory_()


def _can_share(batches: int) -> bool:
    """Return whether shared memory holds batches of so many bytes, those waiting, and as much again.

    In containers it often does not (64 MB), and a worker that finds it full is killed.
    """
    try:
        return shutil.disk_usage(SHARED).free > 2 * AHEAD * batches
    except OSError:  # no Linux
        return False


def center_box(size: tuple[int, int], share: float) -> Box:
    """Return the box of the central square of a picture, `share` of its shorter side."""
    width, height = size
    side = min(size) * share
    left, top = (width - side) / 2, (height - side) / 2
    return left, top, left + side, top + side


def random_box(size: tuple[int, int], random: np.random.Generator) -> Box:
    """Return a random box that fits, or after ten that do not, the largest central square.

    It covers 8–100 % of the area at an aspect ratio of 3/4–4/3 (Szegedy et al., Going deeper with
    convolutions, 2015).
    """
    width, height = size
    for _ in range(10):
        area = width * height * random.uniform(0.08, 1.0)
        aspect = np.exp(random.uniform(np.log(3 / 4), np.log(4 / 3)))
        box_width, box_height = np.sqrt(area * aspect), np.sqrt(area / aspect)
        if box_width <= width and box_height <= height:
            left = random.uniform(0, width - box_width)
            top = random.uniform(0, height - box_height)
            return left, top, left + box_width, top + box_height
    return center_box(size, 1.0)
