"""From a network id to a freshly initialised network."""

import importlib

from medcoreset.errors import UserError
from medcoreset.networks import ARCHITECTURES, check, parse
from medcoreset.networks.classifier import Classifier
from medcoreset.networks.pointwise import avoid_faulty_kernel


def build(network_id: str, *, channels: int, classes: int, image_size: int) -> Classifier:
    """Build a network for square images with `channels` channels and `image_size` pixels a side.

    The weights are drawn from torch's global generator alone: seed it with `torch.manual_seed`
    for the same network again. Every layer has PyTorch's default initialisation, as in the code
    of EVA's authors, and no pretrained weights are ever used. Layers that a kernel of the CPU's
    library fails on compute in another way.

    Each family's module has one function per network, which takes `channels`, `image_size` and
    the options as keywords and returns the body and the size D of its features.

    Raises:
        UserError: an unknown network or option, too small an image, or fewer than 2 classes.
    """
    check(network_id, image_size)
    if classes < 2:
        raise UserError(f"network {network_id!r}: classes is {classes}; it must be 2 or more")
    name, options = parse(network_id)
    # Imported here, since some families need torchvision, whose import takes seconds.
    family = importlib.import_module(f"medcoreset.networks.{ARCHITECTURES[name].family}")
    body, feature_size = getattr(family, name)(channels=channels, image_size=image_size, **options)
    avoid_faulty_kernel(body)
    return Classifier(body, feature_size, classes)
