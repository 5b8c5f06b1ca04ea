"""E-RIDER: the controller against a straight-line version of the algorithm."""

import numpy as np
import pytest
from steps import COLS, DELTA, LAYER, ROWS, SEED, WEIGHTS, make, signals, train

from hwloop.controllers import ERider
from hwloop.errors import ConfigurationError
from hwloop.random import host_generator


def straight_line(x, d, rate, pulses_per_sample, o):
    """Xiao et al. 2026, line by line, with the hidden matrix in front of the pulses."""
    P, W = np.zeros((ROWS, COLS)), np.zeros((ROWS, COLS))
    columns = o.transfer == "columns"
    n, m = (COLS, ROWS) if columns else (ROWS, COLS)
    H, Q, Q_copy = np.zeros((n, m)), np.zeros((n, m)), np.zeros((n, m))
    c = np.ones(n)
    for t in range(len(x)):
        xs, ds = (c * x[t], d[t]) if columns else (x[t], c * d[t])
        P += DELTA * pulses_per_sample * np.outer(np.sign(ds), np.sign(xs))
        k, sweep = t % n, t // n
        omega = P[:, k] if columns else P[k]
        gain = rate * n / (o.gamma0 * DELTA * WEIGHTS.weight_per_unit)
        H[k] += gain * c[k] * (omega - Q_copy[k])
        step = np.sign(H[k]) * (np.abs(H[k]) >= 1)
        (W.T if columns else W)[k] += DELTA * step
        H[k][step != 0] = 0
        Q[k] = (1 - o.eta) * Q[k] + o.eta * omega
        if o.chopper == "regular":
            flips = sweep % o.period == o.period - 1
        elif o.chopper == "random":
            flips = host_generator(SEED, "choppers", LAYER, sweep).random(n)[k] < o.rho
        else:
            flips = False
        if flips:
            c[k] = -c[k]
        if flips or o.chopper == "none":
            Q_copy[k] = Q[k]
    weights = W.copy()
    residual = c[:, None] * ((P.T if columns else P) - Q_copy)
    weights += o.gamma * (residual.T if columns else residual)
    return P, W, weights


OPTIONS = {
    "random": {"rho": 0.3},
    "regular, rows": {"chopper": "regular", "period": 3, "transfer": "rows"},
    "RIDER": {"chopper": "none"},
}


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS.keys())
@pytest.mark.parametrize("batches", [[90], [7, 1, 42, 40]], ids=["one", "some"])
def test_straight_line(options, batches):
    o = ERider(n_s=1, eta=0.3, gamma=0.4, fast_rate=2 * DELTA / 0.02, gamma0=20.0, **options)
    chip, backend, controller = make(o)
    x, d = signals(90)
    train(chip, controller, x, d, 0.2, batches)
    P, W, weights = straight_line(x, d, 0.2, 2, o)
    assert np.abs(backend.cells[1] - P).max() < 1e-9
    assert np.abs(backend.cells[0] - W).max() < 1e-9
    assert np.abs(W).max() > 0

    # The weights that forward and backward reads see.
    slow, residual = controller.read_terms()
    held = backend.cells[residual.tile.index] - residual.offset
    if residual.in_signs is not None:
        held = held * residual.in_signs
    if residual.out_signs is not None:
        held = held * residual.out_signs[:, None]
    seen = backend.cells[slow.tile.index] + residual.factor * held
    assert seen == pytest.approx(weights, abs=1e-5)


@pytest.mark.parametrize(
    "options",
    [{"chopper": "never"}, {"rho": 0.0}, {"eta": 0.0}, {"eta": 1.5}, {"gamma": 0.0}],
)
def test_wrong_options_are_refused(options):
    with pytest.raises(ConfigurationError):
        ERider(**options)
