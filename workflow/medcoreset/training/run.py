"""One job: a surrogate with its evidence, or every seed of one coreset specification."""

import json
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from medcoreset import device, seeding
from medcoreset.atomic import replacing, write_json, write_npz
from medcoreset.cost import Cost
from medcoreset.datasets import canonical
from medcoreset.errors import UserError, say
from medcoreset.identity import beside, digest
from medcoreset.locks import sole
from medcoreset.networks.classifier import Classifier
from medcoreset.networks.factory import build
from medcoreset.provenance import check_inputs, digests, is_intact, seal, sealed_files
from medcoreset.reading import file_of, read_json, read_npz
from medcoreset.recording.outputs import write_arrays
from medcoreset.recording.recorder import Recorder
from medcoreset.reporting.metrics import of_coreset
from medcoreset.training import coreset, group
from medcoreset.training.checkpoint import (
    Checkpoint,
    Interruption,
    clean_partial,
    interruptible,
    kept_folder,
    state_bytes,
    state_folder,
)
from medcoreset.training.data import Data, resident
from medcoreset.training.draw import Draw
from medcoreset.training.group import Group
from medcoreset.training.loop import Subset, Training
from medcoreset.training.model import Model
from medcoreset.training.options import TrainingOptions
from medcoreset.training.progress import Progress
from medcoreset.training.schedule import plan
from medcoreset.training.sources import training_code

SURROGATE_OUTPUTS = ("evidence", "model.pt", "predictions.npz", "metrics.json")
"""In the order in which they are put in place: with the last a surrogate is whole."""


@dataclass(frozen=True)
class Job:
    """What a training job is given besides its seeds: names, options, place and means.

    `run` are the entries of metrics.json that say which cell of a study this is; `recipe` is what
    the outputs are made by, `expects` what the dataset and the coresets were to be made by. `draw`
    draws what is trained on while a network trains, in place of coresets; `before` is what that took
    beforehand, if anything.
    """

    dataset: Path
    network: str
    options: TrainingOptions
    out: Path
    run: dict[str, Any] = field(default_factory=dict)
    device: str = "auto"
    threads: int = 1
    checkpoint_seconds: float = 300
    recipe: str = ""
    expects: tuple[str, ...] = ()
    draw: Draw | None = None
    before: Cost | None = None


def train_surrogate(job: Job, seed: int, probs_budget_mb: float, half: int = 0) -> None:
    """Train on the full training set, or one `half` of it, and write metrics, predictions, model, evidence.

    `out` gets `evidence/` (training dynamics and the final network's outputs), `model.pt`,
    `predictions.npz` and, last, `metrics.json`. What an earlier job finished under the same
    identity is taken over, not trained again. Processes that `torchrun` started train together.
    The evidence of one that was trained on a half, 1 or 2, is about all samples, says which of them it
    was trained on (`members`), and has no dynamics.
    """
    with _bench(job, group.started()) as bench:
        if half:
            subset = coreset.half(seed, half, bench.dataset)
        else:
            subset = replace(*coreset.whole([seed], bench.dataset), surrogate=True)
        identity = bench.identity(subset) | {"probs_budget_mb": probs_budget_mb}
        if any(bench.group.most(bench.group.first and bench.restored(seed, identity))):
            say(f"{job.out} was trained before and is taken over")
            return
        checkpoint, state = bench.checkpoint(seed, identity)
        evidence = bench.state / "evidence"
        if state is None and bench.group.first:
            shutil.rmtree(evidence, ignore_errors=True)
        epochs = plan(len(subset.indices), job.options).epochs
        recorder = None
        if epochs > 0 and bench.group.first and not half:
            # The first process has the logits of all of them.
            about = evidence, bench.data.train.labels, bench.data.classes
            if state is None:
                recorder = Recorder(*about, epochs, probs_budget_mb=probs_budget_mb, together=False)
            else:
                recorder = Recorder.resume(*about, together=False)
        training = bench.train(subset, checkpoint, state, recorder)
        outputs = training.outputs()
        if half:
            outputs["members"] = torch.zeros(len(bench.data.train), dtype=torch.bool)
            outputs["members"][torch.from_numpy(subset.indices)] = True
        if not bench.group.first:
            return
        write_arrays(evidence, outputs)
        bench.seal(evidence)
        with replacing(bench.state / "model.pt") as temporary:
            temporary.write_bytes(state_bytes(training.model.network.state_dict()))
        # From here on the evidence is no longer where a checkpoint would look for it.
        checkpoint.remove()
        bench.publish(bench.state, ["evidence", "model.pt"])
        bench.write([bench.finished(training, identity)])
        bench.keep_surrogate()
        shutil.rmtree(bench.state)


