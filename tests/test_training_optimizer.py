"""The optimisers against torch's own, to the bit."""

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from medcoreset.training import optimizer
from medcoreset.training.model import Model
from medcoreset.training.options import TrainingOptions

DEVICES = [
    "cpu",
    pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")),
]
SETTINGS = [
    {"momentum": 0.9, "nesterov": True},
    {"momentum": 0.9, "nesterov": False},
    {"momentum": 0.0, "nesterov": False},
    {"momentum": 0.9, "nesterov": True, "weight_decay": 0.0},
    {"momentum": 0.0, "nesterov": False, "weight_decay": 0.0},
    {"optimizer": "adam"},
    {"optimizer": "adam", "weight_decay": 0.0},
]
STEPS = 40


class Network(nn.Module):
    """A network with a convolution, whose weights are channels-last, and a normalisation."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 5, 3), nn.BatchNorm2d(5), nn.ReLU(), nn.Flatten())
        self.head = nn.Linear(180, 4)

    def features(self, images: torch.Tensor) -> torch.Tensor:
        """Return the features (B, 180) of images (B, 3, 8, 8)."""
        return self.body(images)


def model(device: str) -> Model:
    """Return a network, the same at every call."""
    torch.manual_seed(0)
    return Model(Network(), torch.device(device), torch.float32)


def theirs(parameters: list[torch.Tensor], options: TrainingOptions) -> torch.optim.Optimizer:
    """Return torch's own fused optimiser."""
    settings = {"lr": 0.1, "weight_decay": options.weight_decay, "fused": True}
    if options.optimizer == "adam":
        return torch.optim.Adam(parameters, **settings)
    return torch.optim.SGD(
        parameters, momentum=options.momentum, nesterov=options.nesterov, **settings
    )


def take(model: Model, steps: range, update) -> None:
    """Train on noise, another batch and learning rate at each step; `update(lr)` ends it."""
    device = next(model.parameters()).device
    for step in steps:
        random = torch.Generator().manual_seed(step)
        images = torch.randn(16, 3, 8, 8, generator=random).to(device)
        labels = torch.randint(4, (16,), generator=random).to(device)
        _, logits = model(images)
        cross_entropy(logits, labels).backward()
        kind = torch.float64 if device.type == "cpu" else torch.float32
        update(torch.full((1,), 0.05 * 0.9**step, dtype=kind, device=device))


def their_update(reference: torch.optim.Optimizer):
    def update(lr: torch.Tensor) -> None:
        reference.param_groups[0]["lr"] = lr if lr.is_cuda else lr.item()
        reference.step()
        reference.zero_grad()

    return update


def our_update(ours: optimizer.Optimizer):
    def update(lr: torch.Tensor) -> None:
        ours.step(lr)
        ours.zero_grad()

    return update


def same_bits(ours: list[torch.Tensor], reference: list[torch.Tensor]) -> bool:
    pairs = list(zip(ours, reference, strict=True))
    return all(
        torch.equal(one.detach().view(torch.int32), other.detach().view(torch.int32))
        for one, other in pairs
    )


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("settings", SETTINGS)
def test_an_optimiser_computes_what_torchs_own_does(settings, device):
    options = TrainingOptions(**settings)
    expected, found = model(device), model(device)
    reference = theirs(list(expected.parameters()), options)
    ours = optimizer.build(found.parameters(), options)

    take(expected, range(STEPS), their_update(reference))
    take(found, range(STEPS), our_update(ours))

    assert same_bits(list(found.parameters()), list(expected.parameters()))
    names = {"momentum_buffer": "momentum", "exp_avg": "mean", "exp_avg_sq": "square"}
    states = [reference.state[parameter] for parameter in expected.parameters()]
    for name, own in names.items():
        if own in ours.state_dict():
            assert same_bits(ours.state_dict()[own], [state[name] for state in states])
    assert any(own in ours.state_dict() for own in names.values()) or options.momentum == 0


@pytest.mark.parametrize("settings", SETTINGS)
def test_a_loaded_state_goes_on_to_the_same_bits(settings, tmp_path):
    options = TrainingOptions(**settings)
    whole, resumed = model("cpu"), model("cpu")
    take(whole, range(20), our_update(optimizer.build(whole.parameters(), options)))

    first = optimizer.build(resumed.parameters(), options)
    take(resumed, range(7), our_update(first))
    torch.save(first.state_dict(), tmp_path / "state.pt")
    second = optimizer.build(resumed.parameters(), options)
    second.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    take(resumed, range(7, 20), our_update(second))

    assert same_bits(list(resumed.parameters()), list(whole.parameters()))
