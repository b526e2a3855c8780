"""The networks that the tests try."""

import itertools

import torch

from medcoreset import networks


def narrow_forms() -> list[str]:
    """Return the narrow form of every registered network, with each choice of its options."""
    found = []
    for name, architecture in networks.ARCHITECTURES.items():
        choices = [
            [f"+{option}={value}" for value in allowed]
            for option, allowed in architecture.options.items()
            if not isinstance(allowed, int)
        ]
        found += [
            networks.narrowest(name + "".join(chosen)) for chosen in itertools.product(*choices)
        ]
    return found


def shown_to(network_id: str, images: torch.Tensor) -> torch.Tensor:
    """Return images (B, channels, s, s) as the network takes them: of one for volumes, as many slices."""
    if networks.dimensions_of(network_id) == 2:
        return images
    size = images.shape[-1]
    return images[:, :, None].expand(-1, -1, size, -1, -1).contiguous()
