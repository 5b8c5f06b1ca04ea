"""A check: a name, what it checks, what it needs, and how."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from hwloop.conformance.evidence import Evidence
from hwloop.conformance.rig import Rig


@dataclass(frozen=True, slots=True)
class Check:
    """One check.

    Attributes:
        name: short, for reports and for `pytest -k`.
        what: what it checks, one sentence.
        run: carries it out; raises `SkippedError` where the array lacks what it is about.
        needs: operations that the array has to understand, else the check is skipped.
        needs_array: whether it is about an array, not about what stands in for one.
    """

    name: str
    what: str
    run: Callable[[Rig, Evidence], None]
    needs: tuple[str, ...] = ()
    needs_array: bool = True
