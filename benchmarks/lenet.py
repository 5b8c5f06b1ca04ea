"""Train a LeNet on 5,000 digits by c-TTv2 on cells of 20 states, and a float one beside it.

Every patch is a vector, so that convolutions have hidden matrices of longer accumulation: one image
is 576 vectors of the first one, and 64 of the second.
"""

from __future__ import annotations

import argparse

import torch
from torch.nn import functional as F

import hwloop
from hwloop.controllers import ChoppedTTv2
from hwloop.experiments.data import load_data
from hwloop.experiments.networks import accuracy, lenet
from hwloop.nn import AnalogOptimizer, Placement, convert, shape_option, tile_shapes

LINEAR = ChoppedTTv2(n_s=10, lines_per_transfer=10)
RULES = {
    "1": Placement(algorithm=ChoppedTTv2(n_s=64, lines_per_transfer=25, gamma0=5000.0)),
    "4": Placement(algorithm=ChoppedTTv2(n_s=16, lines_per_transfer=10, gamma0=2000.0)),
}
LR = 0.1
BATCH = 10
DECAY = ((0.8, 0.1), (0.5, 0.3), (0.0, 1.0))


def train(seed: int, epochs: int, device: str) -> None:
    """Train both networks and print their test accuracy after each epoch."""
    data = load_data("mnist")
    x, y = torch.from_numpy(data.x_train), torch.from_numpy(data.y_train)
    x_test, y_test = torch.from_numpy(data.x_test), torch.from_numpy(data.y_test)
    net = lenet(seed=seed)
    shape = shape_option(tile_shapes(net, LINEAR, rules=RULES))
    with hwloop.connect(f"sim:{device},seed={seed},shape={shape}") as chip:
        model = convert(net, chip, LINEAR, rules=RULES, seed=seed)
        optimizer = AnalogOptimizer(model, lr=LR)
        float_optimizer = torch.optim.SGD(net.parameters(), lr=LR)
        order = torch.Generator().manual_seed(seed)
        for epoch in range(epochs):
            factor = next(f for share, f in DECAY if epoch >= share * epochs)
            for group in (*optimizer.param_groups, *float_optimizer.param_groups):
                group["lr"] = LR * factor
            for chosen in torch.randperm(len(x), generator=order).split(BATCH):
                F.cross_entropy(model(x[chosen]), y[chosen]).backward()
                optimizer.step()
                F.cross_entropy(net(x[chosen]), y[chosen]).backward()
                float_optimizer.step()
                float_optimizer.zero_grad()
            print(
                f"seed {seed} epoch {epoch + 1}: analog {accuracy(model, x_test, y_test):.4f}, "
                f"float {accuracy(net, x_test, y_test):.4f}",
                flush=True,
            )


def main() -> None:
    """Train with each seed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--device", default="soft-bounds-rasch")
    options = parser.parse_args()
    torch.set_num_threads(1)
    for seed in options.seeds:
        train(seed, options.epochs, options.device)


if __name__ == "__main__":
    main()
