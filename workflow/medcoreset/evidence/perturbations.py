"""DeepFool (Moosavi-Dezfooli et al., CVPR 2016): how far each sample is from a decision boundary."""

import torch
from torch import Tensor, nn
from tqdm import tqdm

from medcoreset.evidence.surrogate import Surrogate

BATCH = 256

# How far beyond the boundary a sample is moved to see whether its prediction has changed (η in the
# paper). The perturbation's norm is taken without it.
OVERSHOOT = 0.02


def squared_norms(surrogate: Surrogate, max_iterations: int) -> Tensor:
    """Return ‖r‖² of the perturbation r that changes each training sample's prediction, (N,).

    float64, on the CPU. Norms are of what the network sees: normalised pixels, replicated channels.
    """
    norms = []
    for indices in tqdm(surrogate.batches(BATCH), desc="perturbations", disable=None):
        images = surrogate.train.batch(indices)
        perturbation = deepfool(surrogate.network, images, max_iterations)
        norms.append(perturbation.flatten(1).double().square().sum(1).cpu())
    return torch.cat(norms)


def deepfool(network: nn.Module, images: Tensor, max_iterations: int) -> Tensor:
    """Return the smallest perturbation of each image that changes its prediction (Algorithm 2).

    Each step goes to the nearest boundary of the network linearised at the current point. Images
    are (B, channels[, D], H, W), and so is the result. An image that is not over a boundary after
    `max_iterations` keeps what it has; one whose logits do not change with it in any direction gets
    infinite entries, since no boundary can be found.
    """
    total = torch.zeros_like(images)
    predicted = network(images).argmax(1)
    active = torch.arange(len(images), device=images.device)
    for _ in range(max_iterations):
        moved = images[active] + (1 + OVERSHOOT) * total[active]
        total[active] += _step(network, moved, predicted[active])
        moved = images[active] + (1 + OVERSHOOT) * total[active]
        unchanged = network(moved).argmax(1) == predicted[active]
        active = active[unchanged & torch.isfinite(total[active]).flatten(1).all(1)]
        if not len(active):
            break
    return total


def _step(network: nn.Module, images: Tensor, predicted: Tensor) -> Tensor:
    """Return the step to the nearest boundary of the linearised network, for each image.

    With f the logits, f' = f_k − f_predicted and w' = ∇f', the step to class k's boundary is
    |f'| w' / ‖w'‖², and its length |f'| / ‖w'‖.
    """
    with torch.enable_grad():
        images = images.detach().requires_grad_()
        logits = network(images)
        own = logits.gather(1, predicted[:, None])
        gaps = logits - own
        best = torch.full_like(predicted, torch.inf, dtype=images.dtype)
        step = torch.full_like(images, torch.inf).detach()
        for k in range(logits.shape[1]):
            (slope,) = torch.autograd.grad(gaps[:, k].sum(), images, retain_graph=True)
            squared = slope.flatten(1).square().sum(1)
            gap = gaps[:, k].detach().abs()
            length = torch.where((squared > 0) & (predicted != k), gap / squared.sqrt(), torch.inf)
            nearer = length < best
            best = torch.where(nearer, length, best)
            each = (-1, *(1,) * (images.ndim - 1))
            candidate = (gap / squared).view(each) * slope
            step = torch.where(nearer.view(each), candidate, step)
    return step
