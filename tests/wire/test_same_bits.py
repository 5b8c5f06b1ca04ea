"""A simulated array behind a link gives the bits that it gives directly."""

from __future__ import annotations

import numpy as np
import pytest

from hwloop.backend import CrossbarBackend, open_backend
from hwloop.crossbar import Chip
from hwloop.operations import Plane
from hwloop.testing import FaultSpec
from tests.wire.chips import connect, served

URL = "sim:reram-om,shape=12x20+7x5,seed=5"


def run(backend: CrossbarBackend, arm: str | None = None) -> tuple[str, list[np.ndarray], int]:
    """Use every kind of operation; return the tape's hash, the state and the chip time."""
    dice = np.random.default_rng(3)
    with Chip(backend, arm=arm) as chip:
        state = chip.snapshot()
        for _ in range(6):
            with chip.batch() as batch:
                for i, tile in enumerate(chip.capabilities.tiles):
                    x = dice.uniform(-1, 1, (9, tile.cols))
                    d = dice.uniform(-1, 1, (9, tile.rows))
                    batch[i].update(x, d, train_length=15)
                    batch[i].read_line(int(dice.integers(tile.rows)))
                    batch[i].forward(x * tile.dac.full_scale)
                    batch[i].backward(d * tile.dac.full_scale, plane=Plane.MAIN)
                    batch[i].pulse(1, 2, int(dice.integers(-9, 9)))
            counts = dice.integers(-3, 4, (7, 5)).astype(np.int16)
            chip.submit([chip[1].new_pulse(None, None, counts)])
            chip[0].read_cells([9, 2, 4], [0, 19, 7], average=3)
            chip.wait(1e-6)
        chip.restore(state)
        chip[0].update(np.ones(20), np.ones(12))
        final = chip.snapshot()
        return chip.tape.digest(), final, chip.totals.ticks


@pytest.fixture(scope="module")
def direct() -> tuple[str, list[np.ndarray], int]:
    return run(open_backend(URL))


@pytest.mark.parametrize("kind", ["pty", "tcp", "zmq"])
@pytest.mark.parametrize("faults", [None, FaultSpec.total(1e-4)], ids=["clean", "faulty"])
def test_served_and_direct_give_the_same_bits(
    kind: str, faults: FaultSpec | None, direct: tuple[str, list[np.ndarray], int]
) -> None:
    if kind == "zmq" and faults is not None:
        faults = FaultSpec(drop=0.1, flip=0.1, duplicate=0.1, delay=0.1)
    with served(open_backend(URL), kind) as server:
        digest, state, ticks = run(connect(kind, server.address, faults=faults, timeout=30.0))
    assert digest == direct[0]
    assert ticks == direct[2]
    for mine, its in zip(state, direct[1], strict=True):
        assert np.array_equal(mine, its)


def test_a_served_chip_says_what_the_array_says() -> None:
    own = open_backend(URL).describe()
    with served(open_backend(URL)) as server:
        backend = connect("pty", server.address)
        assert backend.describe() == own.model_copy(update={"retained_evidence": False})
        backend.close()
