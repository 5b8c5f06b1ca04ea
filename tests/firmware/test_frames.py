"""The C code and the Python code make the same bytes: CRC, COBS, golden frames, the arena."""

import ctypes
import json
import subprocess
import zlib
from importlib.resources import files

import numpy as np
import pytest
from cobs import cobs
from hypothesis import given
from hypothesis import strategies as st

from hwloop.errors import ConfigurationError
from hwloop_wire import arena
from hwloop_wire import messages as m
from hwloop_wire.frames import decode, to_stream
from tests.core.strategies import population
from tests.firmware import chips
from tests.firmware.chips import FIRMWARE, ROOT

CHUNKS = st.lists(st.one_of(st.binary(max_size=8), st.integers(250, 260).map(lambda n: b"x" * n)))


@pytest.fixture(scope="module")
def core():
    library = ctypes.CDLL(str(files("hwloop_sim") / "_core" / "libhwloop_core.so"))
    library.hwl_crc32.restype = ctypes.c_uint32
    for name in ("hwl_cobs_encode", "hwl_cobs_decode"):
        getattr(library, name).restype = ctypes.c_size_t
    return library


@given(before=st.binary(), after=st.binary())
def test_crc(core, before, after):
    first = core.hwl_crc32(0, before, ctypes.c_size_t(len(before)))
    crc = core.hwl_crc32(ctypes.c_uint32(first), after, ctypes.c_size_t(len(after)))
    assert crc == zlib.crc32(before + after)


