"""Limits with the places they come from, and what they have against pulses and reads."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from hwloop.capabilities import Configuration, Limits, PolarityShape, TileCapabilities
from hwloop.errors import SafetyError

HALF_SELECT_SHARE = {"V/2": 1 / 2, "V/3": 1 / 3, "1T1R": 0.0}
"""Share of a pulse's voltage that a half-selected cell sees, by bias scheme."""

CHIP = "the chip"
"""Origin of limits that an array states of itself."""

UNITS = {
    "voltage_max": " V",
    "half_select_max": " V",
    "width_max_seconds": " s",
    "compliance_max_amperes": " A",
}


@dataclass(frozen=True, slots=True)
class InForce:
    """The tightest of several sets of limits, and where each limit comes from.

    Attributes:
        limits: what holds.
        origins: where a limit comes from, by its name: `the chip`, `station bench.yaml`,
            `device file hfo2.yaml`; limits that are not set have none.
    """

    limits: Limits = field(default_factory=Limits)
    origins: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, sources: Iterable[tuple[str, Limits]]) -> InForce:
        """Return the tightest of limits by origin; of equal ones, the first origin is named."""
        limits = Limits()
        origins: dict[str, str] = {}
        for origin, more in sources:
            tighter = limits.tightened(more)
            for name in Limits.model_fields:
                if getattr(tighter, name) != getattr(limits, name):
                    origins[name] = origin
            limits = tighter
        return cls(limits, origins)

    def named(self, name: str) -> str:
        """Return a limit with its value and origin, for people."""
        value = getattr(self.limits, name)
        said = f"{value}" if isinstance(value, bool | int) else f"{value:g}"
        return f"the limit {name} of {said}{UNITS.get(name, '')} from {self.origin(name)}"

    def origin(self, name: str) -> str:
        """Return where a limit comes from."""
        return self.origins.get(name, "the configuration")

    def refusal(self, name: str, what: str, remedy: str) -> SafetyError:
        """Return the error of an operation that a limit forbids.

        Args:
            name: the limit.
            what: what goes beyond it, as the beginning of a sentence that ends in the limit.
            remedy: how to mend it.
        """
        return SafetyError(
            f"{what} {self.named(name)}; nothing was sent",
            remedy=f"{remedy}; whoever answers for the array may change {self._place(name)}",
            limit=name,
            origin=self.origin(name),
        )

    def _place(self, name: str) -> str:
        origin = self.origin(name)
        return "the chip's own limit" if origin == CHIP else f"{name} in {origin}"


def half_select_share(*bias_schemes: str) -> float:
    """Return the largest share of a pulse's voltage that a half-selected cell sees."""
    return max(HALF_SELECT_SHARE[scheme] for scheme in bias_schemes)


def shape_faults(shape: PolarityShape, configuration: Configuration, bias_scheme: str) -> list[str]:
    """Return what the limits of a configuration have against a pulse of one polarity."""
    force = InForce(configuration.limits)
    share = half_select_share(bias_scheme)
    return [f"{what} {force.named(name)}" for name, what in over_limits(shape, force.limits, share)]


def over_limits(shape: PolarityShape, limits: Limits, share: float) -> list[tuple[str, str]]:
    """Return the limits that a pulse of one polarity breaks, and what is over each.

    Args:
        shape: the pulse.
        limits: what holds.
        share: of its voltage that a half-selected cell sees.
    """
    volts = abs(shape.amplitude_volts)
    half, amperes = volts * share, shape.compliance_amperes
    checks = (
        ("voltage_max", "amplitude", volts),
        ("half_select_max", "half-select voltage", half),
        ("width_max_seconds", "width", shape.width_seconds),
        # A polarity that limits itself asks for no compliance.
        ("compliance_max_amperes", "compliance", 0.0 if amperes is None else amperes),
    )
    return [
        (name, f"{what} {value:g}{UNITS[name]} is over")
        for name, what, value in checks
        if (most := getattr(limits, name)) is not None and value > most
    ]


def most_read_code(tile: TileCapabilities, limits: Limits) -> int:
    """Return the largest code of a vector whose voltage keeps the limit on voltage."""
    dac = tile.dac
    if limits.voltage_max is None or dac.full_scale <= limits.voltage_max:
        return dac.code_max
    return int(limits.voltage_max / dac.lsb)
