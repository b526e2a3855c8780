"""Networks of several seeds behind one interface, trained one at a time or stacked by vmap."""

import copy
from collections.abc import Iterator

import torch
from torch import nn

from medcoreset.training.convolution import speed_up


class Stack:
    """S networks of one architecture; images are (S, B, C, H, W) and logits (S, B, classes).

    One network is called directly. Several are stacked: their parameters get a leading dimension
    and one vectorised call computes all of them, which saves the cost per operation where that,
    and not arithmetic, is what a small network spends its time on.
    """

    def __init__(
        self, networks: list[nn.Module], device: torch.device, arithmetic: torch.dtype
    ) -> None:
        models = [
            _Model(network, arithmetic).to(device=device, memory_format=torch.channels_last)
            for network in networks
        ]
        self.size = len(models)
        self.model = models[0]
        if self.size == 1:
            speed_up(self.model, device, arithmetic)
        else:
            self._parameters, self._buffers = torch.func.stack_module_state(models)
            self.model = copy.deepcopy(models[0]).to("meta")

    def parameters(self) -> Iterator[torch.Tensor]:
        """Iterate over the trainable tensors, stacked ones if there are several networks."""
        return iter(self.model.parameters() if self.size == 1 else self._parameters.values())

    def train(self, mode: bool = True) -> None:
        """Switch between training mode and evaluation mode."""
        self.model.train(mode)

    def __call__(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the features (S, B, D) and logits (S, B, classes) of some images."""
        if self.size == 1:
            features, logits = self.model(images[0])
            return features[None], logits[None]
        call = torch.func.vmap(self._call, randomness="different")
        return call(self._parameters, self._buffers, images)

    def _call(self, parameters: dict, buffers: dict, images: torch.Tensor) -> tuple:
        return torch.func.functional_call(self.model, (parameters, buffers), (images,))

    def tensors(self) -> dict[str, torch.Tensor]:
        """Return every parameter and buffer by name; shared with the networks, not copied."""
        if self.size == 1:
            return self.model.network.state_dict()
        return {
            name: tensor.detach() for name, tensor in (self._parameters | self._buffers).items()
        }

    def load(self, tensors: dict[str, torch.Tensor]) -> None:
        """Copy the values of `tensors`, as `tensors()` names them, into the networks."""
        for name, tensor in self.tensors().items():
            tensor.copy_(tensors[name])


class _Model(nn.Module):
    """A network whose body computes in `arithmetic`, and whose head always in float32.

    Logits in bfloat16 would have three significant digits: too few for the late epochs' dynamics,
    where the variance of a sample's error is small.
    """

    def __init__(self, network: nn.Module, arithmetic: torch.dtype) -> None:
        super().__init__()
        self.network = network
        self.arithmetic = arithmetic

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        lowered = self.arithmetic != torch.float32
        with torch.autocast(images.device.type, self.arithmetic, enabled=lowered):
            features = self.network.features(images)
        features = features.to(self.network.head.weight.dtype)
        return features, self.network.head(features)
