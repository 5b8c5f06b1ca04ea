"""The canonical bytes of operations: the same for ever, however they are made."""

import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from hwloop.operations import (
    Direction,
    OuterUpdate,
    Plane,
    Pulse,
    ReadCells,
    Restore,
    Result,
    Verdict,
    Vmm,
)
from hwloop.tape import FileTape, HashTape, Tape
from hwloop.tape.format import operation_content, result_content

GOLDEN = "be5523494f016d87b0c8a3b7956e86f8f9bf67527feed393cdc47e2c51d10ff4"


def sample(tape: FileTape | HashTape) -> None:
    """Record operations of many kinds, with values of all widths."""
    wide = np.arange(-40000, 40000, 20001, dtype=np.int32).reshape(2, 2)
    operations = [
        Vmm(tile=0, direction=Direction.FORWARD, codes=wide, id=1, ordinal=1),
        Vmm(tile=1, direction=Direction.BACKWARD, codes=wide // 300, id=2, ordinal=2),
        ReadCells(tile=1, rows=np.array([3]), average=7, plane=Plane.MAIN, id=3, ordinal=3),
        Pulse(tile=0, counts=(wide // 40).astype(np.int16), shape="set", id=4, ordinal=4),
        OuterUpdate(
            tile=2,
            x_codes=wide // 500,
            d_codes=wide // 900,
            train_lengths=np.array([31, 0], np.int32),
            x_gains=np.array([65536, 1], np.int32),
            d_gains=np.array([200, 40000], np.int32),
            shape="set",
            configuration=2**62,
            id=5,
            ordinal=2**40,
        ),
        Restore(tile=0, state=np.full((4, 1, 2), 2**32 - 1, np.uint32), id=6, ordinal=6),
    ]
    tape.operations(operations)
    tape.results(
        [
            Result(id=1, values=wide, saturated=np.abs(wide) > 39000, ticks=4),
            Result(id=2, values=wide // 500, saturated=np.zeros((2, 2), bool)),
            Result(id=4, verdict=Verdict.PARTIAL, fired=2**40),
        ]
    )


def test_golden_hash(tmp_path: Path) -> None:
    forgetful, kept = HashTape(), FileTape(tmp_path / "tape", {})
    sample(forgetful)
    sample(kept)
    kept.close()
    assert forgetful.digest() == kept.digest() == Tape(tmp_path / "tape").hash() == GOLDEN


def plain_bytes(array: np.ndarray) -> bytes:
    """Encode an array by the definition: the narrowest signed type that holds its values."""
    if array.dtype == np.uint32:
        tag, values = b"u", array
    else:
        low, high = (int(array.min()), int(array.max())) if array.size else (0, 0)
        if array.dtype == np.int8 or (low >= -128 and high <= 127):
            tag, values = b"1", array.astype("i1")
        elif low >= -32768 and high <= 32767:
            tag, values = b"2", array.astype("<i2")
        else:
            tag, values = b"4", array.astype("<i4")
    return b"a" + struct.pack(f"<cB{array.ndim}I", tag, array.ndim, *array.shape) + values.tobytes()


@given(
    st.sampled_from(["i1", "i2", "i4", "i8", "u1", "u2", "u4"]).flatmap(
        lambda dtype: hnp.arrays(
            dtype,
            hnp.array_shapes(min_dims=2, max_dims=2, min_side=0, max_side=4),
            elements=st.sampled_from([0, 1, 127, 128, 255, 32767, 32768, 65535, 2**31 - 1]).filter(
                lambda n: n <= np.iinfo(dtype).max
            )
            | st.integers(max(np.iinfo(dtype).min, -(2**31)), min(np.iinfo(dtype).max, 2**31 - 1)),
        )
    ),
    st.booleans(),
)
def test_arrays_take_the_narrowest_type(array: np.ndarray, transposed: bool) -> None:
    if transposed:
        array = array.T
    operation = Vmm(tile=0, direction=Direction.FORWARD, codes=array)
    assert plain_bytes(array) in operation_content(operation)


@pytest.mark.parametrize("saturated", [None, np.zeros((2, 3), bool)])
def test_no_saturation_has_the_same_bytes_said_or_not(saturated: np.ndarray | None) -> None:
    values = np.arange(6, dtype=np.int32).reshape(2, 3)
    assert result_content(Result(values=values, saturated=saturated)) == result_content(
        Result(values=values)
    )
