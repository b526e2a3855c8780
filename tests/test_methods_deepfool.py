import numpy as np
import pytest
import torch
from torch import nn

from medcoreset import methods
from medcoreset.evidence import Evidence
from medcoreset.evidence.perturbations import OVERSHOOT, deepfool
from medcoreset.selection.select import score
from tests.method_cases import choose


def linear(classes: int) -> nn.Module:
    """Return an affine classifier of images (2, 3, 3), in double precision."""
    torch.manual_seed(classes)
    return nn.Sequential(nn.Flatten(), nn.Linear(18, classes)).double().requires_grad_(False)


@pytest.mark.parametrize("classes", [2, 3, 10])
def test_the_closed_form_on_a_linear_model(classes):
    network, images = linear(classes), torch.randn(50, 2, 3, 3, dtype=torch.double)
    found = deepfool(network, images, 50)
    weight = network[1].weight
    for image, perturbation, logits in zip(images, found, network(images), strict=True):
        top = int(logits.argmax())
        gaps = (logits - logits[top]).abs()
        slopes = weight - weight[top]
        squared = slopes.square().sum(1)
        distances = gaps.square() / squared
        distances[top] = torch.inf
        nearest = int(distances.argmin())
        torch.testing.assert_close(perturbation.square().sum(), distances[nearest])
        expected = gaps[nearest] / squared[nearest] * slopes[nearest]
        torch.testing.assert_close(perturbation.flatten(), expected)
        beyond = image + (1 + OVERSHOOT) * perturbation
        assert int(network(beyond[None]).argmax()) == nearest


def test_a_curved_model_is_fooled_about_as_near_as_it_can_be():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(2, 16), nn.Tanh(), nn.Linear(16, 3))
    network.double().requires_grad_(False)
    images = torch.randn(40, 1, 1, 2, dtype=torch.double)
    found = deepfool(network, images, 50)
    before = network(images).argmax(1)
    assert (network(images + (1 + OVERSHOOT) * found).argmax(1) != before).all()
    angles = torch.linspace(0, 2 * torch.pi, 361, dtype=torch.double)
    circle = torch.stack([angles.cos(), angles.sin()], dim=1)
    alone = []
    for image, label, norm in zip(images, before, found.flatten(1).norm(dim=1), strict=True):
        inside = image + norm / 2 * circle.view(-1, 1, 1, 2)
        alone.append(bool((network(inside).argmax(1) == label).all()))
    assert np.mean(alone) > 0.9  # a heuristic: for nearly all no boundary is at half the distance


def test_each_image_is_perturbed_as_if_it_were_alone():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(64, 5))
    network.double().requires_grad_(False)
    images = torch.randn(12, 1, 6, 6, dtype=torch.double)
    together = deepfool(network, images, 50)
    alone = torch.cat([deepfool(network, image[None], 50) for image in images])
    torch.testing.assert_close(together, alone)


def test_max_iterations_bounds_the_search():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(4, 32), nn.Tanh(), nn.Linear(32, 3))
    network.double().requires_grad_(False)
    images = torch.randn(30, 1, 2, 2, dtype=torch.double)
    once, twice, many = (deepfool(network, images, n) for n in (1, 2, 50))
    same = (once == many).flatten(1).all(1)
    assert 0 < same.sum() < 30
    assert (twice == many).flatten(1).all(1).sum() > same.sum()


def test_logits_that_do_not_depend_on_the_image_are_out_of_reach():
    network = linear(3)
    network[1].weight.zero_()
    found = deepfool(network, torch.randn(4, 2, 3, 3, dtype=torch.double), 50)
    assert torch.isinf(found).all()


def test_the_smallest_perturbation_is_kept_first():
    norms = np.array([3.0, 0.1, np.inf, 2, 0.5])
    evidence = Evidence({"labels": np.zeros(5, int), "perturbations": norms})
    assert list(choose("deepfool", evidence, 5).indices) == [1, 4, 3, 0, 2]
    found = score(methods.get("deepfool"), evidence, {"max_iterations": 10})
    np.testing.assert_array_equal(found, norms)
