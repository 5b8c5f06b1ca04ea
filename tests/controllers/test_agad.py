"""AGAD: the controller against a straight-line version of the algorithm."""

import numpy as np
import pytest
from steps import COLS, DELTA, LAYER, ROWS, SEED, WEIGHTS, make, signals, train

from hwloop.controllers import AGAD
from hwloop.errors import ConfigurationError
from hwloop.random import host_generator


def straight_line(x, d, rate, pulses_per_sample, o):
    """Rasch et al. 2024, line by line; nothing is transferred before every line has a reference."""
    A, C = np.zeros((ROWS, COLS)), np.zeros((ROWS, COLS))
    columns = o.transfer == "columns"
    n, m = (COLS, ROWS) if columns else (ROWS, COLS)
    H, P, P_ref = np.zeros((n, m)), np.zeros((n, m)), np.zeros((n, m))
    c = np.ones(n)
    turn = 0
    for t in range(len(x)):
        xs, ds = (c * x[t], d[t]) if columns else (x[t], c * d[t])
        A += DELTA * pulses_per_sample * np.outer(np.sign(ds), np.sign(xs))
        if (t + 1) % o.n_s:
            continue
        k, sweep = turn % n, turn // n
        omega = A[:, k] if columns else A[k]
        if sweep >= o.sweeps_skipped:
            gain = rate * n * o.n_s / (o.gamma0 * DELTA * WEIGHTS.weight_per_unit)
            H[k] += gain * c[k] * (omega - P_ref[k])
            step = np.sign(H[k]) * (np.abs(H[k]) >= 1)
            if columns:
                C[:, k] += DELTA * step
            else:
                C[k] += DELTA * step
            H[k][step != 0] = 0
        P[k] = (1 - o.beta) * P[k] + o.beta * omega
        if o.chopper == "regular":
            flips = sweep % o.period == o.period - 1
        else:
            flips = host_generator(SEED, "choppers", LAYER, sweep).random(n)[k] < o.rho
        if flips:
            c[k] = -c[k]
            P_ref[k] = P[k]
        turn += 1
    return A, C, H, P_ref


OPTIONS = {
    "regular": {"period": 2},
    "rows": {"period": 3, "transfer": "rows"},
    "random": {"chopper": "random", "rho": 0.4},
    "from the start": {"period": 2, "skip_first_period": False, "beta": 1.0},
    "every other vector": {"period": 2, "n_s": 2},
}


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS.keys())
@pytest.mark.parametrize("batches", [[90], [7, 1, 42, 40], [1] * 90], ids=["one", "some", "single"])
def test_straight_line(options, batches):
    options = {"n_s": 1, **options, "fast_rate": 2 * DELTA / 0.02, "gamma0": 20.0}
    chip, backend, controller = make(AGAD(**options))
    x, d = signals(90)
    train(chip, controller, x, d, 0.2, batches)
    A, C, H, P_ref = straight_line(x, d, 0.2, 2, AGAD(**options))
    assert np.abs(backend.cells[1] - A).max() < 1e-9
    assert np.abs(backend.cells[0] - C).max() < 1e-9
    assert np.abs(C).max() > 0
    assert np.abs(controller.hidden.values - H).max() < 1e-3
    assert np.abs(controller.references.reference - P_ref).max() < 1e-5


def test_an_offset_of_the_fast_array_has_no_effect_once_it_is_known():
    # Of the weights' pulses, none stems from an offset that the references hold.
    final = []
    for offset in (0.0, 0.7):
        options = {"n_s": 1, "period": 2, "beta": 1.0, "fast_rate": 1.0, "gamma0": 20.0}
        chip, backend, controller = make(AGAD(**options))
        backend.cells[1] += offset
        x, d = signals(120)
        train(chip, controller, x, d, 0.2, [12] * 10)
        final.append(backend.cells[0].copy())
    assert np.abs(final[0]).max() > 0
    assert final[1] == pytest.approx(final[0], abs=1e-9)


@pytest.mark.parametrize(
    "options", [{"beta": 0.0}, {"beta": 1.5}, {"chopper": "random", "rho": 0.0}, {"period": 0}]
)
def test_options_without_a_reference_are_refused(options):
    with pytest.raises(ConfigurationError):
        AGAD(**options)
