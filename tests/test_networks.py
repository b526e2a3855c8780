"""The networks: published sizes, shapes, the linear head, training, per-sample gradients."""

import inspect
import random
import subprocess
import sys
from copy import deepcopy
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.func import functional_call, grad, vmap
from torch.nn.functional import cross_entropy, interpolate

from medcoreset import networks
from medcoreset.errors import UserError
from medcoreset.networks.classifier import layout, layout_of
from medcoreset.networks.factory import build
from tests.network_cases import narrow_forms, shown_to

pytestmark = pytest.mark.trains

ORACLE = Path(__file__).parent / "oracles" / "eva_net_params.npz"

# Every network, narrow where it has a width, so that a step takes a fraction of a second.
NARROW = narrow_forms()
WITH_DROPOUT = ("alexnet", "inception_v3", "mobilenet_v3")


def on_meta(network_id: str, channels: int, classes: int, image_size: int) -> nn.Module:
    """Build a network that has shapes and no numbers, which takes no time."""
    with torch.device("meta"):
        return build(network_id, channels=channels, classes=classes, image_size=image_size)


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def uncounted(network: nn.Module) -> dict[str, torch.Tensor]:
    """A network's state without the numbers of batches that its normalisations have seen."""
    state = network.state_dict()
    return {name: tensor for name, tensor in state.items() if "num_batches" not in name}


@pytest.fixture(scope="module")
def digits() -> tuple[torch.Tensor, torch.Tensor]:
    """32 handwritten digits, enlarged to 16 pixels, in [−1, 1]."""
    from sklearn.datasets import load_digits

    bundle = load_digits()
    images = torch.tensor(bundle.images[:32], dtype=torch.float32)[:, None] / 8 - 1
    return interpolate(images, scale_factor=2, mode="bilinear"), torch.tensor(bundle.target[:32])


def seeded(network_id: str, seed: int = 0, channels: int = 1, image_size: int = 16) -> nn.Module:
    torch.manual_seed(seed)
    return build(network_id, channels=channels, classes=10, image_size=image_size)


def test_parameter_counts_are_those_of_the_authors_code() -> None:
    with np.load(ORACLE, allow_pickle=False) as oracle:
        published = dict(zip(oracle["names"].tolist(), oracle["params"].tolist(), strict=True))
    for key, expected in published.items():
        name, classes = key.split("_")
        name = name.replace("mobilenetv2", "mobilenet_v2")
        assert count(on_meta(name, 3, int(classes), 28)) == expected, key


@pytest.mark.parametrize(
    ("network_id", "classes", "image_size", "expected"),
    [
        # The counts that torchvision documents for ImageNet …
        ("resnet18+stem=7x7", 1000, 224, 11_689_512),
        ("resnet34+stem=7x7", 1000, 224, 21_797_672),
        ("resnet50+stem=7x7", 1000, 224, 25_557_032),
        ("alexnet", 1000, 224, 61_100_840),
        ("mobilenet_v3", 1000, 224, 5_483_032),
        ("mobilenet_v3", 1000, 32, 5_483_032),
        ("mobilenet_v3+size=small", 1000, 32, 2_542_856),
        # … and what the definitions give by hand.
        ("resnet34", 10, 32, 21_282_122),
        ("wrn16_8", 10, 32, 10_961_370),
        ("resnet18_3d", 11, 28, 33_148_875),
        ("vgg11", 10, 32, 9_231_114),
        ("vgg16", 10, 32, 14_728_266),
        ("mlp", 10, 32, (3 * 32 * 32 + 1) * 128 + 129 * 128 + 129 * 10),
    ],
)
def test_parameter_counts(network_id: str, classes: int, image_size: int, expected: int) -> None:
    assert count(on_meta(network_id, 3, classes, image_size)) == expected


def test_inception_has_torchvisions_parameters_at_any_size() -> None:
    from torchvision.models.inception import Inception3

    with torch.device("meta"):
        expected = count(Inception3(aux_logits=False, init_weights=False))
    assert {count(on_meta("inception_v3", 3, 1000, size)) for size in (28, 224)} == {expected}


@pytest.mark.parametrize(("channels", "image_size"), [(3, 32), (1, 28), (3, 75), (1, 80)])
def test_inception_of_the_default_width_is_torchvisions(channels: int, image_size: int) -> None:
    """The weights are drawn in the same order, so that a seed gives the same network."""
    from torchvision.models.inception import BasicConv2d, Inception3

    torch.manual_seed(3)
    expected = Inception3(aux_logits=False, init_weights=False)
    if image_size < 75:
        expected.Conv2d_1a_3x3 = BasicConv2d(channels, 32, kernel_size=3, padding=1)
        expected.Conv2d_2a_3x3 = BasicConv2d(32, 32, kernel_size=3, padding=1)
    elif channels != 3:
        expected.Conv2d_1a_3x3 = BasicConv2d(channels, 32, kernel_size=3, stride=2)
    expected.fc = nn.Identity()
    found = seeded("inception_v3", 3, channels, image_size).body.state_dict()
    wanted = uncounted(expected)
    assert list(found) == list(wanted)
    assert all(torch.equal(found[name], value) for name, value in wanted.items())


