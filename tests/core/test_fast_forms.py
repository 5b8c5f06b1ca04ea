"""The fast forms, with and without special instructions, give the bits of the plain form.

At sizes with several chunks and blocks, at any split of the lines, and for parts of operations.
"""

import itertools

import numpy as np
import pytest

from hwloop.operations import Direction, Plane
from hwloop_sim.periphery import Periphery, code_max
from hwloop_sim.tile import Tile
from tests.core.strategies import population

FORMS = ("plain", "portable", "fast")


def make_tiles(rows, cols, periphery=None, seed=1, **kind):
    cells = population(np.random.default_rng(seed), rows, cols, **kind)
    periphery = periphery or Periphery()
    return [Tile(cells, periphery, index=3, seed=seed, form=form) for form in FORMS]


def assert_same(tiles, act):
    answers = []
    for tile in tiles:
        answer = act(tile)
        answer = answer if isinstance(answer, tuple) else (answer,)
        answers.append([*map(np.asarray, answer), tile.snapshot()])
    for form, others in zip(FORMS[1:], answers[1:], strict=True):
        for ours, plain in zip(others, answers[0], strict=True):
            np.testing.assert_array_equal(ours, plain, err_msg=form)
    return answers[0]


def update(tiles, samples, x_density, d_density, length=31, seed=2):
    """Updates with codes of which the given shares are not 0, and of which some always fire."""
    rng = np.random.default_rng(seed)
    most = code_max(tiles[0].periphery.update_bits)

    def codes(lines, density):
        values = rng.integers(-most, most, (samples, lines), endpoint=True)
        values[rng.uniform(size=values.shape) < 0.05] = most
        values[rng.uniform(size=values.shape) >= density] = 0
        return values.astype(np.int32)

    arguments = (
        codes(tiles[0].cols, x_density),
        codes(tiles[0].rows, d_density),
        rng.integers(0, length, samples, endpoint=True).astype(np.int32),
        rng.integers(20000, 65536, samples, endpoint=True).astype(np.int32),
        np.full(samples, 65536, np.int32),
    )
    (fired, *_) = assert_same(tiles, lambda tile: tile.outer_update(*arguments, ordinal=9))
    return int(fired)


NOISES = list(
    itertools.product(
        (False, True), (("none", 0.0), ("additive", 0.3), ("multiplicative", 0.3)), (0.0, 0.1)
    )
)


@pytest.mark.parametrize(("table", "cycle", "write_noise"), NOISES, ids=str)
@pytest.mark.parametrize("x_density", [1.0, 0.05], ids=["dense", "sparse"])
def test_updates_of_every_kind_of_cell(table, cycle, write_noise, x_density):
    name, noise = cycle
    tiles = make_tiles(
        7,
        45,
        table=table,
        additive=name == "additive",
        cycle_noise=noise,
        write_noise=write_noise,
    )
    assert update(tiles, 4, x_density, 0.7) > 0


@pytest.mark.parametrize(
    ("rows", "cols", "samples", "x_density", "length"),
    [
        (3, 600, 70, 1.0, 40),  # chunks of many samples, segments of many firings
        (2, 3000, 40, 0.2, 40),  # lists of columns that fill up
        (200, 33, 3, 1.0, 255),  # few columns, long trains
        (300, 1, 5, 1.0, 31),
        (1, 300, 5, 0.02, 255),
        (5, 16, 1, 1.0, 1),
    ],
)
def test_large_updates(rows, cols, samples, x_density, length):
    assert update(make_tiles(rows, cols, write_noise=0.1), samples, x_density, 0.9, length) > 0


def test_updates_without_a_pulse():
    tiles = make_tiles(5, 20)
    assert update(tiles, 3, 0.0, 1.0) == update(tiles, 3, 1.0, 0.0) == 0
    assert update(tiles, 0, 1.0, 1.0) == update(tiles, 3, 1.0, 1.0, length=0) == 0


@pytest.mark.parametrize(("rows", "cols"), [(3, 700), (900, 2)])
@pytest.mark.parametrize("most", [1, 5, 2000])
def test_explicit_pulses(rows, cols, most):
    rng = np.random.default_rng(4)
    counts = rng.integers(-5, 5, (rows, cols), endpoint=True).astype(np.int16)
    counts[0, 0], counts[rows - 1, cols - 1] = most, -most
    tiles = make_tiles(rows, cols, write_noise=0.1)
    assert_same(tiles, lambda tile: tile.pulse(None, None, counts, ordinal=5))


PERIPHERIES = {
    "narrow": Periphery(),
    "input noise": Periphery(input_noise=0.05),
    "wide codes": Periphery(dac_bits=24),
    "sums near 32 bits": Periphery(dac_bits=9),
    "wide cells": Periphery(dac_bits=24, adc_bits=24, cell_bits=24, output_noise=0.0),
    "no noise": Periphery(output_noise=0.0),
}


def sparse_codes(rng, samples, lines, bits, zeros):
    most = code_max(bits)
    codes = rng.integers(-most, most, (samples, lines), endpoint=True)
    codes[rng.uniform(size=codes.shape) < zeros] = 0
    return codes.astype(np.int32)


