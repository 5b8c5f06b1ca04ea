"""The hidden matrix: the digital sum of what transfers read, emptied in whole pulses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from hwloop.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class ResetRule:
    """How many pulses an entry gives, and what becomes of it.

    Attributes:
        mode: `zero`: the entry keeps the part `momentum` of itself (aihwkit: `forget_buffer`);
            `subtract`: the entry gives up 1 - momentum of the pulse (Gokmen 2021).
        momentum: beta_H.
        pulses_max: most pulses that an entry gives at once.
    """

    mode: Literal["zero", "subtract"] = "zero"
    momentum: float = 0.0
    pulses_max: int = 1

    def __post_init__(self) -> None:
        """Refuse what is no rule."""
        if self.mode not in ("zero", "subtract"):
            raise ConfigurationError(f"reset is {self.mode!r}, expected 'zero' or 'subtract'")
        if not 0 <= self.momentum < 1:
            raise ConfigurationError(
                f"hidden_momentum is {self.momentum}, expected 0 to less than 1"
            )
        if not 1 <= self.pulses_max <= 127:
            raise ConfigurationError(f"pulses_per_transfer is {self.pulses_max}, expected 1 to 127")


class HiddenMatrix:
    """The hidden matrix H of a layer, dimensionless: 1 is worth one pulse.

    Args:
        lines, cells: its shape.
        rule: what a pulse leaves.
        leak: part of a line that is lost before something is added to it.

    Attributes:
        values: float32, shape (lines, cells of a line).
    """

    def __init__(self, lines: int, cells: int, rule: ResetRule, leak: float = 0.0) -> None:
        if not 0 <= leak < 1:
            raise ConfigurationError(f"leak is {leak}, expected 0 to less than 1")
        self.values = np.zeros((lines, cells), np.float32)
        self._rule = rule
        self._keep = np.float32(1 - leak)

    def add(
        self, lines: NDArray[np.integer[Any]], increments: NDArray[np.float32]
    ) -> NDArray[np.int16]:
        """Add to lines, and return the pulses that are due where |H| >= 1.

        Args:
            lines: lines, each at most once, shape (lines,).
            increments: float32, shape (lines, cells of a line).

        Returns:
            Counts from -pulses_max to pulses_max, shape (lines, cells of a line).
        """
        held = self.values[lines]
        if self._keep != 1:
            held *= self._keep
        held += increments
        counts = np.trunc(held)
        np.clip(counts, -self._rule.pulses_max, self._rule.pulses_max, out=counts)
        due = np.flatnonzero(counts)
        if len(due):
            flat, given = held.reshape(-1), counts.reshape(-1)
            if self._rule.mode == "zero":
                flat[due] *= self._rule.momentum
            else:
                flat[due] -= (1 - self._rule.momentum) * given[due]
        self.values[lines] = held
        pulses: NDArray[np.int16] = counts.astype(np.int16)
        return pulses
