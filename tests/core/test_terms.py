"""What reads see of cells that change with time: the same bits in every form."""

import itertools

import numpy as np
import pytest

import hwloop_sim
from hwloop import device_file
from hwloop.errors import DeviceError
from hwloop.operations import (
    Configure,
    Direction,
    Plane,
    Pulse,
    ReadCells,
    Restore,
    Snapshot,
    Vmm,
    Wait,
)
from hwloop_sim.periphery import Periphery
from hwloop_sim.tile import Tile
from tests.core.strategies import TERMS, population
from tests.core.test_fast_forms import FORMS, assert_same, update
from tests.oracle import terms as oracle_terms
from tests.oracle.array_model import ArrayModel

AGES = (0, 1, 5, 2**10, 3**20, 2**50 + 12345, 2**63)
KINDS = [*((kind,) for kind in TERMS), TERMS]


def make(kinds, rows=9, cols=300, seed=1, periphery=None, **options):
    """A tile in each form and the oracle."""
    cells = population(np.random.default_rng(seed), rows, cols, kinds=kinds, **options)
    periphery = periphery or Periphery()
    tiles = [Tile(cells, periphery, index=3, seed=seed, form=form) for form in FORMS]
    return tiles, ArrayModel(cells, periphery, index=3, seed=seed)


def seen(tile):
    """The bits that reads see of the main plane."""
    tile.vmm(Direction.FORWARD, Plane.MAIN, np.zeros((0, tile.cols), np.int32), ordinal=0)
    return tile._state.time.seen.view(np.uint32).copy()


@pytest.mark.parametrize("kinds", KINDS, ids="+".join)
@pytest.mark.parametrize("seed", range(3))
def test_every_form_sees_the_bits_of_the_oracle(kinds, seed):
    tiles, oracle = make(kinds, seed=seed)
    counts = np.random.default_rng(seed).integers(-2, 3, (9, 300)).astype(np.int16)
    first = None
    for n, now in enumerate(itertools.accumulate(AGES)):
        for tile in (*tiles, oracle):
            tile.begin(now % 2**64)
            if n % 3 == 0:
                tile.pulse(None, None, counts, ordinal=n)
        expected = oracle_terms.seen(oracle).view(np.uint32)
        for form, tile in zip(FORMS, tiles, strict=True):
            np.testing.assert_array_equal(seen(tile), expected, err_msg=f"{form} at {now}")
        first = expected if first is None else first
    assert not np.array_equal(expected, first)


def test_logarithm_power_and_root_have_known_bits():
    x = np.array([1, 1.5, 2, 3, 1000.125, 2.0**63], np.float32)
    y = np.array([0, -0.25, 0.5, -99.75, 3.3, -1e9], np.float32)
    logarithm, power = oracle_terms.log2(x), oracle_terms.exp2(y)
    np.testing.assert_allclose(logarithm, np.log2(x.astype(float)), atol=2e-6)
    np.testing.assert_allclose(power[:-1], 2.0 ** y[:-1].astype(float), rtol=3e-7)
    shares = np.array([0, 1e-7, 0.3, 0.999], np.float32)
    roots = oracle_terms.root(shares)
    np.testing.assert_allclose(roots, np.sqrt(shares.astype(float)), rtol=2e-7)
    assert logarithm.view(np.uint32).tolist() == LOGARITHM
    assert roots.view(np.uint32).tolist() == ROOT
    assert power.view(np.uint32).tolist() == POWER


LOGARITHM = [
    0x00000000,
    0x3F15C020,
    0x3F800000,
    0x3FCAE010,
    0x411F7497,
    0x427C0000,
]
ROOT = [0x00000000, 0x39A5CB60, 0x3F0C378C, 0x3F7FDF3A]
POWER = [
    0x3F800000,
    0x3F5744FD,
    0x3FB504F3,
    0x0D9837F0,
    0x411D9624,
    0x0D800000,
]


