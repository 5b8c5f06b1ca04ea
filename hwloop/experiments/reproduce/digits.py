"""Training of a network on digits, as reproductions need it: settings in, accuracy out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass

from hwloop.crossbar import Chip
from hwloop.random import host_generator

BATCH = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """What is trained.

    Attributes:
        algorithm: its name; the options are those that suit few digits.
        url: the array, without shape and seed.
        source: the data, as in a training's configuration.
        hidden: widths of the hidden layers.
        epochs: passes over the training digits.
        limit: training digits that are used, all by default.
        lr: learning rate; the algorithm's own by default.
        weight_gain: weight of one device unit times sqrt(n_in); that of trainings by default.
        seed: of cells, weights and order.
    """

    algorithm: str
    url: str
    source: str = "mnist"
    hidden: tuple[int, ...] = ()
    epochs: int = 1
    limit: int | None = None
    lr: float | None = None
    weight_gain: float | None = None
    seed: int = 1

    @property
    def name(self) -> str:
        """All settings as one text."""
        return " ".join(f"{key}={value}" for key, value in asdict(self).items())


def accuracy_of(training: Training, prepare: Callable[[Chip], None] = lambda chip: None) -> float:
    """Train; return the share of the test digits that are classified right.

    Args:
        training: the settings.
        prepare: is given the array before the weights are written.
    """
    import torch
    from torch.nn import functional as F

    from hwloop.crossbar import connect
    from hwloop.experiments.config import ALGORITHMS
    from hwloop.experiments.data import load_data
    from hwloop.experiments.network_config import Mlp
    from hwloop.experiments.networks import accuracy, perceptron
    from hwloop.experiments.rig import one_torch_thread
    from hwloop.nn import AnalogOptimizer, convert, shape_option, tile_shapes
    from hwloop.tape import NoTape

    data = load_data(training.source)
    net = perceptron(data.inputs, len(data.classes), Mlp(hidden=training.hidden), training.seed)
    section = ALGORITHMS[training.algorithm].model_validate({})
    options = section.options()
    shape = shape_option(tile_shapes(net, options))
    gain = training.weight_gain or section.weight_gain
    with (
        one_torch_thread(),
        connect(f"{training.url},shape={shape},seed={training.seed}", tape=NoTape()) as chip,
    ):
        prepare(chip)
        model = convert(net, chip, options, weight_gain=gain, seed=training.seed)
        optimizer = AnalogOptimizer(model, lr=training.lr or section.lr)
        x, y = torch.from_numpy(data.x_train), torch.from_numpy(data.y_train)
        for epoch in range(training.epochs):
            generator = host_generator(training.seed, "order of samples", epoch)
            order = torch.from_numpy(generator.permutation(len(x))[: training.limit])
            for start in range(0, len(order), BATCH):
                chosen = order[start : start + BATCH]
                F.cross_entropy(model(x[chosen]), y[chosen]).backward()  # type: ignore[no-untyped-call]
                optimizer.step()
        return accuracy(model, torch.from_numpy(data.x_test), torch.from_numpy(data.y_test))
