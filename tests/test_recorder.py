"""The recorder in a training loop of one's own: what it writes, how it goes on, what it refuses."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import medcoreset
from medcoreset import Recorder, UserError
from medcoreset.recording import epoch as module
from medcoreset.recording.statistics import STATISTICS
from tests.conftest import ROOT
from tests.synchronisations import synchronisations

N, C = 20, 4
LABELS = np.arange(N) % C


def logits(epoch: int) -> np.ndarray:
    """The logits of all samples in an epoch, (N, C) float32."""
    return np.random.default_rng(epoch).normal(size=(N, C)).astype(np.float32)


def run(recorder: Recorder, epochs: range, size: int = 6) -> None:
    """Record whole epochs, each in an order of its own."""
    for epoch in epochs:
        order = np.random.default_rng(100 + epoch).permutation(N)
        for start in range(0, N, size):
            batch = order[start : start + size]
            recorder.record(batch, logits(epoch)[batch])
        recorder.end_epoch()


def arrays(folder: Path) -> dict[str, np.ndarray]:
    return {path.stem: np.load(path) for path in folder.glob("*.npy")}


def assert_same(one: Path, other: Path) -> None:
    found, expected = arrays(one), arrays(other)
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array, err_msg=name)


def test_three_lines_in_a_loop_give_a_coreset(tmp_path):
    recorder = medcoreset.Recorder(tmp_path / "dynamics", labels=LABELS, classes=C, epochs=12)
    run(recorder, range(12))
    options = {"early": 1, "late": 7, "length": 3}
    selection = medcoreset.select("eva", tmp_path / "dynamics", rate=0.25, seed=0, **options)
    p = np.stack([np.exp(logits(epoch)) for epoch in range(12)])
    p /= p.sum(2, keepdims=True)
    error = np.linalg.norm(p - np.eye(C)[LABELS], axis=2)
    expected = error[0:3].var(0) + error[6:9].var(0)
    np.testing.assert_allclose(selection.scores, expected, rtol=1e-4)
    assert set(selection.indices) == set(np.argsort(-expected)[:5])


@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16, torch.float64, np.float32])
def test_logits_may_be_of_any_kind(tmp_path, kind):
    recorder = Recorder(tmp_path / "x", LABELS.tolist(), C, 1)
    values = logits(0)
    given = torch.from_numpy(values).to(kind) if isinstance(kind, torch.dtype) else values
    recorder.record(np.arange(N, dtype=np.int32), given)
    recorder.end_epoch()
    found = arrays(tmp_path / "x")
    rounded = torch.as_tensor(given).float().numpy()
    p = np.exp(rounded) / np.exp(rounded).sum(1, keepdims=True)
    np.testing.assert_allclose(found["target_prob"][0], p[np.arange(N), LABELS], rtol=1e-5)
    np.testing.assert_allclose(found["probs"][0], p, atol=1e-3)


def test_several_labels_per_sample_are_rows(tmp_path):
    """Sigmoids that add up to 1 are no mistake there."""
    labels = np.random.default_rng(0).integers(0, 2, (N, C))
    recorder = Recorder(tmp_path / "x", labels, C, 2)
    recorder.record(np.arange(N), logits(0))
    recorder.end_epoch()
    p = 1 / (1 + np.exp(-logits(0)))
    found = arrays(tmp_path / "x")
    np.testing.assert_allclose(
        found["error_norm"][0], np.linalg.norm(p - labels, axis=1), rtol=1e-5
    )
    np.testing.assert_allclose(found["probs"][0], p, atol=1e-3)
    recorder = Recorder.resume(tmp_path / "x", labels, C)
    recorder.record(np.arange(N), np.full((N, C), 1 / C))
    recorder.end_epoch()
    assert arrays(tmp_path / "x")["seen"].all()


def test_what_is_recorded_is_a_copy(tmp_path):
    recorder, values = Recorder(tmp_path / "x", LABELS, C, 1), torch.from_numpy(logits(0))
    with torch.inference_mode():
        recorder.record(torch.arange(N), values)
    values.zero_()
    recorder.end_epoch()
    assert arrays(tmp_path / "x")["entropy"].std() > 0.01


def test_unknown_epochs_give_what_known_ones_do(tmp_path):
    run(Recorder(tmp_path / "known", LABELS, C, 5), range(5))
    growing = Recorder(tmp_path / "growing", LABELS, C)
    for epoch in range(5):
        run(growing, range(epoch, epoch + 1))
        assert len(arrays(tmp_path / "growing")["error_norm"]) == epoch + 1 == growing.epoch
    assert_same(tmp_path / "growing", tmp_path / "known")


def test_probabilities_are_dropped_when_they_grow_too_large(tmp_path, capsys):
    budget = 3 * N * C * 2 / 1e6
    growing = Recorder(tmp_path / "x", LABELS, C, probs_budget_mb=budget)
    run(growing, range(3))
    assert arrays(tmp_path / "x")["probs"].shape == (3, N, C)
    run(growing, range(3, 5))
    run(Recorder.resume(tmp_path / "x", LABELS, C, epoch=1), range(1, 5))
    assert capsys.readouterr().err.count("after 3 epochs the full probabilities") == 1
    run(Recorder(tmp_path / "known", LABELS, C, 5, probs_budget_mb=budget), range(5))
    assert "probs" not in arrays(tmp_path / "known")
    assert_same(tmp_path / "x", tmp_path / "known")


@pytest.mark.parametrize("epochs", [6, None])
@pytest.mark.parametrize("kept", [None, 2, 0])
def test_a_killed_loop_goes_on_in_the_same_folder(tmp_path, epochs, kept):
    run(Recorder(tmp_path / "whole", LABELS, C, epochs), range(6))
    killed = Recorder(tmp_path / "killed", LABELS, C, epochs)
    run(killed, range(3))
    killed.record(np.arange(4), logits(3)[:4])
    del killed
    going_on = Recorder.resume(tmp_path / "killed", LABELS, C, epoch=kept)
    assert going_on.epoch == (3 if kept is None else kept)
    assert arrays(tmp_path / "killed")["seen"].any(1).sum() == going_on.epoch
    run(going_on, range(going_on.epoch, 6))
    assert_same(tmp_path / "killed", tmp_path / "whole")


@pytest.mark.parametrize("epochs", [3, None])
def test_a_state_goes_on_in_the_midst_of_an_epoch(tmp_path, epochs, monkeypatch):
    monkeypatch.setattr(module, "BLOCK_BYTES", 4 * C * 8)  # some statistics are computed by then
    run(Recorder(tmp_path / "whole", LABELS, C, epochs), range(3))
    stopped = Recorder(tmp_path / "stopped", LABELS, C, epochs)
    run(stopped, range(1))
    order = np.random.default_rng(101).permutation(N)
    for batch in (order[:6], order[6:12]):
        stopped.record(batch, logits(1)[batch])
    torch.save(stopped.state(), tmp_path / "state.pt")
    run(stopped, range(1, 2))  # is lost
    going_on = Recorder.resume(tmp_path / "stopped", LABELS, C)
    going_on.load(torch.load(tmp_path / "state.pt", weights_only=True))
    for batch in (order[12:18], order[18:]):
        going_on.record(batch, logits(1)[batch])
    going_on.end_epoch()
    run(going_on, range(2, 3))
    assert_same(tmp_path / "stopped", tmp_path / "whole")


@pytest.mark.parametrize("rows", [1, 7, 1000])
def test_the_last_record_of_a_sample_counts(tmp_path, capsys, monkeypatch, rows):
    monkeypatch.setattr(module, "BLOCK_BYTES", 4 * C * rows)
    recorder = Recorder(tmp_path / "x", LABELS, C, replacement=True)
    for epoch in range(2):
        values = np.random.default_rng(9).normal(size=(50, C)).astype(np.float32)
        drawn = np.random.default_rng(epoch).integers(0, N - 2, 50)
        for start in range(0, 50, 10):
            recorder.record(drawn[start : start + 10], values[start : start + 10])
        recorder.end_epoch()
        found = arrays(tmp_path / "x")
        assert found["seen"][epoch].tolist() == [sample in drawn for sample in range(N)]
        for sample in set(drawn):
            row = values[np.flatnonzero(drawn == sample)[-1]]
            p = np.exp(row[LABELS[sample]]) / np.exp(row).sum()
            np.testing.assert_allclose(found["target_prob"][epoch, sample], p, rtol=1e-5)
    assert recorder.repeated == 100 - found["seen"].sum()
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert f"{50 - found['seen'][0].sum()} records were of samples that it had before" in said


def test_a_batch_waits_for_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "BLOCK_BYTES", 4 * C * 8)
    recorder, values = Recorder(tmp_path / "x", LABELS, C, 2), torch.from_numpy(logits(0))
    indices = torch.arange(N)
    with synchronisations() as found:
        for start in range(0, N, 5):
            recorder.record(indices[start : start + 5], values[start : start + 5])
    assert found == []
    with synchronisations() as found:
        recorder.end_epoch()
    assert found


def test_a_batch_is_computed_where_its_logits_are(tmp_path, monkeypatch):
    """On a device that does not mix with the CPU, and from which nothing can be read."""
    monkeypatch.setattr(module, "BLOCK_BYTES", 4 * C * 8)
    recorder, there = Recorder(tmp_path / "x", LABELS, C, 2), torch.device("meta")
    for start in range(0, N, 5):
        recorder.record(np.arange(start, start + 5), torch.zeros(5, C, device=there))
    state = recorder.state()
    assert len(state["pending"]) == 0
    assert state["recorded"] == N
    assert {tensor.device for tensor in (*state["arrays"].values(), state["noted"])} == {there}


def test_a_state_from_a_file_follows_the_logits(tmp_path):
    recorder, there = Recorder(tmp_path / "x", LABELS, C, 2), torch.device("meta")
    recorder.record(np.arange(5), logits(0)[:5])
    again = Recorder.resume(tmp_path / "x", LABELS, C)
    again.load(recorder.state())
    again.record(np.arange(5, 10), torch.zeros(5, C, device=there))
    state = again.state()
    tensors = [*state["arrays"].values(), state["noted"], *sum(state["pending"], ())]
    assert {tensor.device for tensor in tensors} == {there}


def test_statistics_are_those_of_the_evidence(tmp_path):
    """The room of the methods derives them from probabilities, this one from logits."""
    run(Recorder(tmp_path / "x", LABELS, C, 3), range(3))
    found = arrays(tmp_path / "x")
    logarithms = torch.log_softmax(
        torch.from_numpy(np.stack([logits(epoch) for epoch in range(3)])), 2
    )
    derived = medcoreset.Evidence({"labels": LABELS, "log_probs": logarithms.numpy()})
    for name in STATISTICS.keys() - {"seen"}:
        for epoch in range(3):
            one = derived.over_epochs(name, lambda values: values[0], epoch, epoch + 1)
            np.testing.assert_allclose(one, found[name][epoch], atol=1e-6, err_msg=name)


BATCH = np.arange(5)
REFUSED = {
    "indices of two axes": (lambda r: r.record(BATCH[None], logits(0)[:5]), r"indices is int64 \(1, 5\)"),
    "real indices": (lambda r: r.record(BATCH / 1, logits(0)[:5]), "indices is float64"),
    "no array": (lambda r: r.record("all", logits(0)[:5]), "indices is a str"),
    "other batch": (lambda r: r.record(BATCH, logits(0)[:4]), r"float32 \(4, 4\), but it is to be real \(5, 4\)"),
    "other classes": (lambda r: r.record(BATCH, logits(0)[:5, :3]), r"logits is float32 \(5, 3\)"),
    "predictions": (lambda r: r.record(BATCH, BATCH), r"logits is int64 \(5,\)"),
}  # fmt: skip


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_no_batch_is_refused_at_once(tmp_path, what):
    recorder = Recorder(tmp_path / "x", LABELS, C, 2)
    act, named = REFUSED[what]
    with pytest.raises(UserError, match=named):
        act(recorder)


def changed(value: float, row: int = 2) -> np.ndarray:
    values = logits(0)[:5].copy()
    values[row, 1] = value
    return values


def softmax(values: np.ndarray) -> np.ndarray:
    return np.exp(values) / np.exp(values).sum(1, keepdims=True)


FOUND = {
    "negative": ([0, -3, 1, 2, 4], logits(0)[:5], "epoch 1: indices has -3, but it is to be from 0 to 19"),
    "beyond": ([0, 20, 1, 2, 4], logits(0)[:5], "epoch 1: indices has 20, but"),
    "twice": ([0, 1, 2, 1, 3], logits(0)[:5], "indices has 1 twice in a batch.*replacement=True"),
    "NaN": ([5, 6, 7, 8, 9], changed(np.nan), "logits of sample 7 are NaN or infinite"),
    "infinite": ([5, 6, 7, 8, 9], changed(-np.inf), "logits of sample 7 are NaN or infinite"),
    "probabilities": ([5, 6, 7, 8, 9], softmax(logits(0)[:5]), "look like probabilities"),
}  # fmt: skip


@pytest.mark.parametrize("what", FOUND)
def test_what_is_no_epoch_is_refused_at_its_end_and_not_written(tmp_path, what):
    recorder = Recorder(tmp_path / "x", LABELS, C, 2)
    indices, values, named = FOUND[what]
    recorder.record(np.array(indices), values)
    with pytest.raises(UserError, match=named):
        recorder.end_epoch()
    assert not arrays(tmp_path / "x")["seen"].any()
    run(recorder, range(1))
    assert arrays(tmp_path / "x")["seen"].sum(1).tolist() == [N, 0]


def test_an_epoch_of_nothing_and_one_too_many_are_refused(tmp_path):
    recorder = Recorder(tmp_path / "x", LABELS, C, 1)
    with pytest.raises(UserError, match="epoch 1 ended with nothing recorded"):
        recorder.end_epoch()
    run(recorder, range(1))
    with pytest.raises(UserError, match="epochs is 1, and as many are recorded"):
        run(recorder, range(1, 2))


@pytest.mark.parametrize(
    ("how", "named"),
    [
        ({"labels": LABELS + 1}, r"labels\[3\] is 4, but it is to be from 0 to 3"),
        ({"labels": LABELS - 1}, r"labels\[0\] is -1"),
        ({"labels": np.eye(C)[LABELS]}, r"labels is float64 \(20, 4\)"),
        ({"labels": []}, "labels is"),
        ({"labels": 3}, r"labels is int64 \(\)"),
        ({"labels": 2 * np.eye(C, dtype=int)[LABELS]}, r"labels\[0, 0\] is 2, but rows of labels"),
        ({"classes": 1}, "classes is 1, but it is to be an integer from 2"),
        ({"classes": "4"}, "classes is '4'"),
        ({"epochs": 0}, "epochs is 0, but"),
        ({"epochs": 2.5}, "epochs is 2.5, but"),
        ({"probs_budget_mb": -1}, "probs_budget_mb is -1"),
        ({"probs_budget_mb": "256"}, "probs_budget_mb is '256'"),
    ],
)
def test_arguments_are_checked(tmp_path, how, named):
    with pytest.raises(UserError, match=named):
        Recorder(tmp_path / "x", **({"labels": LABELS, "classes": C, "epochs": 2} | how))
    assert not (tmp_path / "x").exists()


def test_a_folder_has_one_recording(tmp_path):
    run(Recorder(tmp_path / "x", LABELS, C), range(2))
    with pytest.raises(UserError, match=r"holds recording.json.*Recorder.resume"):
        Recorder(tmp_path / "x", LABELS, C)
    for labels, classes, epoch, named in [
        (LABELS[::-1], C, None, "labels are not those"),
        (LABELS[:-1], C, None, "labels are not those"),
        (LABELS, C + 1, None, "classes is 5, but .* was recorded with 4"),
        (LABELS, C, 3, "epoch is 3, but .* has 2 recorded epochs"),
    ]:
        with pytest.raises(UserError, match=named):
            Recorder.resume(tmp_path / "x", labels, classes, epoch=epoch)
    with pytest.raises(UserError, match="does not exist"):
        Recorder.resume(tmp_path / "y", LABELS, C)
    (tmp_path / "mine").mkdir()
    np.save(tmp_path / "mine" / "correct.npy", np.zeros(3))
    with pytest.raises(UserError, match=r"holds correct.npy of other"):
        Recorder(tmp_path / "mine", LABELS, C)


def test_a_user_error_is_a_value_error():
    with pytest.raises(ValueError, match="unknown method 'evs'"):
        medcoreset.select("evs", {"labels": LABELS}, count=3)


PROCESS = """
import sys
import numpy as np
from torch import distributed
from medcoreset import Recorder, UserError
from tests.test_recorder import C, LABELS, N, logits