def test_inception_scales_every_layer() -> None:
    with torch.device("meta"):
        wide, narrow = (
            build(network_id, channels=3, classes=10, image_size=32)
            for network_id in ("inception_v3", "inception_v3+width=2")
        )
    for (name, full), small in zip(wide.named_parameters(), narrow.parameters(), strict=True):
        if name != "head.bias":
            assert full.shape[0] == small.shape[0] * (1 if name == "head.weight" else 16), name


@pytest.mark.parametrize(
    ("network_id", "narrow"),
    [
        ("resnet18", "resnet18+width=4"),
        ("resnet18+width=3", "resnet18+width=3"),
        ("resnet50+stem=7x7", "resnet50+stem=7x7+width=4"),
        ("inception_v3", "inception_v3+width=2"),
        ("wrn16_8+width=16", "wrn16_8+width=1"),
        ("mlp", "mlp+width=16"),
        ("lenet", "lenet+width=4"),
        ("mobilenet_v3+size=small", "mobilenet_v3+size=small"),
    ],
)
def test_narrow_form(network_id: str, narrow: str) -> None:
    assert networks.narrowest(network_id) == narrow


def test_a_new_network_with_a_width_has_a_narrow_form(monkeypatch) -> None:
    new = networks.Architecture("new", {"width": 100, "depth": 3})
    monkeypatch.setitem(networks.ARCHITECTURES, "new", new)
    assert networks.narrowest("new+depth=2") == "new+depth=2+width=4"


@pytest.mark.parametrize("network_id", NARROW)
def test_takes_every_image_size(network_id: str) -> None:
    smallest = networks.ARCHITECTURES[network_id.split("+")[0]].smallest
    sizes = (smallest, 27, 28, 32, 64, 74, 75, 127, 128, 224)  # 27 … 128: where a stem changes
    for channels, image_size in [(3, size) for size in sizes] + [(1, 28), (1, 224)]:
        network = on_meta(network_id, channels, 7, image_size).eval()
        images = torch.empty(2, channels, image_size, image_size, device="meta")
        images = shown_to(network_id, images)
        features = network.features(images)
        assert features.shape == (2, network.head.in_features), image_size
        assert network.head(features).shape == (2, 7), image_size


def test_volumes_are_for_networks_of_theirs_and_images_for_all_others() -> None:
    for name, architecture in networks.ARCHITECTURES.items():
        other = 5 - architecture.dimensions
        with pytest.raises(UserError, match=f"{name} takes .*, not .*, which are for ") as error:
            build(name, channels=1, classes=3, image_size=28, dimensions=other)
        assert "\n" not in str(error.value)
        networks.check(name, 28, architecture.dimensions)


def test_gradients_of_volumes_are_exact_in_their_layout() -> None:
    """Against double precision: with channels last in memory they are not, on some CPUs."""
    network = seeded("resnet18_3d+width=16", image_size=9)
    volumes, labels = torch.randn(16, 1, 9, 9, 9), torch.arange(16) % 10
    found = {}
    for kind in (torch.float64, torch.float32):
        copied = deepcopy(network).to(dtype=kind, memory_format=layout_of(network))
        batch = volumes.to(kind).contiguous(memory_format=layout(3))
        cross_entropy(copied(batch), labels).backward()
        found[kind] = torch.cat([p.grad.double().flatten() for p in copied.parameters()])
    exact = found[torch.float64]
    assert (found[torch.float32] - exact).norm() < 1e-5 * exact.norm()


@pytest.mark.parametrize("network_id", NARROW)
def test_forward_is_the_head_of_the_features(network_id: str, digits) -> None:
    images = shown_to(network_id, digits[0])
    network = seeded(network_id)
    for module in network.modules():
        if isinstance(module, (nn.BatchNorm2d, nn.BatchNorm3d)):
            module.momentum = 1.0  # one pass in train mode sets the statistics of evaluation mode
    with torch.no_grad():
        network.train()(images)
        network.eval()
        logits = network(images)
        assert torch.equal(logits, network.head(network.features(images)))
    assert torch.isfinite(logits).all()
    assert not torch.allclose(logits[0], logits[1])  # what a network sees reaches its logits


@pytest.mark.parametrize("network_id", NARROW)
def test_no_batches_are_counted(network_id: str) -> None:
    """Nor are counts missed: a state is loaded with and without them, as a plain dictionary too."""
    counted, network = seeded(network_id), seeded(network_id, seed=1)
    for module in counted.modules():
        if isinstance(module, (nn.BatchNorm2d, nn.BatchNorm3d)):
            assert module.num_batches_tracked is None
            assert module.momentum is not None  # else the running mean would need the count
            module.num_batches_tracked = torch.tensor(7)
    state, plain = counted.state_dict(), uncounted(counted)
    assert network.state_dict().keys() == plain.keys()
    for each in (state, dict(state), plain):
        network.load_state_dict(each)
        for name, tensor in network.state_dict().items():
            assert torch.equal(tensor, plain[name])


