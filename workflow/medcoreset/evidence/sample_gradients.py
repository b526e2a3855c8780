"""Norms of per-sample gradients of the whole network, by automatic differentiation."""

import torch
from torch import Tensor
from torch.func import functional_call, grad, vmap
from tqdm import tqdm

from medcoreset import objective
from medcoreset.evidence.surrogate import Surrogate

# Gradients of a block of samples, in memory at a time; and samples in a block at most, since a
# network of few parameters may have large activations.
BLOCK_BYTES = 256 * 2**20
BLOCK = 256


def all_layers(surrogate: Surrogate) -> Tensor:
    """Return ‖∇ℓ‖₂ of each training sample's loss ℓ (`objective.losses`), float32 (N,) on the CPU.

    The gradient is with respect to all parameters, in evaluation mode, so that no sample's depends
    on others.
    """
    parameters = sum(parameter.numel() for parameter in surrogate.network.parameters())
    block = min(BLOCK, max(1, BLOCK_BYTES // (4 * parameters)))
    norms = [
        _norms(surrogate, indices).cpu()
        for indices in tqdm(surrogate.batches(block), desc="gradients", disable=None)
    ]
    return torch.cat(norms)


def _norms(surrogate: Surrogate, indices: Tensor) -> Tensor:
    """Return ‖∇ℓ‖₂ (B,) of the samples `indices` (B,)."""
    network, train = surrogate.network, surrogate.train
    buffers = dict(network.named_buffers())

    def loss(parameters: dict[str, Tensor], image: Tensor, label: Tensor) -> Tensor:
        logits = functional_call(network, (parameters, buffers), (image[None],))
        return objective.losses(logits, label[None])[0]

    def norm(parameters: dict[str, Tensor], image: Tensor, label: Tensor) -> Tensor:
        gradients = grad(loss)(parameters, image, label)
        return sum(gradient.square().sum() for gradient in gradients.values()).sqrt()

    each = vmap(norm, in_dims=(None, 0, 0))
    return each(dict(network.named_parameters()), train.batch(indices), train.labels[indices])
