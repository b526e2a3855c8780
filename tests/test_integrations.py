"""One training through four loops: plain, Lightning's, Hugging Face's, and the pipeline's own."""

import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, TensorDataset

import medcoreset
from medcoreset import IndexedDataset, UserError, seeding
from medcoreset.networks.factory import build
from medcoreset.recording.statistics import STATISTICS
from medcoreset.training.data import epoch_order, resident
from medcoreset.training.run import train_surrogate
from medcoreset.training.schedule import learning_rate, plan
from tests.training_cases import digits, job

pytestmark = pytest.mark.trains

EPOCHS, CLASSES, NETWORK = 10, 10, "mlp+width=16"
EVA = {"early": 1, "late": 7, "length": 3}
STREAMS = seeding.stream_seed(0, "surrogate")


class Recipe:
    """What all four train: the pipeline's data, network, order and learning rates, as tensors."""

    def __init__(self, folder: Path) -> None:
        self.job = job(folder, digits(), network=NETWORK, epochs=EPOCHS)
        self.options = self.job.options
        split = resident(digits(), self.options, torch.device("cpu")).train
        self.images, self.labels = split.batch(torch.arange(len(split))).contiguous(), split.labels
        self.plan = plan(len(self.labels), self.options)

    def network(self) -> nn.Module:
        torch.manual_seed(seeding.stream_seed(STREAMS, "initialisation"))
        return build(NETWORK, channels=1, classes=CLASSES, image_size=8)

    def optimizer(self, network: nn.Module) -> tuple[torch.optim.Optimizer, object]:
        o = self.options
        sgd = torch.optim.SGD(
            network.parameters(),
            lr=1.0,
            momentum=o.momentum,
            nesterov=True,
            weight_decay=o.weight_decay,
        )

        def rate(iteration: int) -> float:
            return learning_rate(min(iteration, self.plan.iterations - 1), self.plan.scheduled, o)

        return sgd, torch.optim.lr_scheduler.LambdaLR(sgd, rate)

    def batches(self) -> "Batches":
        return Batches(len(self.labels), self.plan.batches)


class Batches:
    """The batches of samples of one epoch after the other, as the pipeline orders them."""

    def __init__(self, samples: int, spans: tuple[tuple[int, int], ...], epoch: int = 0) -> None:
        self.samples, self.spans, self.epoch = samples, spans, epoch

    def __len__(self) -> int:
        return len(self.spans)

    def __iter__(self) -> Iterator[list[int]]:
        order = epoch_order(STREAMS, self.epoch, self.samples)
        self.epoch += 1
        return iter([order[start:stop].tolist() for start, stop in self.spans])


@pytest.fixture(scope="module")
def recipe(tmp_path_factory) -> Recipe:
    return Recipe(tmp_path_factory.mktemp("recipe"))


@pytest.fixture(scope="module")
def surrogate(recipe) -> Path:
    train_surrogate(recipe.job, 0, 256)
    return recipe.job.out / "evidence"


