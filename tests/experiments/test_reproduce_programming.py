"""Zero-shifting by pulses: how well it finds symmetry points, and what the verdict sees."""

from hwloop.experiments.reproduce import kim_zero_shift
from hwloop.experiments.reproduce.base import Check


def test_more_pulses_find_symmetry_points_better():
    few, many = (kim_zero_shift.found(200, pulses) for pulses in (320, 2560))
    assert few.pulses <= 320 < many.pulses <= 2560
    assert many.error < 0.7 * few.error


def test_missed_targets_are_named():
    accuracies = {
        (kim_zero_shift.NAMED, arm): [value]
        for arm, value in zip(kim_zero_shift.ARMS, (0.5, 0.6, 0.9), strict=True)
    }
    spent = [
        kim_zero_shift.Found(states, pulses, 0.1)
        for states in kim_zero_shift.SPENT_STATES
        for pulses in (320, 640)
    ]
    missed: list[Check] = [
        check for check in kim_zero_shift.judge(accuracies, spent) if check.reached is False
    ]
    assert [check.measured for check in missed] == ["0.25"]
