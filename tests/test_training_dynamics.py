"""The recorder's statistics against their definitions, and its files."""

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from medcoreset.recording import epoch as dynamics
from medcoreset.recording.recorder import Recorder
from medcoreset.recording.statistics import STATISTICS, statistics


def by_definition(logits: np.ndarray, label: int) -> dict[str, float]:
    logits = logits.astype(np.float64)
    probs = np.exp(logits - logits.max())
    probs /= probs.sum()
    target = np.eye(len(logits))[label]
    others = np.arange(len(logits)) != label
    return {
        "error_norm": np.sqrt(((probs - target) ** 2).sum()),
        "margin": probs[label] - probs[others].max(),
        "logit_margin": logits[label] - logits[others].max(),
        "target_prob": probs[label],
        "entropy": -(probs * np.log(np.maximum(probs, 1e-300))).sum(),
    }


@settings(deadline=None)
@given(
    scale=st.sampled_from([0.1, 1, 10, 60]),
    classes=st.integers(2, 12),
    seed=st.integers(0, 1000),
)
def test_statistics_are_their_definitions(scale, classes, seed):
    random = np.random.default_rng(seed)
    logits = (scale * random.standard_normal((8, classes))).astype(np.float32)
    labels = random.integers(0, classes, 8)
    found = statistics(torch.from_numpy(logits), torch.from_numpy(labels))
    for sample, label in enumerate(labels):
        for name, value in by_definition(logits[sample], label).items():
            np.testing.assert_allclose(found[name][sample], value, rtol=2e-5, atol=2e-6)
        assert found["correct"][sample] == (logits[sample].argmax() == label)


def recorded(folder, epochs: int = 2, budget: float = 1.0) -> dict[str, np.ndarray]:
    random = np.random.default_rng(0)
    labels = torch.from_numpy(random.integers(0, 3, 10))
    recorder = Recorder(folder, labels, classes=3, epochs=epochs, probs_budget_mb=budget)
    for epoch in range(epochs):
        order = torch.from_numpy(random.permutation(10))
        for indices in order[: 10 - epoch].split(4):
            recorder.record(indices, torch.from_numpy(random.standard_normal((len(indices), 3))))
        recorder.end_epoch()
    return {path.stem: np.load(path, mmap_mode="r") for path in folder.glob("*.npy")}


def test_files_have_one_row_per_epoch_and_one_column_per_sample(tmp_path):
    files = recorded(tmp_path)
    assert set(files) == {*STATISTICS, "probs", "labels"}
    assert all(files[name].shape[:2] == (2, 10) for name in (*STATISTICS, "probs"))
    assert all(files[name].dtype == kind for name, kind in STATISTICS.items())
    assert files["probs"].dtype == np.float16
    assert files["seen"].sum(1).tolist() == [10, 9]
    assert (files["error_norm"][~files["seen"]] == 0).all()
    np.testing.assert_allclose(files["probs"][0].sum(1), 1, atol=2e-3)


def test_probabilities_beyond_the_budget_are_left_out(tmp_path):
    assert "probs" not in recorded(tmp_path, budget=1e-5)


def test_small_blocks_give_the_same_statistics(tmp_path, monkeypatch):
    whole = recorded(tmp_path / "whole")
    monkeypatch.setattr(dynamics, "BLOCK_BYTES", 24)
    blocks = recorded(tmp_path / "blocks")
    for name in whole.keys() - {"labels"}:
        np.testing.assert_allclose(whole[name].astype(float), blocks[name].astype(float), atol=1e-6)
