"""Properties of the parts that controllers are made of."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwloop.controllers.choppers import ChopperRule, Choppers
from hwloop.controllers.hidden import HiddenMatrix, ResetRule
from hwloop.controllers.planning import peaks, plan_update
from hwloop.controllers.running import RunningMaximum
from hwloop.controllers.schedule import LineSchedule
from hwloop.errors import ConfigurationError
from hwloop.operations import GAIN_ONE

# Planning


def plan(x, d, pulses, l_max=5, code_max=127, seed=1):
    x, d = np.asarray(x, np.float32), np.asarray(d, np.float32)
    return plan_update(
        x,
        d,
        peaks(x),
        peaks(d),
        np.asarray(pulses, float),
        l_max=l_max,
        code_max=code_max,
        generator=np.random.default_rng(seed),
    )


def expected_pulses(update, code_max):
    power = (update.gains / GAIN_ONE) ** 2 * update.lengths / code_max**2
    return np.einsum(
        "s,si,sj->sij", power, update.d_codes.astype(float), update.x_codes.astype(float)
    )


def test_expectation_is_the_outer_product():
    rng = np.random.default_rng(0)
    x, d = rng.uniform(-1, 1, (1, 7)), rng.uniform(-1, 1, (1, 4))
    k = np.array([3.3])
    mean = np.mean([expected_pulses(plan(x, d, k, seed=i), 127)[0] for i in range(4000)], axis=0)
    wanted = k * np.outer(d / np.abs(d).max(), x / np.abs(x).max())
    assert np.abs(mean - wanted).max() < 0.005


@given(st.floats(1e-6, 100.0), st.integers(1, 31), st.integers(0, 1000))
def test_largest_codes_are_full_and_trains_short(pulses, l_max, seed):
    rng = np.random.default_rng(seed)
    x, d = rng.normal(size=(1, 9)), rng.normal(size=(1, 5)) * 1e-3
    update = plan(x, d, [pulses], l_max, code_max=127)
    assert np.abs(update.x_codes).max() == 127
    assert np.abs(update.d_codes).max() == 127
    assert update.lengths[0] == min(np.ceil(pulses), l_max)
    largest = np.abs(expected_pulses(update, 127)).max()
    assert largest == pytest.approx(min(pulses, l_max), rel=2e-2, abs=1e-5)
    assert 1 <= update.gains[0] <= GAIN_ONE


def test_signs_are_kept_and_zeros_stay_zero():
    x = np.array([[0.0, -0.5, 1.0, 0.0, 1e-9]])
    for seed in range(50):
        update = plan(x, [[1.0, -1.0]], [2.0], seed=seed)
        assert (update.x_codes[0, [0, 3]] == 0).all()
        assert update.x_codes[0, 1] < 0 < update.x_codes[0, 2]


def test_too_many_pulses_cut_the_largest_of_d_alone():
    # k = 10 and l_max = 5: entries of d up to half of its peak keep their expectation.
    update = plan([[1.0, 0.5]], [[1.0, 0.5, 0.25]], [10.0], l_max=5, code_max=127 * 2)
    pulses = expected_pulses(update, 254)[0]
    assert pulses[:, 0] == pytest.approx([5.0, 5.0, 2.5], rel=0.02)
    assert pulses[:, 1] == pytest.approx([2.5, 2.5, 1.25], rel=0.02)


@pytest.mark.parametrize(
    ("x", "d"), [([[0.0, 0.0]], [[1.0]]), ([[1.0, 0.0]], [[0.0]]), ([[0.0, 0.0]], [[0.0]])]
)
def test_zero_vectors_give_no_train(x, d):
    update = plan(x, d, [3.0])
    assert update.lengths[0] == 0
    assert update.gains[0] >= 1


def test_samples_are_planned_one_by_one():
    rng = np.random.default_rng(3)
    x, d = rng.normal(size=(6, 8)), rng.normal(size=(6, 3))
    x[2] = 0
    pulses = rng.uniform(0, 8, 6)
    together = plan(x, d, pulses)
    for i in range(6):
        alone = plan(x[i : i + 1], d[i : i + 1], pulses[i : i + 1])
        assert alone.lengths[0] == together.lengths[i]
        assert alone.gains[0] == together.gains[i]


def test_codes_of_wide_converters_do_not_overflow():
    update = plan([[1.0, -1.0]], [[1.0]], [1.0], code_max=2**23 - 1)
    assert update.x_codes.tolist() == [[2**23 - 1, 1 - 2**23]]


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_finite_is_refused(value):
    with pytest.raises(ConfigurationError, match="NaN or infinite"):
        peaks(np.array([[1.0, value]], np.float32))


# Running maxima


def test_running_maximum_starts_with_the_first_and_skips_zeros():
    mu = RunningMaximum(0.9)
    assert mu.follow(np.array([0.0, 2.0, 0.0, 1.0])) == pytest.approx([0.0, 2.0, 2.0, 1.9])


@given(st.lists(st.floats(0, 10), max_size=20), st.integers(0, 20))
def test_running_maximum_does_not_depend_on_batches(values, cut):
    whole, parts = RunningMaximum(), RunningMaximum()
    expected = whole.follow(np.array(values)).tolist()
    got = [*parts.follow(np.array(values[:cut])), *parts.follow(np.array(values[cut:]))]
    assert got == expected
    assert whole.value == parts.value


# Schedule


@given(
    st.integers(1, 12),
    st.integers(1, 5),
    st.integers(1, 12),
    st.lists(st.integers(0, 9), max_size=8),
)
def test_schedule_is_cyclic_and_does_not_depend_on_batches(lines, n_s, together, batches):
    schedule = LineSchedule(lines, n_s, min(together, lines))
    reads, before = [], 0
    for samples in batches:
        for transfer in schedule.transfers(before, samples):
            assert 0 < transfer.after <= samples
            reads.append((before + transfer.after, transfer))
        before += samples
    assert [at for at, _ in reads] == [n_s * (i + 1) for i in range(before // n_s)]
    order = [int(k) for _, transfer in reads for k in transfer.lines]
    assert order == [i % lines for i in range(len(order))]
    sweeps = [int(k) for _, transfer in reads for k in transfer.sweep]
    assert sweeps == [i // lines for i in range(len(order))]
    assert all(len(set(t.lines.tolist())) == len(t.lines) for _, t in reads)


def test_period_is_the_vectors_between_two_reads_of_a_line():
    assert LineSchedule(784, 1, 1).period == 784
    assert LineSchedule(784, 10, 10).period == 784
    assert LineSchedule(10, 2, 1).period == 20


@pytest.mark.parametrize(("n_s", "together"), [(0, 1), (1, 0), (1, 5)])
def test_impossible_schedules_are_refused(n_s, together):
    with pytest.raises(ConfigurationError):
        LineSchedule(4, n_s, together)


# Choppers


def sweeps(choppers, lines, count):
    signs = []
    for sweep in range(count):
        for line in range(lines):
            choppers.flip(np.array([line], np.int32), sweep)
        signs.append(choppers.signs.copy())
    return np.array(signs)


def test_random_choppers_flip_with_their_probability():
    signs = sweeps(Choppers(50, ChopperRule("random", 0.1), 1, "test", 0), 50, 400)
    flips = (np.diff(signs, axis=0) != 0).mean()
    assert flips == pytest.approx(0.1, abs=0.01)


def test_random_choppers_of_layers_and_seeds_differ():
    def run(seed, layer):
        return sweeps(Choppers(40, ChopperRule("random", 0.5), seed, "test", layer), 40, 3).tolist()

    assert run(1, 0) == run(1, 0)
    assert run(1, 0) != run(1, 1)
    assert run(1, 0) != run(2, 0)


def test_random_choppers_do_not_depend_on_how_lines_are_read():
    one = Choppers(8, ChopperRule("random", 0.5), 1, "test", 0)
    all_at_once = Choppers(8, ChopperRule("random", 0.5), 1, "test", 0)
    sweeps(one, 8, 5)
    for sweep in range(5):
        all_at_once.flip(np.arange(8, dtype=np.int32), sweep)
    assert one.signs.tolist() == all_at_once.signs.tolist()


def test_regular_choppers_flip_every_period():
    signs = sweeps(Choppers(3, ChopperRule("regular", period=4), 1, "test", 0), 3, 12)
    assert signs[:, 0].tolist() == [1, 1, 1, -1, -1, -1, -1, 1, 1, 1, 1, -1]


def test_choppers_without_probability_never_flip():
    choppers = Choppers(5, ChopperRule("random", 0.0), 1, "test", 0)
    assert not choppers.active
    assert (sweeps(choppers, 5, 20) == 1).all()


# Hidden matrix


@pytest.mark.parametrize(
    ("rule", "left"),
    [
        (ResetRule("zero", 0.0), [0.0, 0.9, 0.0, 0.0]),
        (ResetRule("zero", 0.1), [0.25, 0.9, -0.12, 0.1]),
        (ResetRule("subtract", 0.0), [1.5, 0.9, -0.2, 0.0]),
        (ResetRule("subtract", 0.1), [1.6, 0.9, -0.3, 0.1]),
    ],
)
def test_reset_rules(rule, left):
    hidden = HiddenMatrix(2, 4, rule)
    counts = hidden.add(np.array([1]), np.array([[2.5, 0.9, -1.2, 1.0]], np.float32))
    assert counts.tolist() == [[1, 0, -1, 1]]
    assert hidden.values[1] == pytest.approx(left)
    assert (hidden.values[0] == 0).all()


def test_several_pulses_at_once():
    hidden = HiddenMatrix(1, 4, ResetRule("subtract", 0.0, pulses_max=3))
    counts = hidden.add(np.array([0]), np.array([[2.5, 0.9, -4.2, 1.0]], np.float32))
    assert counts.tolist() == [[2, 0, -3, 1]]
    assert hidden.values[0] == pytest.approx([0.5, 0.9, -1.2, 0.0])


@given(st.lists(st.floats(-0.9, 0.9), min_size=1, max_size=40))
def test_subtracting_loses_nothing(increments):
    hidden = HiddenMatrix(1, 1, ResetRule("subtract", 0.0))
    pulses = sum(
        int(hidden.add(np.array([0]), np.array([[i]], np.float32))[0, 0]) for i in increments
    )
    assert pulses + float(hidden.values[0, 0]) == pytest.approx(sum(increments), abs=1e-4)


@pytest.mark.parametrize("wrong", [("halve", 0.0), ("zero", 1.0), ("zero", -0.1), ("zero", 0.0, 0)])
def test_impossible_reset_rules_are_refused(wrong):
    with pytest.raises(ConfigurationError):
        ResetRule(*wrong)
