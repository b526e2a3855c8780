import numpy as np
import pytest
import torch
from torch import nn

from medcoreset import methods
from medcoreset.errors import UserError
from medcoreset.evidence import Evidence, sample_gradients
from medcoreset.evidence.gradients import Gradients
from medcoreset.evidence.surrogate import Surrogate
from medcoreset.networks.factory import build
from medcoreset.selection.select import score
from medcoreset.training.data import Split
from tests.method_cases import arrays_of

GRAND = methods.get("grand")


def surrogate_of(network: str, samples: int) -> Surrogate:
    """Return an untrained network with running statistics of its own, and random images."""
    torch.manual_seed(0)
    built = build(network, channels=1, classes=3, image_size=8)
    for module in built.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
    split = Split(
        images=torch.randint(0, 256, (samples, 8, 8, 1), dtype=torch.uint8),
        labels=torch.randint(0, 3, (samples,)),
        scale=torch.tensor([2 / 255]),
        shift=torch.tensor([-1.0]),
        channels=1,
    )
    return Surrogate(built.requires_grad_(False).eval(), split)


def by_autograd(surrogate: Surrogate, parameters: list[nn.Parameter]) -> list[float]:
    """Return the norm of each sample's gradient, one backward pass after the other."""
    norms = []
    for parameter in parameters:
        parameter.requires_grad_()
    for i in range(len(surrogate.train)):
        logits = surrogate.network(surrogate.train.batch(torch.tensor([i])))
        loss = nn.functional.cross_entropy(logits, surrogate.train.labels[i : i + 1])
        squares = [g.square().sum() for g in torch.autograd.grad(loss, parameters)]
        norms.append(float(sum(squares)) ** 0.5)
    for parameter in parameters:
        parameter.requires_grad_(False)
    return norms


@pytest.mark.parametrize("network", ["mlp", "lenet", "resnet18+width=4"])
def test_all_layers_against_autograd(network, monkeypatch):
    monkeypatch.setattr(sample_gradients, "BLOCK", 5)
    surrogate = surrogate_of(network, 13)
    found = sample_gradients.all_layers(surrogate)
    expected = by_autograd(surrogate, list(surrogate.network.parameters()))
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_last_layer_against_autograd():
    surrogate = surrogate_of("lenet", 13)
    images = surrogate.train.batch(torch.arange(13))
    evidence = Evidence(
        {
            "labels": surrogate.train.labels.numpy(),
            "logits": surrogate.network(images).numpy(),
            "features": surrogate.network.features(images).numpy(),
        }
    )
    expected = by_autograd(surrogate, list(surrogate.network.head.parameters()))
    np.testing.assert_allclose(
        Gradients.of_last_layer(evidence).norms.cpu().numpy(), expected, rtol=1e-4
    )
    np.testing.assert_allclose(score(GRAND, evidence), expected, rtol=1e-4)


def test_the_mean_over_models():
    arrays = arrays_of(20)
    for layers in ("last", "all"):
        found = score(GRAND, Evidence(arrays), {"layers": layers})
        np.testing.assert_allclose(found, arrays["gradient_norms"].mean(axis=0))


def test_given_gradients_of_one_model():
    gradients = np.random.default_rng(0).normal(size=(9, 30))
    evidence = Evidence({"labels": np.zeros(9, int), "gradients": gradients})
    found = score(GRAND, evidence, {"layers": "all"})
    np.testing.assert_allclose(found, np.sqrt((gradients**2).sum(axis=1)))


def test_features_do_not_give_the_gradients_of_all_layers():
    arrays = arrays_of(20)
    del arrays["gradient_norms"]
    with pytest.raises(UserError, match="lacks gradient_norms, which layers=all needs"):
        score(GRAND, Evidence(arrays), {"layers": "all"})


def test_features_and_errors_of_zero_have_no_gradient():
    arrays = {"labels": np.array([0, 1]), "final_probs": np.array([[1.0, 0], [0.5, 0.5]])}
    found = score(GRAND, Evidence(arrays | {"features": np.zeros((2, 4))}))
    np.testing.assert_allclose(found, [0, np.sqrt(0.5)])


def test_norms_are_0_or_more():
    arrays = arrays_of(5)
    arrays["gradient_norms"][1, 3] = -1
    with pytest.raises(UserError, match=r"gradient_norms\[1, 3\] is -1, .* 0 or more"):
        Evidence(arrays)
