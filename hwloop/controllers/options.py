"""Options that several algorithms share: those of a fast array, and those of a hidden matrix."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from hwloop.controllers.hidden import ResetRule
from hwloop.errors import ConfigurationError


@dataclass(frozen=True, kw_only=True)
class FastOptions:
    """Options of a fast array: the gradient updates that it takes, and the reads of its lines.

    Its rate lambda_A, in device units per unit of `d x^T`, follows from the first of `fast_rate`,
    `eta0` and `fast_lr` that is not None.
    """

    transfer: Literal["columns", "rows"] = "columns"
    """Lines of the fast array that are read, and that the choppers sit on. aihwkit:
    `transfer_columns`."""

    n_s: int = 2
    """Vectors between two reads. Paper: n_s; aihwkit: `transfer_every`."""

    lines_per_transfer: int = 1
    """Lines that are read together, at most all. With `n_s` as many times larger, each line is read
    as often and fewer operations are needed."""

    reads_per_transfer: int = 1
    """Reads of a line that the array averages."""

    l_max: int = 5
    """Longest pulse train of a sample, in slots. Paper: l_max; aihwkit: `desired_bl`."""

    eta0: float | None = 0.5
    """Learning rate of the fast array: the largest cross-point of a typical vector expects
    `eta0 * l_max` pulses. Paper: eta_0; aihwkit: `fast_lr` with `auto_scale`."""

    fast_rate: float | None = None
    """Fixed rate of the fast array, in device units per unit of `d x^T`. Paper: lambda_A; aihwkit:
    `fast_lr` without `scale_fast_lr`."""

    fast_lr: float | None = None
    """Rate of the fast array as a part of the learning rate, in weights, so that it takes true
    gradients. aihwkit: `fast_lr` with `scale_fast_lr`."""

    momentum: float = 0.99
    """Momentum of the running maxima mu_x and mu_d, per vector. aihwkit: `auto_momentum`."""

    granularity: float | None = None
    """Mean step of the weights' array, in device units; None takes it from the device file. Paper:
    delta_W."""

    fast_granularity: float | None = None
    """Mean step of the fast array, in device units; None takes `granularity`. Paper: delta_A."""

    def __post_init__(self) -> None:
        """Refuse values that mean nothing."""
        require_choice(self, "transfer", ("columns", "rows"))
        require_count(self, "n_s", "lines_per_transfer")
        require_positive(self, "fast_rate", "eta0", "fast_lr")
        if self.fast_rate is self.eta0 is self.fast_lr is None:
            raise ConfigurationError(
                "the fast array has no rate: fast_rate, eta0 and fast_lr are all None",
                remedy="set one of them",
            )
        if not 0 <= self.momentum < 1:
            raise ConfigurationError(f"momentum is {self.momentum}, expected 0 to less than 1")

    @property
    def pulses_per_vector(self) -> int:
        """Most pulses that a vector gives to a cell."""
        return self.l_max


@dataclass(frozen=True, kw_only=True)
class HiddenOptions:
    """Options of a hidden matrix, which makes whole pulses of what was read."""

    gamma0: float = 1000.0
    """Length of the accumulation in the hidden matrix, in vectors. Paper: gamma_0; aihwkit:
    `auto_granularity`."""

    correct_magnitudes: bool = False
    """Whether the hidden matrix counts true gradients: reads are divided by the fast array's rate.
    Paper: the optional division by lambda_A; aihwkit: `correct_gradient_magnitudes`."""

    normalisation: Literal["paper", "aihwkit"] = "paper"
    """Whose granularity scales the hidden matrix: that of the weights' array (paper: delta_W), or
    that of the fast one, as aihwkit does without `correct_gradient_magnitudes`."""

    reset: Literal["zero", "subtract"] = "zero"
    """What a pulse leaves in the hidden matrix: the part `hidden_momentum` of the entry, or the
    entry less (1 - `hidden_momentum`). aihwkit: `forget_buffer`."""

    hidden_momentum: float = 0.0
    """Momentum of the hidden matrix. Paper: beta_H; aihwkit: `momentum`."""

    pulses_per_transfer: int = 1
    """Most pulses that a transfer gives to a cell; more than 1 suits devices of many states.
    aihwkit: `desired_bl` of `transfer_update`."""

    def __post_init__(self) -> None:
        """Refuse values that mean nothing."""
        require_choice(self, "normalisation", ("paper", "aihwkit"))
        require_positive(self, "gamma0")
        self.reset_rule()

    def reset_rule(self) -> ResetRule:
        """Return what a pulse leaves in the hidden matrix."""
        return ResetRule(self.reset, self.hidden_momentum, self.pulses_per_transfer)


def require_choice(options: Any, name: str, choices: tuple[str, ...]) -> None:
    """Refuse an option that is none of the choices."""
    value = getattr(options, name)
    if value not in choices:
        raise ConfigurationError(f"{name} is {value!r}, expected one of {', '.join(choices)}")


def require_count(options: Any, *names: str) -> None:
    """Refuse options that are below 1."""
    for name in names:
        value = getattr(options, name)
        if value < 1:
            raise ConfigurationError(f"{name} is {value}, expected 1 or more")


def require_positive(options: Any, *names: str) -> None:
    """Refuse options that are not positive; None is no value."""
    for name in names:
        value = getattr(options, name)
        if value is not None and not value > 0:
            raise ConfigurationError(f"{name} is {value}, expected a positive number")


def require_share(options: Any, *names: str) -> None:
    """Refuse options that are no share, 0 to 1."""
    for name in names:
        value = getattr(options, name)
        if not 0 <= value <= 1:
            raise ConfigurationError(f"{name} is {value}, expected 0 to 1")
