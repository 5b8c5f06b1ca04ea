"""The golden frames: what both ends must read and write, byte by byte."""

from __future__ import annotations

import struct
from dataclasses import asdict
from math import nan
from typing import Any, NamedTuple

from hwloop_wire import messages as m
from hwloop_wire.codes import Encoding, ErrorCode, Flag, Kind, Table
from hwloop_wire.frames import Frame, Message, encode, to_stream
from hwloop_wire.layout import Body

EPOCH = 0x01020304


class Sample(NamedTuple):
    """One message of a golden frame."""

    body: Body
    tail: bytes = b""


class Golden(NamedTuple):
    """A golden frame and what it shows."""

    name: str
    text: str
    kind: Kind
    epoch: int
    sequence: int
    acknowledged: int
    samples: tuple[Sample, ...]

    @property
    def raw(self) -> bytes:
        """The frame before COBS."""
        sent = [Message(s.body.NUMBER or 0, s.body.pack() + s.tail) for s in self.samples]
        return encode(Frame(self.kind, self.epoch, self.sequence, self.acknowledged, sent))


def _request(name: str, text: str, *samples: Sample) -> Golden:
    return Golden(name, text, Kind.REQUEST, EPOCH, 5, 4, samples)


def _answer(name: str, text: str, *samples: Sample) -> Golden:
    return Golden(name, text, Kind.ANSWER, EPOCH, 5, 5, samples)


def _notice(name: str, text: str, body: Body) -> Golden:
    return Golden(name, text, Kind.NOTICE, EPOCH, 0, 5, (Sample(body),))


_PART: dict[str, Any] = {"id": 7, "ordinal": 9, "tile": 1, "part": 0, "parts": 1}
_HASH = 0x1122334455667788
_BLOCK: dict[str, Any] = {
    "row_first": 3,
    "row_count": 1,
    "col_first": 0,
    "col_count": 2,
    "listed": m.LISTED_COLS,
}
_COLS = struct.pack("<2H", 5, 8)
_LIMITS: dict[str, Any] = {
    "voltage_max": 2.5,
    "half_select_max": nan,
    "width_max_seconds": 1e-3,
    "compliance_max_amperes": nan,
    "pulses_per_operation": 1000,
    "dose_per_cell": m.NO_LIMIT,
    "dose_per_line": m.NO_LIMIT,
    "forming": 0,
}
_SHAPE = m.ShapeEntry(1.2, 1e-6, 1e-4, -1.0, 1e-6, nan, "set").pack()
_HELLO_ANSWER = m.HelloAnswer(
    nonce=0x0123456789ABCDEF,
    tick_picoseconds=1000,
    intent_id=6,
    commit_id=6,
    commit_fired=12,
    configuration=0,
    dictionary=m.DICTIONARY,
    epoch=EPOCH,
    boot=3,
    flags=Flag.RETAINED | Flag.VIRTUAL,
    frame_bytes=4096,
    receive_bytes=16384,
    cache_frames=16,
    cache_bytes=16384,
    operations=0b111_1001_1111,
    intent_part=0,
    commit_part=0,
    commit_verdict=0,
    bias=2,
    tiles=2,
    shapes=16,
    chip_id="chip-1",
    name="golden chip",
    firmware="1.0",
    device="reram-om",
)
_TILE = m.DescribeAnswer(
    dac_full_scale=0.2,
    forward_full_scale=20e-6,
    backward_full_scale=20e-6,
    cells_full_scale=20e-6,
    cell_siemens=50e-6,
    middle_siemens=60e-6,
    output_noise=nan,
    dac_code_max=127,
    forward_code_max=255,
    backward_code_max=255,
    cells_code_max=2047,
    update_code_max=127,
    average_max=64,
    rows=4,
    cols=9,
    longest_train=255,
    reference=1,
    encodings=Encoding.SEEDED | Encoding.TRAINS,
    state_words=4,
    generator="philox",
)
_STATUS = m.StatusAnswer(
    failed_id=7,
    pulses=12,
    ticks=345678,
    flags=Flag.RETAINED | Flag.VIRTUAL | Flag.LATCHED | Flag.CONFIGURED,
    frames_good=10,
    frames_bad=1,
    frames_duplicate=2,
    frames_stale=3,
    failed_part=0,
    failed_error=ErrorCode.COMPLIANCE,
    detail="compliance at row 3",
)
_RESULT: dict[str, Any] = {
    "id": 7,
    "fired": 0,
    "ticks": 1000,
    "values": 0,
    "part": 0,
    "error": 0,
    "verdict": 0,
    "value_bytes": 0,
}

