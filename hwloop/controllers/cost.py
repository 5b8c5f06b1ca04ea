"""Cost of an update by an algorithm: storage, traffic, digital operations and time.

The model of Rasch et al. 2024, Table 1, for an `n x n` array and one input vector. Digital
operations and the times of the array add up; nothing overlaps.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Hardware:
    """What the times depend on; the defaults are those of the paper.

    Attributes:
        n: lines of each side of the array.
        n_s: vectors between two reads of a line.
        l_avg: mean length of a pulse train, in slots.
        l_max: longest pulse train, in slots.
        pulse_ns: length of a pulse, nanoseconds.
        read_ns: time of a matrix-vector product, nanoseconds.
        batch: vectors between two transfers of mixed precision.
        gigaflops: digital operations per nanosecond of one array's share.
        n_phases: times that a slot is applied: 1 reproduces Table 1, 2 gives positive and negative
            pulses a phase each, as the Methods of the paper say.
        running_mean: whether AGAD keeps a running mean; beta = 1 needs none.
    """

    n: int = 512
    n_s: int = 2
    l_avg: float = 5.0
    l_max: int = 5
    pulse_ns: float = 5.0
    read_ns: float = 40.0
    batch: int = 100
    gigaflops: float = 175.0
    n_phases: int = 1
    running_mean: bool = True


@dataclass(frozen=True, slots=True)
class Cost:
    """Cost of one update.

    Attributes:
        storage_bytes: digital storage.
        input_bits: inputs loaded.
        memory_bits: digital memory read and written.
        operations: digital floating-point operations.
        digital_ns: time of these.
        analog_ns: time of the array.
    """

    storage_bytes: float
    input_bits: float
    memory_bits: float
    operations: float
    digital_ns: float
    analog_ns: float

    @property
    def total_ns(self) -> float:
        """Time of one update, nanoseconds."""
        return self.digital_ns + self.analog_ns


def ttv2(hardware: Hardware) -> Cost:
    """Return the cost of TTv2."""
    n, n_s = hardware.n, hardware.n_s
    return _in_memory(
        hardware, storage=n * n + 2 * n, memory=16 * n / n_s, operations=2 * n + 2 * n / n_s
    )


def chopped_ttv2(hardware: Hardware) -> Cost:
    """Return the cost of c-TTv2."""
    n, n_s = hardware.n, hardware.n_s
    return _in_memory(
        hardware, storage=n * n + 2 * n, memory=18 * n / n_s, operations=2 * n + 2 * n / n_s
    )


def agad(hardware: Hardware) -> Cost:
    """Return the cost of AGAD."""
    n, n_s = hardware.n, hardware.n_s
    matrices, extra = (3, 6) if hardware.running_mean else (2, 3)
    return _in_memory(
        hardware,
        storage=matrices * n * n + 2 * n,
        memory=50 * n / n_s,
        operations=2 * n + extra * n / n_s,
    )


def analog_sgd(hardware: Hardware) -> Cost:
    """Return the cost of in-memory SGD, which reads no lines."""
    n = hardware.n
    return _cost(
        hardware,
        storage=2 * n,
        inputs=_input_bits(hardware),
        memory=0.0,
        operations=2 * n,
        analog_ns=hardware.n_phases * hardware.l_avg * hardware.pulse_ns,
    )


def mixed_precision(hardware: Hardware) -> Cost:
    """Return the cost of mixed precision, whose outer product is digital."""
    n, batch = hardware.n, hardware.batch
    return _cost(
        hardware,
        storage=n * n + 2 * n * batch,
        inputs=16 * n,
        memory=16 * n * n / batch,
        operations=2 * n * n + n,
        analog_ns=hardware.n_phases * n / batch * hardware.pulse_ns,
    )


COSTS: dict[str, Callable[[Hardware], Cost]] = {
    "ttv2": ttv2,
    "c-ttv2": chopped_ttv2,
    "agad": agad,
    "sgd": analog_sgd,
    "mixed-precision": mixed_precision,
}
"""Cost by the names of the algorithms."""


def _input_bits(hardware: Hardware) -> float:
    return 16 * hardware.n + 2 * hardware.n * hardware.l_max


def _in_memory(hardware: Hardware, *, storage: float, memory: float, operations: float) -> Cost:
    """Return the cost of an algorithm with a fast array and one pulse per transfer."""
    slots = hardware.l_avg + 1 / hardware.n_s
    analog_ns = hardware.n_phases * slots * hardware.pulse_ns + hardware.read_ns / hardware.n_s
    return _cost(
        hardware,
        storage=storage,
        inputs=_input_bits(hardware),
        memory=memory,
        operations=operations,
        analog_ns=analog_ns,
    )


def _cost(
    hardware: Hardware,
    *,
    storage: float,
    inputs: float,
    memory: float,
    operations: float,
    analog_ns: float,
) -> Cost:
    return Cost(storage, inputs, memory, operations, operations / hardware.gigaflops, analog_ns)