def train_coresets(job: Job, seeds: list[int], coresets: Path | None, trainings: int = 1) -> None:
    """Train networks, `trainings` per seed, on its coreset or the full training set, and report them.

    What the job draws while it trains is drawn of the full training set.

    Seeds that an earlier job finished under the same identity are taken over, not trained again;
    for that the results of finished seeds are kept beside the outputs.
    """
    if group.started().size > 1:
        raise UserError("torchrun is for the stage surrogate; start train once for every GPU")
    with _bench(job, group.ALONE) as bench:
        if job.draw is not None:
            subsets = coreset.drawn(job.draw, seeds, bench.dataset)
        elif coresets is None:
            subsets = coreset.whole(seeds, bench.dataset)
        else:
            subsets = coreset.read(coresets, seeds, bench.dataset, "".join(job.expects[1:]))
        subsets = [
            replace(subset, seed=seed)
            for subset in subsets
            for seed in beside(subset.seed, trainings)
        ]
        results = []
        for subset in subsets:
            identity = bench.identity(subset)
            result = bench.taken_over(subset.seed, identity)
            if result is None:
                checkpoint, state = bench.checkpoint(subset.seed, identity)
                result = bench.finished(bench.train(subset, checkpoint, state), identity)
                bench.keep(result)
                checkpoint.remove()
            results.append(result)
        shutil.rmtree(bench.state)
        bench.write(results, subsets)


@dataclass(frozen=True)
class _Finished:
    """The result of one seed: a JSON record, and logits of the last epoch, (n, C) float32."""

    record: dict[str, Any]
    val_logits: np.ndarray
    test_logits: np.ndarray


@contextmanager
def _bench(job: Job, together: Group) -> Iterator["_Bench"]:
    """Set up a job that has its output and its device to itself, and that signals can stop."""
    group.check_gpus(together, job.device)
    # A signal ends a process that only waits as it ends any other.
    with sole(job.out) if together.first else nullcontext():
        place = device.resolve(job.device, job.threads)
        with group.connected(together, place), interruptible() as interruption:
            yield _Bench(job, place, interruption, together)


