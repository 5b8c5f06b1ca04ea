"""Programming by gradient descent on products."""

import numpy as np
import pytest
from ideal_backend import ideal_chip

import hwloop
from hwloop.errors import ConfigurationError
from hwloop.procedures import program_by_gradients

TARGET = np.random.default_rng(0).uniform(-0.3, 0.3, (6, 10))


def test_ideal_cells_come_within_half_a_pulse():
    chip, backend = ideal_chip([(6, 10)], delta=0.01)
    done = program_by_gradients(chip, chip[0], TARGET, granularity=0.01, tolerance=0.004)
    chip.flush()
    assert done.within
    assert done.errors[-1] <= 0.004 < done.errors[-2]
    assert np.abs(backend.cells[0] - TARGET).max() < 0.02
    assert np.sqrt(((backend.cells[0] - TARGET) ** 2).mean()) < 0.007
    assert len(done.errors) == done.rounds + 1
    # Hardly more pulses than the way is long.
    assert done.pulses.sum() < 1.2 * np.abs(TARGET).sum() / 0.01 + 60


def test_noisy_cells_come_within_a_pulse():
    with hwloop.connect("sim:soft-bounds-40,shape=6x10,seed=1") as chip:
        step = chip.device.granularity
        done = program_by_gradients(chip, chip[0], TARGET, granularity=step, rounds=60)
        planes = chip.snapshot()[0].view(np.float32)
    left = planes[1] - planes[2] - TARGET
    assert np.sqrt((left**2).mean()) < step / 2
    assert done.errors[-1] < done.errors[0] / 3
    assert not done.within  # the noise of single reads is above 1 %


def test_rounds_are_an_end():
    chip, _ = ideal_chip([(6, 10)], delta=1e-4)
    done = program_by_gradients(chip, chip[0], TARGET, granularity=1e-4, rounds=3)
    assert not done.within
    assert done.rounds == 3
    assert done.pulses.max() == 3 * 20


def test_a_target_that_is_there_already_takes_no_pulse():
    chip, backend = ideal_chip([(6, 10)], delta=0.01)
    backend.cells[0][...] = TARGET
    done = program_by_gradients(chip, chip[0], TARGET, granularity=0.01)
    assert done.within
    assert (done.rounds, done.pulses.sum()) == (0, 0)


@pytest.mark.parametrize(
    "wrong",
    [{"target_units": TARGET.T}, {"granularity": 0.0}, {"tolerance": 0.0}, {"rate": -1.0}],
)
def test_what_means_nothing_is_refused(wrong):
    chip, _ = ideal_chip([(6, 10)])
    options = {"target_units": TARGET, "granularity": 0.01, **wrong}
    with pytest.raises(ConfigurationError):
        program_by_gradients(chip, chip[0], options.pop("target_units"), **options)