rank, folder = int(sys.argv[1]), sys.argv[2]
distributed.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
for epochs, name in ((3, "known"), (None, "growing")):
    recorder = Recorder(f"{folder}/{name}", LABELS, C, epochs)
    for epoch in range(3):
        if epoch == 2:
            recorder = Recorder.resume(f"{folder}/{name}", LABELS, C)
            assert recorder.epoch == 2
        own = np.arange(N - 1)[rank::2]  # the last sample is never seen
        if epoch == 1 and rank == 0:
            own = np.append(own, 1)  # as a sampler fills up; the other has it too, with other logits
        values = logits(epoch).copy()
        if epoch == 1 and rank == 0:
            values[1] = 0
        for batch in np.array_split(own, 3):
            recorder.record(batch, values[batch])
        recorder.end_epoch()
    try:
        recorder.record([rank], np.full((1, C), np.nan if rank else 1.0))
        recorder.end_epoch()
    except UserError as mistake:
        assert "logits of sample 1 are NaN" in str(mistake) or "as many" in str(mistake), mistake
    else:
        raise AssertionError("not refused")
distributed.destroy_process_group()
"""


def test_two_processes_record_one_folder(tmp_path):
    command = [sys.executable, "-c", PROCESS]
    started = [
        subprocess.Popen(
            [*command, str(rank), str(tmp_path)], stderr=subprocess.PIPE, text=True, cwd=ROOT
        )
        for rank in range(2)
    ]
    said = [process.communicate(timeout=300)[1] for process in started]
    assert [process.returncode for process in started] == [0, 0], said
    assert "in epoch 2 1 records" in said[0]
    assert "records" not in said[1]
    alone = Recorder(tmp_path / "alone", LABELS, C, 3)
    for epoch in range(3):
        alone.record(np.arange(N - 1), logits(epoch)[: N - 1])
        alone.end_epoch()
    assert_same(tmp_path / "known", tmp_path / "alone")
    assert_same(tmp_path / "growing", tmp_path / "alone")
