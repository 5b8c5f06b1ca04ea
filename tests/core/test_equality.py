"""The C core, plain and fast, on any number of threads, gives the bits of the numpy oracle."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwloop_sim import tile as tile_module
from hwloop_sim.tile import Tile
from tests.core.strategies import operations, peripheries, populations
from tests.oracle.array_model import ArrayModel


@pytest.fixture(autouse=True, scope="module")
def _threads_for_any_work():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tile_module, "_MACS_PER_THREAD", 1)
        patch.setattr(tile_module, "_PULSES_PER_THREAD", 1)
        yield


def assert_same(ours, oracles, what):
    ours, oracles = np.atleast_1d(ours), np.atleast_1d(oracles)
    np.testing.assert_array_equal(ours, oracles, err_msg=what)


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_any_operations(data):
    population = data.draw(populations())
    periphery = data.draw(peripheries())
    identity = {
        "index": data.draw(st.integers(0, 2**32 - 1)),
        "seed": data.draw(st.integers(0, 2**64 - 1)),
    }
    oracle = ArrayModel(population, periphery, **identity)
    tiles = {
        "plain": Tile(population, periphery, **identity, form="plain"),
        "fast": Tile(population, periphery, **identity),
        "portable": Tile(population, periphery, **identity, form="portable"),
        "fast, 3 threads": Tile(population, periphery, **identity, threads=3),
    }
    clock = 0
    for _ in range(data.draw(st.integers(1, 5))):
        clock += data.draw(st.sampled_from([0, 1, 1000, 2**40]))
        for tile in (oracle, *tiles.values()):
            tile.begin(clock)
        name, arguments, keywords = data.draw(operations(*oracle.reference.shape, periphery))
        expected = getattr(oracle, name)(*arguments, **keywords)
        expected = expected if isinstance(expected, tuple) else (expected,)
        for form, tile in tiles.items():
            answer = getattr(tile, name)(*arguments, **keywords)
            answer = answer if isinstance(answer, tuple) else (answer,)
            for ours, theirs in zip(answer, expected, strict=True):
                assert_same(ours, theirs, f"{name}, {form}")
            assert_same(tile.snapshot(), oracle.snapshot(), f"state after {name}, {form}")
    for tile in tiles.values():
        tile.close()
