"""Within an epoch the host only sends work to the device: it waits for nothing."""

import pytest
import torch

from medcoreset.recording import epoch as dynamics
from medcoreset.training.loop import Training
from tests.synchronisations import synchronisations
from tests.training_cases import training

GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")


CASES = [
    {},
    {"network": "lenet", "optimizer": "adam", "precision": "float32"},
    {"network": "wrn16_8+width=1", "precision": "bf16", "augmentation": "crop_flip"},
    {"network": "mobilenet_v3+size=small", "accumulate": True, "nesterov": False, "momentum": 0.0},
]


def epoch(one: Training, monkeypatch) -> None:
    """Train an epoch without its end, where the losses are looked at."""
    monkeypatch.setattr(one, "_check_losses", lambda steps: None)
    one._train_epoch()


@pytest.mark.parametrize("options", CASES)
def test_an_epoch_waits_for_nothing(tmp_path, monkeypatch, options):
    monkeypatch.setattr(dynamics, "BLOCK_BYTES", 4 * 10 * 100)  # statistics within the epoch too
    one = training(tmp_path, "cpu", **options)
    one.progress.start(one.plan.iterations, 0)
    with synchronisations() as found:
        epoch(one, monkeypatch)
    assert found == []
    assert one.step == 5
    with synchronisations() as found:
        one._finish_epoch()
    assert found  # at the end of an epoch its numbers are read


@GPU
@pytest.mark.parametrize("options", CASES)
def test_an_epoch_waits_for_nothing_on_a_gpu(tmp_path, monkeypatch, options):
    """As CUDA itself sees it, after an epoch in which libraries choose their kernels."""
    one = training(tmp_path, "cuda", **options)
    one.progress.start(one.plan.iterations, 0)
    one.clock = 0.0
    one._train_epoch()
    one._finish_epoch()
    torch.cuda.set_sync_debug_mode("error")
    try:
        epoch(one, monkeypatch)
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize(
    ("name", "read"),
    [
        ("_local_scalar_dense", lambda tensor: tensor.sum().item()),
        ("_local_scalar_dense", lambda tensor: bool(tensor.any())),
        ("_local_scalar_dense", lambda tensor: float(tensor[0])),
        ("_local_scalar_dense", lambda tensor: range(10)[tensor.long()[0]]),
        ("_local_scalar_dense", lambda tensor: tensor[tensor.long()[0]]),
        ("nonzero", lambda tensor: tensor.nonzero()),
        ("masked_select", lambda tensor: tensor.masked_select(tensor > 0)),
        ("index", lambda tensor: tensor[tensor > 0]),
        ("index_put_", lambda tensor: tensor.index_put_((tensor > 0,), tensor[:1])),
        ("equal", lambda tensor: torch.equal(tensor, tensor)),
        ("_unique2", lambda tensor: tensor.unique()),
        ("cpu", lambda tensor: tensor.cpu()),
        ("to", lambda tensor: tensor.to("cpu")),
        ("numpy", lambda tensor: tensor.numpy()),
        ("tolist", lambda tensor: tensor.tolist()),
    ],
)
def test_every_way_to_wait_is_counted(name, read):
    tensor = torch.arange(3.0)
    with synchronisations() as found:
        tensor[torch.tensor([2, 0])] += 1
        (tensor * 2).argmax(0)
        assert found == []
        read(tensor)
    assert name in found