def test_reads_of_every_kind_see_it():
    tiles, _ = make(TERMS, rows=20, cols=40, write_noise=0.1, write_memory=0.55)
    rng = np.random.default_rng(2)
    codes = rng.integers(-63, 64, (5, 40)).astype(np.int32)
    block = np.array([7, 2], np.uint32), np.array([39, 0, 1], np.uint32)
    answers = []
    for now in (10, 10, 10**6):
        for tile in tiles:
            tile.begin(now)
        assert update(tiles, 3, 1.0, 0.5) > 0
        for plane in Plane:
            forward = assert_same(
                tiles, lambda t, p=plane: t.vmm(Direction.FORWARD, p, codes, ordinal=1)
            )
            back = assert_same(
                tiles, lambda t, p=plane: t.vmm(Direction.BACKWARD, p, codes[:, :20], ordinal=1)
            )
            cells = assert_same(
                tiles, lambda t, p=plane: t.read_cells(p, *block, average=3, ordinal=1)
            )
            answers.append((forward[0], back[0], cells[0]))
    # The reference plane keeps still, the others do not.
    kept, *others = answers[int(Plane.REFERENCE)], *answers[2:]
    for before, after in zip(answers[:3], answers[6:], strict=True):
        changed = [not np.array_equal(b, a) for b, a in zip(before, after, strict=True)]
        assert changed == [before is not kept] * 3
    assert others


@pytest.mark.parametrize("memory", [0.0, 0.55])
def test_correlated_write_noise_in_every_form(memory):
    for table, density in itertools.product((False, True), (1.0, 0.05)):
        tiles, _ = make((), rows=7, cols=45, table=table, write_noise=0.1, write_memory=memory)
        assert update(tiles, 4, density, 0.7) > 0


def test_converter_errors_in_every_form():
    periphery = Periphery(gain_spread=0.05, offset_spread=0.02, output_noise=0.0)
    tiles, oracle = make((), rows=37, cols=70, periphery=periphery)
    ideal, _ = make((), rows=37, cols=70, periphery=Periphery(output_noise=0.0))
    codes = np.random.default_rng(1).integers(-63, 64, (3, 70)).astype(np.int32)
    for direction, given in ((Direction.FORWARD, codes), (Direction.BACKWARD, codes[:, :37])):
        values = assert_same(
            tiles, lambda t, d=direction, g=given: t.vmm(d, Plane.MAIN, g, ordinal=1)
        )[0]
        expected = oracle.vmm(direction, Plane.MAIN, given, ordinal=1)[0]
        np.testing.assert_array_equal(values, expected)
        plain = ideal[0].vmm(direction, Plane.MAIN, given, ordinal=1)[0]
        assert (values != plain).any(axis=0).mean() > 0.5
    assert_same(tiles, lambda t: t.read_cells(Plane.MAIN, None, None, average=2, ordinal=1))


def test_a_calibration_finds_the_converter_errors():
    periphery = Periphery(
        gain_spread=0.05, offset_spread=0.02, output_noise=0.0, adc_bits=24, dac_bits=16
    )
    tiles, _ = make((), rows=6, cols=8, periphery=periphery)
    gains, offsets = periphery.line_errors(6, 8, seed=1, tile=3)[0]
    lsb = periphery.adc_range_forward / (2**23 - 1)

    def read(code):
        codes = np.full((1, 8), code, np.int32)
        values = tiles[2].vmm(Direction.FORWARD, Plane.REFERENCE, codes, ordinal=0)[0]
        return values[0] * lsb

    np.testing.assert_allclose(read(0), offsets, atol=lsb)
    true = np.round(tiles[2].snapshot()[2].view(np.float32) * 2**13) / 2**13
    found = (read(2**15 - 1) - read(0)) / true.sum(axis=1)
    np.testing.assert_allclose(found, gains, rtol=1e-4)
    assert 0.02 < gains.std() < 0.1


# The clock of an array

BLOCKS = {
    "relaxation": {"onset_seconds": 1e-6, "std": [0.02, 0.1, 0.02], "mean": [-0.01]},
    "drift": {"onset_seconds": 1e-3, "exponent": [0.1, 0.02], "exponent_spread": 0.2},
    "read_noise": {"std": [0.05, 0.1], "shortest_seconds": 1e-6, "longest_seconds": 1.0},
    "telegraph": {
        "share": 0.3,
        "height": [0.2],
        "shortest_seconds": 1e-5,
        "longest_seconds": 1e-2,
    },
}


@pytest.fixture
def timed(tmp_path):
    """Opens an array of two tiles whose cells change with time."""
    device = device_file.load("reram-om")
    model = device.model.model_dump() | BLOCKS | {"write_noise_memory": 0.5}
    content = device.model_dump(mode="json") | {"model": model}
    path = tmp_path / "timed.yaml"
    device_file.save(device_file.DeviceFile.model_validate(content), path)

    def connect(**options):
        backend = hwloop_sim.open_backend(str(path), {"shape": "2x6x5", "seed": "3", **options})
        configuration = backend.describe().configuration
        run(backend, Configure(content_json=configuration.canonical()))
        return backend

    return connect


