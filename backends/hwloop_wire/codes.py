"""Numbers on the wire that have names: kinds of frames, errors, flags, enumerations."""

from __future__ import annotations

from enum import IntEnum

from hwloop.operations import KINDS

PROTOCOL_VERSION = 1
"""Version of the frames and messages."""


class Named(IntEnum):
    """Numbers with meanings."""

    meaning: str

    def __new__(cls, value: int, meaning: str = "") -> Named:
        member = int.__new__(cls, value)
        member._value_ = value
        member.meaning = meaning
        return member


class Kind(Named):
    """Kind of a frame."""

    REQUEST = 1, "host to chip, answered once"
    ANSWER = 2, "chip to host, to the request of the same sequence number"
    NOTICE = 3, "chip to host, unasked for; may be lost"
    ABORT = 4, "host to chip, without messages; `sequence` counts the aborts of the session from 1"


class ErrorCode(Named):
    """Why a frame, a message or a part was refused or failed."""

    NONE = 0, "no error"
    VERSION = 1, "frame of another protocol version; `value` is the answerer's own"
    DICTIONARY = 2, "HELLO of another dictionary; `value` is the answerer's own"
    EPOCH = 3, "frame of another session; `value` is the current epoch, 0 without a session"
    SEQUENCE = 4, "frames are missing before this one; `value` is the expected sequence number"
    WINDOW = 5, "the answer would displace one that is not acknowledged"
    LEASE = 6, "another host holds the chip"
    TYPE = 16, "message of unknown type"
    LENGTH = 17, "length or layout of a message is wrong"
    TILE = 18, "no such tile; `value` is the number of tiles"
    RANGE = 19, "a code, count, line or other value is out of range"
    UNSUPPORTED = 20, "the chip does not offer this operation, plane, encoding or way of cutting"
    ID = 21, "a consuming part that is not above the last one begun"
    LATCHED = 24, "not executed after a failure or an abort; CLEAR first"
    NOT_ARMED = 25, "consuming part without ARM"
    CHIP = 26, "ARM for another chip"
    CONFIGURATION = 27, "the configuration named is not the one installed"
    SHAPE = 28, "no such pulse shape or recipe"
    LIMIT = 29, "a limit in force forbids it"
    ABORTED = 32, "cut short by an abort"
    DEADMAN = 33, "the host was silent for too long"
    COMPLIANCE = 34, "compliance tripped"
    FAILED = 35, "the hardware failed"


def error_text(code: int) -> str:
    """Return name and meaning of an error, also of one that is not known."""
    try:
        error = ErrorCode(code)
    except ValueError:
        return f"error {code}"
    return f"{error.meaning.partition(';')[0]} ({error.name})"


_REMEDIES = {
    ErrorCode.LATCHED: "look at the first error, then clear()",
    ErrorCode.LIMIT: "keep to the limits of the chip, which `hwloop chip describe` shows",
    ErrorCode.NOT_ARMED: "arm the chip where it is served: hwloop chip serve --arm CHIP_ID",
    ErrorCode.CHIP: "arm the chip where it is served: hwloop chip serve --arm CHIP_ID",
    ErrorCode.SHAPE: "use a device file with the chip's own pulse shapes (`hwloop chip describe`)",
}


def remedy_of(code: int) -> str:
    """Return how to mend an error, empty where there is no more to say."""
    return next((remedy for known, remedy in _REMEDIES.items() if known == code), "")


class Flag(Named):
    """Bits of the chip's state."""

    RETAINED = 1, "intent and commit survive a reboot"
    VIRTUAL = 2, "the cells are simulated"
    ARMED = 4, "consuming parts are executed"
    LATCHED = 8, "nothing is executed until CLEAR"
    CONFIGURED = 16, "a configuration is installed"
    LEDGER = 32, "the chip's end keeps its lease and counts its doses for life"


class Reference(Named):
    """Where the reference plane is kept."""

    NONE = 0, "none"
    CELL = 1, "cell"
    COLUMN = 2, "column"
    DIGITAL = 3, "digital"


class Encoding(Named):
    """Bits of the encodings of outer-product updates."""

    SEEDED = 1, "seeded"
    TRAINS = 2, "trains"


class Bias(Named):
    """How unselected lines are held."""

    HALF = 0, "V/2"
    THIRD = 1, "V/3"
    TRANSISTOR = 2, "1T1R"


class Table(Named):
    """Which configuration READ_CONFIGURATION asks for."""

    OFFERED = 0, "pulse shapes and limits of the chip itself"
    INSTALLED = 1, "what CONFIGURE installed"


OPERATION_BITS = {kind: 1 << i for i, kind in enumerate(KINDS)}
"""Bits of the kinds of operations in HELLO."""

ENUMERATIONS: tuple[type[Named], ...] = (Kind, ErrorCode, Flag, Table, Bias, Reference, Encoding)
