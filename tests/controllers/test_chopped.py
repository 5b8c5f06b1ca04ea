"""c-TTv2: the controller against a straight-line version of the algorithm, and its promises."""

import numpy as np
import pytest
from ideal_backend import ideal_chip
from steps import COLS, DELTA, LAYER, ROWS, SEED, WEIGHTS, signals, train

from hwloop.controllers import ChoppedTTv2
from hwloop.errors import CapabilityError, ConfigurationError
from hwloop.operations import OuterUpdate, Pulse, ReadCells
from hwloop.random import host_generator
from hwloop.weights import WeightMap


def make(**options):
    chip, backend = ideal_chip([(ROWS, COLS), (ROWS, COLS)], delta=DELTA)
    algorithm = ChoppedTTv2(granularity=DELTA, **options)
    controller = algorithm.controller([chip[0], chip[1]], WEIGHTS, None, seed=SEED, layer=LAYER)
    return chip, backend, controller


def straight_line(x, d, rate, pulses_per_sample, o):
    """Rasch et al. 2024, line by line, with updates of a whole number of pulses per cross-point."""
    A, C = np.zeros((ROWS, COLS)), np.zeros((ROWS, COLS))
    columns = o.transfer == "columns"
    n, m = (COLS, ROWS) if columns else (ROWS, COLS)
    H = np.zeros((n, m))
    c, c_out = np.ones(n), np.ones(m)
    turn = 0
    for t in range(len(x)):
        xs, ds = (c * x[t], c_out * d[t]) if columns else (c_out * x[t], c * d[t])
        A += DELTA * pulses_per_sample * np.outer(np.sign(ds), np.sign(xs))
        if (t + 1) % o.n_s:
            continue
        lines = [(turn + i) % n for i in range(o.lines_per_transfer)]
        for k in lines:
            omega = A[:, k] if columns else A[k]
            z = c[k] * c_out * omega
            period = n * o.n_s / o.lines_per_transfer
            H[k] += rate * period / (o.gamma0 * DELTA * WEIGHTS.weight_per_unit) * z
            step = np.sign(H[k]) * (np.abs(H[k]) >= 1)
            if columns:
                C[:, k] += DELTA * step
            else:
                C[k] += DELTA * step
            if o.reset == "zero":
                H[k][step != 0] *= o.hidden_momentum
            else:
                H[k] -= (1 - o.hidden_momentum) * step
        for k in lines:
            sweep = turn // n
            if o.chopper == "regular":
                flips = sweep % o.period == o.period - 1
            else:
                flips = host_generator(SEED, "choppers", LAYER, sweep).random(n)[k] < o.rho
            if flips:
                c[k] = -c[k]
            if k == n - 1 and o.out_rho > 0:
                draws = host_generator(SEED, "out choppers", LAYER, sweep).random(m)
                c_out[draws < o.out_rho] *= -1
            turn += 1
    return A, C, H, c


OPTIONS = {
    "defaults": {},
    "rows": {"transfer": "rows"},
    "every vector": {"n_s": 1},
    "several lines": {"n_s": 3, "lines_per_transfer": 4},
    "regular": {"chopper": "regular", "period": 2, "n_s": 1},
    "out-choppers": {"out_rho": 0.4, "rho": 0.3, "n_s": 1},
    "out-choppers, rows": {"out_rho": 0.4, "rho": 0.3, "n_s": 1, "transfer": "rows"},
    "subtract": {"reset": "subtract", "hidden_momentum": 0.2},
    "momentum": {"hidden_momentum": 0.3},
    "no choppers": {"rho": 0.0},
}


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS.keys())
@pytest.mark.parametrize("batches", [[60], [7, 1, 12, 40], [1] * 60], ids=["one", "some", "single"])
def test_straight_line(options, batches):
    # Two whole pulses per sample wherever d x is not 0: trains that always fire.
    options = {"rho": 0.3, **options, "fast_rate": 2 * DELTA / 0.02, "gamma0": 20.0}
    chip, backend, controller = make(**options)
    x, d = signals(60)
    train(chip, controller, x, d, 0.2, batches)
    A, C, H, c = straight_line(x, d, 0.2, 2, ChoppedTTv2(**options))
    assert np.abs(backend.cells[1] - A).max() < 1e-9
    assert np.abs(backend.cells[0] - C).max() < 1e-9
    assert np.abs(C).max() > 0
    assert np.abs(controller.hidden.values - H).max() < 1e-3
    assert (controller.fast.choppers.signs == c).all()


