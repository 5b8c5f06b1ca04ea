"""Managed reads and exact programming."""

import numpy as np
import pytest
from ideal_backend import CODE_MAX, ideal_chip

from hwloop.errors import CapabilityError, ConfigurationError
from hwloop.operations import Direction
from hwloop.procedures import Management, managed_vmm, write_exact
from hwloop.weights import WeightMap

WEIGHTS = WeightMap(0.25)


@pytest.fixture
def array():
    chip, backend = ideal_chip([(4, 6)])
    backend.cells[0][...] = np.random.default_rng(0).normal(size=(4, 6))
    return chip, backend


@pytest.mark.parametrize("scale", [1e-4, 1.0, 300.0])
def test_products(array, scale):
    chip, backend = array
    weights = backend.cells[0] * 0.25
    rng = np.random.default_rng(1)
    x = (scale * rng.normal(size=(5, 6))).astype(np.float32)
    d = (scale * rng.normal(size=(5, 4))).astype(np.float32)
    y = managed_vmm(chip, chip[0], WEIGHTS, Direction.FORWARD, x)
    z = managed_vmm(chip, chip[0], WEIGHTS, Direction.BACKWARD, d)
    assert y.dtype == z.dtype == np.float32
    assert np.abs(y - x @ weights.T).max() < 3e-5 * scale
    assert np.abs(z - d @ weights).max() < 3e-5 * scale


def test_a_zero_vector_gives_zero(array):
    chip, _ = array
    y = managed_vmm(chip, chip[0], WEIGHTS, Direction.FORWARD, np.zeros((2, 6), np.float32))
    assert (y == 0).all()


def test_every_vector_drives_the_full_scale(array):
    chip, backend = array
    seen = []
    execute = backend.execute
    backend.execute = lambda op: (seen.append(op), execute(op))[1]
    x = np.array([[0, 0, 1e-3, 0, 0, 0], [5, -7, 0, 0, 0, 0]], np.float32)
    managed_vmm(chip, chip[0], WEIGHTS, Direction.FORWARD, x)
    assert (np.abs(seen[0].codes).max(axis=1) >= CODE_MAX - 1).all()


def test_saturated_vectors_are_halved_together_and_read_again():
    chip, backend = ideal_chip([(2, 3)], adc_range=1.0)
    backend.cells[0][...] = 1.0
    x = np.array([[1, 0, 0], [1, 1, 1], [0.4, 0.4, 0.1], [1, 1, 0]], np.float32)
    backend.submissions = 0
    y = managed_vmm(chip, chip[0], WEIGHTS, Direction.FORWARD, x)
    assert y == pytest.approx(np.repeat(x.sum(axis=1, keepdims=True) * 0.25, 2, axis=1), rel=1e-5)
    # Sums of 1, 3, 2.25 and 2 times the largest input: halved until below 1, in 3 reads.
    assert backend.submissions == 3


def test_what_saturates_to_the_end_stays_cut():
    chip, backend = ideal_chip([(1, 2)], adc_range=1.0)
    backend.cells[0][...] = 8.0
    x = np.ones((1, 2), np.float32)
    y = managed_vmm(chip, chip[0], WEIGHTS, Direction.FORWARD, x, Management(bound_rounds=2))
    assert y[0, 0] == pytest.approx(4 * 0.25)


def test_backward_reads_are_not_repeated():
    chip, backend = ideal_chip([(2, 3)], adc_range=1.0)
    backend.cells[0][...] = 1.0
    backend.submissions = 0
    managed_vmm(chip, chip[0], WEIGHTS, Direction.BACKWARD, np.ones((1, 2), np.float32))
    assert backend.submissions == 1


def test_without_noise_management_inputs_are_cut_at_1(array):
    chip, backend = array
    x = np.array([[3.0, 0.5, 0, 0, 0, 0]], np.float32)
    y = managed_vmm(chip, chip[0], WEIGHTS, Direction.FORWARD, x, Management(noise=False))
    assert y == pytest.approx(x.clip(-1, 1) @ backend.cells[0].T * 0.25, abs=1e-4)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_refused(array, value):
    chip, _ = array
    x = np.array([[0, 0, value, 0, 0, 0]], np.float32)
    with pytest.raises(ConfigurationError, match="NaN or infinite"):
        managed_vmm(chip, chip[0], WEIGHTS, Direction.FORWARD, x)


def test_write_exact(array):
    chip, backend = array
    target = np.linspace(-1, 1, 24).reshape(4, 6)
    written = write_exact(chip, chip[0], target)
    assert backend.cells[0] == pytest.approx(target, abs=1e-7)
    assert written.units == pytest.approx(target, abs=1e-7)
    assert not written.cut.any()


def test_write_exact_reports_what_it_cut():
    chip, backend = ideal_chip([(1, 3)], bound=0.5)
    written = write_exact(chip, chip[0], [[0.2, 0.7, -3.0]])
    assert written.cut.tolist() == [[False, True, True]]
    assert written.units.tolist() == [[pytest.approx(0.2), 0.5, -0.5]]
    assert backend.cells[0].tolist() == [[pytest.approx(0.2), 0.5, -0.5]]


def test_write_error_has_its_spread_and_repeats():
    chip, backend = ideal_chip([(60, 70), (60, 70)])
    write_exact(chip, chip[0], np.zeros((60, 70)), error=0.1, seed=3)
    first = backend.cells[0].copy()
    assert first.std() == pytest.approx(0.1, rel=0.05)
    assert abs(first.mean()) < 0.01
    write_exact(chip, chip[0], np.zeros((60, 70)), error=0.1, seed=3)
    assert (backend.cells[0] == first).all()
    write_exact(chip, chip[1], np.zeros((60, 70)), error=0.1, seed=3)
    assert (backend.cells[1] != first).any()


def test_write_exact_is_on_the_tape(array):
    chip, _ = array
    before = chip.totals.operations
    write_exact(chip, chip[0], np.zeros((4, 6)))
    assert chip.totals.operations > before


def test_write_exact_is_refused_where_there_is_no_state():
    chip, _ = ideal_chip([(2, 2)], virtual=False)
    with pytest.raises(CapabilityError, match="keep the conductances"):
        write_exact(chip, chip[0], np.zeros((2, 2)))


def test_write_exact_checks_the_shape(array):
    chip, _ = array
    with pytest.raises(ConfigurationError, match="shape"):
        write_exact(chip, chip[0], np.zeros((6, 4)))
