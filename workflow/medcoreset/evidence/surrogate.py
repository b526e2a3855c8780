"""A trained surrogate, read back from its folder, for evidence that needs its gradients."""

from dataclasses import dataclass
from pathlib import Path

import torch

from medcoreset.datasets.canonical import Dataset
from medcoreset.errors import UserError
from medcoreset.networks.classifier import Classifier, layout_of
from medcoreset.networks.factory import build
from medcoreset.provenance import check_file
from medcoreset.reading import file_of, read_json
from medcoreset.training.data import Split, resident
from medcoreset.training.options import TrainingOptions

WHAT = "of the folder of a trained surrogate"


@dataclass(frozen=True)
class Surrogate:
    """A network in evaluation mode, and the training images as it was trained to see them."""

    network: Classifier
    train: Split

    def batches(self, size: int) -> tuple[torch.Tensor, ...]:
        """Return the numbers of the training samples on the device, at most `size` at a time."""
        return torch.arange(len(self.train), device=self.train.labels.device).split(size)


def load(folder: Path, dataset: Dataset, device: torch.device) -> Surrogate:
    """Return the surrogate that was trained into `folder` on `dataset`, float32, on the device.

    Raises UserError if the folder holds none, or one of other data.
    """
    metrics = read_json(folder / "metrics.json", WHAT)
    with file_of(folder / "metrics.json", WHAT):
        run = {name: metrics["run"][name] for name in ("dataset", "dataset_sha256", "network")}
        training = TrainingOptions.from_mapping(metrics["training"])
        sha256 = metrics["files"]["model.pt"]
    if run["dataset_sha256"] != dataset.sha256:
        raise UserError(f"{folder} was trained on {run['dataset']}, not on this {dataset.name}")
    check_file(folder / "model.pt", sha256)
    data = resident(dataset, training, device)
    network = build(run["network"], **data.shape)
    with file_of(folder / "model.pt", WHAT):
        state = torch.load(folder / "model.pt", map_location=device, weights_only=True)
        network.load_state_dict(state)
    network.requires_grad_(False).eval()
    return Surrogate(network.to(device).to(memory_format=layout_of(network)), data.train)
