"""A tape of which only the length is kept."""

from __future__ import annotations

from collections.abc import Iterable

from hwloop.operations import Operation, Result
from hwloop.tape.format import (
    RecordType,
    frame,
    operation_content,
    operation_payload,
    result_content,
    result_payload,
)
from hwloop.tape.writer import HashTape


class CountingTape(HashTape):
    """A tape that says how long its file would be.

    Attributes:
        size: bytes of its operations and results.
    """

    def __init__(self) -> None:
        super().__init__()
        self.size = 0

    def operations(self, operations: Iterable[Operation]) -> None:
        """Count operations."""
        for operation in operations:
            payload = operation_payload(operation, operation_content(operation))
            self.size += len(frame(RecordType.OPERATION, payload))

    def results(self, results: Iterable[Result]) -> None:
        """Count results."""
        for result in results:
            payload = result_payload(result, result_content(result))
            self.size += len(frame(RecordType.RESULT, payload))
