"""Lowerings: what the array lacks is built from what it has, with equal statistics."""

from __future__ import annotations

import numpy as np
import pytest

from hwloop.crossbar import Chip
from hwloop.errors import CapabilityError, ConfigurationError
from hwloop.lowering import HostReference
from hwloop.operations import Direction, Plane
from tests.seam.bench_array import STEP, BenchArray

RNG = np.random.default_rng(5)
CELLS = RNG.integers(-9, 9, (4, 6)) * STEP


def test_nothing_is_lowered_unless_named() -> None:
    with Chip(BenchArray()) as chip, pytest.raises(CapabilityError, match="outer_by_trains"):
        chip[0].update(np.ones(6), np.ones(4))
    with pytest.raises(ConfigurationError, match=r"unknown lowering 'x'(.|\n)*host_reference"):
        Chip(BenchArray(), lowerings=["x"])


def test_backward_by_reads_equals_the_backward_read() -> None:
    direct, lowered = BenchArray(), BenchArray()
    for array in (direct, lowered):
        array.cells[0][:] = CELLS
    volts = RNG.uniform(-0.2, 0.2, (5, 4))
    with Chip(direct) as a, Chip(lowered, lowerings=["backward_by_reads"]) as b:
        one = a[0].backward(volts, plane=Plane.MAIN)
        two = b[0].backward(volts, plane=Plane.MAIN)
    # each of the four cells in a sum is rounded by its own converter
    assert two == pytest.approx(one, abs=3 * 20e-6 / 4095)
    kinds = [op.kind for op in lowered.executed]
    assert kinds == ["configure", "read_cells"]


@pytest.mark.parametrize("name", ["outer_by_trains", "outer_by_counts"])
def test_lowered_updates_have_the_statistics_of_coincidences(name: str) -> None:
    array = BenchArray()
    x, d = np.array([1, -0.5, 0.25, 0, 0.75, -1]), np.array([0.5, -1, 0, 0.25])
    with Chip(array, lowerings=[name]) as chip:
        samples = 400
        fired = chip[0].update(np.tile(x, (samples, 1)), np.tile(d, (samples, 1)), train_length=20)
        assert chip.totals.pulses == fired
    p = np.abs(np.outer(np.rint(d * 127), np.rint(x * 127))) / 127**2
    trials = 20 * samples
    mean, std = trials * p, np.sqrt(trials * p * (1 - p))
    counts = array.cells[0] / STEP
    assert np.abs(np.abs(counts) - mean).max() < 5 * std.max()
    assert (np.sign(np.rint(counts)) == np.sign(np.outer(d, x))).all()
    assert fired == round(np.abs(counts).sum())


def test_lowered_updates_repeat() -> None:
    states = []
    for _ in range(2):
        array = BenchArray()
        with Chip(array, lowerings=["outer_by_counts"]) as chip:
            chip[0].update(RNG.uniform(0.4, 0.5, 6) * 0 + 0.45, np.full(4, 0.5))
        states.append(array.cells[0])
    assert (states[0] == states[1]).all()


def test_host_reference_reads_differences() -> None:
    array = BenchArray()
    array.cells[0][:] = CELLS
    reference = RNG.uniform(-5e-6, 5e-6, (4, 6))
    with Chip(array, lowerings=["host_reference"]) as chip:
        assert chip.capabilities.tiles[0].reference == "cell"
        chip.lowering(HostReference).store(0, reference)
        cells = chip[0].read_cells(average=8)
        assert cells == pytest.approx(CELLS - reference, abs=20e-6 / 4095 / 0.2)
        volts = RNG.uniform(-0.2, 0.2, (3, 6))
        exact = np.rint(volts / (0.2 / 63)) * (0.2 / 63) @ (CELLS - reference).T
        assert chip[0].forward(volts) == pytest.approx(exact, abs=1.5 * 20e-6 / 4095)
        volts = RNG.uniform(-0.2, 0.2, 4)
        exact = np.rint(volts / (0.2 / 63)) * (0.2 / 63) @ (CELLS - reference)
        assert chip[0].backward(volts) == pytest.approx(exact, abs=1.5 * 20e-6 / 4095)
        with pytest.raises(CapabilityError, match="cannot be read"):
            chip[0].read_cells(plane=Plane.REFERENCE)
        with pytest.raises(ConfigurationError, match="shape"):
            chip.lowering(HostReference).store(0, np.zeros((2, 2)))
    with Chip(BenchArray()) as chip, pytest.raises(CapabilityError, match="not in use"):
        chip.lowering(HostReference)


def test_lowerings_combine_in_one_submission() -> None:
    array = BenchArray()
    names = ["outer_by_counts", "host_reference", "backward_by_reads"]
    with Chip(array, lowerings=names) as chip:
        chip.lowering(HostReference).store(0, np.full((4, 6), -STEP))
        with chip.batch() as batch:
            fired = batch[0].update(np.ones((2, 6)), np.ones((2, 4)), train_length=3)
            line = batch[0].read_line(0)
            batch[0].pulse(0, 0, -6)
            after = batch[0].read_line(0)
        assert fired.result() == 2 * 3 * 24
        assert line.result() == pytest.approx([7 * STEP] * 6, abs=3e-8)
        assert after.result() == pytest.approx([1 * STEP] + [7 * STEP] * 5, abs=3e-8)
        codes = np.ones((1, 4), np.int32)
        (result,) = chip.submit([chip[0].new_vmm(Direction.BACKWARD, codes, Plane.MAIN)]).results()
        assert result.values is not None
        assert result.values.shape == (1, 6)


def test_a_lowering_that_cannot_help_says_so() -> None:
    with pytest.raises(CapabilityError, match="needs the operation pulse"):
        Chip(BenchArray(operations=frozenset({"configure"})), lowerings=["outer_by_counts"])
    with pytest.raises(CapabilityError, match="needs the update encoding trains"):
        Chip(BenchArray(encodings=()), lowerings=["outer_by_trains"])
