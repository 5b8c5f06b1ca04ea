"""Frames, sessions, configuration and notices: all messages but the parts of operations."""

from __future__ import annotations

from typing import Annotated

from hwloop_wire.layout import C16, C32, C64, C128, F64, U8, U16, U32, U64, Array, Body, body

NO_LIMIT = 2**64 - 1
"""A limit on a count that is not set; a limit on a voltage, width or current is then NaN."""


@body()
class FrameHeader(Body):
    """Begins every frame."""

    kind: Annotated[U8, "request, answer, notice or abort"]
    version: Annotated[U8, "protocol version"]
    messages: Annotated[U16, "number of messages"]
    epoch: Annotated[U32, "session; 0 in HELLO requests and their answers"]
    sequence: Annotated[U32, "of a request and its answer; 0 in HELLO and notices"]
    acknowledged: Annotated[
        U32,
        "request: every answer up to this one has been received; answer: last request executed",
    ]


@body()
class MessageHeader(Body):
    """Begins every message."""

    type: Annotated[U8, "number of the message"]
    length: Annotated[U32, "bytes of the body, without the zeros behind it"]


@body(1)
class Hello(Body):
    """Begins a session; a frame by itself."""

    nonce: Annotated[U64, "drawn by the host, new for every session"]
    dictionary: Annotated[U32, "CRC-32 of these tables"]


@body(129)
class HelloAnswer(Body):
    """Describes the chip and what survived in its journal."""

    nonce: Annotated[U64, "of the request"]
    tick_picoseconds: Annotated[U64, "length of a tick of the chip's clock"]
    intent_id: Annotated[U64, "id of the last consuming part ever begun, 0 for none"]
    commit_id: Annotated[U64, "id of the last consuming part ended"]
    commit_fired: Annotated[U64, "pulses that it fired"]
    configuration: Annotated[U64, "hash of the configuration installed, 0 without one"]
    dictionary: Annotated[U32, "CRC-32 of these tables"]
    epoch: Annotated[U32, "of the session that begins"]
    boot: Annotated[U32, "counts boots; without memory for it, a number that differs between boots"]
    flags: Annotated[U32, "state of the chip"]
    frame_bytes: Annotated[U32, "longest frame, header and check included, before COBS"]
    receive_bytes: Annotated[U32, "most bytes of unacknowledged requests, as encoded on the link"]
    cache_frames: Annotated[U32, "most unacknowledged requests"]
    cache_bytes: Annotated[U32, "most bytes of their answer frames, before COBS"]
    operations: Annotated[U32, "bits of the operations that the chip offers"]
    intent_part: Annotated[U16, "part of `intent_id`"]
    commit_part: Annotated[U16, "part of `commit_id`"]
    commit_verdict: Annotated[U8, "verdict of the part that ended"]
    bias: Annotated[U8, "how unselected lines are held"]
    tiles: Annotated[U16, "number of tiles"]
    shapes: Annotated[U16, "most pulse shapes of a configuration"]
    chip_id: Annotated[C64, "identity of the chip"]
    name: Annotated[C64, "what it is, for people"]
    firmware: Annotated[C64, "version or hash of what runs on it"]
    device: Annotated[
        C128, "device file of its cells with what overrides it, NAME[,KEY=VALUE...]; may be empty"
    ]


@body(2)
class Describe(Body):
    """Asks for one tile."""

    tile: Annotated[U16, "index of the tile"]


@body(130)
class DescribeAnswer(Body):
    """One tile, as `hwloop.capabilities.TileCapabilities`."""

    dac_full_scale: Annotated[F64, "volts at `dac_code_max`"]
    forward_full_scale: Annotated[F64, "amperes at `forward_code_max`"]
    backward_full_scale: Annotated[F64, "amperes at `backward_code_max`"]
    cells_full_scale: Annotated[F64, "amperes at `cells_code_max`"]
    cell_siemens: Annotated[F64, "conductance of one device unit"]
    middle_siemens: Annotated[F64, "conductance of a cell whose main plane reads 0"]
    output_noise: Annotated[F64, "standard deviation of one conversion in amperes, NaN if unknown"]
    dac_code_max: Annotated[U32, "largest code that drives a line of a VMM"]
    forward_code_max: Annotated[U32, "largest code of a forward read"]
    backward_code_max: Annotated[U32, "largest code of a backward read"]
    cells_code_max: Annotated[U32, "largest code of one cell read"]
    update_code_max: Annotated[U32, "largest code of an OUTER_UPDATE"]
    average_max: Annotated[U32, "most reads that READ_CELLS sums"]
    rows: Annotated[U16, "word lines"]
    cols: Annotated[U16, "bit lines, driven in a forward read"]
    longest_train: Annotated[U16, "most slots of one sample"]
    reference: Annotated[U8, "where the reference plane is kept"]
    encodings: Annotated[U8, "bits of the encodings of outer-product updates"]
    state_words: Annotated[U8, "words per cell of SNAPSHOT and RESTORE"]
    generator: Annotated[C32, "generator behind the seeded encoding"]


@body(3)
class Status(Body):
    """Asks for state and counters; also says that the host is alive."""


