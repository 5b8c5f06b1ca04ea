"""Analog SGD: what a step moves."""

import numpy as np
import pytest
from ideal_backend import ideal_chip

from hwloop.controllers import AnalogSGD
from hwloop.weights import WeightMap

DELTA = 1e-4


def make(weight_per_unit=0.5, **options):
    chip, backend = ideal_chip([(3, 5)], delta=DELTA)
    algorithm = AnalogSGD(**options)
    weights = WeightMap(weight_per_unit)
    return chip, backend, algorithm.controller([chip[0]], weights, DELTA, seed=1, layer=0)


@pytest.mark.parametrize("weight_per_unit", [0.2, 1.0])
def test_a_step_moves_weights_as_sgd_would(weight_per_unit):
    chip, backend, controller = make(weight_per_unit)
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, (400, 5)).astype(np.float32)
    d = 0.05 * rng.uniform(-1, 1, (400, 3)).astype(np.float32) + 0.02
    rate, share = 0.02, 0.5
    results = chip.submit(controller.plan(x, d, rate, share)).results()
    assert controller.digest(results) == []
    moved = backend.cells[0] * weight_per_unit
    wanted = rate * share * d.T @ x
    # One pulse is a random number of about Poisson spread.
    spread = np.sqrt(rate * share * (np.abs(d).T @ np.abs(x)) * DELTA * weight_per_unit)
    assert (np.abs(moved - wanted) < 4.5 * spread).all()


def test_all_samples_are_one_operation():
    _, _, controller = make()
    x, d = np.ones((7, 5), np.float32), np.ones((7, 3), np.float32)
    (update,) = controller.plan(x, d, 1e-3)
    assert len(update.train_lengths) == 7


def test_nothing_to_do_is_no_operation():
    _, _, controller = make()
    assert controller.plan(np.zeros((2, 5), np.float32), np.ones((2, 3), np.float32), 1.0) == []


def test_rounding_goes_on_where_it_was():
    rng = np.random.default_rng(0)
    x, d = rng.normal(size=(8, 5)).astype(np.float32), rng.normal(size=(8, 3)).astype(np.float32)
    _, _, one = make()
    one.plan(x[:4], d[:4], 1e-3)
    _, _, other = make()
    other.load_state(one.state())
    assert one.plan(x[4:], d[4:], 1e-3) == other.plan(x[4:], d[4:], 1e-3)