def plain(recipe: Recipe, folder: Path) -> None:
    network = recipe.network()
    optimizer, scheduler = recipe.optimizer(network)
    recorder = medcoreset.Recorder(folder, labels=recipe.labels, classes=CLASSES, epochs=EPOCHS)
    data = IndexedDataset(TensorDataset(recipe.images, recipe.labels))
    loader = DataLoader(data, batch_sampler=recipe.batches())
    for _ in range(EPOCHS):
        for images, labels, indices in loader:
            logits = network(images)
            loss = cross_entropy(logits, labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            scheduler.step()
            recorder.record(indices, logits)
        recorder.end_epoch()


def lightning_module(recipe: Recipe, fails_at: int | None = None):
    from lightning.pytorch import LightningModule

    class Module(LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.network = recipe.network()

        def training_step(self, batch, batch_idx):
            if self.global_step == fails_at:
                raise KeyboardInterrupt
            images, labels, _ = batch
            logits = self.network(images)
            return {"loss": cross_entropy(logits, labels), "logits": logits}

        def configure_optimizers(self):
            optimizer, scheduler = recipe.optimizer(self.network)
            return [optimizer], [{"scheduler": scheduler, "interval": "step"}]

    return Module()


def lightning_trainer(recipe: Recipe, folder: Path, **how):
    from lightning.pytorch import Trainer

    from medcoreset.integrations.lightning import RecordDynamics

    callback = RecordDynamics(folder, recipe.labels, CLASSES)
    quiet = {"enable_progress_bar": False, "enable_model_summary": False, "logger": False}
    how.setdefault("enable_checkpointing", False)
    callbacks = [callback, *how.pop("callbacks", [])]
    return Trainer(
        max_epochs=EPOCHS, accelerator="cpu", devices=1, callbacks=callbacks, **quiet, **how
    )


def lightning_loader(recipe: Recipe, epoch: int = 0) -> DataLoader:
    data = IndexedDataset(TensorDataset(recipe.images, recipe.labels))
    batches = recipe.batches()
    batches.epoch = epoch
    return DataLoader(data, batch_sampler=batches)


def lightning(recipe: Recipe, folder: Path) -> None:
    trainer = lightning_trainer(recipe, folder, use_distributed_sampler=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer.fit(lightning_module(recipe), lightning_loader(recipe))


class Classifier(nn.Module):
    """A network as Hugging Face's `Trainer` calls it."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, pixel_values, labels):
        logits = self.network(pixel_values)
        return {"loss": cross_entropy(logits, labels), "logits": logits}


def arguments(folder: Path, **how):
    from transformers import TrainingArguments

    how = {
        "num_train_epochs": EPOCHS,
        "max_grad_norm": 0,
        "remove_unused_columns": False,
        "use_cpu": True,
        "report_to": "none",
        "save_strategy": "no",
        "disable_tqdm": True,
    } | how
    return TrainingArguments(output_dir=str(folder), **how)


def transformers(recipe: Recipe, folder: Path) -> None:
    from transformers import Trainer

    from medcoreset.integrations.transformers import RecordDynamics

    pairs = zip(recipe.images, recipe.labels, strict=True)
    data = IndexedDataset([{"pixel_values": image, "labels": label} for image, label in pairs])

    class Ordered(Trainer):
        def get_train_dataloader(self):
            return DataLoader(data, batch_sampler=recipe.batches())

    network = recipe.network()
    Ordered(
        Classifier(network),
        arguments(folder.parent / "trainer"),
        train_dataset=data,
        optimizers=recipe.optimizer(network),
        callbacks=[RecordDynamics(folder, recipe.labels, CLASSES, EPOCHS)],
    ).train()


@pytest.mark.parametrize("train", [plain, lightning, transformers])
def test_every_loop_records_what_the_pipelines_own_does(train, recipe, surrogate, tmp_path):
    train(recipe, tmp_path / "dynamics")
    for name in (*STATISTICS, "probs", "labels"):
        found, expected = (
            np.load(folder / f"{name}.npy") for folder in (tmp_path / "dynamics", surrogate)
        )
        assert found.shape == expected.shape
        assert found.dtype == expected.dtype
        if name == "logit_margin":  # of logits up to 20: float16 has 3 digits
            np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-3, err_msg=name)
        else:
            np.testing.assert_allclose(found, expected, atol=1e-3, err_msg=name)
    picked = [
        medcoreset.select("eva", folder, rate=0.1, **EVA).indices
        for folder in (tmp_path / "dynamics", surrogate)
    ]
    np.testing.assert_array_equal(*picked)


@pytest.mark.parametrize("stopped", [12, 15])
def test_a_lightning_training_goes_on_from_its_checkpoint(recipe, tmp_path, stopped):
    """From the midst of the third epoch, or before its end is told.

    An epoch has 5 steps. In its midst Lightning goes on with the first batches again.
    """
    from lightning.pytorch.callbacks import ModelCheckpoint

    lightning(recipe, tmp_path / "whole")
    how = {"use_distributed_sampler": False, "enable_checkpointing": True}
    kept = ModelCheckpoint(tmp_path, filename="kept", every_n_train_steps=stopped, save_top_k=-1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises((KeyboardInterrupt, SystemExit)):
            lightning_trainer(recipe, tmp_path / "x", callbacks=[kept], **how).fit(
                lightning_module(recipe, fails_at=17), lightning_loader(recipe)
            )
        lightning_trainer(recipe, tmp_path / "x", **how, default_root_dir=tmp_path).fit(
            lightning_module(recipe),
            lightning_loader(recipe, stopped // 5),
            ckpt_path=tmp_path / "kept.ckpt",
        )
    whole, found = (np.load(tmp_path / each / "error_norm.npy") for each in ("whole", "x"))
    seen = np.load(tmp_path / "x" / "seen.npy")
    if stopped == 15:
        np.testing.assert_allclose(found, whole, atol=1e-6)
    else:
        np.testing.assert_allclose(found[:2], whole[:2], atol=1e-6)
        of_third = epoch_order(STREAMS, 2, len(recipe.labels))[: recipe.plan.batches[2][1]]
        assert set(np.flatnonzero(seen[2])) == set(of_third)
    assert np.delete(seen, 2, axis=0).all()
    assert len(seen) == EPOCHS


WORDS = [
    "the",
    "a",
    "image",
    "shows",
    "no",
    "sign",
    "of",
    "fracture",
    "tumour",
    "lesion",
    "seen",
    "in",
    "left",
    "right",
    "lung",
    "liver",
]


def texts(count: int) -> tuple[list[list[int]], list[int]]:
    """Sentences of eight words by number, whose class is whether `fracture` is among them."""
    rng = np.random.default_rng(0)
    sentences = [(1 + rng.integers(0, len(WORDS), 8)).tolist() for _ in range(count)]
    return sentences, [int(1 + WORDS.index("fracture") in sentence) for sentence in sentences]


class TextData:
    def __init__(self, count: int) -> None:
        self.sentences, self.labels = texts(count)

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, i: int) -> dict[str, object]:
        return {"input_ids": self.sentences[i], "labels": self.labels[i]}


def text_model() -> nn.Module:
    from transformers import BertConfig, BertForSequenceClassification

    torch.manual_seed(0)
    about = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = BertConfig(
        **about, vocab_size=len(WORDS) + 1, intermediate_size=16, hidden_dropout_prob=0.0
    )
    return BertForSequenceClassification(config)


def text_trainer(folder: Path, epochs: int, **how):
    from transformers import Trainer

    from medcoreset.integrations.transformers import RecordDynamics

    data = TextData(48)
    how = {
        "num_train_epochs": epochs,
        "per_device_train_batch_size": 16,
        "learning_rate": 0.01,
        "save_strategy": "epoch",
        "lr_scheduler_type": "constant",
    } | how
    return Trainer(
        text_model(),
        arguments(folder / "trainer", **how),
        train_dataset=IndexedDataset(data),
        eval_dataset=IndexedDataset(data),
        callbacks=[RecordDynamics(folder / "dynamics", data.labels, 2)],
    )


def test_a_coreset_of_text(tmp_path):
    trainer = text_trainer(tmp_path, 4, eval_strategy="epoch")
    trainer.train()
    assert not trainer.model._forward_hooks
    assert not trainer.model._forward_pre_hooks
    evidence = medcoreset.Evidence.load(tmp_path / "dynamics")
    assert evidence.epochs == 4
    assert np.load(tmp_path / "dynamics" / "seen.npy").all()
    losses = np.load(tmp_path / "dynamics" / "target_prob.npy")
    reported = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    assert not reported or np.isfinite(reported).all()
    assert (-np.log(losses)).mean(1)[-1] < (-np.log(losses)).mean(1)[0]
    assert len(medcoreset.select("forgetting", evidence, rate=0.25).indices) == 12


def test_a_hugging_face_training_goes_on_from_its_checkpoint(tmp_path):
    text_trainer(tmp_path / "whole", 4).train()
    stopped = text_trainer(tmp_path / "x", 4)
    trains = stopped.training_step
    steps = iter(range(8))  # three an epoch: in the midst of the third

    def step(*args, **kwargs):
        if next(steps, None) is None:
            raise KeyboardInterrupt
        return trains(*args, **kwargs)

    stopped.training_step = step
    with pytest.raises(KeyboardInterrupt):
        stopped.train()
    text_trainer(tmp_path / "x", 4).train(resume_from_checkpoint=True)
    for name in ("seen", "error_norm"):
        whole, found = (
            np.load(tmp_path / each / "dynamics" / f"{name}.npy") for each in ("whole", "x")
        )
        np.testing.assert_allclose(found, whole, atol=1e-5)


def lightning_without(recipe: Recipe, tmp_path: Path, what: str) -> None:
    module, loader = lightning_module(recipe), lightning_loader(recipe)
    if what == "logits":
        step = module.training_step
        module.training_step = lambda batch, batch_idx: step(batch, batch_idx)["loss"]
    else:
        module.training_step = lambda batch, batch_idx: {
            "loss": module.network(batch[0]).sum(),
            "logits": module.network(batch[0]),
        }
        loader = DataLoader(TensorDataset(recipe.images, recipe.labels), 64)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        lightning_trainer(recipe, tmp_path / "x").fit(module, loader)


def transformers_without(recipe: Recipe, tmp_path: Path, what: str) -> None:
    trainer = text_trainer(tmp_path, 1, remove_unused_columns=what == "columns")
    if what == "GPUs":
        trainer.args._n_gpu = 2
    if what == "index":
        trainer.train_dataset = TextData(48)
    trainer.train()


@pytest.mark.parametrize(
    ("train", "what", "named"),
    [
        (lightning_without, "logits", "training_step returned a dict without logits"),
        (lightning_without, "index", "the batch is a list without index"),
        (transformers_without, "columns", "remove_unused_columns is True"),
        (transformers_without, "GPUs", "the process has 2 GPUs"),
        (transformers_without, "index", "the batch has no column index"),
    ],
)
def test_what_cannot_be_recorded_is_one_line(
    train: Callable[..., None], what, named, recipe, tmp_path
):
    with pytest.raises(UserError, match=named):
        train(recipe, tmp_path, what)
