"""Checks that several reproductions make of measured values."""

from __future__ import annotations

from hwloop.experiments.reproduce.base import Check


def near(name: str, wanted: float, measured: float, part: float, note: str = "") -> Check:
    """Compare a value with one that it should be near to.

    Args:
        name: what is compared.
        wanted: what it should be.
        measured: what it is.
        part: difference that is allowed, as a part of what it should be.
        note: what else there is to know.
    """
    apart = measured / wanted - 1
    return Check(
        name,
        f"{wanted:.4g} within {part:.0%}",
        f"{measured:.4g} ({apart:+.0%})",
        abs(apart) <= part,
        note,
    )


def printed(name: str, wanted: str, measured: float, unit: str = "") -> Check:
    """Compare a value with a printed one, to its last digit."""
    digits = len(wanted.partition(".")[2])
    shown = f"{measured:.{digits}f}"
    return Check(name, f"{wanted} {unit}".strip(), f"{shown} {unit}".strip(), shown == wanted)


def above(name: str, bound: float, measured: float, note: str = "") -> Check:
    """Check that a value is above a bound."""
    return Check(name, f"more than {bound:g}", f"{measured:.4g}", measured > bound, note)


def at_least(name: str, bound: float, measured: float, note: str = "") -> Check:
    """Check that a value is not below a bound."""
    return Check(name, f"at least {bound:g}", f"{measured:.4g}", measured >= bound, note)


def at_most(name: str, bound: float, measured: float, note: str = "") -> Check:
    """Check that a value is not above a bound."""
    return Check(name, f"at most {bound:g}", f"{measured:.4g}", measured <= bound, note)


def beside(name: str, claim: str, measured: str, note: str = "") -> Check:
    """Print a measured value beside a claim that nothing is decided by."""
    return Check(name, claim, measured, None, note or "printed beside, not required")
