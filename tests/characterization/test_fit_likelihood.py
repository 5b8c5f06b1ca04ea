"""The likelihood of traces, its parameters, and the distributions of the cells."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwloop.characterization.fits.cells import Prior, fit_cells
from hwloop.characterization.fits.curves import FAMILIES, start_own
from hwloop.characterization.fits.filter import Noise, _cut, log_likelihoods, scores
from hwloop.characterization.fits.population import fit_population
from hwloop.characterization.fits.simulate import corrected, simulate
from hwloop.characterization.fits.traces import Traces
from tests.characterization.traces_of import population, soft_bounds

SOFT = FAMILIES["soft_bounds"]


def dense_log_likelihood(values, up, a, b, cycle, read, remembered=0.0, memory=0.0):
    """Return the log-likelihood of one train given its first read, by the whole covariance.

    The state before the first read is taken as any, by a variance that is large.
    """
    count = len(values)
    wide = 1e7
    growth = (1 + b) ** np.arange(count)
    mean = a * (growth - 1) / b
    shock = np.zeros((count, count))
    for k in range(1, count):
        for j in range(1, k + 1):
            shock[k, j] = (1 + b) ** (k - j)
    lag = np.abs(np.subtract.outer(np.arange(count), np.arange(count)))
    covariance = (
        wide * np.outer(growth, growth)
        + cycle**2 * shock @ shock.T
        + read**2 * np.eye(count)
        + remembered**2 * memory**lag
    )

    def log_density(x, c):
        _, determinant = np.linalg.slogdet(2 * np.pi * c)
        return -0.5 * (determinant + x @ np.linalg.solve(c, x))

    rest = values - mean
    return log_density(rest, covariance) - log_density(rest[:1], covariance[:1, :1])


@pytest.mark.parametrize("memory", [0.0, 0.8])
def test_straight_curves_with_additive_noise_have_the_exact_likelihood(memory):
    # Far from the bounds nothing is cut, so that a dense Gaussian says the same.
    rng = np.random.default_rng(3)
    step, high, low = 0.01, 4.0, -5.0
    cycle, read, remembered = 0.8, 0.02, 0.03 if memory else 0.0
    traces = soft_bounds(
        rng,
        *(np.array([x]) for x in (step, step, high, low)),
        cycle=cycle,
        read=read,
        pulses=40,
        repeats=1,
        memory=memory,
        remembered=remembered,
    )
    noise = Noise(memory=bool(memory))
    shared = [np.log(cycle), np.log(read**2)]
    if memory:
        shared += [np.log(remembered**2), np.log(-np.log(memory))]
    own = np.array([[[np.log(step), 0.0, high, low]]])
    found = log_likelihoods(traces, SOFT, own, np.array([shared]), noise)[0, 0]
    exact = sum(
        dense_log_likelihood(
            traces.values[:, k],
            up,
            sign * step,
            -step / abs(bound),
            cycle * step,
            read,
            remembered,
            memory,
        )
        for k, (up, sign, bound) in enumerate(((True, 1, high), (False, -1, low)))
    )
    assert found == pytest.approx(exact, abs=1e-3)


@given(mean=st.floats(-2, 2), deviation=st.floats(0.05, 2), bound=st.floats(-1, 1))
@settings(max_examples=40, deadline=None)
def test_cut_keeps_mean_and_variance_of_what_is_cut(mean, deviation, bound):
    w = np.linspace(mean - 9 * deviation, mean + 9 * deviation, 40_001)
    density = np.exp(-0.5 * ((w - mean) / deviation) ** 2)
    density /= density.sum()
    cut = np.minimum(w, bound)
    expected = (density * cut).sum()
    spread = (density * (cut - expected) ** 2).sum()
    m, v = _cut(np.array([mean]), np.array([deviation**2]), np.array([bound]))
    assert m[0] == pytest.approx(expected, abs=1e-4)
    assert v[0] == pytest.approx(spread, abs=1e-4, rel=1e-3)


def test_the_gradient_is_that_of_the_likelihood():
    rng = np.random.default_rng(4)
    up, down, high, low = population(rng, 3)
    traces = soft_bounds(rng, up, down, high, low, cycle=0.4, read=0.04, pulses=40)
    own = np.stack([np.log((up + down) / 2), (up - down) / 2, high, low], 1)
    shared = np.array([np.log(0.5), np.log(0.05**2)])
    scale = np.array([1, 0.05, 1, 1, 1, 1.0])
    found = scores(traces, SOFT, own, shared, scale, noise=Noise())
    for k in range(6):
        h = 1e-4 * scale[k]
        values = []
        for sign in (1, -1):
            moved_own, moved_shared = own.copy(), shared.copy()
            if k < 4:
                moved_own[:, k] += sign * h
            else:
                moved_shared[k - 4] += sign * h
            values.append(
                log_likelihoods(traces, SOFT, moved_own[None], moved_shared[None], Noise())[0]
            )
        numeric = (values[0] - values[1]) / (2 * h)
        assert found.gradient[:, k] == pytest.approx(numeric, rel=0.01, abs=0.2 / scale[k])


@pytest.fixture(scope="module")
def many_cells():
    rng = np.random.default_rng(5)
    truth = population(rng, 60)
    traces = soft_bounds(rng, *truth, cycle=0.5, read=0.03)
    return truth, traces, fit_cells(traces, SOFT, noise=Noise())


def test_parameters_of_every_cell_are_found_from_steps_below_the_noise(many_cells):
    (up, down, high, low), _, fits = many_cells
    assert fits.converged
    truth = np.stack([np.log((up + down) / 2), (up - down) / 2, high, low], 1)
    inverse = np.linalg.inv(fits.own_information)
    errors = np.sqrt(np.einsum("ckk->ck", inverse))
    z = (fits.own - truth) / errors
    # 240 errors: their root mean square is 1 +- 0.05; the bounds are known a little less well than
    # their information says, since what is cut is no Gaussian.
    assert 0.85 < np.sqrt(np.median(z**2) / 0.455) < 1.25
    assert np.abs(np.median(z, 0)).max() < 0.5  # the median of 60 has an error of 0.16
    assert np.exp(fits.shared[0]) == pytest.approx(0.5, rel=0.1)
    assert np.exp(fits.shared[1] / 2) == pytest.approx(0.03, rel=0.05)


def test_the_search_does_not_depend_on_where_it_begins(many_cells):
    _, traces, fits = many_cells
    start = start_own(SOFT, traces)
    assert np.abs(start[:, 2] - fits.own[:, 2]).max() > 0.05  # they are not the same to begin with
    moved = fits.own.copy()
    moved[:, 0] += 0.4
    moved[:, 2] *= 1.3
    import dataclasses

    again = fit_cells(traces, SOFT, noise=Noise(), start=dataclasses.replace(fits, own=moved))
    assert again.log_likelihood == pytest.approx(fits.log_likelihood, abs=2)


def test_accumulating_noise_and_noise_of_reads_are_told_apart(many_cells):
    truth, _, _ = many_cells
    found = []
    for cycle, read in ((1.0, 0.02), (0.25, 0.05)):
        rng = np.random.default_rng(6)
        traces = soft_bounds(rng, *truth, cycle=cycle, read=read)
        fits = corrected(traces, fit_cells(traces, SOFT, noise=Noise()), copies=2, rounds=1)
        found.append((np.exp(fits.shared[0]) / cycle, np.exp(fits.shared[1] / 2) / read))
    # Differences of reads have about the same variance in both; errors are 3 % and 15 %.
    assert found[0] == pytest.approx((1, 1), abs=0.12)
    assert found[1] == pytest.approx((1, 1), abs=0.35)


def test_simulated_copies_look_like_the_data(many_cells):
    _, traces, fits = many_cells
    copy = simulate(traces, fits, np.random.default_rng(7))
    steps = [np.nanstd(np.diff(t.values, axis=0)) for t in (traces, copy)]
    assert steps[1] == pytest.approx(steps[0], rel=0.03)
    assert np.nanstd(copy.values) == pytest.approx(np.nanstd(traces.values), rel=0.03)


def test_rows_without_a_read_say_nothing():
    rng = np.random.default_rng(8)
    up, down, high, low = population(rng, 4)
    traces = soft_bounds(rng, up, down, high, low, cycle=0.4, read=0.03, pulses=30)
    own = np.stack([np.log((up + down) / 2), (up - down) / 2, high, low], 1)[None]
    shared = np.array([[np.log(0.4), np.log(0.03**2)]])
    values = traces.values.copy()
    values[1::2] = np.nan
    gaps = Traces(values, traces.pulses, traces.up, traces.cell, traces.repeat, traces.cells)
    # Leaving the rows out and counting two pulses for the next read is the same.
    pulses = traces.pulses[::2].copy()
    pulses[1:] = 2
    short = Traces(traces.values[::2], pulses, traces.up, traces.cell, traces.repeat, traces.cells)
    found = [log_likelihoods(t, SOFT, own, shared, Noise()) for t in (gaps, short)]
    assert found[0] == pytest.approx(found[1], abs=1e-9)


def _cells_with_errors(rng, cells, error):
    """Return fits of cells whose parameters are known up to errors of a given size."""
    from hwloop.characterization.fits.cells import CellFits
    from hwloop.characterization.fits.filter import Scores

    up, down, high, low = population(rng, cells, spread=0.3, skew=0.1)
    truth = np.stack([np.log((up + down) / 2), (up - down) / 2, high, low], 1)
    errors = error * np.array([1.0, 0.05, 1.0, 1.0])
    own = truth + errors * rng.standard_normal(truth.shape)
    information = np.broadcast_to(np.diag(errors**-2.0), (cells, 4, 4))
    padded = np.zeros((cells, 6, 6))
    padded[:, :4, :4] = information
    prior = Prior(own.mean(0), np.array([0.1, 100.0, 0.1, 0.1]))
    return CellFits(
        SOFT,
        Noise(),
        own,
        np.zeros(2),
        np.ones(6),
        Scores(np.zeros(cells), np.zeros((cells, 6)), padded),
        np.eye(2),
        prior,
        True,
    )


def test_errors_of_single_cells_do_not_widen_the_spread():
    # The errors are as large as the spreads of the bounds: without the model of the errors, the
    # spread would be found 40 % too wide. 800 cells know it to 5 %.
    found = fit_population(
        _cells_with_errors(np.random.default_rng(9), 800, 0.2), log_normal=True, errors=False
    )
    assert found["bound_max_spread"] == pytest.approx(0.2, rel=0.2)
    assert found["step_spread"] == pytest.approx(0.3, rel=0.15)


def test_intervals_of_distributions_cover_the_truth():
    truth = {
        "step": 0.05,
        "step_spread": 0.3,
        "up_down": 0.1,
        "up_down_spread": 0.1,
        "bound_max": 1.0,
        "bound_max_spread": 0.2,
        "bound_min": 1.1,
        "bound_min_spread": 0.2,
    }
    covered = []
    for seed in range(25):
        cells = _cells_with_errors(np.random.default_rng(100 + seed), 60, 0.05)
        found = fit_population(cells, log_normal=True)
        for k, name in enumerate(found.names):
            value = truth[name.removeprefix("log ")]
            wanted = np.log(value) if name.startswith("log ") else value
            error = np.sqrt(found.covariance[k, k])
            covered.append(abs(found.values[k] - wanted) < 1.96 * error)
    # 200 intervals of 95 %: 186 to 198 with a probability of 0.998 if they hold what they say; if
    # they held 85 %, fewer than 186 with a probability of 0.999.
    assert 184 <= sum(covered) <= 199


def test_kinds_of_gain_are_told_apart():
    # Of 300 cells with a spread of 30 %, the right kind is likelier by about 20.
    cells = _cells_with_errors(np.random.default_rng(10), 300, 0.03)
    both = [fit_population(cells, log_normal=k, errors=False).log_likelihood for k in (True, False)]
    assert both[0] > both[1] + 5