def test_automatic_rate_expects_eta0_l_max_pulses_of_a_typical_vector():
    _, _, controller = make(eta0=0.25, l_max=12, n_s=10_000)
    rng = np.random.default_rng(1)
    x = rng.normal(size=(4000, COLS)).astype(np.float32)
    d = 1e-4 * rng.normal(size=(4000, ROWS)).astype(np.float32)
    (update,) = controller.plan(x, d, 0.1)
    pulses = update.train_lengths * (update.x_gains / 65536) ** 2
    assert pulses[500:].mean() == pytest.approx(3.0, rel=0.05)


def test_reads_lie_between_the_updates_they_follow():
    chip, _, controller = make(n_s=2)
    x, d = np.ones((5, COLS), np.float32), np.ones((5, ROWS), np.float32)
    ((planned, _),) = train(chip, controller, x, d, 0.1, [5])
    assert [type(op) for op in planned] == [
        OuterUpdate,
        ReadCells,
        OuterUpdate,
        ReadCells,
        OuterUpdate,
    ]
    assert [len(op.train_lengths) for op in planned if isinstance(op, OuterUpdate)] == [2, 2, 1]
    assert [op.cols.tolist() for op in planned if isinstance(op, ReadCells)] == [[0], [1]]


def test_all_lines_of_a_batch_share_one_pulse_operation():
    chip, _, controller = make(n_s=1, fast_rate=100.0, rho=0.0)
    x, d = np.ones((COLS, COLS), np.float32), np.ones((COLS, ROWS), np.float32)
    ((_, pulses),) = train(chip, controller, x, d, 1e3, [COLS])
    assert [type(op) for op in pulses] == [Pulse]
    assert pulses[0].cols.tolist() == list(range(COLS))
    assert (pulses[0].counts == 1).all()


def test_a_line_that_is_read_twice_in_a_batch_is_pulsed_twice():
    chip, backend, controller = make(n_s=1, fast_rate=100.0, rho=0.0)
    x, d = np.ones((2 * COLS, COLS), np.float32), np.ones((2 * COLS, ROWS), np.float32)
    ((_, pulses),) = train(chip, controller, x, d, 1e3, [2 * COLS])
    assert [type(op) for op in pulses] == [Pulse, Pulse]
    assert backend.cells[0] == pytest.approx(np.full((ROWS, COLS), 2 * DELTA))


def test_weight_map_does_not_change_what_a_rate_means():
    # The same rate moves the same weight, in more pulses where a pulse is a smaller weight.
    moved = []
    for weight_per_unit in (1.0, 0.25):
        chip, backend = ideal_chip([(ROWS, COLS)] * 2, delta=DELTA)
        algorithm = ChoppedTTv2(
            granularity=DELTA, n_s=1, fast_rate=1.0, rho=0.0, gamma0=100, reset="subtract"
        )
        weights = WeightMap(weight_per_unit)
        controller = algorithm.controller([chip[0], chip[1]], weights, None, seed=1, layer=0)
        x = np.ones((600, COLS), np.float32)
        d = np.full((600, ROWS), 0.01, np.float32)
        train(chip, controller, x, d, 1e-2, [20] * 30)
        moved.append(backend.cells[0].mean() * weight_per_unit)
    assert moved[0] == pytest.approx(moved[1], rel=0.1)
    assert moved[0] > 0


