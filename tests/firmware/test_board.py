"""The board template: it compiles for a microcontroller, and works once it is filled in."""

import subprocess
import time

import numpy as np
import pytest

from hwloop import operations as ops
from hwloop.capabilities import Configuration, Limits, PolarityShape, PulseShape
from hwloop.operations import Direction, Plane, Verdict
from hwloop.random import Purpose, operation_key, train_bits
from hwloop_wire import messages as m
from hwloop_wire import results
from hwloop_wire.codes import ErrorCode, Flag
from tests.firmware import chips
from tests.firmware.chips import FIRMWARE
from tests.firmware.host import message
from tests.firmware.moves import abort

TEMPLATE = FIRMWARE / "boards" / "template"
SIDE = 64
SMALL = [
    *("-DHWL_FRAME_BYTES=4096u", "-DHWL_CACHE_BYTES=8192u", "-DHWL_CACHE_FRAMES=8u"),
    *("-DHWL_RECEIVE_BYTES=8192u", "-DHWL_WORK_BYTES=65536u"),
    *("-DHWL_TILES_MAX=1u", "-DHWL_SHAPES_MAX=8u"),
]
ARM = ["-mcpu=cortex-m7", "-mthumb", "-mfloat-abi=hard", "-ffreestanding", "-O2"]


MODEL = (
    "arena",
    "model",
    "pulse",
    "update",
    "read",
    "sums",
    "grid",
    "hits",
    "noise",
    "convert",
    "see",
)
"""How the names of the files of the array model begin, which emulated chips have and boards not."""


def protocol_sources():
    return [source for source in chips.core_sources() if not source.name.startswith(MODEL)]


def test_the_template_compiles_for_a_microcontroller(requires, tmp_path):
    requires("arm-none-eabi-gcc", "it builds the board template")
    port = FIRMWARE / "ports" / "qemu-m7"
    flags = [*chips.STRICT, *ARM, *SMALL, f"-I{FIRMWARE / 'core'}", f"-I{port / 'include'}"]
    linked = ["-nostdlib", "-Wl,--gc-sections", "-Wl,-e,main"]
    chips.compile_all(
        ["arm-none-eabi-gcc"],
        [*flags, "-ffunction-sections", "-fdata-sections"],
        [*protocol_sources(), *TEMPLATE.glob("*.c")],
        tmp_path / "board.elf",
        tmp_path / "objects",
        link=[*linked, "-fno-builtin", str(port / "memory.c"), "-lgcc"],
    )
    command = ["arm-none-eabi-size", tmp_path / "board.elf"]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    text, data, bss = map(int, output.splitlines()[1].split()[:3])
    assert text < 40_000 and data + bss < 128 * 1024, output


@pytest.fixture(scope="module")
def paper(tmp_path_factory):
    """The template with the paper board in place of its empty one."""
    if not chips.have("gcc"):
        pytest.skip("gcc is not installed: it builds the paper board")
    folder = tmp_path_factory.mktemp("paper")
    flags = [*chips.STRICT, *chips.SANITIZE, *SMALL, "-O1", f"-I{FIRMWARE / 'core'}"]
    own = [s for s in TEMPLATE.glob("*.c") if s.name != "board.c"]
    sources = [*protocol_sources(), *own, FIRMWARE / "tests" / "paper_board.c"]
    return chips.compile_all(
        ["gcc"], [*flags, f"-I{TEMPLATE}"], sources, folder / "board", folder / "objects"
    )


UP = PolarityShape(amplitude_volts=2.0, width_seconds=1e-6)
DOWN = PolarityShape(amplitude_volts=-2.0, width_seconds=2e-6)
LIMITS = Limits(
    voltage_max=3.0,
    half_select_max=1.5,
    width_max_seconds=1e-3,
    compliance_max_amperes=1e-3,
    pulses_per_operation=100,
    forming=False,
)
CONFIGURATION = Configuration(shapes={"set": PulseShape(up=UP, down=DOWN)}, limits=LIMITS)
MOVING = {"tile": 0, "shape": "set", "configuration": CONFIGURATION.hash()}


class Paper(chips.Native):
    def __init__(self, binary):
        super().__init__(binary, None)


@pytest.fixture
def board(paper):
    chip = Paper(paper)
    chip.host.prepare(CONFIGURATION)
    yield chip
    chip.close()


def cells(host):
    """The state of all cells, as reads of them see it."""
    return host.run(ops.ReadCells(tile=0, plane=Plane.MAIN)).values


def test_what_the_board_has_is_offered(board):
    hello = board.host.hello
    assert hello.chip_id == "paper-1" and not hello.flags & (Flag.VIRTUAL | Flag.RETAINED)
    assert hello.operations == 0b1001_1111
    assert board.host.offered() == Configuration(shapes={}, limits=LIMITS)
    for body in (m.Snapshot(1, 0, 0, 0, 1, 0, 1), m.Wait(1, 0, 0, 0, 1, 5)):
        (answer,) = board.host.ask(message(body))
        assert results.decode(answer.body).head.error == ErrorCode.UNSUPPORTED
        board.host.control(m.Clear(), m.Done)


