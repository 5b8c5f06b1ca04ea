"""The networks of an experiment, and their accuracy."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from hwloop.errors import ConfigurationError
from hwloop.experiments.dataset import Dataset
from hwloop.experiments.network_config import LeNet, Mlp, SwinNet
from hwloop.experiments.swin import SwinShape, swin

ACTIVATIONS: dict[str, type[nn.Module]] = {
    "tanh": nn.Tanh,
    "relu": nn.ReLU,
    "sigmoid": nn.Sigmoid,
}
EVALUATION_BATCH = 1000


def build(network: Mlp | LeNet | SwinNet, data: Dataset, seed: int) -> nn.Module:
    """Return a float network for data, with initial weights; the same ones for the same seed.

    Raises:
        ConfigurationError: the network cannot take such data.
    """
    classes = len(data.classes)
    if isinstance(network, Mlp):
        return perceptron(data.inputs, classes, network, seed)
    if data.image is None:
        raise ConfigurationError(
            f"network.kind is {network.kind}, which takes images, but {data.name} holds none",
            remedy="use network.kind=mlp",
        )
    if isinstance(network, LeNet):
        return lenet(classes, seed=seed, network=network, image=data.image)
    channels, height, width = data.image
    if height != width:
        raise ConfigurationError(
            f"network.kind is swin, which takes square images; those of {data.name} have "
            f"{width} x {height} pixels",
            remedy="scale them (data.image_size), or use network.kind=lenet or mlp",
        )
    shape = SwinShape(
        image=height, channels=channels, classes=classes, **network.model_dump(exclude={"kind"})
    )
    return swin(shape, seed=seed)


def perceptron(inputs: int, classes: int, network: Mlp, seed: int) -> nn.Sequential:
    """Return a float network with torch's initial weights; the same ones for the same seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        widths = (inputs, *network.hidden, classes)
        layers: list[nn.Module] = []
        for n_in, n_out in pairwise(widths):
            layers += [nn.Linear(n_in, n_out), ACTIVATIONS[network.activation]()]
        return nn.Sequential(*layers[:-1])


def lenet(
    classes: int = 10,
    *,
    seed: int,
    network: LeNet | None = None,
    image: tuple[int, int, int] = (1, 28, 28),
) -> nn.Sequential:
    """Return a LeNet for images that are given as one vector, with initial weights.

    By default it is for digits of 28 x 28 pixels: two convolutions of 5 x 5 with 16 and 32
    channels, each halved by maximum pooling, then 128 hidden units: 80,202 weights and biases for
    ten classes (Gokmen, Onen and Haensch 2017, doi:10.3389/fnins.2017.00538).

    Args:
        classes: number of classes.
        seed: seed of the weights.
        network: its sizes.
        image: channels, height and width of the images.

    Raises:
        ConfigurationError: the images are too small.
    """
    sizes = network or LeNet()
    channels, *sides = image
    for _ in sizes.channels:
        sides = [(side - sizes.kernel + 1) // 2 for side in sides]
    if min(sides) < 1:
        raise ConfigurationError(
            f"images of {image[2]} x {image[1]} pixels are too small for a LeNet with kernels of "
            f"{sizes.kernel} x {sizes.kernel}",
            remedy="use smaller kernels (network.kernel), or network.kind=mlp or swin",
        )
    first, second = sizes.channels
    activation = ACTIVATIONS[sizes.activation]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Sequential(
            nn.Unflatten(1, image),
            nn.Conv2d(channels, first, sizes.kernel),
            activation(),
            nn.MaxPool2d(2),
            nn.Conv2d(first, second, sizes.kernel),
            activation(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(second * sides[0] * sides[1], sizes.hidden),
            activation(),
            nn.Linear(sizes.hidden, classes),
        )


def head_path(net: nn.Module) -> str:
    """Return the path of a network's last linear layer, which gives the scores."""
    paths: list[str] = [p for p, module in net.named_modules() if isinstance(module, nn.Linear)]
    return paths[-1]


@torch.no_grad()
def vectors_per_sample(net: nn.Module, inputs: int) -> int:
    """Return how many vectors a sample gives the layer that sees most: patches, tokens, or one.

    Args:
        net: the float network.
        inputs: length of a sample.
    """
    most = 1

    def count(module: nn.Module, _: tuple[Tensor, ...], y: Tensor) -> None:
        nonlocal most
        features = y.shape[-1] if isinstance(module, nn.Linear) else y.shape[1]
        most = max(most, y.numel() // features)

    layers = [m for m in net.modules() if isinstance(m, nn.Linear | nn.Conv1d | nn.Conv2d)]
    hooks = [layer.register_forward_hook(count) for layer in layers]
    net(torch.zeros(1, inputs))
    for hook in hooks:
        hook.remove()
    return most


@torch.no_grad()
def accuracy(model: nn.Module, x: Tensor, y: Tensor) -> float:
    """Return the share of samples that a network classifies right."""
    correct = 0
    for start in range(0, len(x), EVALUATION_BATCH):
        scores = model(x[start : start + EVALUATION_BATCH])
        correct += int((scores.argmax(dim=1) == y[start : start + EVALUATION_BATCH]).sum())
    return correct / len(x)
