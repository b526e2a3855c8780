"""Steps that a GPU replays are the steps as they are. All of this needs a GPU."""

import numpy as np
import pytest
import torch

from medcoreset.training.graphs import WARM_UP, Graphs
from tests.training_cases import training

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")


@pytest.fixture(autouse=True)
def _the_same_kernels(monkeypatch):
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", False)
    monkeypatch.setattr(torch.backends.cudnn, "deterministic", True)


@pytest.mark.parametrize(
    "options",
    [
        {"lr": 0.02},
        {"network": "lenet", "optimizer": "adam", "lr": 1e-3},
        {"network": "mobilenet_v3+size=small", "augmentation": "crop_flip", "lr": 0.01},
    ],
)
def test_a_training_from_graphs_is_the_training_without(tmp_path, options):
    """Losses, dynamics and random numbers (the third has dropout); both sizes are captured."""
    losses, dynamics = [], []
    for enabled in (True, False):
        folder = tmp_path / str(enabled)
        one = training(folder, "cuda", precision="float32", **options)
        one.graphs = Graphs(enabled=enabled)
        one.run()
        assert set(one.graphs.graphs) == ({64, 44} if enabled else set())
        assert one.graphs.enabled == enabled
        assert one.iteration.item() == 8 * 5
        losses.append([entry["train_loss"] for entry in one.history])
        dynamics.append(np.load(folder / "target_prob.npy"))
        assert np.load(folder / "seen.npy").all()
    np.testing.assert_allclose(*losses, rtol=0.01)
    np.testing.assert_allclose(*dynamics, atol=0.02)


def test_a_size_is_captured_once_it_has_come_often(capfd):
    graphs, total = Graphs(enabled=True), torch.zeros((), device="cuda")

    def step(batch: torch.Tensor) -> torch.Tensor:
        total.add_(batch.sum())
        return batch * 2

    expected = 0
    for number in range(WARM_UP + 4):
        for size in (3, 5) if number % 2 else (3,):
            batch = torch.full((size,), float(number), device="cuda")
            result = graphs.run(step, batch)
            expected += number * size
            assert result.tolist() == [2 * number] * size
            assert total.item() == expected
    assert set(graphs.graphs) == {3}
    assert capfd.readouterr().err == ""


def test_a_step_that_cannot_be_captured_goes_on_without(capfd):
    graphs = Graphs(enabled=True)
    for number in range(WARM_UP + 3):
        batch = torch.full((4,), float(number), device="cuda")
        result = graphs.run(lambda batch: batch + batch.sum().item(), batch)
        assert result.tolist() == [5 * number] * 4
    said = capfd.readouterr().err
    assert said.count("\n") == 1
    assert "cannot be a CUDA graph" in said
    assert torch.cuda.current_stream() == torch.cuda.default_stream()
