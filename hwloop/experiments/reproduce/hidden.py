"""Devices with parameters that a fit has to find: drawn from a stated prior, one per seed."""

from __future__ import annotations

import math

from hwloop.capabilities import PolarityShape, PulseShape
from hwloop.device_file import Conductance, DeviceFile, SoftBounds
from hwloop.random import host_generator

PRIOR = {
    "step": "log-uniform 0.02 to 0.08 device units",
    "step_distribution": "log-normal or normal, equally likely",
    "step_spread": "uniform 0.15 to 0.45 (log-normal), 0.1 to 0.3 (normal)",
    "up_down": "uniform -0.3 to 0.3",
    "up_down_spread": "uniform 0.05 to 0.15",
    "bound_max, -bound_min": "uniform 0.7 to 1.3 device units each",
    "bound_max_spread, bound_min_spread": "uniform 0.1 to 0.3 each",
    "cycle_noise": "log-uniform 0.1 to 1, additive or multiplicative, equally likely",
    "write_noise": "none (1 of 5), else uniform 0.2 to 1.5 steps",
}
"""Distribution of the hidden parameters."""


def hidden_device(seed: int) -> DeviceFile:
    """Return the device of a seed, a soft-bounds device with all kinds of spread and noise."""
    random = host_generator(seed, "reproduce.hidden")

    def between(low: float, high: float) -> float:
        return float(random.uniform(low, high))

    def log_between(low: float, high: float) -> float:
        return math.exp(between(math.log(low), math.log(high)))

    log_normal = bool(random.integers(2))
    additive = bool(random.integers(2))
    quiet = random.integers(5) == 0
    model = SoftBounds(
        step=log_between(0.02, 0.08),
        step_spread=between(0.15, 0.45) if log_normal else between(0.1, 0.3),
        step_distribution="log_normal" if log_normal else "normal",
        up_down=between(-0.3, 0.3),
        up_down_spread=between(0.05, 0.15),
        bound_max=between(0.7, 1.3),
        bound_min=-between(0.7, 1.3),
        bound_max_spread=between(0.1, 0.3),
        bound_min_spread=between(0.1, 0.3),
        cycle_noise=log_between(0.1, 1.0),
        cycle_noise_kind="additive" if additive else "multiplicative",
        write_noise=0.0 if quiet else between(0.2, 1.5),
    )
    return DeviceFile(
        name=f"hidden-{seed}",
        conductance=Conductance(
            middle_siemens=6e-5, half_range_siemens=4e-5, read_volts=0.2, normalised=False
        ),
        shapes={
            "set": PulseShape(
                up=PolarityShape(amplitude_volts=1.4, width_seconds=1e-6),
                down=PolarityShape(amplitude_volts=-1.5, width_seconds=1e-6),
            )
        },
        model=model,
    )