GOLDEN: tuple[Golden, ...] = (
    Golden(
        "hello",
        "A host begins a session.",
        Kind.REQUEST,
        0,
        0,
        0,
        (Sample(m.Hello(nonce=0x0123456789ABCDEF, dictionary=m.DICTIONARY)),),
    ),
    Golden(
        "hello_answer",
        "The chip answers; its epoch is in the body, 0 in the header.",
        Kind.ANSWER,
        0,
        0,
        0,
        (Sample(_HELLO_ANSWER),),
    ),
    Golden(
        "hello_refused",
        "The chip was built from other tables.",
        Kind.ANSWER,
        0,
        0,
        0,
        (Sample(m.Error(value=0xDEADBEEF, error=ErrorCode.DICTIONARY, type=1)),),
    ),
    _request("describe", "Tile 1.", Sample(m.Describe(tile=1))),
    _answer("describe_answer", "4 rows, 9 columns.", Sample(_TILE)),
    _request("status", "State and counters.", Sample(m.Status())),
    _answer("status_answer", "Latched by part 0 of operation 7.", Sample(_STATUS)),
    _request(
        "configure",
        "One shape, three limits.",
        Sample(m.Configure(configuration=_HASH, shapes=1, **_LIMITS), _SHAPE),
    ),
    _request(
        "read_configuration",
        "At most 8 shapes of the installed configuration.",
        Sample(m.ReadConfiguration(first=0, shapes=8, table=Table.INSTALLED)),
    ),
    _answer(
        "read_configuration_answer",
        "There is one.",
        Sample(
            m.ReadConfigurationAnswer(configuration=_HASH, shapes=1, total=1, **_LIMITS), _SHAPE
        ),
    ),
    _request(
        "arm",
        "Five seconds of silence disarm.",
        Sample(m.Arm(deadman_ms=5000, armed=1, chip_id="chip-1")),
    ),
    _request(
        "idle_clear_bye",
        "Three messages in one frame.",
        *(Sample(m.Idle()), Sample(m.Clear()), Sample(m.Bye())),
    ),
    _answer("done", "Answers one of them.", Sample(m.Done(flags=Flag.RETAINED | Flag.VIRTUAL))),
    _request(
        "vmm",
        "Two samples of nine codes, one byte each; three samples went before, in part 0.",
        Sample(
            m.Vmm(
                **{**_PART, "part": 1, "parts": 2},
                samples=2,
                sample_offset=3,
                direction=0,
                plane=2,
                width=1,
            ),
            struct.pack("18b", *range(-9, 9)),
        ),
    ),
    _answer(
        "vmm_result",
        "Eight values of two bytes; the third and the last are saturated.",
        Sample(
            m.Result(**{**_RESULT, "values": 8, "part": 1, "value_bytes": 2}),
            struct.pack("<8hB", 1, -2, 255, 4, 5, -6, 7, -255, 0b10000100),
        ),
    ),
    _request(
        "read_cells",
        "Columns 5 and 8 of row 3, 16 times.",
        Sample(m.ReadCells(**_PART, average=16, plane=0, **_BLOCK), _COLS),
    ),
    _answer(
        "read_cells_result",
        "Two sums of four bytes, since 16 x 2047 is 32752 and fits, but 64 x 2047 does not.",
        Sample(
            m.Result(**{**_RESULT, "values": 2, "value_bytes": 4}), struct.pack("<2iB", -70, 99, 0)
        ),
    ),
    _request(
        "pulse",
        "Ten pulses up on row 3, column 5, and 300 down on column 8, so counts take two bytes.",
        Sample(
            m.Pulse(**_PART, configuration=_HASH, shape=0, width=2, **_BLOCK),
            _COLS + struct.pack("<2h", 10, -300),
        ),
    ),
    _answer("pulse_result", "All were fired.", Sample(m.Result(**{**_RESULT, "fired": 310}))),
    _answer(
        "pulse_partial",
        "An abort came after 17.",
        Sample(m.Result(**{**_RESULT, "fired": 17, "error": ErrorCode.ABORTED, "verdict": 2})),
    ),
    _request(
        "outer_update",
        "One sample: gains 65536 and 32768, 31 slots; two columns' sides would be 9 and 4 codes.",
        Sample(
            m.OuterUpdate(
                **_PART, configuration=_HASH, samples=1, sample_offset=0, shape=0, width=1
            ),
            struct.pack("<3H9b4b", 65535, 32767, 31, *range(-4, 5), 127, 0, -127, 1),
        ),
    ),
    _request(
        "outer_trains",
        "One sample of two slots: columns 0 and 8 fire upwards in slot 0, row 1 downwards in both.",
        Sample(
            m.OuterTrains(
                **_PART,
                configuration=_HASH,
                samples=1,
                sample_offset=0,
                slots=2,
                slot_offset=0,
                shape=0,
            ),
            bytes([1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 2, 2]),
        ),
    ),
    _request(
        "form_reset",
        "Two parts of two operations in one frame.",
        Sample(m.Form(**_PART, configuration=_HASH, recipe="soft", **_BLOCK), _COLS),
        Sample(m.Reset(**{**_PART, "id": 8}, configuration=_HASH, recipe="soft", **_BLOCK), _COLS),
    ),
    _request("wait", "A million ticks.", Sample(m.Wait(**_PART, ticks=1_000_000))),
    _request(
        "snapshot",
        "Cells 35 and 36.",
        Sample(m.Snapshot(**{**_PART, "id": 0, "ordinal": 0}, first=35, cells=1)),
    ),
    _answer(
        "snapshot_result",
        "0.5, 0.5, 0 and 7 pulses.",
        Sample(
            m.Result(**{**_RESULT, "id": 0, "values": 4, "value_bytes": 4}),
            struct.pack("<3fI", 0.5, 0.5, 0, 7),
        ),
    ),
    _request(
        "restore",
        "The same, written back.",
        Sample(
            m.Restore(**{**_PART, "id": 0, "ordinal": 0}, first=35, cells=1),
            struct.pack("<3fI", 0.5, 0.5, 0, 7),
        ),
    ),
    _answer(
        "sequence_error",
        "Frames are missing: the host goes back to 3.",
        Sample(m.Error(value=3, error=ErrorCode.SEQUENCE, type=0)),
    ),
    Golden("abort", "The second abort of the session.", Kind.ABORT, EPOCH, 2, 0, ()),
    _notice("busy", "Part 2 of operation 7 is being executed.", m.Busy(id=7, part=2)),
    _notice("tripped", "The host was silent.", m.Tripped(error=ErrorCode.DEADMAN)),
    _notice(
        "aborted",
        "Operation 7 was cut short after 17 pulses.",
        m.Aborted(id=7, fired=17, number=2, part=0),
    ),
)


