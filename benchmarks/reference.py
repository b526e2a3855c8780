"""The plain training loop of the field's public code, to measure against.

One image at a time through PIL and torchvision's transforms, in a DataLoader; three replicated
channels, float32, the loss read back at every step; the dynamics as a Python list of (indices,
float16 log-probabilities) per batch, pickled at the end.
"""

import pickle
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import nn
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

import clock


class Images(Dataset):
    """Images as PIL sees them, with their numbers."""

    def __init__(self, images: np.ndarray, labels: np.ndarray) -> None:
        self.images, self.labels = images, labels
        self.transform = transforms.Compose(
            [transforms.ToTensor(), transforms.Normalize(mean=[0.5] * 3, std=[0.5] * 3)]
        )

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[int, torch.Tensor, int]:
        image = Image.fromarray(self.images[index]).convert("RGB")
        return index, self.transform(image), int(self.labels[index])


class Reference:
    """A training that is run epoch by epoch."""

    def __init__(
        self, network: nn.Module, images: np.ndarray, labels: np.ndarray, batch: int, device: str
    ) -> None:
        self.network, self.device = network.to(device), device
        # No workers: on a machine of two cores they would compete with the training itself.
        workers = 0 if device == "cpu" else 8
        self.loader = DataLoader(
            Images(images, labels), batch, shuffle=True, num_workers=workers, pin_memory=workers > 0
        )
        self.optimizer = torch.optim.SGD(
            network.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4, nesterov=True
        )
        self.schedule = torch.optim.lr_scheduler.CosineAnnealingLR(self.optimizer, 10**5, 1e-4)
        self.dynamics: list[tuple[torch.Tensor, torch.Tensor]] = []
        self.total = 0.0

    def epoch(self) -> float:
        """Train one epoch; return its seconds."""
        began = clock.seconds()
        self.network.train()
        for indices, images, labels in self.loader:
            images, labels = images.to(self.device), labels.to(self.device)
            logits = self.network(images)
            loss = functional.cross_entropy(logits, labels)
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            self.schedule.step()
            self.total += loss.item()
            log_probs = functional.log_softmax(logits.detach(), dim=1).half().cpu()
            self.dynamics.append((indices, log_probs))
        return clock.seconds() - began


def dump(path: Path, epochs: list[list[tuple[torch.Tensor, torch.Tensor]]]) -> None:
    """Write the dynamics as the public code does."""
    with path.open("wb") as file:
        pickle.dump(epochs, file)


def load(path: Path, samples: int, classes: int) -> np.ndarray:
    """Read the dynamics back into probabilities (T, N, C)."""
    with path.open("rb") as file:
        epochs = pickle.load(file)
    probs = np.zeros((len(epochs), samples, classes), np.float32)
    for epoch, batches in enumerate(epochs):
        for indices, log_probs in batches:
            probs[epoch, indices.numpy()] = log_probs.float().exp().numpy()
    return probs