@body(131)
class StatusAnswer(Body):
    """State and counters; 32-bit counters wrap."""

    failed_id: Annotated[U64, "id of the part that latched the chip, 0 for none"]
    pulses: Annotated[U64, "pulses fired since boot, all cells together"]
    ticks: Annotated[U64, "chip time since boot"]
    flags: Annotated[U32, "state of the chip"]
    frames_good: Annotated[U32, "valid frames received since boot"]
    frames_bad: Annotated[U32, "frames dropped: check, version or lengths wrong"]
    frames_duplicate: Annotated[U32, "requests answered from the cache, or acknowledged already"]
    frames_stale: Annotated[U32, "frames of another session, or out of sequence"]
    failed_part: Annotated[U16, "part of `failed_id`"]
    failed_error: Annotated[U16, "error that latched the chip, 0 for none"]
    detail: Annotated[C128, "what failed, for people; may be empty"]


@body()
class ShapeEntry(Body):
    """One pulse shape; NaN is no compliance."""

    up_volts: Annotated[F64, "amplitude of a positive pulse"]
    up_seconds: Annotated[F64, "its width"]
    up_amperes: Annotated[F64, "its compliance"]
    down_volts: Annotated[F64, "amplitude of a negative pulse"]
    down_seconds: Annotated[F64, "its width"]
    down_amperes: Annotated[F64, "its compliance"]
    name: Annotated[C16, "name of the shape"]


@body(4)
class Configure(Body):
    """Installs pulse shapes and limits as one object; shapes are numbered in the order given."""

    TAIL = (Array("shapes", "ShapeEntry", "shapes", "the table, in the order of the names' bytes"),)

    configuration: Annotated[U64, "hash that consuming parts name"]
    voltage_max: Annotated[F64, "volts at a selected cell, NaN for no limit"]
    half_select_max: Annotated[F64, "volts at a half-selected cell, NaN for no limit"]
    width_max_seconds: Annotated[F64, "longest pulse, NaN for no limit"]
    compliance_max_amperes: Annotated[F64, "largest compliance, NaN for no limit"]
    pulses_per_operation: Annotated[U64, "most pulses on a cell by a part, all ones for no limit"]
    dose_per_cell: Annotated[U64, "most pulses on a cell in a run, all ones for no limit"]
    dose_per_line: Annotated[U64, "most pulses on a line in a run, all ones for no limit"]
    shapes: Annotated[U16, "number of shapes in the tail"]
    forming: Annotated[U8, "whether forming is allowed"]


@body(5)
class ReadConfiguration(Body):
    """Asks for a configuration: its limits and some of its shapes."""

    first: Annotated[U16, "first shape wanted"]
    shapes: Annotated[U16, "most shapes wanted"]
    table: Annotated[U8, "which configuration"]


@body(133)
class ReadConfigurationAnswer(Body):
    """Limits, as CONFIGURE gives them, and the shapes asked for."""

    TAIL = (Array("shapes", "ShapeEntry", "shapes", "as many as asked for and there are"),)

    configuration: Annotated[U64, "hash, 0 for the chip's own or for none"]
    voltage_max: Annotated[F64, "as in CONFIGURE"]
    half_select_max: Annotated[F64, "as in CONFIGURE"]
    width_max_seconds: Annotated[F64, "as in CONFIGURE"]
    compliance_max_amperes: Annotated[F64, "as in CONFIGURE"]
    pulses_per_operation: Annotated[U64, "as in CONFIGURE"]
    dose_per_cell: Annotated[U64, "as in CONFIGURE"]
    dose_per_line: Annotated[U64, "as in CONFIGURE"]
    shapes: Annotated[U16, "number of shapes in the tail"]
    forming: Annotated[U8, "as in CONFIGURE"]
    total: Annotated[U16, "number of shapes in the table"]


@body(6)
class Arm(Body):
    """Arms or disarms the chip."""

    deadman_ms: Annotated[U32, "silence after which the chip idles, disarms and latches"]
    armed: Annotated[U8, "1 arms, 0 disarms"]
    chip_id: Annotated[C64, "identity of the chip that may be moved"]


@body(7)
class Idle(Body):
    """Brings all lines to their idle state."""


@body(8)
class Clear(Body):
    """Ends a latch: allows execution again."""


@body(9)
class Bye(Body):
    """Ends the session: idles the lines, disarms, lets the chip go."""


@body(128)
class Done(Body):
    """Answers CONFIGURE, ARM, IDLE, CLEAR and BYE."""

    flags: Annotated[U32, "state of the chip afterwards"]


@body(255)
class Error(Body):
    """Answers what was refused: a whole frame, or one control message."""

    value: Annotated[U32, "by the error"]
    error: Annotated[U16, "why"]
    type: Annotated[U8, "message that was refused, 0 for the whole frame"]


@body(64)
class Busy(Body):
    """Says that a part is being executed; resets the host's time-outs."""

    id: Annotated[U64, "id of its operation"]
    part: Annotated[U16, "number of the part"]


@body(65)
class Tripped(Body):
    """Says that the chip went idle, disarmed and latched by itself."""

    error: Annotated[U16, "why"]


@body(66)
class Aborted(Body):
    """Says that an abort is done and where it was."""

    id: Annotated[U64, "id of the operation cut short, 0 if none was under way"]
    fired: Annotated[U64, "pulses that its part had fired"]
    number: Annotated[U32, "`sequence` of the abort"]
    part: Annotated[U16, "number of the part"]
