"""The results of Rasch et al. 2024: cost table, weight programming, constant gradient."""

import numpy as np
import pytest

from hwloop.controllers import AGAD, AnalogSGD, TTv2
from hwloop.controllers.cost import COSTS, Hardware
from hwloop.experiments.reproduce import rasch_fig3, rasch_fig4, rasch_table1
from hwloop.experiments.reproduce.stacked import for_copies, own, spread
from hwloop.experiments.reproduce.weight_programming import Cell, doses


@pytest.mark.parametrize(
    ("name", "nanoseconds"),
    [
        ("ttv2", "56.3"),
        ("c-ttv2", "56.3"),
        ("agad", "62.1"),
        ("sgd", "30.9"),
        ("mixed-precision", "3024.5"),
    ],
)
def test_times_are_those_of_the_table_to_the_printed_digit(name, nanoseconds):
    assert f"{COSTS[name](Hardware()).total_ns:.1f}" == nanoseconds


def test_sparse_agad_takes_the_printed_time():
    hardware = Hardware(n_s=10, l_avg=1, l_max=1)
    assert f"{COSTS['agad'](hardware).total_ns:.1f}" == "17.1"


def test_agad_without_running_mean_saves_a_matrix_and_half_the_extra_operations():
    whole, lean = (COSTS["agad"](Hardware(running_mean=kept)) for kept in (True, False))
    assert whole.storage_bytes - lean.storage_bytes == 512**2
    assert f"{lean.total_ns:.1f}" == "57.7"


def test_two_phases_double_the_time_of_pulses_alone():
    one, two = (COSTS["ttv2"](Hardware(n_phases=phases)) for phases in (1, 2))
    assert two.analog_ns - one.analog_ns == pytest.approx((5 + 1 / 2) * 5)
    assert two.digital_ns == one.digital_ns


def test_table_of_the_command_holds_all_algorithms():
    assert set(rasch_table1.times()) == set(COSTS)


def test_a_stack_counts_the_vectors_of_all_copies():
    one = TTv2(n_s=5, gamma0=200.0, momentum=0.99)
    four = for_copies(one, 4)
    assert (four.n_s, four.gamma0) == (20, 800.0)
    assert four.momentum**4 == pytest.approx(0.99)
    assert for_copies(AGAD(n_s=2), 3).n_s == 6
    assert for_copies(AnalogSGD(), 3) == AnalogSGD()


def test_samples_of_a_stack_reach_their_own_copy_alone():
    errors_of_copies = np.arange(1, 25, dtype=np.float32).reshape(2, 3, 4)
    wide = spread(errors_of_copies)
    assert wide.shape == (6, 12)
    assert np.count_nonzero(wide) == 24
    assert np.array_equal(own(wide, 3), errors_of_copies)
    assert np.array_equal(wide[4, 4:8], errors_of_copies[1, 1])


def test_the_verdict_sees_an_algorithm_that_ignores_the_offset():
    measured = {
        Cell(name, offset): [known]
        for name, values in rasch_fig4.REPLICATION[20, rasch_fig4.LONG].items()
        for offset, known in zip(rasch_fig4.OFFSETS, values, strict=False)
    }
    assert all(check.reached is not False for check in rasch_fig4.judge(measured))
    measured[Cell("ttv2", 0.5)] = measured[Cell("ttv2", 0.0)]
    missed = [check.name for check in rasch_fig4.judge(measured) if check.reached is False]
    assert missed == ["ttv2, s_r 0.5, 20 states", "TTv2 over c-TTv2, s_r 0.5"]


def test_the_fast_array_bears_more_pulses_than_the_weights():
    dose = doses(Cell("ttv2", 0.0, vectors=500, copies=2))
    assert dose.fast_most > dose.fast_mean > 10 * dose.weights_mean > 0


def test_a_ttv2_that_goes_on_in_spite_of_the_offset_is_seen():
    half, end = rasch_fig3.LOOKS // 2, rasch_fig3.LOOKS
    straight = [-0.5 * (look + 1) / end for look in range(end)]
    slower = [0.7 * moved if look < half else moved for look, moved in enumerate(straight)]
    curves = {(name, 0.0): straight for name in rasch_fig3.ALGORITHMS}
    curves |= {(name, rasch_fig3.OFFSET): straight for name in rasch_fig3.ALGORITHMS}
    curves["c-ttv2", rasch_fig3.OFFSET] = slower
    missed = [check.name for check in rasch_fig3.judge(curves) if not check.reached]
    assert len(missed) == 1 and missed[0].startswith("TTv2 stops")