@pytest.mark.parametrize("direction", Direction)
@pytest.mark.parametrize("name", PERIPHERIES)
@pytest.mark.parametrize(("rows", "cols"), [(1, 1), (90, 17), (16, 530), (530, 18)])
def test_vector_reads(direction, name, rows, cols):
    rng = np.random.default_rng(6)
    periphery = PERIPHERIES[name]
    tiles = make_tiles(rows, cols, periphery)
    driven = cols if direction == Direction.FORWARD else rows
    for samples, zeros in [(1, 0.0), (1, 0.9), (2, 0.5), (7, 0.0), (100, 0.8), (130, 1.0)]:
        codes = sparse_codes(rng, samples, driven, periphery.dac_bits, zeros)
        for plane in Plane:
            assert_same(
                tiles,
                lambda tile, codes=codes, plane=plane: tile.vmm(direction, plane, codes, ordinal=8),
            )


def test_full_codes_on_full_cells():
    # The largest sum that a narrow read takes: all cells and all codes at their bounds.
    tiles = make_tiles(3, 1040)
    for tile in tiles:
        state = tile.snapshot()
        state[1] = np.full((3, 1040), 1e9, np.float32).view(np.uint32)
        state[2] = np.full((3, 1040), -2.0, np.float32).view(np.uint32)
        tile.restore(state)
    for sign in (63, -63):
        codes = np.full((4, 1040), sign, np.int32)
        assert_same(
            tiles, lambda t, c=codes: t.vmm(Direction.FORWARD, Plane.DIFFERENCE, c, ordinal=1)
        )


@pytest.mark.parametrize(("rows", "cols"), [(1, 1), (30, 40), (2, 700)])
@pytest.mark.parametrize("average", [1, 3, 700])
@pytest.mark.parametrize("noise", [0.0, 0.06])
def test_cell_reads(rows, cols, average, noise):
    tiles = make_tiles(rows, cols, Periphery(output_noise=noise, cell_adc_range=1.0))
    for plane in Plane:
        assert_same(
            tiles,
            lambda tile, plane=plane: tile.read_cells(
                plane, None, None, average=average, ordinal=2
            ),
        )


def test_reads_see_every_change():
    tiles = make_tiles(12, 20, Periphery(output_noise=0.0))
    eye = np.eye(20, dtype=np.int32) * 63
    counts = np.ones((1, 20), np.int16)
    state = tiles[0].snapshot()

    def read(tile):
        return tile.vmm(Direction.FORWARD, Plane.DIFFERENCE, eye, ordinal=0)[0]

    values = [assert_same(tiles, read)[0]]
    for change in (
        lambda tile: tile.pulse(np.array([7], np.uint32), None, counts, ordinal=1),
        lambda tile: tile.outer_trains(
            np.ones((1, 9, 20), np.int8), np.ones((1, 9, 12), np.int8), ordinal=2
        ),
        lambda tile: tile.restore(state) or 0,
    ):
        assert_same(tiles, change)
        values.append(assert_same(tiles, read)[0])
    assert not np.array_equal(values[0], values[1]) and not np.array_equal(values[1], values[2])
    np.testing.assert_array_equal(values[0], values[3])


def test_parts_of_operations():
    tiles = make_tiles(20, 40, Periphery(input_noise=0.02))
    for tile in tiles:
        tile._state.struct.first_sample = tile._state.seen.first_sample = 70000
    assert update(tiles, 5, 1.0, 0.5) > 0
    assert update(tiles, 5, 0.05, 0.5) > 0
    codes = sparse_codes(np.random.default_rng(1), 5, 40, 7, 0.2)
    assert_same(tiles, lambda tile: tile.vmm(Direction.FORWARD, Plane.MAIN, codes, ordinal=1))


@pytest.mark.parametrize("seed", range(4))
def test_any_split_in_any_order(monkeypatch, seed):
    rng = np.random.default_rng(seed)

    def split(self, work, lines, parts):
        edges = np.unique([0, lines, *rng.integers(0, lines, 4, endpoint=True)])
        parts = [(0, int(a), int(b)) for a, b in itertools.pairwise(edges)]
        rng.shuffle(parts)
        return [work(*part) for part in parts]

    tiles = make_tiles(37, 53, seed=seed, write_noise=0.1)
    monkeypatch.setattr(Tile, "_split", split)
    counts = rng.integers(-3, 4, (37, 53)).astype(np.int16)
    for x_density in (1.0, 0.03):
        update(tiles, 3, x_density, 0.8, seed=seed)
    assert_same(tiles, lambda tile: tile.pulse(None, None, counts, ordinal=1))
    for direction, driven in ((Direction.FORWARD, 53), (Direction.BACKWARD, 37)):
        for samples in (1, 5):
            codes = sparse_codes(rng, samples, driven, 7, 0.2)
            assert_same(
                tiles,
                lambda tile, codes=codes, direction=direction: tile.vmm(
                    direction, Plane.DIFFERENCE, codes, ordinal=3
                ),
            )
    assert_same(tiles, lambda tile: tile.read_cells(Plane.MAIN, None, None, average=3, ordinal=4))