def test_pulses_and_reads(board):
    host = board.host
    rng = np.random.default_rng(2)
    counts = rng.integers(-5, 6, (3, SIDE)).astype(np.int16)
    rows = np.array([60, 0, 7])
    result = host.run(ops.Pulse(**MOVING, rows=rows, counts=counts))
    assert result.fired == np.abs(counts).sum()
    highest, lowest = counts.max(axis=1).sum(), -counts.min(axis=1).sum()
    assert result.ticks == highest * 1000 + lowest * 2000
    expected = np.zeros((SIDE, SIDE), int)
    expected[rows] = counts
    assert np.array_equal(cells(host), expected)
    vectors = rng.integers(-1, 2, (4, SIDE)).astype(np.int32)
    forward = host.run(
        ops.Vmm(tile=0, direction=Direction.FORWARD, plane=Plane.MAIN, codes=vectors)
    )
    assert np.array_equal(forward.values, vectors @ expected.T)
    backward = host.run(
        ops.Vmm(tile=0, direction=Direction.BACKWARD, plane=Plane.MAIN, codes=vectors)
    )
    assert np.array_equal(backward.values, vectors @ expected)
    host.run(ops.ReadCells(tile=0, plane=Plane.DIFFERENCE))
    assert host.error is ErrorCode.UNSUPPORTED


def test_updates_by_trains(board):
    host = board.host
    rng = np.random.default_rng(3)
    x, d = (rng.integers(-1, 2, (2, 5, SIDE)).astype(np.int8) for _ in range(2))
    x[:, :, 20:] = 0  # so that no compliance trips
    signs = np.einsum("bsd,bsx->dx", d.astype(int), x.astype(int))
    coincidences = np.einsum("bsd,bsx->dx", np.abs(d).astype(int), np.abs(x).astype(int))
    assert host.run(ops.OuterTrains(**MOVING, x_trains=x, d_trains=d)).fired == coincidences.sum()
    assert np.array_equal(cells(host), signs)


def test_updates_by_codes_have_the_generator_s_trains(board):
    host = board.host
    rng = np.random.default_rng(4)
    x, d = (rng.integers(-127, 128, (1, SIDE)).astype(np.int32) for _ in range(2))
    x[:, 20:] = 0
    operation = ops.OuterUpdate(
        **MOVING,
        ordinal=77,
        x_codes=x,
        d_codes=d,
        train_lengths=np.array([31], np.int32),
        x_gains=np.array([65536], np.int32),
        d_gains=np.array([30000], np.int32),
    )
    fired = host.run(operation).fired
    trains = []
    for purpose, codes, gain in (
        (Purpose.X_TRAINS, x[0], 65536),
        (Purpose.D_TRAINS, d[0], 30000),
    ):
        key = operation_key(0, 77, 0, purpose)
        fires = train_bits(key, codes, gain, 31, sample=0, code_max=127)
        trains.append(fires * np.sign(codes))
    signs = np.einsum("sd,sx->dx", trains[1].astype(int), trains[0].astype(int))
    assert np.array_equal(cells(host), signs)
    x_fires, d_fires = (np.abs(train).sum(axis=1) for train in trains)
    assert fired == x_fires @ d_fires


def test_a_trip_of_the_compliance_latches(board):
    host = board.host
    x = np.ones((1, 10, SIDE), np.int8)
    result = host.run(ops.OuterTrains(**MOVING, x_trains=x, d_trains=x))
    assert (result.verdict, host.error) == (Verdict.PARTIAL, ErrorCode.COMPLIANCE)
    assert result.fired == SIDE * SIDE  # the pulse that tripped it, and none behind it
    assert host.status().flags & Flag.LATCHED
    assert host.begin().commit_verdict == Verdict.PARTIAL


def test_an_abort_between_two_pulses(board):
    host = board.host
    counts = np.full((SIDE, SIDE), 100, np.int16)
    host.send(host.request_frame(*host.parts(ops.Pulse(**MOVING, rows=None, counts=counts))[:1]))
    host.sequence += 1
    time.sleep(0.05)
    abort(host, 1)
    result = results.decode(host.receive().messages[0].body).head
    notice = host.await_notice(m.Aborted)
    assert result.error in (ErrorCode.ABORTED, ErrorCode.NONE)
    host.control(m.Clear(), m.Done)
    assert cells(host).clip(0, 100).sum() == result.fired == max(notice.fired, result.fired)


def test_limits_of_the_board(board):
    host = board.host
    looser = CONFIGURATION.model_copy(update={"limits": Limits()})
    assert host.configure(looser) is ErrorCode.LIMIT
    dosed = CONFIGURATION.model_copy(
        update={"limits": LIMITS.model_copy(update={"dose_per_cell": 5})}
    )
    assert host.configure(dosed) is ErrorCode.UNSUPPORTED  # the template counts no doses
    strong = UP.model_copy(update={"amplitude_volts": 3.1})
    shapes = {"set": PulseShape(up=strong, down=DOWN)}
    assert host.configure(Configuration(shapes=shapes, limits=LIMITS)) is ErrorCode.LIMIT
    cell = {"rows": np.array([0]), "cols": np.array([0])}
    host.run(ops.Pulse(**MOVING, **cell, counts=np.array([[101]], np.int16)))
    assert host.error is ErrorCode.LIMIT