@pytest.mark.parametrize("network_id", NARROW)
def test_learns(network_id: str, digits) -> None:
    images, labels = shown_to(network_id, digits[0]), digits[1]
    network = seeded(network_id).train()
    optimizer = torch.optim.SGD(network.parameters(), lr=0.02)
    before = network.head.weight.detach().clone()
    losses = []
    for _ in range(12):
        loss = cross_entropy(network(images), labels)
        optimizer.zero_grad()
        loss.backward()
        losses.append(loss.item())
        for name, parameter in network.named_parameters():
            assert parameter.grad is not None, name
            assert torch.isfinite(parameter.grad).all(), name
        optimizer.step()
    assert np.isfinite(losses).all()
    assert not torch.equal(before, network.head.weight)
    if not network_id.startswith(WITH_DROPOUT):
        # The narrowest overshoot at times.
        assert min(losses[1:]) < losses[0]


@pytest.mark.parametrize("network_id", NARROW)
def test_per_sample_gradients(network_id: str, digits) -> None:
    """Per-sample gradients by `torch.func`; the head's are (p − y) ⊗ [1, h]."""
    images, labels = shown_to(network_id, digits[0][:3]), digits[1][:3]
    network = seeded(network_id).eval()
    parameters = {name: p.detach() for name, p in network.named_parameters()}
    buffers = dict(network.named_buffers())

    def loss(parameters, image, label):
        logits = functional_call(network, (parameters, buffers), (image[None],))
        return cross_entropy(logits, label[None])

    gradients = vmap(grad(loss), in_dims=(None, 0, 0))(parameters, images, labels)
    with torch.no_grad():
        features = network.features(images)
        error = network.head(features).softmax(1) - nn.functional.one_hot(labels, 10)
    outer = error[:, :, None] * features[:, None, :]
    torch.testing.assert_close(gradients["head.weight"], outer, rtol=1e-3, atol=1e-5)
    torch.testing.assert_close(gradients["head.bias"], error, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("network_id", NARROW)
def test_weights_come_from_torchs_seed_alone(network_id: str) -> None:
    states = []
    for other_seed, seed in ((1, 5), (2, 5), (2, 6)):
        random.seed(other_seed)
        np.random.seed(other_seed)
        states.append(seeded(network_id, seed).state_dict())
    first, again, different = states
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert not torch.equal(first["head.weight"], different["head.weight"])


def test_catalogue_and_families_agree_on_options() -> None:
    for name, architecture in networks.ARCHITECTURES.items():
        family = import_module(f"medcoreset.networks.{architecture.family}")
        parameters = set(inspect.signature(getattr(family, name)).parameters)
        assert parameters == {"channels", "image_size", *architecture.options}, name


@pytest.mark.parametrize(
    ("network_id", "canonical"),
    [
        ("lenet", "lenet"),
        ("resnet18+width=64", "resnet18"),
        ("resnet18+width=08", "resnet18+width=8"),
        ("resnet18+width=8+stem=7x7", "resnet18+stem=7x7+width=8"),
        ("mobilenet_v3+size=large", "mobilenet_v3"),
    ],
)
def test_canonical_spelling(network_id: str, canonical: str) -> None:
    assert networks.check(network_id) == canonical
    assert networks.parse(network_id) == networks.parse(canonical)


@pytest.mark.parametrize(
    ("network_id", "message"),
    [
        ("resnet19", "no network 'resnet19'; there are mlp, lenet"),
        ("", "no network ''"),
        ("ResNet18", "no network 'ResNet18'"),
        ("resnet18+depth=3", "no option 'depth'; it takes width, stem"),
        ("alexnet+width=3", "no option 'width'; it takes none"),
        ("lenet+width=0", "width is a positive integer, not '0'"),
        ("lenet+width=-3", "width is a positive integer, not '-3'"),
        ("lenet+width", "'width' is no option, expected KEY=VALUE"),
        ("lenet+", "'' is no option"),
        ("lenet+width=3+width=4", "option 'width' is given twice"),
        ("inception_v3+width=3", "width is a multiple of 2, not 3"),
        ("resnet18+stem=5x5", "stem is 3x3 or 7x7, not '5x5'"),
    ],
)
def test_a_wrong_id_is_named(network_id: str, message: str) -> None:
    with pytest.raises(UserError) as error:
        networks.check(network_id)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_too_small_an_image_and_too_few_classes_are_named() -> None:
    with pytest.raises(UserError, match="8 pixels are too small; alexnet takes 15 pixels or more"):
        build("alexnet", channels=1, classes=10, image_size=8)
    with pytest.raises(UserError, match="classes is 1; it must be 2 or more"):
        build("lenet", channels=1, classes=1, image_size=8)


def test_imports_stay_light() -> None:
    """The catalogue needs no torch; networks defined here need no torchvision."""
    program = """
import sys
from medcoreset.networks import check
check("resnet18+width=8")
assert "torch" not in sys.modules
from medcoreset.networks.factory import build
for name in ("resnet18+width=4", "lenet", "mlp", "vgg11+width=4", "wrn16_8+width=1", "mobilenet_v2"):
    build(name, channels=1, classes=2, image_size=8)
assert "torchvision" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", program], check=True)
