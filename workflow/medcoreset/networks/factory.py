"""From a network id to a freshly initialised network."""

import importlib
from typing import Any

from torch import nn

from medcoreset.errors import UserError
from medcoreset.networks import ARCHITECTURES, check, parse
from medcoreset.networks.classifier import Classifier
from medcoreset.networks.pointwise import avoid_faulty_kernel


def build(
    network_id: str, *, channels: int, classes: int, image_size: int, dimensions: int | None = None
) -> Classifier:
    """Build a network for square images with `channels` channels and `image_size` pixels a side.

    Of a network for volumes these are cubes. With `dimensions`, those of the data are to be the network's.

    The weights are drawn from torch's global generator alone: seed it with `torch.manual_seed`
    for the same network again. Every layer has PyTorch's default initialisation, as in the code
    of EVA's authors, and no pretrained weights are ever used. Layers that a kernel of the CPU's
    library fails on compute in another way. Batch normalisation counts no batches.

    Each family's module has one function per network, which takes `channels`, `image_size` and
    the options as keywords and returns the body and the size D of its features.

    Raises:
        UserError: an unknown network or option, too small an image, data of other dimensions, or
            fewer than 2 classes.
    """
    check(network_id, image_size, dimensions)
    if classes < 2:
        raise UserError(f"network {network_id!r}: classes is {classes}; it must be 2 or more")
    name, options = parse(network_id)
    # Imported here, since some families need torchvision, whose import takes seconds.
    family = importlib.import_module(f"medcoreset.networks.{ARCHITECTURES[name].family}")
    body, feature_size = getattr(family, name)(channels=channels, image_size=image_size, **options)
    avoid_faulty_kernel(body)
    _drop_counters(body)
    return Classifier(body, feature_size, classes)


def _drop_counters(network: nn.Module) -> None:
    """Take from each batch normalisation its count of batches, `num_batches_tracked`.

    With a momentum nothing reads it, and to count takes an operation per layer and step. A state
    with counts can still be loaded.
    """
    for layer in network.modules():
        if getattr(layer, "num_batches_tracked", None) is not None:
            layer.register_buffer("num_batches_tracked", None)
            layer.register_load_state_dict_pre_hook(_without_count)


def _without_count(layer: nn.Module, state: dict[str, Any], prefix: str, *_: Any) -> None:
    """Drop the count from a state; torch itself adds one where it finds none."""
    state.pop(f"{prefix}num_batches_tracked", None)
