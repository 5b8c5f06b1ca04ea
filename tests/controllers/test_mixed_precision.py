"""Mixed precision: the controller against a straight-line version of the algorithm."""

import numpy as np
import pytest
from steps import COLS, ROWS, WEIGHTS, make, signals, train

from hwloop.controllers import MixedPrecision
from hwloop.errors import ConfigurationError
from hwloop.operations import Pulse

DELTA = 2.0**-7
"""All numbers are binary fractions here, so that nothing is rounded."""

STEP = DELTA * WEIGHTS.weight_per_unit


def straight_line(x, d, rate, n_s, rows, pulses_max):
    W, chi = np.zeros((ROWS, COLS)), np.zeros((ROWS, COLS))
    turn = 0
    for t in range(len(x)):
        chi += rate * np.outer(d[t], x[t])
        if (t + 1) % n_s:
            continue
        for i in [(turn + j) % ROWS for j in range(rows)]:
            n = np.clip(np.trunc(chi[i] / STEP), -pulses_max, pulses_max)
            chi[i] -= n * STEP
            W[i] += n * DELTA
        turn += rows
    return W, chi


@pytest.mark.parametrize(
    "options",
    [{}, {"n_s": 4}, {"n_s": 3, "rows_per_transfer": 3}, {"n_s": 5, "pulses_max": 2}],
    ids=["each vector", "all rows", "some rows", "few pulses"],
)
@pytest.mark.parametrize("batches", [[64], [16, 16, 32], [1] * 64], ids=["one", "some", "single"])
def test_straight_line(options, batches):
    chip, backend, controller = make(MixedPrecision(**options), delta=DELTA)
    x, _ = signals(64)
    d = np.random.default_rng(3).integers(-8, 9, (64, ROWS)).astype(np.float32) / 64
    start = 0
    for samples in batches:
        part = slice(start, start + samples)
        assert controller.plan(x[part], d[part], 0.25 * samples, 1 / samples) == []
        chip.submit(controller.digest([]))
        start += samples
    chip.flush()
    o = MixedPrecision(**options)
    W, chi = straight_line(x, d, 0.25, o.n_s, o.rows_per_transfer or ROWS, o.pulses_max)
    assert (backend.cells[0] == W).all()
    assert np.abs(W).max() > 0
    assert (controller.sums.values * STEP == chi.astype(np.float32)).all()


def test_nothing_is_lost_or_invented():
    chip, backend, controller = make(MixedPrecision(n_s=2))
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, COLS)).astype(np.float32)
    d = 0.1 * rng.normal(size=(200, ROWS)).astype(np.float32)
    train(chip, controller, x, d, 0.1, [10] * 20)
    left = controller.sums.values * 0.01 * WEIGHTS.weight_per_unit
    moved = backend.cells[0] * WEIGHTS.weight_per_unit
    assert moved + left == pytest.approx(0.1 / 10 * d.T @ x, abs=1e-5)


def test_only_rows_and_columns_with_pulses_are_sent():
    chip, _, controller = make(MixedPrecision())
    x, d = np.zeros((1, COLS), np.float32), np.zeros((1, ROWS), np.float32)
    x[0, [1, 4]], d[0, 2] = 1, 1
    ((_, pulses),) = train(chip, controller, x, d, 0.0105, [1])
    (pulse,) = pulses
    assert isinstance(pulse, Pulse)
    assert (pulse.rows.tolist(), pulse.cols.tolist()) == ([2], [1, 4])
    assert pulse.counts.tolist() == [[2, 2]]


@pytest.mark.parametrize("stochastic", [True, False])
def test_levels(stochastic):
    bins = 8
    algorithm = MixedPrecision(n_s=10**6, x_bins=bins, stochastic_rounding=stochastic)
    _, _, controller = make(algorithm, (1, 1000))
    rng = np.random.default_rng(0)
    x, d = rng.uniform(-1, 1, (1, 1000)).astype(np.float32), np.ones((1, 1), np.float32)
    controller.plan(x, d, 1.0)
    levels = controller.sums.values[0] * 0.01 * WEIGHTS.weight_per_unit / np.abs(x).max() * 4
    assert np.abs(levels - np.rint(levels)).max() < 1e-4
    error = levels - x[0] / np.abs(x).max() * 4
    assert np.abs(error).max() < (1.0001 if stochastic else 0.5001)
    assert abs(error.mean()) < 0.05


def test_state_round_trip_goes_on_alike():
    x, d = signals(80)
    chip, backend, controller = make(MixedPrecision(n_s=3, x_bins=4))
    train(chip, controller, x[:40], d[:40], 0.3, [8] * 5)
    cells, state = backend.cells[0].copy(), controller.state()
    train(chip, controller, x[40:], d[40:], 0.3, [8] * 5)
    chip2, backend2, controller2 = make(MixedPrecision(n_s=3, x_bins=4))
    backend2.cells[0][...] = cells
    controller2.load_state(state)
    train(chip2, controller2, x[40:], d[40:], 0.3, [8] * 5)
    assert (backend.cells[0] == backend2.cells[0]).all()
    assert (controller.sums.values == controller2.sums.values).all()


@pytest.mark.parametrize(
    "options",
    [{"n_s": 0}, {"rows_per_transfer": 0}, {"x_bins": 1}, {"d_bins": -1}, {"pulses_max": 0}],
)
def test_wrong_options_are_refused(options):
    with pytest.raises(ConfigurationError):
        MixedPrecision(**options)
