"""The compiled core: its structs and functions, as ctypes sees them.

The sources are in `firmware_stubs/core`; their headers say what each function does.
"""

from __future__ import annotations

import ctypes
import functools
import sys
from ctypes import (
    POINTER,
    c_char,
    c_char_p,
    c_float,
    c_int32,
    c_int64,
    c_size_t,
    c_uint32,
    c_uint64,
    c_void_p,
)
from importlib.resources import files
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwloop.errors import ConfigurationError
from hwloop_sim.source_hash import check_editable_tree

ABI_VERSION = 1

FORWARD, BACKWARD, CELLS = range(3)
PURPOSE_X_TRAINS, PURPOSE_D_TRAINS = 2, 3


class Adc(ctypes.Structure):
    """`hwl_adc`."""

    _fields_ = (("code_max", c_int32), ("range", c_float))


class TileStruct(ctypes.Structure):
    """`hwl_tile`."""

    _fields_ = (
        ("persistent", c_void_p),
        ("visible", c_void_p),
        ("reference", c_void_p),
        ("cells", c_void_p),
        ("versions", c_void_p),
        ("up_table", c_void_p),
        ("down_table", c_void_p),
        ("seed", c_uint64),
        ("index", c_uint32),
        ("rows", c_uint32),
        ("cols", c_uint32),
        ("knots", c_uint32),
        ("additive", c_uint32),
        ("write_noise", c_uint32),
        ("cell_bits", c_uint32),
        ("first_sample", c_uint32),
        ("cycle_noise", c_float),
        ("full_scale", c_float),
        ("input_noise", c_float),
        ("output_noise", c_float),
        ("dac_code_max", c_int32),
        ("update_code_max", c_int32),
        ("adc", Adc * 3),
        ("write_memory", c_float),
        ("line_gains", c_void_p * 3),
        ("line_offsets", c_void_p * 3),
        ("time", c_void_p),
    )


class TimeStruct(ctypes.Structure):
    """`hwl_time`."""

    _fields_ = (
        ("now", c_uint64),
        ("terms", c_void_p),
        ("pulsed", c_void_p),
        ("counted", c_void_p),
        ("seen", c_void_p),
        ("seen_at", c_void_p),
        ("seen_of", c_void_p),
        ("seen_versions", c_void_p),
    )


class TrainsStruct(ctypes.Structure):
    """`hwl_trains`."""

    _fields_ = (
        ("x_plus", c_void_p),
        ("x_minus", c_void_p),
        ("d_plus", c_void_p),
        ("d_minus", c_void_p),
        ("samples", c_uint32),
        ("words", c_uint32),
    )


class GridStruct(ctypes.Structure):
    """`hwl_grid`."""

    _fields_ = (("values", c_void_p), ("seen", c_void_p))


_TILE = POINTER(TileStruct)
_TRAINS = POINTER(TrainsStruct)
_GRID = POINTER(GridStruct)
_P, _U, _L = c_void_p, c_uint32, c_uint64
_SIGNATURES: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "hwl_philox4x32": (None, (_P, _P)),
    "hwl_philox2x32": (None, (_U, _P)),
    "hwl_key": (_U, (_L, _L, _U, _U)),
    "hwl_draw_trains_plain": (None, (_TILE, _L, _U, _U, _P, _P, _P, _U, _P, _P, _U, _U)),
    "hwl_pack_trains": (None, (_U, _U, _U, _P, _U, _P, _P)),
    "hwl_update_plain": (_L, (_TILE, _L, _TRAINS, _U, _U)),
    "hwl_pulse_plain": (_L, (_TILE, _L, _P, _P, _U, _P, _U, _U)),
    "hwl_simd_best": (_U, ()),
    "hwl_draw_trains_fast": (None, (_TILE, _U, _L, _U, _U, _P, _P, _P, _U, _P, _P, _U, _U)),
    "hwl_update_scratch": (c_size_t, (_U,)),
    "hwl_update_fast": (_L, (_TILE, _U, _L, _TRAINS, _U, _U, _P)),
    "hwl_pulse_fast": (_L, (_TILE, _U, _L, _P, _P, _U, _P, _U, _U, _P)),
    "hwl_grid_size": (c_size_t, (_TILE,)),
    "hwl_grid_refresh": (None, (_TILE, _U, _U, _GRID, _U, _U)),
    "hwl_read_scratch": (c_size_t, (_TILE,)),
    "hwl_read_fast": (None, (_TILE, _U, _GRID, _U, _U, _L, _U, _P, _U, _U, _P, _P, _P)),
    "hwl_read_cells_fast": (None, (_TILE, _U, _U, _L, _U, _P, _P, _U, _U, _U, _P, _P)),
    "hwl_see_plain": (None, (_TILE, _P, _U, _U)),
    "hwl_see_fast": (None, (_TILE, _U, _P, _U, _U)),
    "hwl_outside": (_L, (c_size_t, _P, c_int32, c_int32)),
    "hwl_outside_bytes": (_L, (c_size_t, _P, c_int32, c_int32)),
    "hwl_take_lines": (_U, (c_size_t, _P, _U, _P, _P)),
    "hwl_pulse_rounds": (_L, (c_size_t, c_size_t, _P, _P)),
    "hwl_drive": (None, (_TILE, _U, _L, _U, _P, _P)),
    "hwl_read_plain": (None, (_TILE, _U, _U, _L, _U, _P, _U, _U, _P, _P)),
    "hwl_read_cells_plain": (None, (_TILE, _U, _L, _U, _P, _P, _U, _U, _U, _P, _P)),
}


