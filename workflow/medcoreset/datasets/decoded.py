"""Images that were decoded once: one file of pixels, which trainings map into their memory.

A dataset of `stream=decoded` has a folder of its name beside its `.npz`, written by `decoding`:

- `pixels.bin`: the uint8 values of the images, one after the other, first train, then val, then test;
- `index.npz`: the `sizes` (N, 2) of the images, height and width; `parts` (P,), the SHA-256 of each
  `PART` images; `identity`, of what dataset and by what code they were made; `pillow`, by which version.
  It is written last: where it is, the pixels are whole.

Of val and test the centres are stored, which evaluation reads. Of train it is the whole picture, its
shorter side resized to `resized_to` pixels, whose central square is exactly the centre that is read
from the file. Random crops are cut out of that: they are softer than those of the original file where
they are small, and another dataset's, as its SHA-256 says.
"""

import hashlib
import mmap
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Self

import numpy as np
from PIL import Image

from medcoreset.datasets.streaming import (
    Crop,
    ImagesOnDisk,
    StreamedImages,
    center_box,
    random_box,
)
from medcoreset.errors import UserError
from medcoreset.identity import digest
from medcoreset.reading import file_of, read_npz
from medcoreset.sources import PACKAGE
from medcoreset.sources import digest as code_of

PIXELS, INDEX = "pixels.bin", "index.npz"
WHAT = "an index of decoded images"
REMAKE = "make it anew: medcoreset decode, or snakemake … --forcerun decode_images"
PART = 64
"""Images whose pixels have a digest together."""
LOOKED_AT = 4
"""Parts of the file that are compared with their digests whenever it is loaded."""


