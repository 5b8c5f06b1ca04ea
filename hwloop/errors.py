"""The one family of errors; each class has its exit code at the command line."""

from __future__ import annotations

from typing import Any

from hwloop.operations import Verdict


class CrossbarError(Exception):
    """Something went wrong between a controller and an array.

    Args:
        message: what, where, which value, and what was expected.
        remedy: how to mend it.
        operation_id: id of the operation concerned, 0 for none.
        verdict: what is known of that operation's effect.
        retryable: whether trying again is allowed.
    """

    exit_code = 1

    def __init__(
        self,
        message: str,
        *,
        remedy: str = "",
        operation_id: int = 0,
        verdict: Verdict = Verdict.NOT_APPLIED,
        retryable: bool = False,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy
        self.operation_id = operation_id
        self.verdict = verdict
        self.retryable = retryable

    def __str__(self) -> str:
        """Return message, operation and remedy, one a line."""
        lines = [self.message]
        if self.operation_id:
            lines.append(f"operation {self.operation_id}: {self.verdict.name.lower()}")
        if self.remedy:
            lines.append(f"remedy: {self.remedy}")
        return "\n".join(lines)


class ConfigurationError(CrossbarError):
    """A file, option, URL or value is wrong; nothing was sent."""

    exit_code = 2


class CapabilityError(CrossbarError):
    """The array cannot do what was asked; nothing was sent."""

    exit_code = 3


class SafetyError(CrossbarError):
    """The guard refused an operation; nothing was sent.

    Attributes:
        limit: name of the limit that forbids it (`hwloop.capabilities.Limits`), or empty.
        origin: where that limit comes from, or empty.
    """

    exit_code = 4

    def __init__(self, message: str, *, limit: str = "", origin: str = "", **what: Any) -> None:
        super().__init__(message, **what)
        self.limit = limit
        self.origin = origin


class LinkError(CrossbarError):
    """The link to the array failed."""

    exit_code = 5


class DeviceError(CrossbarError):
    """The array refused or failed an operation."""

    exit_code = 6


class OutcomeUnknownError(CrossbarError):
    """Nobody can say whether an operation was applied; the run stops until it is reconciled."""

    exit_code = 7


class ReplayError(CrossbarError):
    """A run differs from its tape, or a tape cannot be read."""

    exit_code = 8


INTERRUPTED = 130
"""Exit code of an interrupted command."""
