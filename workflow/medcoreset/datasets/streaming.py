"""Images that stay in their files: decoded when asked for, by worker processes where that pays.

For sets that do not fit in memory, such as ImageNet. A dataset then holds `StreamedImages` where it
otherwise holds arrays; `load_batches` serves both, and is all that a training loop needs to know.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image

from medcoreset.datasets import pictures
from medcoreset.errors import UserError

Crop = Literal["center", "random"]


@dataclass(frozen=True, eq=False)
class StreamedImages:
    """N images in files: `paths` (N,) str under `root`, `file_bytes` (N,) int64 their sizes.

    Behaves as the uint8 array (N, image_size, image_size[, 3]) that it stands for: `len`, `shape`,
    `dtype`, and indexing, which decodes. `subset` picks without decoding. An image's shorter side is
    resized to `resized_to` pixels, then its centre is cut out.
    """

    root: Path
    paths: np.ndarray
    file_bytes: np.ndarray
    image_size: int
    resized_to: int
    colour: bool = True

    dtype = np.dtype(np.uint8)

    def __len__(self) -> int:
        return len(self.paths)

    @property
    def shape(self) -> tuple[int, ...]:
        """Return the shape of the array that this stands for."""
        return (len(self), self.image_size, self.image_size, *((3,) if self.colour else ()))

    def subset(self, indices: np.ndarray) -> "StreamedImages":
        """Return the images `indices`, still in their files."""
        return StreamedImages(
            self.root,
            self.paths[indices],
            self.file_bytes[indices],
            self.image_size,
            self.resized_to,
            self.colour,
        )

    def __getitem__(self, indices: int | slice | Sequence[int] | np.ndarray) -> np.ndarray:
        """Return the images `indices` as uint8 (B, image_size, image_size[, 3]); an int, just one."""
        if isinstance(indices, int | np.integer):
            return self.decode(int(indices))
        chosen = np.arange(len(self))[indices]
        images = np.empty((len(chosen), *self.shape[1:]), np.uint8)
        for row, index in enumerate(chosen):
            images[row] = self.decode(int(index))
        return images

    def decode(self, index: int, random: np.random.Generator | None = None) -> np.ndarray:
        """Return image `index`: its centre, or with `random` a crop of random size and aspect.

        The random crop covers 8–100 % of the area at an aspect ratio of 3/4–4/3 (Szegedy et al.,
        Going deeper with convolutions, 2015). Raises UserError for a file that `pictures.read` refuses.
        """
        path = self.root / str(self.paths[index])
        # A JPEG is decoded no larger than needed, which is several times faster.
        least = self.resized_to if self.colour and random is None else None
        image = pictures.read(path, path, colour=self.colour, at_least=least)
        box = _center_box(image.size, self.image_size / self.resized_to)
        if random is not None:
            box = _random_box(image.size, random)
        size = (self.image_size, self.image_size)
        return np.asarray(image.resize(size, Image.Resampling.BILINEAR, box=box))


def load_batches(
    images: np.ndarray | StreamedImages,
    batches: Sequence[np.ndarray],
    *,
    workers: int = 0,
    crop: Crop = "center",
    seed: int = 0,
) -> Iterator[np.ndarray]:
    """Yield the images of each of `batches`, which are arrays of indices, in that order.

    Each is uint8 (B, size, size[, 3]). Images in memory are indexed. Streamed ones are decoded by
    `workers` processes (0: by this one), which work ahead; `crop="random"` cuts out random crops that
    depend on `seed` and the image's index alone, not on the number of workers: give each epoch its
    own seed (`seeding.stream_seed`). Raises UserError if a file cannot be decoded.
    """
    if not isinstance(images, StreamedImages):
        for batch in batches:
            yield images[batch]
        return
    from torch.utils.data import DataLoader

    loader = DataLoader(
        _Decoder(images, seed if crop == "random" else None),
        sampler=batches,
        batch_size=None,
        num_workers=workers,
        collate_fn=_unchanged,
    )
    for decoded in loader:
        if isinstance(decoded, UserError):
            raise decoded
        yield decoded


@dataclass(frozen=True)
class _Decoder:
    """What a worker does: a batch of indices becomes an array of images."""

    images: StreamedImages
    seed: int | None

    def __getitem__(self, batch: np.ndarray) -> np.ndarray | UserError:
        try:
            return np.stack([self.images.decode(int(i), self._random(int(i))) for i in batch])
        except UserError as error:
            return error  # raised in a worker, it would come back wrapped in a traceback

    def _random(self, index: int) -> np.random.Generator | None:
        return None if self.seed is None else np.random.default_rng([self.seed, index])


def _unchanged(batch: np.ndarray) -> np.ndarray:
    return batch


def _center_box(size: tuple[int, int], share: float) -> tuple[float, float, float, float]:
    """Return the box (left, top, right, bottom) of the central square, `share` of the shorter side."""
    width, height = size
    side = min(size) * share
    left, top = (width - side) / 2, (height - side) / 2
    return left, top, left + side, top + side


def _random_box(
    size: tuple[int, int], random: np.random.Generator
) -> tuple[float, float, float, float]:
    """Return a random box that fits, or after ten that do not, the largest central square."""
    width, height = size
    for _ in range(10):
        area = width * height * random.uniform(0.08, 1.0)
        aspect = np.exp(random.uniform(np.log(3 / 4), np.log(4 / 3)))
        box_width, box_height = np.sqrt(area * aspect), np.sqrt(area / aspect)
        if box_width <= width and box_height <= height:
            left = random.uniform(0, width - box_width)
            top = random.uniform(0, height - box_height)
            return left, top, left + box_width, top + box_height
    return _center_box(size, 1.0)
