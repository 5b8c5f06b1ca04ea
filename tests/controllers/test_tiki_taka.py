"""Tiki-Taka and residual learning: straight-line versions, and what a transfer moves."""

import numpy as np
import pytest
from steps import COLS, D_PEAK, DELTA, ROWS, WEIGHTS, fast_array, make, signals, train

from hwloop.controllers import ChoppedTTv2, ResidualLearning, TikiTaka, TTv2
from hwloop.errors import CapabilityError, ConfigurationError
from hwloop.operations import OuterUpdate
from hwloop.weights import WeightMap

FAST_RATE = 2 * DELTA / D_PEAK


@pytest.mark.parametrize("batches", [[60], [7, 1, 12, 40], [1] * 60], ids=["one", "some", "single"])
def test_tiki_taka_straight_line(batches):
    # With one row, the entry of a line is its largest: a transfer of k pulses gives exactly k.
    options = {"n_s": 2, "eta0": None, "fast_rate": 2 * DELTA / D_PEAK, "transfer_lr": 0.25}
    chip, backend, controller = make(TikiTaka(**options), (1, COLS))
    x, d = signals(60)
    d = d[:, :1]
    # A hair less than k pulses is a train of k slots that always fire.
    train(chip, controller, x, d, 4 * (1 - 1e-4), batches)
    A, reads = fast_array(x, d, 2, 2)
    C = np.zeros((1, COLS))
    for k, values in reads:
        C[:, k] += values  # rate * transfer_lr = 1
    assert np.abs(backend.cells[1] - A).max() < 1e-7
    assert np.abs(backend.cells[0] - C).max() < 1e-7
    assert np.abs(C).max() > 0


def test_a_transfer_moves_weights_by_what_was_read():
    delta = 1e-3
    chip, backend, controller = make(
        TikiTaka(n_s=1, eta0=None, fast_rate=1.0, transfer_lr=0.1), delta=delta
    )
    backend.cells[1][...] = held = np.random.default_rng(1).uniform(-1, 1, (ROWS, COLS))
    sweeps, rate = 40, 0.1
    zeros = np.zeros((sweeps * COLS, COLS), np.float32), np.zeros((sweeps * COLS, ROWS), np.float32)
    ((_, pulses),) = train(chip, controller, *zeros, rate, [sweeps * COLS])
    assert [type(op) for op in pulses] == [OuterUpdate]
    assert len(pulses[0].train_lengths) == sweeps * COLS
    wanted = sweeps * rate * 0.1 * held
    spread = np.sqrt(np.abs(wanted) * delta)
    assert (np.abs(backend.cells[0] - wanted) < 4.5 * spread + 1e-9).all()
    assert (backend.cells[1] == held).all()


@pytest.mark.parametrize("transfer", ["columns", "rows"])
def test_true_gradients_are_a_part_of_the_learning_rate(transfer):
    algorithm = TikiTaka(transfer=transfer, n_s=10_000, fast_lr=2.0)
    delta, share, rate = 1e-4, 0.1, 0.5
    chip, backend, controller = make(algorithm, delta=delta)
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, (300, COLS)).astype(np.float32)
    d = (0.01 + 0.02 * rng.uniform(-1, 1, (300, ROWS))).astype(np.float32)
    chip.submit(controller.plan(x, d, rate, share)).results()
    scale = 2.0 * rate * share / WEIGHTS.weight_per_unit
    spread = np.sqrt(scale * (np.abs(d).T @ np.abs(x)) * delta)
    assert (np.abs(backend.cells[1] - scale * d.T @ x) < 4.5 * spread).all()


def test_ttv2_is_c_ttv2_without_choppers():
    options = {"n_s": 1, "fast_rate": FAST_RATE, "gamma0": 20.0, "hidden_momentum": 0.2}
    x, d = signals(60)
    taken = []
    for algorithm in (TTv2(**options), ChoppedTTv2(rho=0.0, **options)):
        chip, backend, controller = make(algorithm)
        steps = train(chip, controller, x, d, 0.2, [10] * 6)
        taken.append(steps)
        assert np.abs(backend.cells[0]).max() > 0
    assert taken[0] == taken[1]


@pytest.mark.parametrize("leak", [0.0, 0.3])
def test_residual_learning_straight_line(leak):
    options = {"n_s": 1, "eta0": None, "fast_rate": FAST_RATE, "gamma0": 20.0, "leak": leak}
    chip, backend, controller = make(ResidualLearning(reset="subtract", gamma=0.4, **options))
    x, d = signals(90)
    train(chip, controller, x, d, 0.2, [9] * 10)
    A, reads = fast_array(x, d, 1, 2)
    W, H = np.zeros((ROWS, COLS)), np.zeros((COLS, ROWS))
    for k, values in reads:
        H[k] = (1 - leak) * H[k] + 0.2 * COLS / (20 * DELTA * WEIGHTS.weight_per_unit) * values
        step = np.sign(H[k]) * (np.abs(H[k]) >= 1)
        W[:, k] += DELTA * step
        H[k] -= step
    assert np.abs(backend.cells[1] - A).max() < 1e-9
    assert np.abs(backend.cells[0] - W).max() < 1e-9
    assert np.abs(W).max() > 0


@pytest.mark.parametrize("algorithm", [ResidualLearning(gamma=0.4), TikiTaka(gamma=0.4)])
def test_the_residual_has_its_share_in_the_weights(algorithm):
    _, _, controller = make(algorithm)
    slow, fast = controller.read_terms()
    assert (slow.tile, slow.factor) == (controller.forward_tile, 1.0)
    assert (fast.tile, fast.factor) == (controller.fast.tile, 0.4)


def test_without_a_share_only_the_weights_are_read():
    assert len(make(TikiTaka())[2].read_terms()) == 1
    assert len(make(TTv2())[2].read_terms()) == 1


@pytest.mark.parametrize(
    "options",
    [
        {"fast_lr": None},
        {"fast_lr": 0.0},
        {"transfer_lr": 0.0},
        {"n_s": 0},
        {"lines_per_transfer": 0},
    ],
)
def test_wrong_options_are_refused(options):
    with pytest.raises(ConfigurationError):
        TikiTaka(**options)
    with pytest.raises(ConfigurationError):
        ResidualLearning(leak=1.0)


def test_a_transfer_that_the_weights_tile_cannot_take_is_refused():
    with pytest.raises(CapabilityError, match="l_max"):
        make(TikiTaka(transfer_l_max=300))


def test_weight_map_does_not_change_what_a_rate_means():
    for weight_per_unit in (1.0, 0.25):
        chip, backend, _ = make(TikiTaka(), delta=1e-3)
        algorithm = TikiTaka(n_s=1, fast_lr=1.0, transfer_lr=0.2)
        weights = WeightMap(weight_per_unit)
        controller = algorithm.controller([chip[0], chip[1]], weights, 1e-3, seed=1, layer=0)
        x, d = np.ones((600, COLS), np.float32), np.full((600, ROWS), 0.4, np.float32)
        train(chip, controller, x, d, 0.05, [20] * 30)
        # A grows by rate * share * d a vector; each line is read 100 times: rate * sum of A.
        reads = np.arange(1, 601).reshape(-1, COLS).sum(axis=0)
        wanted = 0.2 * 0.05 * 0.05 * 0.4 / 20 * reads
        assert backend.cells[0].mean() * weight_per_unit == pytest.approx(wanted.mean(), rel=0.1)
