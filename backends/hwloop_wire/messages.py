"""The one definition of all messages of the wire protocol; docs/protocol.md says what they mean.

The C header, the tables of the protocol page, the golden frames and the dictionary follow from it
(`python -m hwloop_wire.generate`).
"""

from __future__ import annotations

import zlib
from enum import IntEnum

from hwloop.operations import Direction, Plane, Verdict
from hwloop_wire.codes import ENUMERATIONS, OPERATION_BITS, PROTOCOL_VERSION
from hwloop_wire.control_messages import (
    NO_LIMIT,
    Aborted,
    Arm,
    Busy,
    Bye,
    Clear,
    Configure,
    Describe,
    DescribeAnswer,
    Done,
    Error,
    FrameHeader,
    Hello,
    HelloAnswer,
    Idle,
    MessageHeader,
    ReadConfiguration,
    ReadConfigurationAnswer,
    ShapeEntry,
    Status,
    StatusAnswer,
    Tripped,
)
from hwloop_wire.layout import Body
from hwloop_wire.part_messages import (
    LISTED_COLS,
    LISTED_ROWS,
    Form,
    OuterTrains,
    OuterUpdate,
    Part,
    Pulse,
    ReadCells,
    Reset,
    Restore,
    Result,
    Snapshot,
    Vmm,
    Wait,
)

STRUCTURES: tuple[type[Body], ...] = (FrameHeader, MessageHeader, ShapeEntry, Part)
"""What messages are made of."""

MESSAGES: tuple[type[Body], ...] = (
    *(Hello, HelloAnswer, Describe, DescribeAnswer, Status, StatusAnswer),
    *(Configure, ReadConfiguration, ReadConfigurationAnswer, Arm, Idle, Clear, Bye, Done),
    *(Vmm, ReadCells, Pulse, OuterUpdate, OuterTrains, Form, Reset, Wait, Snapshot, Restore),
    *(Result, Error, Busy, Tripped, Aborted),
)

TYPES: dict[int, type[Body]] = {m.NUMBER: m for m in MESSAGES if m.NUMBER is not None}
"""Messages by their number."""

CONSUMING = (Pulse, OuterUpdate, OuterTrains, Form, Reset, Wait)
"""Parts that are executed at most once and leave records in the journal."""

PARTS = (Vmm, ReadCells, *CONSUMING, Snapshot, Restore)
"""Parts of operations."""


def canonical() -> str:
    """Return the text whose CRC-32 is the dictionary: all of the tables but the meanings."""
    lines = [f"version {PROTOCOL_VERSION}"]
    enumerations: tuple[type[IntEnum], ...] = (*ENUMERATIONS, Direction, Plane, Verdict)
    for names in enumerations:
        lines += [names.__name__, *(f"  {m.name} {m.value}" for m in names)]
    lines += ["operations", *(f"  {kind} {bit}" for kind, bit in OPERATION_BITS.items())]
    for message in (*STRUCTURES, *MESSAGES):
        lines.append(f"{message.__name__} {message.NUMBER} {message.STRUCT.size}")
        lines += [f"  {p.offset} {p.type} {p.name}" for p in message.PLACES]
        lines += [f"  + {a.type} {a.name} {a.extent}" for a in message.TAIL]
    return "\n".join(lines) + "\n"


DICTIONARY = zlib.crc32(canonical().encode())
"""What both ends compare in HELLO."""

__all__ = [
    "CONSUMING",
    "DICTIONARY",
    "LISTED_COLS",
    "LISTED_ROWS",
    "MESSAGES",
    "NO_LIMIT",
    "PARTS",
    "STRUCTURES",
    "TYPES",
    "Aborted",
    "Arm",
    "Busy",
    "Bye",
    "Clear",
    "Configure",
    "Describe",
    "DescribeAnswer",
    "Done",
    "Error",
    "Form",
    "FrameHeader",
    "Hello",
    "HelloAnswer",
    "Idle",
    "MessageHeader",
    "OuterTrains",
    "OuterUpdate",
    "Part",
    "Pulse",
    "ReadCells",
    "ReadConfiguration",
    "ReadConfigurationAnswer",
    "Reset",
    "Restore",
    "Result",
    "ShapeEntry",
    "Snapshot",
    "Status",
    "StatusAnswer",
    "Tripped",
    "Vmm",
    "Wait",
    "canonical",
]