class Mapped:
    """A file of bytes, mapped into memory when it is first read; other processes map it themselves."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[type[Self], tuple[Path]]:
        return type(self), (self.path,)

    @cached_property
    def _map(self) -> mmap.mmap:
        with self.path.open("rb") as file:
            return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)

    @cached_property
    def array(self) -> np.ndarray:
        """The bytes, uint8 (n,)."""
        return np.frombuffer(self._map, np.uint8)

    def read_ahead(self, start: int, stop: int) -> None:
        """Let the system read these bytes, and do not wait for it; not every system can."""
        if hasattr(mmap, "MADV_WILLNEED"):
            page = start // mmap.PAGESIZE * mmap.PAGESIZE
            self._map.madvise(mmap.MADV_WILLNEED, page, stop - page)


@dataclass(frozen=True, eq=False)
class DecodedImages(ImagesOnDisk):
    """N images in a file of pixels: where each begins, `starts` (N,), and its `sizes` (N, 2)."""

    file: Mapped
    starts: np.ndarray
    sizes: np.ndarray
    image_size: int
    colour: bool

    def __len__(self) -> int:
        return len(self.starts)

    def subset(self, indices: np.ndarray) -> Self:
        """Return the images `indices`, still in the file."""
        picked = self.starts[indices], self.sizes[indices]
        return type(self)(self.file, *picked, self.image_size, self.colour)

    def image(self, index: int, random: np.random.Generator | None = None) -> np.ndarray:
        """Return image `index`: its centre, or with `random` a crop of random size and aspect.

        The random crop is `random_box`'s, in whole pixels.
        """
        stored = self._stored(index)
        height, width = stored.shape[:2]
        if random is None:
            top, left = (height - self.image_size) // 2, (width - self.image_size) // 2
            return stored[top : top + self.image_size, left : left + self.image_size]
        left, top, right, bottom = (round(side) for side in random_box((width, height), random))
        cut = stored[top : max(bottom, top + 1), left : max(right, left + 1)]
        return _resized(np.array(cut), self.image_size)

    def by_workers(self, crop: Crop) -> bool:
        """Say whether it pays to have other processes make such crops: centres are only copied."""
        return crop == "random"

    def read_ahead(self, indices: np.ndarray) -> None:
        """Let the system read the images `indices`, and do not wait for it."""
        for index in indices:
            self.file.read_ahead(*self._place(index))

    def _stored(self, index: int) -> np.ndarray:
        shape = (*self.sizes[index], 3) if self.colour else self.sizes[index]
        return self.file.array[slice(*self._place(index))].reshape(shape)

    def _place(self, index: int) -> tuple[int, int]:
        start = int(self.starts[index])
        return start, start + int(lengths(self.sizes[index], self.colour))


def load(
    folder: Path, dataset: str, counts: Sequence[int], image_size: int, colour: bool
) -> list[DecodedImages]:
    """Return the decoded images of train, val and test, of which there are `counts`.

    `dataset` is the SHA-256 of what was decoded. Raises UserError if they are not there, are of
    another dataset or other code, or are not whole. Of all the pixels only a sample is looked at.
    """
    path = folder / INDEX
    if not path.exists():
        raise UserError(f"{path} does not exist, the images are not decoded yet; {REMAKE}")
    index = read_npz(path, WHAT, "identity", "sizes", "parts")
    if str(index["identity"]) != identity(dataset):
        raise UserError(f"{path} is of other images, or made by other code; {REMAKE}")
    sizes = index["sizes"].astype(np.int64)
    if sizes.shape != (sum(counts), 2) or len(index["parts"]) != len(parts(len(sizes))):
        raise UserError(f"{path} is not {WHAT} of {sum(counts)} images; {REMAKE}")
    file, starts = Mapped(folder / PIXELS), np.cumsum([0, *lengths(sizes, colour)])
    with file_of(file.path, "a file of decoded images"):
        found = file.path.stat().st_size if file.path.exists() else 0
        if found != starts[-1]:
            raise UserError(f"{file.path} has {found:,} bytes, not {starts[-1]:,}; {REMAKE}")
        looked_at = np.linspace(0, len(index["parts"]) - 1, LOOKED_AT).round().astype(int)
        for number in np.unique(looked_at):
            part = parts(len(sizes))[number]
            pixels = file.array[starts[part.start] : starts[part.stop]]
            if sha256(pixels) != str(index["parts"][number]):
                raise UserError(f"{file.path} was damaged or changed since it was made; {REMAKE}")
    whole = DecodedImages(file, starts[:-1], sizes, image_size, colour)
    return [whole.subset(np.arange(*ends)) for ends in pairwise(np.cumsum([0, *counts]))]


def identity(dataset: str) -> str:
    """Return by what the pixels of a dataset of this SHA-256 are known again, the code included."""
    return digest([dataset, PART, code_of(PACKAGE / "datasets" / "decoding.py")])


def parts(images: int) -> list[range]:
    """Return the numbers of the images of each part."""
    return [range(start, min(start + PART, images)) for start in range(0, images, PART)]


def lengths(sizes: np.ndarray, colour: bool) -> np.ndarray:
    """Return the bytes (…) of images of these sizes (…, 2)."""
    return sizes.prod(-1, dtype=np.int64) * (3 if colour else 1)


def sha256(pixels: np.ndarray) -> str:
    """Return the SHA-256 of uint8 values, in hexadecimal."""
    return hashlib.sha256(np.ascontiguousarray(pixels).data).hexdigest()


def stored(images: StreamedImages, index: int, *, whole: bool) -> np.ndarray:
    """Return what is stored of a streamed image: its centre or, with `whole`, what is around it too.

    uint8 (height, width[, 3]). The pixels around the centre continue its grid to the edges of the
    picture, as far as there are whole ones.
    """
    picture = images.picture(index, reduced=True)
    centre = images.centre(picture)
    if not whole:
        return centre
    left, top, right, bottom = center_box(picture.size, images.image_size / images.resized_to)
    scale = min(picture.size) / images.resized_to
    # So small a part of a pixel is what floating point left of none.
    columns, rows = (int(margin / scale + 1e-6) for margin in (left, top))
    width, height = (images.image_size + 2 * more for more in (columns, rows))
    box = (
        max(left - columns * scale, 0),
        max(top - rows * scale, 0),
        min(right + columns * scale, picture.width),
        min(bottom + rows * scale, picture.height),
    )
    found = np.array(picture.resize((width, height), Image.Resampling.BILINEAR, box=box))
    # Its own are the same but for the last bit, which it is to have too.
    found[rows : rows + len(centre), columns : columns + len(centre)] = centre
    return found


def _resized(pixels: np.ndarray, size: int) -> np.ndarray:
    """Resize uint8 (h, w[, 3]) to (size, size[, 3]), bilinear with antialiasing."""
    import torch  # thrice as fast at it as Pillow, which first takes a copy of another layout
    from torch.nn.functional import interpolate

    channels = torch.from_numpy(pixels if pixels.ndim == 3 else pixels[..., None])
    batch = channels.permute(2, 0, 1)[None]
    found = interpolate(batch, (size, size), mode="bilinear", antialias=True)
    return found[0].permute(1, 2, 0).numpy().reshape(size, size, *pixels.shape[2:])