def test_true_magnitudes_move_weights_by_the_gradient():
    # Without saturation, w = rate * gradient * t * t / (2 gamma0): algorithms.md, section 4.
    chip, backend, controller = make(
        n_s=1, fast_rate=1.0, rho=0.0, gamma0=500.0, correct_magnitudes=True, reset="subtract"
    )
    t = 600
    x, d = np.ones((t, COLS), np.float32), np.full((t, ROWS), 0.01, np.float32)
    train(chip, controller, x, d, 0.5, [20] * 30)
    expected = 0.5 * 0.01 / 20 * t * t / (2 * 500)
    assert backend.cells[0].mean() * WEIGHTS.weight_per_unit == pytest.approx(expected, rel=0.05)


def test_averaged_reads_count_once():
    finals = []
    for reads in (1, 8):
        chip, backend, controller = make(
            reads_per_transfer=reads, fast_rate=1.0, gamma0=20.0, rho=0.0
        )
        x, d = signals(60)
        train(chip, controller, x, d, 0.05, [10] * 6)
        finals.append(backend.cells[0].copy())
    assert (finals[0] == finals[1]).all()


def test_state_round_trip_goes_on_alike():
    x, d = signals(80)
    chip, backend, controller = make(n_s=3, rho=0.3, gamma0=20.0, eta0=1000.0, l_max=1)
    train(chip, controller, x[:40], d[:40], 0.05, [8] * 5)
    cells = [c.copy() for c in backend.cells]
    state = controller.state()
    train(chip, controller, x[40:], d[40:], 0.05, [8] * 5)

    chip2, backend2, controller2 = make(n_s=3, rho=0.3, gamma0=20.0, eta0=1000.0, l_max=1)
    for mine, saved in zip(backend2.cells, cells, strict=True):
        mine[...] = saved
    controller2.load_state(state)
    train(chip2, controller2, x[40:], d[40:], 0.05, [8] * 5)
    assert all((a == b).all() for a, b in zip(backend.cells, backend2.cells, strict=True))
    for name, value in controller.state().items():
        assert (value == controller2.state()[name]).all(), name


def test_state_in_the_middle_of_a_step_is_refused():
    _, _, controller = make()
    controller.plan(*signals(4), 0.1)
    with pytest.raises(ConfigurationError, match="under way"):
        controller.state()


def test_fast_array_has_its_share_in_the_weights():
    _, _, controller = make(gamma=0.25, rho=0.5)
    slow, fast = controller.read_terms()
    assert (slow.factor, fast.factor) == (1.0, 0.25)
    assert fast.in_signs is controller.fast.choppers.signs
    _, _, controller = make(gamma=0.25, transfer="rows")
    assert controller.read_terms()[1].out_signs is controller.fast.choppers.signs
    _, _, controller = make()
    assert len(controller.read_terms()) == 1


def test_missing_granularity_is_explained():
    chip, _ = ideal_chip([(ROWS, COLS)] * 2)
    with pytest.raises(ConfigurationError, match="device file"):
        ChoppedTTv2().controller([chip[0], chip[1]], WEIGHTS, None, seed=1, layer=0)


@pytest.mark.parametrize("options", [{"l_max": 300}, {"l_max": 0}, {"reads_per_transfer": 65}])
def test_what_a_tile_cannot_do_is_refused(options):
    chip, _ = ideal_chip([(ROWS, COLS)] * 2)
    with pytest.raises(CapabilityError):
        ChoppedTTv2(**options).controller([chip[0], chip[1]], WEIGHTS, 0.01, seed=1, layer=0)


@pytest.mark.parametrize(
    "options", [{"transfer": "both"}, {"normalisation": "x"}, {"eta0": 0}, {"momentum": 1.0}]
)
def test_wrong_options_are_refused(options):
    with pytest.raises(ConfigurationError):
        ChoppedTTv2(**options)
