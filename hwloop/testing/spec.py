"""What goes wrong on a link, as data and as text."""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass
from typing import Any

from hwloop.errors import ConfigurationError

LINK_POINTS = ("before-request", "after-request", "before-answer")
"""Points of a reboot that a link knows by itself: before the n-th message leaves, once it has left,
and when its answer has come and is not handed on."""

_RATES = ("drop", "flip", "duplicate", "delay", "reorder")
_FORMS = {
    "stall": "stall=SECONDS@MESSAGE, for example stall=0.5@100",
    "disconnect": "disconnect=@MESSAGE, for example disconnect=@200",
    "reboot": "reboot=POINT@PASSAGE, for example reboot=after-intent@40",
}


@dataclass(frozen=True, slots=True)
class Stall:
    """The link passes nothing for `seconds`, from the message of this number on."""

    seconds: float
    message: int


@dataclass(frozen=True, slots=True)
class Reboot:
    """The array boots anew at the n-th passage of a point, counted from 1.

    Points are those of `LINK_POINTS`, and those that the array itself has a name for.
    """

    point: str
    passage: int


@dataclass(frozen=True, slots=True)
class FaultSpec:
    """What goes wrong on a link; its text form is `drop=0.01,flip=1e-4,reboot=after-intent@40`.

    Attributes:
        drop, flip, duplicate: probability of losing it, changing a bit, passing it twice; per byte
            of a stream, else per message, in each direction.
        delay: probability of holding it back, with all that follows on a stream; messages overtake.
        delay_seconds: longest delay.
        reorder: probability that what is sent at once is passed behind what is sent next.
        stalls, disconnects, reboots: what happens once, messages being counted from 1 as the host
            sends them, over all connections.
        seed: of the random choices.
    """

    drop: float = 0.0
    flip: float = 0.0
    duplicate: float = 0.0
    delay: float = 0.0
    delay_seconds: float = 0.001
    reorder: float = 0.0
    stalls: tuple[Stall, ...] = ()
    disconnects: tuple[int, ...] = ()
    reboots: tuple[Reboot, ...] = ()
    seed: int = 1

    @classmethod
    def total(cls, rate: float, *, seed: int = 1) -> FaultSpec:
        """Return faults of four sorts (drop, flip, duplicate, delay) that are `rate` together."""
        return cls(*(rate / 4,) * 4, seed=seed)

    @classmethod
    def parse(cls, text: str) -> FaultSpec:
        """Return the faults that a text names; a number alone is a total rate.

        Args:
            text: pairs `key=value` behind commas, or behind `+` where a comma means something else.

        Raises:
            ConfigurationError: an unknown key or a value that does not fit.
        """
        found: dict[str, Any] = {"stalls": (), "disconnects": (), "reboots": ()}
        pairs = [pair.strip() for pair in re.split(r"[,+]", text)]
        if len(pairs) == 1 and "=" not in pairs[0]:
            return cls.total(_rate("faults", pairs[0]))
        for pair in pairs:
            key, equals, value = pair.partition("=")
            if not equals or not value:
                raise ConfigurationError(f"faults: {pair!r} is not key=value", remedy=_usage())
            if key in ("stall", "disconnect", "reboot"):
                found[f"{key}s"] += (_once(key, value),)
            elif key in found:
                raise ConfigurationError(f"faults: {key} is given twice")
            elif key in _RATES:
                found[key] = _rate(key, value)
            elif key == "delay_seconds":
                found[key] = _number(key, value, 60.0)
            elif key == "seed":
                found[key] = _count(key, value)
            else:
                raise ConfigurationError(f"faults: unknown key {key!r}", remedy=_usage())
        return cls(**found)

    def __str__(self) -> str:
        """Return the text form."""
        pairs = [
            f"{field.name}={getattr(self, field.name):g}"
            for field in dataclasses.fields(self)
            if field.name in (*_RATES, "delay_seconds")
            and getattr(self, field.name) != field.default
        ]
        pairs += [f"seed={self.seed}"] if self.seed != 1 else []
        pairs += [f"stall={stall.seconds:g}@{stall.message}" for stall in self.stalls]
        pairs += [f"disconnect=@{message}" for message in self.disconnects]
        pairs += [f"reboot={reboot.point}@{reboot.passage}" for reboot in self.reboots]
        return ",".join(pairs) or "drop=0"

    def in_url(self) -> str:
        """Return the text form for an option of a backend's URL, whose options commas divide."""
        return str(self).replace(",", "+")


def _once(key: str, value: str) -> Stall | int | Reboot:
    what, at, number = value.partition("@")
    if not at or not number.isdecimal() or int(number) < 1 or (key == "disconnect") == bool(what):
        raise ConfigurationError(f"faults: {key}={value}", remedy=f"write {_FORMS[key]}")
    if key == "stall":
        return Stall(_number(key, what, 3600.0), int(number))
    return int(number) if key == "disconnect" else Reboot(what, int(number))


def _rate(key: str, value: str) -> float:
    return _number(key, value, 1.0)


def _count(key: str, value: str) -> int:
    if not value.isdecimal():
        raise ConfigurationError(f"faults: {key}={value}: expected a whole number, 0 or more")
    return int(value)


def _number(key: str, value: str, most: float) -> float:
    try:
        number = float(value)
    except ValueError:
        number = -1.0
    if not 0 <= number <= most:
        raise ConfigurationError(f"faults: {key}={value}: expected a number from 0 to {most:g}")
    return number


def _usage() -> str:
    once = "; ".join(_FORMS.values())
    return f"keys: {', '.join(_RATES)}, delay_seconds, seed; {once}"
