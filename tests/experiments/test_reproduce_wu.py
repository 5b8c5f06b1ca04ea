"""What analog SGD and Tiki-Taka converge to on a noisy least-squares problem."""

import math

import numpy as np
import pytest

from hwloop.experiments.reproduce import least_squares, wu_exact
from hwloop.experiments.reproduce.least_squares import Plateau, drift_objective


def test_the_drift_is_balanced_at_its_objective():
    # Without noise in the mean gradient the balance is linear; large bounds leave the optimum.
    assert drift_objective(1e6) < 1e-9
    assert drift_objective(1.0) > 2 * drift_objective(2.0)


def test_the_mean_magnitude_of_noise_around_a_mean():
    mean = np.array([0.0, 10.0])
    magnitudes = least_squares._mean_magnitude(mean)
    assert magnitudes[0] == pytest.approx(least_squares.NOISE * math.sqrt(2 / math.pi))
    assert magnitudes[1] == pytest.approx(10.0)


def test_the_bound_grows_without_limit_towards_saturation():
    assert least_squares.bound(0.0) == 0.0
    assert least_squares.bound(0.999) > 100 * least_squares.bound(0.5)


def test_a_plateau_that_falls_with_the_rate_of_analog_sgd_is_missed():
    def plateau(objective: float) -> Plateau:
        return Plateau(objective, objective, 0.5, [objective])

    sgd = {rate: plateau(drift_objective(1.0)) for rate in wu_exact.RATES}
    exact = {rate: plateau(rate / 20) for rate in wu_exact.FAST_RATES}
    assert all(check.reached for check in wu_exact.judge(sgd, exact, {}))
    sgd[max(sgd)] = plateau(1.25 * drift_objective(1.0))
    exact[max(exact)] = plateau(1.9 * exact[min(exact)].objective)
    missed = [check.name for check in wu_exact.judge(sgd, exact, {}) if not check.reached]
    assert [name.partition(":")[0] for name in missed] == ["analog SGD", "Tiki-Taka"]