def records() -> list[dict[str, Any]]:
    """Return the golden frames as JSON: fields, bytes before COBS and as on a byte stream."""
    return [_record(golden) for golden in GOLDEN]


def section() -> str:
    """Return the section of the protocol page: name, meaning and bytes before COBS."""
    blocks = [
        f"**{golden.name}**: {golden.text}\n\n```\n{_wrapped(golden.raw.hex(' '))}\n```"
        for golden in GOLDEN
    ]
    return "\n\n".join(blocks)


def _record(golden: Golden) -> dict[str, Any]:
    return {
        "name": golden.name,
        "text": golden.text,
        "kind": int(golden.kind),
        "epoch": golden.epoch,
        "sequence": golden.sequence,
        "acknowledged": golden.acknowledged,
        "messages": [
            {
                "type": sample.body.NUMBER,
                "name": type(sample.body).__name__,
                "fields": {k: _plain(v) for k, v in asdict(sample.body).items()},
                "tail": sample.tail.hex(),
            }
            for sample in golden.samples
        ],
        "frame": golden.raw.hex(),
        "stream": to_stream(golden.raw).hex(),
    }


def _plain(value: Any) -> Any:
    """Return a value that JSON can hold; NaN becomes null."""
    if isinstance(value, float):
        return None if value != value else value
    return int(value) if isinstance(value, int) else value


def _wrapped(text: str) -> str:
    pairs = text.split(" ")
    return "\n".join(" ".join(pairs[i : i + 32]) for i in range(0, len(pairs), 32))
