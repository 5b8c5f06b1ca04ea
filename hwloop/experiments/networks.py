"""The networks of an experiment, and their accuracy."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from hwloop.experiments.config import Network

ACTIVATIONS: dict[str, type[nn.Module]] = {
    "tanh": nn.Tanh,
    "relu": nn.ReLU,
    "sigmoid": nn.Sigmoid,
}
EVALUATION_BATCH = 1000


def perceptron(inputs: int, classes: int, network: Network, seed: int) -> nn.Sequential:
    """Return a float network with torch's initial weights; the same ones for the same seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        widths = (inputs, *network.hidden, classes)
        layers: list[nn.Module] = []
        for n_in, n_out in pairwise(widths):
            layers += [nn.Linear(n_in, n_out), ACTIVATIONS[network.activation]()]
        return nn.Sequential(*layers[:-1])


def lenet(classes: int = 10, *, seed: int) -> nn.Sequential:
    """Return a LeNet for digits of 28 x 28 pixels, given as one vector, with initial weights.

    Two convolutions of 5 x 5 with 16 and 32 channels, each halved by maximum pooling, then 128
    hidden units: 80,202 weights and biases for ten classes (Gokmen, Onen and Haensch 2017,
    doi:10.3389/fnins.2017.00538).
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Sequential(
            nn.Unflatten(1, (1, 28, 28)),
            nn.Conv2d(1, 16, 5),
            nn.Tanh(),
            nn.MaxPool2d(2),
            nn.Conv2d(16, 32, 5),
            nn.Tanh(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(512, 128),
            nn.Tanh(),
            nn.Linear(128, classes),
        )


@torch.no_grad()
def accuracy(model: nn.Module, x: Tensor, y: Tensor) -> float:
    """Return the share of samples that a network classifies right."""
    correct = 0
    for start in range(0, len(x), EVALUATION_BATCH):
        scores = model(x[start : start + EVALUATION_BATCH])
        correct += int((scores.argmax(dim=1) == y[start : start + EVALUATION_BATCH]).sum())
    return correct / len(x)
