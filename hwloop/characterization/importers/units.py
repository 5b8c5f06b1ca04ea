"""Units of the laboratory, and the quantities that they tell."""

from __future__ import annotations

from dataclasses import dataclass

from hwloop.errors import ConfigurationError

_BASES = {
    "S": "S",
    "siemens": "S",
    "A": "A",
    "ampere": "A",
    "ohm": "ohm",
    "Ohm": "ohm",
    "\N{GREEK CAPITAL LETTER OMEGA}": "ohm",
    "\N{OHM SIGN}": "ohm",
    "V": "V",
    "volt": "V",
    "s": "s",
    "second": "s",
    "K": "K",
    "kelvin": "K",
    "m": "m",
    "Hz": "Hz",
}
_PREFIXES = {
    "f": 1e-15,
    "p": 1e-12,
    "n": 1e-9,
    "u": 1e-6,
    "\N{MICRO SIGN}": 1e-6,
    "\N{GREEK SMALL LETTER MU}": 1e-6,
    "m": 1e-3,
    "k": 1e3,
    "M": 1e6,
    "G": 1e9,
}
_WORDS = {
    "femto": 1e-15,
    "pico": 1e-12,
    "nano": 1e-9,
    "micro": 1e-6,
    "milli": 1e-3,
    "kilo": 1e3,
    "mega": 1e6,
    "giga": 1e9,
}
_OTHERS = {
    "min": ("s", 60.0),
    "h": ("s", 3600.0),
    "m2": ("m2", 1.0),
    "um2": ("m2", 1e-12),
    "nm2": ("m2", 1e-18),
    "%": ("1", 0.01),
    "1": ("1", 1.0),
    "normalised": ("device unit", 1.0),
    "device unit": ("device unit", 1.0),
}
_CELSIUS = ("degC", "°C", "celsius")

STATES = {
    "S": "conductance_siemens",
    "A": "current_amperes",
    "ohm": "resistance_ohms",
    "device unit": "state_units",
}
"""Columns of the measured state by their unit."""


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit: `value in base = factor * (value + offset)`."""

    base: str
    factor: float = 1.0
    offset: float = 0.0


def unit(text: str) -> Unit:
    """Return what a unit means, such as `uS`, `microsiemens`, `kohm`, `ns`, `degC`, `normalised`.

    Raises:
        ConfigurationError: no such unit.
    """
    if text in _BASES:
        return Unit(_BASES[text])
    if text in _OTHERS:
        return Unit(*_OTHERS[text])
    if text in _CELSIUS:
        return Unit("K", 1.0, 273.15)
    for prefixes, bases in ((_PREFIXES, (1, 2, 3)), (_WORDS, (4, 5))):
        for prefix, factor in prefixes.items():
            base = text.removeprefix(prefix)
            if base != text and base in _BASES and (bases[0] < 4 or len(base) > 1):
                return Unit(_BASES[base], factor)
    raise ConfigurationError(
        f"unit {text!r} is not known",
        remedy="units are siemens, ampere, ohm, volt, second, kelvin, S, A, V, s, K with prefixes "
        "such as uS, nA, kohm, microsiemens; degC, min, h, um2, %, 1, normalised",
    )


def state_column(text: str) -> tuple[str, float]:
    """Return the column of a state in a unit, and the factor to the column's own unit.

    Raises:
        ConfigurationError: no such unit, or none of a state.
    """
    found = unit(text)
    if found.base not in STATES:
        raise ConfigurationError(
            f"--unit {text}: is no unit of a conductance, current or resistance",
            remedy="units of a state are siemens, ampere, ohm with prefixes, and normalised",
        )
    return STATES[found.base], found.factor