def run(backend, *operations):
    return backend.wait(backend.submit(operations))


def cell_read(ordinal, tile=0):
    return ReadCells(tile=tile, ordinal=ordinal, plane=Plane.MAIN, rows=None, cols=None, average=1)


def pulse(backend, ordinal):
    configuration = backend.describe().configuration
    names = {"shape": next(iter(configuration.shapes)), "configuration": configuration.hash()}
    counts = np.full((6, 5), 2, np.int16)
    return Pulse(tile=0, ordinal=ordinal, rows=None, cols=None, counts=counts, **names)


def vmm(ordinal):
    codes = np.full((3, 5), 40, np.int32)
    return Vmm(tile=0, ordinal=ordinal, plane=Plane.MAIN, direction=Direction.FORWARD, codes=codes)


def script(backend, first):
    reads = [vmm(first), cell_read(first + 1), cell_read(first + 2, tile=1)]
    pulses = [pulse(backend, first + 3), Wait(tile=1, ticks=12345), vmm(first + 4)]
    return [r.values for r in run(backend, *reads, *pulses) if r.values is not None]


def test_time_passes_by_the_ticks_of_all_operations(timed):
    waits, works = timed(), timed()
    ticks = sum(r.ticks for r in run(works, vmm(1), pulse(works, 2), cell_read(3, tile=1)))
    run(waits, pulse(waits, 2), Wait(tile=1, ticks=ticks))
    (state,) = run(works, Snapshot(tile=0))
    now = int(state.values[6, 0, 0]) | int(state.values[7, 0, 0]) << 32
    pulsed = int(state.values[4, 0, 0]) | int(state.values[5, 0, 0]) << 32
    assert now == ticks
    assert pulsed == 3 * 80  # when the pulses began
    assert works.describe().tiles[0].state_words == 8
    assert hwloop_sim.open_backend("", {}).describe().tiles[0].state_words == 4


def test_a_wait_changes_more_of_what_reads_see_than_a_read_does(timed):
    backend = timed(output_noise="0")
    a, b = (r.values for r in run(backend, cell_read(1), cell_read(1)))
    (c,) = (r.values for r in run(backend, Wait(tile=0, ticks=10**9), cell_read(1))[1:])
    assert 0 < 3 * np.abs(a - b).mean() < np.abs(a - c).mean()


def test_a_restored_array_goes_on_to_the_same_bits(timed):
    first, second = timed(), timed()
    script(first, 0)
    run(first, Wait(tile=0, ticks=10**6))
    states = run(first, Snapshot(tile=0), Snapshot(tile=1))
    run(second, vmm(77), Wait(tile=0, ticks=999))  # its clock shows another time
    run(second, *(Restore(tile=n, state=s.values) for n, s in enumerate(states)))
    for a, b in zip(script(first, 100), script(second, 100), strict=True):
        np.testing.assert_array_equal(a, b)
    for tile in range(2):
        (a,), (b,) = (run(x, Snapshot(tile=tile)) for x in (first, second))
        np.testing.assert_array_equal(a.values, b.values)


def test_a_restored_tile_leaves_the_time_of_the_others(timed):
    backend = timed()
    (early,) = run(backend, Snapshot(tile=0))
    run(backend, Wait(tile=0, ticks=500), Restore(tile=0, state=early.values))
    now = [run(backend, Snapshot(tile=n))[0].values[6, 0, 0] for n in range(2)]
    assert now == [0, 500]


def test_states_that_cannot_be_are_refused(timed):
    backend = timed()
    (state,) = run(backend, Snapshot(tile=0))
    with pytest.raises(DeviceError, match=r"expected uint32 \(8, 6, 5\)"):
        run(backend, Restore(tile=0, state=state.values[:4]))
    backend.clear()
    torn = state.values.copy()
    torn[6, 0, 0] += 1
    with pytest.raises(DeviceError, match="differ in what time it is"):
        run(backend, Restore(tile=0, state=torn))


def test_threads_change_nothing(timed, monkeypatch):
    from hwloop_sim import tile

    alone = script(timed(), 0)
    monkeypatch.setattr(tile, "_LOOKS_PER_THREAD", 1)
    for a, b in zip(alone, script(timed(threads="3"), 0), strict=True):
        np.testing.assert_array_equal(a, b)
