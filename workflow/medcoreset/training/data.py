"""Images resident on the device as uint8; batches are index arithmetic, transforms run there too.

Images on disk, of datasets that do not fit in memory, are read batch by batch, ahead of the training
step, and go through the same transforms.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from medcoreset import seeding
from medcoreset.datasets.canonical import Dataset
from medcoreset.datasets.streaming import ImagesOnDisk, load_batches
from medcoreset.networks.classifier import layout
from medcoreset.training.augmentation import PADDING, check_augmentation, check_channels
from medcoreset.training.options import TrainingOptions

STREAMED_SAMPLE = 5000
"""Streamed images whose pixels the normalisation `dataset` is computed from."""


@dataclass(frozen=True)
class Crops:
    """The random crops and flips of B images: shifts (B, 2) in pixels and flips (B,) as bool."""

    shift: torch.Tensor
    flip: torch.Tensor

    def __getitem__(self, part: slice) -> "Crops":
        return Crops(self.shift[part], self.flip[part])


@dataclass(frozen=True)
class Split:
    """One split: uint8 images (N[, D], H, W, channels) on the device, or streamed; int64 labels (N,) or (N, L).

    `scale` and `shift` (channels,) turn a pixel x into scale·x + shift; `channels` is what the
    network sees. Streamed images are decoded by `workers` processes.
    """

    images: torch.Tensor | ImagesOnDisk
    labels: torch.Tensor
    scale: torch.Tensor
    shift: torch.Tensor
    channels: int
    workers: int = 0

    def __len__(self) -> int:
        return len(self.images)

    def batch(self, indices: torch.Tensor, crops: Crops | None = None) -> torch.Tensor:
        """Return normalised float32 images (B, channels[, D], H, W), images with channels last in memory.

        `indices` (B,) are sample numbers; `crops`, of the same length, augments.
        """
        return next(self.batches([indices], [crops]))

    def batches(
        self,
        batches: Sequence[torch.Tensor],
        crops: Sequence[Crops | None] | None = None,
        *,
        random: int | None = None,
    ) -> Iterator[torch.Tensor]:
        """Yield what `batch` returns for each of `batches`; streamed images are decoded ahead.

        `random` is the seed of an epoch's random resized crops, which streamed images alone have;
        without it their centres are cut out.
        """
        crops = crops or [None] * len(batches)
        if isinstance(self.images, ImagesOnDisk):
            # One copy from the device, for each would wait until its work is done.
            numbers = torch.cat(list(batches)).cpu().numpy()
            decoded = load_batches(
                self.images,
                np.split(numbers, np.cumsum([len(indices) for indices in batches])[:-1]),
                workers=self.workers if len(batches) > 1 else 0,
                crop="center" if random is None else "random",
                seed=random or 0,
            )
            for pixels, crop in zip(decoded, crops, strict=True):
                yield self._normalised(self._flipped(pixels, crop))
            return
        for indices, crop in zip(batches, crops, strict=True):
            yield self._normalised(
                self.images[indices] if crop is None else _cropped(self.images, indices, crop)
            )

    def _normalised(self, pixels: torch.Tensor) -> torch.Tensor:
        images = torch.addcmul(self.shift, pixels, self.scale)
        return (
            images.expand(*images.shape[:-1], self.channels)
            .movedim(-1, 1)
            .contiguous(memory_format=layout(images.ndim - 2))
        )

    def _flipped(self, pixels: np.ndarray, crops: Crops | None) -> torch.Tensor:
        """Put decoded pixels (B, H, W[, 3]) on the device and flip those that are to be."""
        decoded = pixels if pixels.ndim == 4 else pixels[..., None]
        images = torch.from_numpy(decoded)
        if self.labels.is_cuda:
            images = images.pin_memory()  # else the copy would wait until the GPU's work is done
        images = images.to(self.labels.device, non_blocking=True)
        if crops is None:
            return images
        return torch.where(crops.flip[:, None, None, None], images.flip(2), images)


@dataclass(frozen=True)
class Data:
    """The three splits of a dataset on the device."""

    train: Split
    val: Split
    test: Split
    classes: int
    channels: int
    image_size: int
    dimensions: int = 2

    @property
    def shape(self) -> dict[str, int]:
        """What a network for the data is built by."""
        names = ("channels", "classes", "image_size", "dimensions")
        return {name: getattr(self, name) for name in names}


def resident(
    dataset: Dataset, options: TrainingOptions, device: torch.device, workers: int = 0
) -> Data:
    """Move a dataset to the device, or have `workers` processes decode what is streamed.

    Raises UserError for `channels` or an `augmentation` that the images cannot give.
    """
    channels = options.channels or dataset.channels
    check_channels(dataset.name, dataset.channels, options)
    streamed = isinstance(dataset.train_images, ImagesOnDisk)
    check_augmentation(
        dataset.name,
        dataset.image_size,
        options,
        streamed=streamed,
        dimensions=dataset.dimensions,
    )
    scale, shift = _normalization(dataset, options)

    def split(images: np.ndarray | ImagesOnDisk, labels: np.ndarray) -> Split:
        return Split(
            images if isinstance(images, ImagesOnDisk) else _on_device(images, dataset, device),
            torch.from_numpy(np.array(labels, np.int64)).to(device),
            torch.from_numpy(scale).to(device),
            torch.from_numpy(shift).to(device),
            channels,
            workers,
        )

    return Data(
        train=split(dataset.train_images, dataset.train_labels),
        val=split(dataset.val_images, dataset.val_labels),
        test=split(dataset.test_images, dataset.test_labels),
        classes=dataset.classes,
        channels=channels,
        image_size=dataset.image_size,
        dimensions=dataset.dimensions,
    )


def _on_device(images: np.ndarray, dataset: Dataset, device: torch.device) -> torch.Tensor:
    pixels = images if dataset.channels == 3 else images[..., None]
    return torch.from_numpy(np.array(pixels)).to(device)


def _cropped(images: torch.Tensor, indices: torch.Tensor, crops: Crops) -> torch.Tensor:
    """Gather each image's shifted, reflected, flipped pixels in one indexing."""
    height, width = images.shape[1:3]
    rows = _reflect(crops.shift[:, :1] + torch.arange(height, device=images.device), height)
    columns = torch.arange(width, device=images.device).expand(len(indices), width)
    columns = torch.where(crops.flip[:, None], width - 1 - columns, columns)
    columns = _reflect(crops.shift[:, 1:] + columns, width)
    return images[indices[:, None, None], rows[:, :, None], columns[:, None, :]]


