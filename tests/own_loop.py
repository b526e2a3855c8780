"""A training loop of a reader's own, in the names that the README's Python takes from it."""

OWN_LOOP = """
import numpy as np
import torch
import medcoreset

torch.manual_seed(0)
epochs, train_labels = 5, np.arange(200) % 10
images = torch.eye(10)[train_labels] + torch.randn(200, 10) / 2
dataset = torch.utils.data.TensorDataset(images, torch.from_numpy(train_labels))
indexed = medcoreset.IndexedDataset(dataset)
loader = torch.utils.data.DataLoader(indexed, batch_size=32, shuffle=True)
network = torch.nn.Linear(10, 10)
optimizer = torch.optim.SGD(network.parameters(), lr=0.5)

def train_step(images, labels):
    logits = network(images)
    optimizer.zero_grad()
    torch.nn.functional.cross_entropy(logits, labels).backward()
    optimizer.step()
    return logits
"""