class _Bench:
    """The dataset, the device and the resume state that the trainings of a job share."""

    def __init__(
        self, job: Job, place: torch.device, interruption: Interruption, together: Group
    ) -> None:
        self.job, self.device, self.interruption, self.group = job, place, interruption, together
        self.dataset = canonical.load(job.dataset)
        check_inputs(job.expects, (job.dataset, self.dataset.info["recipe"]))
        self.data: Data = resident(self.dataset, job.options, self.device, workers=job.threads)
        self.arithmetic = device.arithmetic(job.options.precision, self.device, self._network(0))
        self.state = state_folder(job.out)
        self.state.mkdir(parents=True, exist_ok=True)
        for folder in (self.state, job.out):
            if together.first:
                clean_partial(folder)
        self.code = training_code(job.network)

    def identity(self, subset: Subset) -> dict[str, Any]:
        """Return everything that the result of training on `subset` depends on."""
        return {
            "dataset": self.dataset.sha256,
            "network": self.job.network,
            "seed": subset.seed,
            "streams": subset.streams,
            "coreset": coreset.digest(subset),
            "draw": self.job.draw and self.job.draw.identity,
            "device": self.device.type,
            "processes": self.group.size,
            "arithmetic": str(self.arithmetic),
            "code": self.code,
            "torch": torch.__version__,
            **{f"training.{key}": value for key, value in self.job.options.as_dict().items()},
        }

    def checkpoint(
        self, seed: int, identity: dict[str, Any]
    ) -> tuple[Checkpoint, dict[str, Any] | None]:
        """Return the checkpoint of a seed's training, and the state in it, if any."""
        path = self.state / f"seed{seed}.pt"
        checkpoint = Checkpoint(path, identity, self.job.checkpoint_seconds)
        return checkpoint, checkpoint.load(self.device)

    def train(
        self,
        subset: Subset,
        checkpoint: Checkpoint,
        state: dict[str, Any] | None,
        recorder: Recorder | None = None,
    ) -> Training:
        """Train the seed's network to the end, from `state` or from its initialisation.

        Running out of GPU memory is a user's mistake, which names the batch.
        """
        training = Training(
            Model(self._network(subset.streams), self.device, self.arithmetic),
            self.data,
            subset,
            self.job.options,
            checkpoint=checkpoint,
            interruption=self.interruption,
            progress=Progress(f"{self.job.network} seed{subset.seed}", told=self.group.first),
            recorder=recorder,
            group=self.group,
        )
        if state is not None:
            training.load(state)
        try:
            training.run()
        except torch.cuda.OutOfMemoryError:
            start, stop = training.plan.batches[0]
            raise UserError(
                f"out of GPU memory with batches of {stop - start} images for "
                f"{self.job.network}; set a smaller batch_size, or accumulate"
            ) from None
        return training

    def finished(self, training: Training, identity: dict[str, Any]) -> _Finished:
        """Return the result of a training that has ended."""
        done = training.plan
        samples = done.iterations / len(done.batches) * done.samples
        record = {
            "seed": training.subset.seed,
            "identity": identity,
            "coreset_sha256": identity["coreset"],
            "rules": training.reports.found,
            "history": training.history,
            "seconds": training.seconds,
            "selection_seconds": training.selection_seconds,
            "samples_per_second": samples / max(training.training_seconds, 1e-9),
            "peak_memory_mb": device.peak_memory_mb(self.device),
            "kernels": device.kernels(self.device),
        }
        logits = {split: found.cpu().numpy() for split, found in training.logits.items()}
        no_val = np.empty((0, self.data.classes), np.float32)
        return _Finished(_plain(record), logits.get("val", no_val), logits["test"])

    def keep(self, result: _Finished) -> None:
        """Keep the result of a finished seed for later jobs that ask for the same."""
        write_npz(
            self._kept(result.record["seed"]),
            record=np.array(json.dumps(result.record)),
            val_logits=result.val_logits,
            test_logits=result.test_logits,
        )

    def taken_over(self, seed: int, identity: dict[str, Any]) -> _Finished | None:
        """Return the kept result of a seed, if its identity is the same in every respect."""
        path, what = self._kept(seed), "the result of a finished seed"
        if not path.exists():
            return None
        try:
            file = read_npz(path, what, "record", "val_logits", "test_logits")
            with file_of(path, what):
                record = json.loads(str(file["record"]))
                same = record["identity"] == json.loads(json.dumps(identity))
        except UserError as damage:
            say(f"{damage}; seed {seed} is trained again")
            return None
        return _Finished(record, file["val_logits"], file["test_logits"]) if same else None

    def publish(self, folder: Path, names: list[str]) -> None:
        """Move the named outputs from `folder` to `out`, where nothing is whole meanwhile."""
        self.job.out.mkdir(parents=True, exist_ok=True)
        (self.job.out / "metrics.json").unlink(missing_ok=True)
        for name in names:
            _move(folder / name, self.job.out / name)

    def keep_surrogate(self) -> None:
        """Keep the outputs of a finished surrogate, as links to the same files.

        Snakemake deletes outputs of whose end it has not heard, for instance because it was killed
        and its job was not. On file systems without hard links nothing is kept.
        """
        links, kept = self.state / "kept", self._kept_surrogate()
        kept.parent.mkdir(exist_ok=True)
        shutil.rmtree(links, ignore_errors=True)
        try:
            shutil.copytree(self.job.out, links, copy_function=os.link)
        except (OSError, shutil.Error):
            return
        _move(links, kept)

    def restored(self, seed: int, identity: dict[str, Any]) -> bool:
        """Say whether a surrogate of this seed and identity was kept; if so, `out` is it again."""
        kept, links = self._kept_surrogate(), self.state / "kept"
        if not kept.exists():
            return False
        try:
            metrics = read_json(kept / "metrics.json", "the metrics of a kept surrogate")
            with file_of(kept, "a kept surrogate"):
                if metrics["measured"]["identity"][str(seed)] != digest(identity):
                    return False
                evidence = sealed_files(kept / "evidence")
                files = metrics["files"] | {f"evidence/{name}": evidence[name] for name in evidence}
            # They are the outputs' own files, so that damage to these is damage to them.
            for name, sha256 in files.items():
                if not is_intact(kept / name, sha256):
                    raise UserError(f"{kept / name} was damaged or changed since it was kept")
        except UserError as damage:
            say(f"{damage}; the surrogate is trained again")
            return False
        shutil.rmtree(links, ignore_errors=True)
        shutil.copytree(kept, links, copy_function=os.link)
        # Replaced and not changed in place, for what is kept is the same files.
        self.seal(links / "evidence", names=())
        write_json(links / "metrics.json", metrics | {"recipe": self.job.recipe})
        for path in links.rglob("*"):
            os.utime(path)  # made now, as far as its inputs are concerned
        self.publish(links, [*SURROGATE_OUTPUTS])
        shutil.rmtree(self.state)
        return True

    def seal(self, evidence: Path, names: Iterable[str] | None = None) -> None:
        """Write the digests of files of a folder of evidence, all by default, and the recipe."""
        if names is None:
            names = sorted(path.name for path in evidence.glob("*.npy"))
        seal(evidence, names, self.job.recipe, self.dataset.sha256)

    def write(self, results: list[_Finished], subsets: list[Subset] | None = None) -> None:
        """Write predictions.npz and then metrics.json, by which a run is known to be whole."""
        records = {str(result.record["seed"]): result.record for result in results}
        write_npz(
            self.job.out / "predictions.npz",
            test_logits=np.stack([result.test_logits for result in results]),
            val_logits=np.stack([result.val_logits for result in results]),
            seeds=np.array([result.record["seed"] for result in results], np.int64),
            test_labels=np.asarray(self.dataset.test_labels, np.int64),
            val_labels=np.asarray(self.dataset.val_labels, np.int64),
        )
        size = subsets[0].size if subsets else len(self.dataset.train_labels)
        write_json(
            self.job.out / "metrics.json",
            {
                "recipe": self.job.recipe,
                "files": digests(
                    self.job.out,
                    ["predictions.npz"] if subsets else ["model.pt", "predictions.npz"],
                ),
                "run": {
                    "dataset": self.dataset.name,
                    "dataset_sha256": self.dataset.sha256,
                    "network": self.job.network,
                    "coreset_size": size,
                    **self.job.run,
                },
                "training": self.job.options.as_dict(),
                "coreset_sha256": {s: record["coreset_sha256"] for s, record in records.items()},
                "seeds": {
                    s: {"rules": record["rules"], "history": record["history"]}
                    for s, record in records.items()
                },
                **self._of_coresets(subsets or ()),
                "measured": self._measured(records),
            },
        )

    def _of_coresets(self, subsets: Sequence[Subset]) -> dict[str, Any]:
        """Return what coresets hold of wrong labels and copies, by seed, if the data are under conditions."""
        wrong, origin = self.dataset.corrupted, self.dataset.train_origin
        if wrong is None or origin is None or not subsets:
            return {}
        return {
            "coreset": {str(each.seed): of_coreset(wrong, origin, each.indices) for each in subsets}
        }

    def _measured(self, records: dict[str, dict[str, Any]]) -> dict[str, Any]:
        """Return what may differ between two equal runs: time, memory, place, versions.

        `identity` is the SHA-256 of all that a seed's result depends on, the code included.
        `selection_seconds` are those of `seconds` in which was selected what to train on, and `before` the
        cost of the evidence for it.
        """
        selecting = {seed: record["selection_seconds"] for seed, record in records.items()}
        return {
            "seconds": {seed: record["seconds"] for seed, record in records.items()},
            **({"selection_seconds": selecting} if self.job.draw else {}),
            **({"before": asdict(self.job.before)} if self.job.before else {}),
            "samples_per_second": float(
                np.mean([record["samples_per_second"] for record in records.values()])
            ),
            "peak_memory_mb": max(record["peak_memory_mb"] for record in records.values()),
            "device": device.describe(self.device),
            "processes": self.group.size,
            "arithmetic": str(self.arithmetic).removeprefix("torch."),
            "kernels": {seed: record["kernels"] for seed, record in records.items()},
            "versions": device.versions(),
            "identity": {seed: digest(record["identity"]) for seed, record in records.items()},
        }

    def _network(self, streams: int) -> Classifier:
        torch.manual_seed(seeding.stream_seed(streams, "initialisation"))
        return build(self.job.network, **self.data.shape)

    def _kept_surrogate(self) -> Path:
        return kept_folder(self.job.out) / self.job.out.name

    def _kept(self, seed: int) -> Path:
        return kept_folder(self.job.out) / f"seed{seed}.npz"


def _move(source: Path, target: Path) -> None:
    """Put `source` in the place of `target`."""
    if target.is_dir():
        shutil.rmtree(target)
    os.replace(source, target)


def _plain(value: Any) -> Any:
    """Return JSON-like content with numbers that are not finite, an undefined AUC say, as None."""
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple, np.ndarray)):
        return [_plain(inner) for inner in value]
    if isinstance(value, (float, np.floating)):
        return float(value) if np.isfinite(value) else None
    return int(value) if isinstance(value, np.integer) else value