def epoch_order(seed: int, epoch: int, samples: int) -> np.ndarray:
    """Return the permutation (samples,) in which the 0-based epoch visits the samples."""
    return seeding.generator(seed, "order", epoch).permutation(samples)


def epoch_crops(seed: int, epoch: int, samples: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the epoch's shifts (samples, 2) in pixels and flips (samples,) by position in order.

    Drawn for the whole epoch from its own stream, so that a resumed epoch needs no random state.
    """
    random = seeding.generator(seed, "augmentation", epoch)
    shifts = random.integers(-PADDING, PADDING + 1, (samples, 2))
    return shifts, random.integers(0, 2, samples).astype(bool)


def _reflect(position: torch.Tensor, length: int) -> torch.Tensor:
    """Reflect positions outside [0, length) at the border pixels, which are not repeated."""
    return (length - 1) - ((length - 1) - position.abs()).abs()


def _normalization(dataset: Dataset, options: TrainingOptions) -> tuple[np.ndarray, np.ndarray]:
    """Return scale and shift per channel of the data, float32."""
    if options.normalization == "half":
        mean = std = np.full(dataset.channels, 0.5)
    else:
        counts = _pixel_shares(dataset)
        levels = np.arange(256) / 255
        mean = counts @ levels
        std = np.sqrt(np.maximum(counts @ levels**2 - mean**2, 0))
        std = np.where(std > 0, std, 1)
    return (1 / (255 * std)).astype(np.float32), (-mean / std).astype(np.float32)


def _pixel_shares(dataset: Dataset) -> np.ndarray:
    """Return the share of each of the 256 levels among the training pixels, (channels, 256).

    Moments from a histogram are exact and need no float copy of the images. Of streamed images a
    sample is decoded, always the same one.
    """
    images = dataset.train_images
    if isinstance(images, ImagesOnDisk):
        chosen = np.random.default_rng(0).permutation(len(images))[:STREAMED_SAMPLE]
        images = images[np.sort(chosen)]
    pixels = images.reshape(-1, dataset.channels)
    counts = np.stack([np.bincount(channel, minlength=256) for channel in pixels.T])
    return counts / len(pixels)
