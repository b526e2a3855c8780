"""Which images the options of a training can be given, told without one of them."""

from medcoreset.errors import UserError
from medcoreset.training.options import TrainingOptions

PADDING = 4
"""Pixels by which `crop_flip` pads images."""


def check_channels(name: str, channels: int, options: TrainingOptions) -> None:
    """Raise UserError if images of so many channels cannot become what the network is to see."""
    wanted = options.channels or channels
    if wanted < channels:
        raise UserError(
            f"channels: {name} has {channels}, which cannot become {wanted}; use 0 or {channels}"
        )


def check_augmentation(
    name: str,
    image_size: int,
    options: TrainingOptions,
    *,
    streamed: bool,
    dimensions: int = 2,
) -> None:
    """Raise UserError for an augmentation that images of this size, or kept so, cannot be given.

    Volumes get none: MedMNIST's authors train on them as they are, and a flip would put the liver left.
    """
    if options.augmentation != "none" and dimensions == 3:
        raise UserError(
            f"augmentation: {options.augmentation} is for images, {name} has volumes: use none"
        )
    if options.augmentation == "crop_flip" and (streamed or image_size <= PADDING):
        raise UserError(
            f"augmentation: crop_flip needs images in memory, above {PADDING} pixels; those of "
            f"{name} are {'streamed: use resized_crop_flip' if streamed else 'smaller'}"
        )
    if options.augmentation == "resized_crop_flip" and not streamed:
        raise UserError(
            f"augmentation: resized_crop_flip is for streamed images, {name} is in memory: "
            "use crop_flip"
        )