@functools.cache
def library() -> ctypes.CDLL:
    """Return the core with its functions typed; every call lets other Python threads run.

    Raises:
        ConfigurationError: it is missing, or is not the one that belongs to this package.
    """
    # One segment at a time: an editable install merges two directories here.
    path = files("hwloop_sim") / "_core" / "libhwloop_core.so"
    build = f"build it: {sys.executable} -m pip install -c constraints.txt -e '.[train]'"
    if not path.is_file():
        raise ConfigurationError(f"the compiled core is missing: {path}", remedy=build)
    core = ctypes.CDLL(str(path))
    core.hwl_source_hash.restype = c_char_p
    core.hwl_abi_version.restype = core.hwl_tile_size.restype = c_uint32
    check_editable_tree(source_hash(core))
    found = core.hwl_abi_version(), core.hwl_tile_size()
    expected = ABI_VERSION, ctypes.sizeof(TileStruct)
    if found != expected:
        raise ConfigurationError(
            f"the compiled core {path} has ABI version and tile size {found}, expected {expected}",
            remedy=build,
        )
    for name, (result, arguments) in _SIGNATURES.items():
        function = getattr(core, name)
        function.restype, function.argtypes = result, arguments
    return core


def source_hash(core: ctypes.CDLL | None = None) -> str:
    """Return the hash of the sources that the core was built from."""
    value: bytes = (core or library()).hwl_source_hash()
    return value.decode()


def address(array: NDArray[Any]) -> int:
    """Return where an array's data are; the caller keeps the array alive."""
    return array.ctypes.data


# numpy takes microseconds to say where an array is; a copy of a short one costs a tenth of that.
_COPIED_BYTES = 8192
_Byte = c_char * 1
_FEW = 16  # values that Python looks through faster than it calls the core


def readable(values: NDArray[Any], dtype: Any) -> Any:
    """Return what a call takes as a pointer to values; alive as long as it is itself."""
    if values.dtype != dtype:
        values = values.astype(dtype)
    if values.nbytes <= _COPIED_BYTES:
        return values.tobytes()
    return np.ascontiguousarray(values).ctypes


def writable(array: NDArray[Any]) -> Any:
    """Return what a call takes as a pointer to a new array; alive as long as it is itself."""
    return _Byte.from_buffer(array.data) if array.size else None


def all_within(values: NDArray[Any], low: int, high: int) -> bool:
    """Return whether integers are all from `low` to `high`."""
    if values.size <= _FEW:
        few = values.ravel().tolist()
        return not few or (low <= min(few) and max(few) <= high)
    if values.dtype == np.int32:
        return not library().hwl_outside(values.size, readable(values, np.int32), low, high)
    if values.dtype == np.int8:
        return not library().hwl_outside_bytes(values.size, readable(values, np.int8), low, high)
    return values.size == 0 or (int(values.min()) >= low and int(values.max()) <= high)


_LINES_FAULTS = ("", "a line outside 0 to {last}", "a line that is listed twice")


def take_lines(lines: NDArray[np.integer[Any]], count: int) -> NDArray[np.uint32]:
    """Return the lines of a block on an axis of that many.

    Raises:
        ValueError: a line is outside the axis, or is listed twice.
    """
    taken = np.empty(len(lines), np.uint32)
    marks = ctypes.create_string_buffer(count)
    fault = library().hwl_take_lines(
        len(lines), readable(lines, np.int64), count, writable(taken), marks
    )
    if fault:
        raise ValueError(_LINES_FAULTS[fault].format(last=count - 1))
    return taken


def pulse_rounds(counts: NDArray[Any]) -> tuple[int, int]:
    """Return how many up and down pulses it takes to give a block row by row.

    Raises:
        ValueError: a count is -2**15, which has no positive counterpart.
    """
    rounds = (c_int64 * 2)()
    if library().hwl_pulse_rounds(*counts.shape, readable(counts, np.int16), rounds):
        raise ValueError(f"a count of {-(2**15)}")
    return rounds[0], -rounds[1]


def contiguous(values: Any, dtype: Any) -> NDArray[Any]:
    """Return values as an array that the core can read, without a copy if they are one."""
    return np.ascontiguousarray(values, dtype=dtype)