@given(chunks=CHUNKS)
def test_cobs(core, chunks):
    raw = b"".join(chunks)
    expected = cobs.encode(raw) + b"\0"
    room = ctypes.create_string_buffer(len(raw) + len(raw) // 254 + 2)
    length = core.hwl_cobs_encode(raw, ctypes.c_size_t(len(raw)), room)
    assert room.raw[:length] == expected
    back = ctypes.create_string_buffer(len(expected))
    length = core.hwl_cobs_decode(expected, ctypes.c_size_t(len(expected)), back)
    assert back.raw[:length] == raw


@given(stream=st.binary(max_size=40))
def test_cobs_takes_what_python_takes(core, stream):
    stream = stream.replace(b"\0", b"\1") + b"\0"
    room = ctypes.create_string_buffer(len(stream))
    length = core.hwl_cobs_decode(stream, ctypes.c_size_t(len(stream)), room)
    try:
        expected = cobs.decode(stream[:-1])
    except cobs.DecodeError:
        assert length == ctypes.c_size_t(-1).value
    else:
        assert room.raw[:length] == expected


def test_golden_frames(requires, tmp_path):
    requires("gcc", "it builds the reader of golden frames")
    golden = json.loads((ROOT / "tests" / "data" / "golden_frames.json").read_text())
    raw = [bytes.fromhex(record["frame"]) for record in golden]
    names = ("golden.c", "crc.c", "cobs.c", "frame.c")
    sources = [FIRMWARE / ("tests" if n == "golden.c" else "core") / n for n in names]
    flags = [*chips.STRICT, *chips.SANITIZE, "-O1", f"-I{FIRMWARE / 'core'}"]
    program = chips.compile_all(["gcc"], flags, sources, tmp_path / "golden", tmp_path / "objects")
    lines = "".join(f"{frame.hex()}\n" for frame in raw)
    output = subprocess.run(
        [program], input=lines, check=True, capture_output=True, text=True
    ).stdout.splitlines()
    assert len(output) == len(raw) > 20
    for line, frame in zip(output, raw, strict=True):
        fields, again, stream = line.split(" | ")
        kind, epoch, sequence, acknowledged, *found = fields.split()
        expected = decode(frame)
        header = (expected.kind, expected.epoch, expected.sequence, expected.acknowledged)
        assert (int(kind), int(epoch), int(sequence), int(acknowledged)) == header
        assert found == [
            f"{n}:{len(body)}:{m.TYPES[n].STRUCT.size}" for n, body in expected.messages
        ]
        assert bytes.fromhex(again) == frame
        assert bytes.fromhex(stream) == to_stream(frame)


C_TYPES = {"I": "uint32_t", "Q": "uint64_t", "f": "float"}


def asserted(struct, places):
    """C text that holds if the fields of a struct lie where Python puts them."""
    for name, offset, size in places:
        yield f'_Static_assert(offsetof({struct}, {name}) == {offset}, "{name}");'
        yield f'_Static_assert(sizeof((({struct} *)0)->{name}) == {size}, "{name}");'


def test_the_arena_has_one_layout(requires, tmp_path):
    requires("gcc", "it compares the layouts of the arena")
    records = arena.Head.STRUCT.size
    clock = records + arena.RECORD_SLOTS * arena.RECORD_BYTES
    facts = clock + arena.CLOCK_BYTES
    about = facts + arena.Facts.STRUCT.size
    limits = about + m.HelloAnswer.STRUCT.size
    shapes = limits + m.Configure.STRUCT.size
    places = [(p.name, p.offset, p.size) for p in arena.Head.PLACES]
    places += [(p.name, facts + p.offset, p.size) for p in arena.Facts.PLACES]
    places += [
        ("records", records, clock - records),
        ("clock", clock, facts - clock),
        ("about", about, limits - about),
        ("limits", limits, shapes - limits),
        ("shape", shapes, arena.HEADER_BYTES - shapes),
    ]
    at = m.DescribeAnswer.STRUCT.size
    tile = [("about", 0, at)]
    arrays = ("persistent", "visible", "reference", "cells", "versions", "dose")
    time = ("terms", "pulsed", "counted", "seen", "seen_at", "seen_of", "seen_versions", "ahead")
    for name, size in [
        *((n, 8) for n in (*arrays, "up_table", "down_table", "line_errors", *time)),
        ("read_ticks", 8),
        *((n, 4) for n in ("knots", "additive", "write_noise", "cell_bits")),
        *((n, 4) for n in ("cycle_noise", "full_scale", "input_noise", "output_noise")),
        ("adc_range", 12),
        ("write_memory", 4),
    ]:
        tile.append((name, at, size))
        at += size
    lines = [
        '#include "arena.h"',
        *asserted("hwl_arena", places),
        *asserted("hwl_arena_tile", tile),
        f'_Static_assert(sizeof(hwl_arena) == {arena.HEADER_BYTES}, "header");',
        f'_Static_assert(sizeof(hwl_arena_tile) == {arena.TILE_BYTES}, "tile");',
        f'_Static_assert(HWL_ARENA_MAGIC == {arena.MAGIC}u, "magic");',
        f'_Static_assert(HWL_ARENA_LAYOUT == {arena.LAYOUT}u, "layout");',
        f'_Static_assert(HWL_ARENA_SHAPES == {arena.MOST_SHAPES}u, "shapes");',
        f'_Static_assert(HWL_TILES_MAX == {arena.MOST_TILES}u, "tiles");',
        f"#define LINES {arena.MOST_LINES}u",
        '_Static_assert(64u * LINES <= HWL_WORK_BYTES - 6u * HWL_FRAME_BYTES, "lines");',
    ]
    source = tmp_path / "layout.c"
    source.write_text("\n".join(lines) + "\n")
    subprocess.run(
        ["gcc", "-std=c11", "-fsyntax-only", f"-I{FIRMWARE / 'core'}", str(source)], check=True
    )


def small(rows=4, cols=5):
    return population(np.random.default_rng(1), rows, cols)


def test_what_does_not_fit_the_memory_is_refused_with_numbers(tmp_path):
    with pytest.raises(ConfigurationError, match=r"600x600 cells need \d+ bytes.*has 16777216"):
        chips.write_arena(tmp_path / "arena", [small(600, 600)], capacity=arena.QEMU_BYTES)
    chips.write_arena(tmp_path / "arena", [small(512, 512)], capacity=arena.QEMU_BYTES)
    assert (tmp_path / "arena").stat().st_size == arena.QEMU_BYTES


def test_too_many_tiles_or_lines_are_refused(tmp_path):
    with pytest.raises(ConfigurationError, match="at most 64 tiles, not 65"):
        chips.write_arena(tmp_path / "arena", [small(1, 1)] * 65)
    with pytest.raises(ConfigurationError, match="at most 10240 rows and columns together"):
        chips.write_arena(tmp_path / "arena", [small(1, 10240)])


def refusal(binary, path):
    command = [str(binary), "--arena", str(path), "--stdio"]
    result = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    assert result.returncode == 2
    return result.stderr


@pytest.mark.parametrize(
    ("at", "says"),
    [(0, "not an arena"), (4, "another layout"), (8, "dictionary"), (12, "damaged")]
    + [(at, "damaged") for at in (300, 2700, arena.HEADER_BYTES + 10)],
)
def test_a_changed_arena_is_refused(sanitized, tmp_path, at, says):
    path = tmp_path / "arena"
    chips.write_arena(path, [small()])
    raw = bytearray(path.read_bytes())
    raw[at] ^= 1
    path.write_bytes(raw)
    assert says in refusal(sanitized, path)


def test_other_files_are_refused(sanitized, tmp_path):
    path = tmp_path / "arena"
    assert "No such file" in refusal(sanitized, path)
    path.write_bytes(b"")
    assert "empty" in refusal(sanitized, path)
    path.write_bytes(b"HWLA")
    assert "not an arena" in refusal(sanitized, path)
    chips.write_arena(path, [small()])
    path.write_bytes(path.read_bytes()[:-1])
    assert "too large" in refusal(sanitized, path)


def test_two_chips_do_not_share_an_arena(bench, sanitized):
    bench.ready()
    assert "another chip" in refusal(sanitized, bench.path)
