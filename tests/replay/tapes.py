"""Making tapes, and changing them behind their writer's back."""

from collections.abc import Callable
from pathlib import Path

from hwloop.crossbar import Chip
from hwloop.operations import Operation
from hwloop.tape import FileTape, records
from hwloop.tape.format import (
    MAGIC,
    RecordType,
    decode_operation,
    frame,
    operation_content,
    operation_payload,
)
from tests.seam.bench_array import BenchArray


def bench(**options: object) -> BenchArray:
    """Return a bench array whose reads of a difference are allowed."""
    return BenchArray(**{"reference": "cell", **options})


def record(path: Path, work: Callable[[Chip], object], **options: object) -> Path:
    """Record what `work` does to a bench array."""
    with Chip(bench(**options), arm="bench-1", tape=FileTape(path, {})) as chip:
        work(chip)
    return path


def rewrite(path: Path, change: Callable[[int, Operation], Operation | None]) -> None:
    """Change the operations of a tape; None takes one away."""
    raw, position = MAGIC, 0
    for kind, payload in list(records(path)):
        if kind is RecordType.OPERATION:
            changed = change(position, decode_operation(payload))
            position += 1
            if changed is None:
                continue
            payload = operation_payload(changed, operation_content(changed))
        raw += frame(kind, payload)
    path.write_bytes(raw)
