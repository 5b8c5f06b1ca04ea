"""Everything that a training run works with: data, networks, array, optimizers."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import nn

from hwloop.backend import CrossbarBackend, open_backend
from hwloop.controllers import AlgorithmWarning, examine
from hwloop.crossbar import Chip
from hwloop.errors import CapabilityError
from hwloop.experiments import transfer
from hwloop.experiments.address import complete_url, is_replay, is_simulator, with_faults
from hwloop.experiments.config import TrainConfig
from hwloop.experiments.data import Dataset, load_data
from hwloop.experiments.networks import build
from hwloop.experiments.placements import placements
from hwloop.nn import AnalogOptimizer, convert, shape_option, tile_shapes
from hwloop.tape import TapeSink
from hwloop.testing import FaultSpec

LIMITS_FROM = "the settings (backend.limits)"
"""Origin of limits that a configuration gives."""


@dataclass(frozen=True, slots=True)
class Bench:
    """What is there before the array is touched.

    Attributes:
        config: the configuration.
        data: the samples.
        before: the samples of a pre-training, or None.
        net: the float network, initial weights.
        url: the array.
        backend: the array, opened.
        fingerprint: SHA-256 over the samples.
    """

    config: TrainConfig
    data: Dataset
    before: Dataset | None
    net: nn.Module
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


def prepare(config: TrainConfig, faults: FaultSpec | None = None) -> Bench:
    """Load the data, make the network, open the array, and check that they fit together.

    Args:
        config: the configuration.
        faults: what goes wrong on the link to the array.

    Raises:
        CrossbarError: they do not; nothing was sent or written.
    """
    data, before = load_data(**config.data.model_dump(exclude={"samples"})), None
    if config.transfer is not None:
        before, data = transfer.divide(data, config.transfer)
    if config.data.samples is not None:
        data = data.of_samples(config.data.samples)
    net = build(config.network, data, config.seed)
    shapes = tuple(tile_shapes(net, config.algorithm.options(), rules=placements(net, config)))
    shape, where = shape_option(shapes), config.backend
    url = complete_url(where.url, device=where.device, shape=shape, seed=config.seed)
    backend = open_backend(with_faults(url, faults))
    have = tuple((tile.rows, tile.cols) for tile in backend.describe().tiles)
    if have[: len(shapes)] != shapes:
        name = backend.describe().name
        backend.close()
        raise CapabilityError(
            f"the tiles of {name}, {shape_option(have)}, do not fit the network's, {shape}",
            remedy=f"choose a network that fits, or open a virtual array with shape={shape}",
        )
    return Bench(config, data, before, net, url, backend, data.fingerprint())


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
        rehearsal: whether the doses of the chip's life are left as they are.

    Attributes:
        bench: data and configuration.
        chip: the array.
        networks: the network on the array, and the float one from the same weights.
        optimizer, float_optimizer: what trains them.
        x_train, y_train, x_test, y_test: the samples as tensors.
        notes: what speaks against the algorithm on the array.
        pretrained: hash of the weights of a pre-training, or empty.
        transferred: what of them reached the array, or None.
    """

    def __init__(
        self,
        bench: Bench,
        *,
        arm: str | None = None,
        tape: TapeSink | None = None,
        rehearsal: bool = False,
    ) -> None:
        config = bench.config
        self.bench = bench
        self.pretrained = ""
        self.transferred: transfer.Transferred | None = None
        self._rehearsal = rehearsal
        known = is_simulator(bench.url) or is_replay(bench.url)
        device = None if known else config.backend.device
        self.chip = Chip(
            bench.backend,
            device=device,
            station=config.backend.station,
            limits=config.backend.limits,
            limits_from=LIMITS_FROM,
            arm=arm,
            tape=tape,
            lowerings=config.backend.lowerings,
            rehearsal=rehearsal,
        )
        data = bench.data
        self.x_train, self.y_train = torch.from_numpy(data.x_train), torch.from_numpy(data.y_train)
        self.x_test, self.y_test = torch.from_numpy(data.x_test), torch.from_numpy(data.y_test)

    @property
    def has_operated(self) -> bool:
        """Whether the array has been given any operation but its configuration."""
        return self.chip.next_id > self.chip.first_id

    def convert(self, note: Callable[[str], None] = lambda text: None) -> None:
        """Bring the network onto the array: writes its initial weights.

        Args:
            note: is told what takes time before that.
        """
        self.chip.guard.require_armed()
        bench, config = self.bench, self.bench.config
        start = None
        if bench.before is not None and not self._rehearsal:
            start = transfer.begin(bench.net, bench.before, config, note)
            self.pretrained = start.digest
        net = bench.net if start is None else start.net
        model = self._converted(net)
        schedule = config.schedule
        self.optimizer = AnalogOptimizer(
            model, lr=config.algorithm.lr, digital_lr=schedule.digital_lr
        )
        self.float_optimizer: torch.optim.Optimizer | None = None
        float_net: nn.Module | None = None
        if schedule.float_lr is not None:
            float_net = copy.deepcopy(net)
            trained = [p for p in float_net.parameters() if p.requires_grad]
            self.float_optimizer = torch.optim.SGD(trained, lr=schedule.float_lr)
        self.networks = Networks(model, float_net)
        if start is not None:
            self.transferred = transfer.look(model, start)
        self._rates = [
            (group, group["lr"])
            for optimizer in (self.optimizer, self.float_optimizer)
            if optimizer is not None
            for group in optimizer.param_groups
        ]

    def _converted(self, net: nn.Module) -> nn.Module:
        """Return a network on the array, and note what speaks against its algorithm."""
        config, settings = self.bench.config, self.bench.config.transfer
        rules = placements(net, config, None if settings is None else settings.fill)
        algorithm = config.algorithm.options()
        self.notes = []
        if all(rule != "digital" and rule.algorithm is None for rule in rules.values()):
            tiles = [self.chip[i] for i in range(len(tile_shapes(net, algorithm)))]
            vectors = self.bench.batches * config.schedule.batch
            self.notes = examine(algorithm, tiles, self.chip.device, vectors)
        by_pulses = settings is not None and settings.programming == "write-verify"
        settable = {"snapshot", "restore"} <= self.chip.capabilities.operations
        with warnings.catch_warnings(
            record=True, action="always", category=AlgorithmWarning
        ) as said:
            model = convert(
                net,
                self.chip,
                algorithm,
                rules=rules,
                weight_gain=config.algorithm.weight_gain,
                seed=config.seed,
                write_error=0.0 if settings is None else settings.noise * settings.fill,
                initial_weights="keep" if by_pulses or not settable else "write",
            )
        # Layers that differ are looked at one by one, without the length of the training.
        texts = [str(w.message) for w in said if issubclass(w.category, AlgorithmWarning)]
        self.notes += [text for text in texts if text not in self.notes]
        if not settable and not by_pulses:
            self.notes.append("the weights begin as the cells are: nobody can set them exactly")
        if settings is not None:
            if by_pulses:
                transfer.program(model, net, settings)
            transfer.offset_fast_arrays(model, settings, config.seed)
        return model

    def scale_rates(self, factor: float) -> None:
        """Multiply all initial learning rates by a factor."""
        for group, rate in self._rates:
            group["lr"] = rate * factor
