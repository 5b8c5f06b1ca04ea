"""Everything that a training run works with: data, networks, array, optimizers."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import nn

from hwloop.backend import CrossbarBackend, open_backend
from hwloop.controllers import AlgorithmWarning, examine
from hwloop.crossbar import Chip
from hwloop.errors import CapabilityError
from hwloop.experiments.address import complete_url, is_replay, is_simulator
from hwloop.experiments.config import TrainConfig
from hwloop.experiments.data import Dataset, load_data
from hwloop.experiments.networks import perceptron
from hwloop.nn import AnalogOptimizer, convert, shape_option, tile_shapes
from hwloop.tape import TapeSink


@dataclass(frozen=True, slots=True)
class Bench:
    """What is there before the array is touched.

    Attributes:
        config: the configuration.
        data: the samples.
        net: the float network, initial weights.
        url: the array.
        backend: the array, opened.
        fingerprint: SHA-256 over the samples.
    """

    config: TrainConfig
    data: Dataset
    net: nn.Sequential
    url: str
    backend: CrossbarBackend
    fingerprint: str

    @property
    def epoch_batches(self) -> int:
        """Batches of an epoch."""
        return -(-len(self.data.x_train) // self.config.schedule.batch)

    @property
    def batches(self) -> int:
        """Batches of the whole run."""
        schedule = self.config.schedule
        whole = schedule.epochs * self.epoch_batches
        return whole if schedule.limit is None else min(schedule.limit, whole)


def prepare(config: TrainConfig) -> Bench:
    """Load the data, make the network, open the array, and check that they fit together.

    Raises:
        CrossbarError: they do not; nothing was sent or written.
    """
    data = load_data(config.data.source, test_share=config.data.test_share)
    net = perceptron(data.inputs, len(data.classes), config.network, config.seed)
    shapes = tuple(tile_shapes(net, config.algorithm.options()))
    shape, where = shape_option(shapes), config.backend
    url = complete_url(where.url, device=where.device, shape=shape, seed=config.seed)
    backend = open_backend(url)
    have = tuple((tile.rows, tile.cols) for tile in backend.describe().tiles)
    if have[: len(shapes)] != shapes:
        name = backend.describe().name
        backend.close()
        raise CapabilityError(
            f"the tiles of {name}, {shape_option(have)}, do not fit the network's, {shape}",
            remedy="choose network.hidden to fit, or another shape of a simulated array",
        )
    return Bench(config, data, net, url, backend, data.fingerprint())


@contextmanager
def one_torch_thread() -> Iterator[None]:
    """Let torch work in one thread: its share of a batch is too small to be divided.

    Threads of torch that wait for work take the cores from the array's.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


class Networks(nn.Module):
    """The analog and the float network of a run, so that a checkpoint holds both."""

    def __init__(self, analog: nn.Module, digital: nn.Module | None) -> None:
        super().__init__()
        self.analog = analog
        self.digital = digital


class Rig:
    """A bench with the array in use.

    Args:
        bench: what is there before.
        arm: id of the physical chip that may be moved.
        tape: record of the run.

    Attributes:
        bench: data and configuration.
        chip: the array.
        networks: the network on the array, and the float one from the same weights.
        optimizer, float_optimizer: what trains them.
        x_train, y_train, x_test, y_test: the samples as tensors.
        notes: what speaks against the algorithm on the array.
    """

    def __init__(self, bench: Bench, *, arm: str | None = None, tape: TapeSink | None = None):
        config = bench.config
        self.bench = bench
        known = is_simulator(bench.url) or is_replay(bench.url)
        device = None if known else config.backend.device
        self.chip = Chip(
            bench.backend, device=device, arm=arm, tape=tape, lowerings=config.backend.lowerings
        )
        data = bench.data
        self.x_train, self.y_train = torch.from_numpy(data.x_train), torch.from_numpy(data.y_train)
        self.x_test, self.y_test = torch.from_numpy(data.x_test), torch.from_numpy(data.y_test)

    @property
    def has_operated(self) -> bool:
        """Whether the array has been given any operation but its configuration."""
        return self.chip.next_id > self.chip.first_id

    def convert(self) -> None:
        """Bring the network onto the array: writes its initial weights."""
        config, schedule = self.bench.config, self.bench.config.schedule
        algorithm = config.algorithm.options()
        tiles = [self.chip[i] for i in range(len(tile_shapes(self.bench.net, algorithm)))]
        vectors = self.bench.batches * schedule.batch
        self.notes = examine(algorithm, tiles, self.chip.device, vectors)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", AlgorithmWarning)  # they are in the notes
            model = convert(
                self.bench.net,
                self.chip,
                algorithm,
                weight_gain=config.algorithm.weight_gain,
                seed=config.seed,
            )
        self.optimizer = AnalogOptimizer(
            model, lr=config.algorithm.lr, digital_lr=schedule.digital_lr
        )
        self.float_optimizer: torch.optim.Optimizer | None = None
        float_net: nn.Module | None = None
        if schedule.float_lr is not None:
            float_net = copy.deepcopy(self.bench.net)
            self.float_optimizer = torch.optim.SGD(float_net.parameters(), lr=schedule.float_lr)
        self.networks = Networks(model, float_net)
        self._rates = [
            (group, group["lr"])
            for optimizer in (self.optimizer, self.float_optimizer)
            if optimizer is not None
            for group in optimizer.param_groups
        ]

    def scale_rates(self, factor: float) -> None:
        """Multiply all initial learning rates by a factor."""
        for group, rate in self._rates:
            group["lr"] = rate * factor

    def require_restorable(self) -> None:
        """Refuse an array whose state cannot be written back."""
        if "restore" not in self.chip.capabilities.operations:
            raise CapabilityError(
                f"{self.chip.capabilities.name} cannot be set to the state of a checkpoint: only "
                "virtual arrays can",
                remedy="start a new run",
            )
