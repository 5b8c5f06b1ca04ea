"""What plans find is what virtual cells and converters hide, within the errors that they state."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import pytest
import yaml

import hwloop
from hwloop import device_file
from hwloop.backend import Ticket
from hwloop.characterization import measure
from hwloop.characterization.plans import calibrate
from hwloop.crossbar import Chip
from hwloop.device_file import ConverterCalibration
from hwloop.errors import ConfigurationError
from hwloop.operations import Direction, Operation, Result, Vmm
from hwloop.procedures import symmetry_point, write_verify
from hwloop_sim import SimBackend, open_backend, population
from tests.seam.bench_array import BenchArray

ROWS, COLS = 24, 16


def hidden(name: str, seed: int, **overrides: str) -> population.Population:
    """Return the cells of `sim:name,shape=24x16`."""
    device = device_file.load(name)
    return population.draw(device, ROWS, COLS, seed=seed, tile=0, overrides=overrides)


def centres(cells: population.Population) -> np.ndarray:
    """Return the mean of the two states between which a pulse up and a pulse down lead.

    Up `w + a + b w`, down `w + c + d w`: the lower state is the fixed point of both in turn.
    """
    a, b, c, d = (
        np.asarray(p, np.float64) for p in (cells.up_a, cells.up_b, cells.down_a, cells.down_b)
    )
    low = (c + a * (1 + d)) / (1 - (1 + b) * (1 + d))
    return ((low + low + a + b * low) / 2).ravel()


def test_symmetry_points_are_found_within_their_errors() -> None:
    """384 cells: were errors stated 25 % too small, their deviations would show it by 5 sigma."""
    with hwloop.connect(f"sim:soft-bounds-40,shape={ROWS}x{COLS},seed=7") as chip:
        data = measure(chip, "symmetry_point", average=4)
        half = chip.device.conductance.half_range_siemens  # type: ignore[union-attr]
        assert np.array_equal(chip.snapshot()[0][3].ravel(), data.columns["pulses_spent"])
    truth = centres(hidden("soft-bounds-40", 7))
    assert truth.std() > 0.05  # there is something to find
    error = data.columns["standard_error_siemens"] / half
    deviations = (data.state - truth) / error
    assert np.median(error) < 0.02
    assert abs(deviations.mean()) < 4 / np.sqrt(deviations.size)
    assert 0.8 < deviations.std() < 1.25
    assert np.mean(np.abs(deviations) > 3) < 0.02
    assert data.columns["settled"].mean() > 0.98
    after_up, after_down = data.columns["after_up_siemens"], data.columns["after_down_siemens"]
    assert np.mean(after_up > after_down) > 0.99


def test_more_pulses_give_the_error_that_is_asked_for() -> None:
    wanted = 5e-7
    with hwloop.connect("sim:soft-bounds-40,shape=4x4,seed=7") as chip:
        found = symmetry_point(
            chip, chip[0], error_siemens=wanted, pulses_max=20_000, average=4, lead=16
        )
    assert found.settled.all()
    assert found.standard_error.max() <= wanted
    assert len(set(found.pulses.tolist())) > 1  # each cell only what it needs
    assert found.siemens == pytest.approx((found.after_up + found.after_down) / 2)


def test_the_noise_of_reads_is_found() -> None:
    """98,304 reads: a standard error of 0.23 % on sigma."""
    with hwloop.connect(f"sim:reram-om,shape={ROWS}x{COLS},seed=3,output_noise=0.05") as chip:
        data = measure(chip, "read_noise", reads=256)
        assert chip.snapshot()[0][3].sum() == 0
    variances = [cell.state.var(ddof=1) for _, cell in data.by_cell()]
    assert np.sqrt(np.mean(variances)) == pytest.approx(0.05, rel=0.01)
    times = data.select(data.columns["cell"] == 0).columns["time_seconds"]
    assert np.diff(times) == pytest.approx(min(ROWS, COLS) * 80e-9)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_all_stuck_cells_are_found_and_no_other(seed: int) -> None:
    options = f"shape={ROWS}x{COLS},seed={seed},corrupt=0.1"
    with hwloop.connect(f"sim:reram-om,{options}") as chip:
        data = measure(chip, "array_map")
    cells = hidden("reram-om", seed, corrupt="0.1")
    truth = cells.bound_max == cells.bound_min
    assert 20 < truth.sum() < 60
    assert np.array_equal(data.columns["stuck"], truth.ravel())
    assert data.columns["open"].sum() == 0


class BrokenCells(BenchArray):
    """Two cells that do not move: one conducts, one does not."""

    STUCK: ClassVar = {(1, 2): 0.0, (3, 0): 6e-6}

    def execute(self, operation: Operation) -> Result:
        result = super().execute(operation)
        for place, siemens in self.STUCK.items():
            self.cells[0][place] = siemens
        return result


def test_open_cells_are_told_from_stuck_ones() -> None:
    data = measure(Chip(BrokenCells(tiles=1)), "array_map", pulses=5)
    assert np.flatnonzero(data.columns["stuck"]).tolist() == [8, 18]
    assert np.flatnonzero(data.columns["open"]).tolist() == [8]


def test_cells_are_written_to_their_targets() -> None:
    targets, tolerance = (3e-5, 5e-5, 7e-5), 4e-6
    with hwloop.connect(f"sim:reram-om,shape={ROWS}x{COLS},seed=2") as chip:
        parameters = {"target_siemens": targets, "tolerance_siemens": tolerance, "rounds": 60}
        data = measure(chip, "write_verify", **parameters)  # type: ignore[arg-type]
        conductance = chip.device.conductance  # type: ignore[union-attr]
        state = chip.snapshot()[0]
    assert np.array_equal(data.columns["pulses_spent"], state[3].ravel())
    assert data.columns["within"].mean() > 0.97
    held = conductance.middle_siemens + conductance.half_range_siemens * state[1].view(np.float32)
    within = data.columns["within"] == 1
    miss = np.abs(held.ravel() - data.columns["target_siemens"])[within]
    read_error = 0.06 * conductance.half_range_siemens / 4  # 16 reads
    assert miss.max() < tolerance + 4 * read_error
    assert np.median(data.columns["pulses_spent"]) < 40


def test_writing_is_a_procedure_of_its_own() -> None:
    with hwloop.connect("sim:soft-bounds-40,shape=6x5,seed=2") as chip:
        target = np.linspace(4e-5, 6e-5, 30)
        done = write_verify(chip, chip[0], target, tolerance_siemens=2e-6, rounds=80)
        assert done.within.all()
        assert np.abs(done.siemens - target).max() <= 2e-6
        again = write_verify(chip, chip[0], target, tolerance_siemens=4e-6)
        assert again.pulses.sum() == 0
        with pytest.raises(ConfigurationError, match="target_siemens has shape"):
            write_verify(chip, chip[0], [1e-5, 2e-5], tolerance_siemens=2e-6)
        with pytest.raises(ConfigurationError, match="of 0 or more"):
            write_verify(chip, chip[0], -1e-5, tolerance_siemens=2e-6)


def test_retention_waits_on_the_chips_clock() -> None:
    with hwloop.connect("sim:reram-om,shape=4x4,seed=2") as chip:
        data = measure(
            chip, "retention", level_pulses=[20, 60], first_seconds=1e-3, last_seconds=10, points=5
        )
        assert chip.chip_seconds > 10
    cell = data.select(data.columns["cell"] == 1)
    nominal, time = cell.columns["nominal_seconds"], cell.columns["time_seconds"]
    assert nominal == pytest.approx([0, 1e-3, 1e-2, 1e-1, 1, 10])
    assert time[1:] == pytest.approx(nominal[1:], rel=0.2)
    assert time[0] > 0
    assert set(data.columns["level"]) == {0, 1}
    high, low = (data.select(data.columns["level"] == n).state.mean() for n in (1, 0))
    assert high > low + 0.1


class HiddenErrors:
    """A simulated array whose vector reads have a gain and an offset on each output line.

    Its codes are fine, so that rounding them once more changes nothing.
    """

    def __init__(self, array: SimBackend, seed: int) -> None:
        self._array = array
        draw = np.random.default_rng(seed)
        self.gain = [draw.normal(1, 0.05, n) for n in (ROWS, COLS)]
        self.offset_codes = [draw.normal(0, 500, n) for n in (ROWS, COLS)]

    def __getattr__(self, name: str) -> object:
        return getattr(self._array, name)

    def submit(self, operations: Sequence[Operation]) -> Ticket:
        ticket = self._array.submit(operations)
        for i, operation in enumerate(operations[: len(ticket.results)]):
            if isinstance(operation, Vmm):
                axis = 0 if operation.direction is Direction.FORWARD else 1
                values = ticket.results[i].values
                assert values is not None
                shown = np.rint(values / self.gain[axis] + self.offset_codes[axis])
                changed = dataclasses.replace(ticket.results[i], values=shown.astype(np.int32))
                ticket.results[i] = changed
        return ticket


def test_gains_and_offsets_of_converters_are_found() -> None:
    """40 lines: errors of gains are about 1 %, hidden gains spread by 5 %."""
    backend = open_backend("reram-om", {"shape": f"{ROWS}x{COLS}", "seed": "4", "adc_bits": "16"})
    array = HiddenErrors(backend, 1)
    with Chip(array) as chip:
        data = measure(chip, "converter_calibration", vectors=512)
        lsb = chip[0].capabilities.adc_forward.lsb
    found = calibrate(data, datetime.date(2026, 1, 2), "data.yaml")
    assert [c.calibration.axis for c in found] == ["forward", "backward"]
    for axis, calibrated in enumerate(found):
        calibration = calibrated.calibration
        gain = (np.array(calibration.gain) - array.gain[axis]) / calibrated.gain_error
        offset = np.array(calibration.offset_amperes) - array.offset_codes[axis] * lsb
        offset /= calibrated.offset_error_amperes
        for deviations in (gain, offset):
            assert np.abs(deviations).max() < 4
            assert 0.6 < deviations.std() < 1.5
        assert calibrated.gain_error.max() < 0.02
        written = yaml.safe_load(yaml.safe_dump(calibration.model_dump(mode="json")))
        assert ConverterCalibration.model_validate(written) == calibration


def test_calibration_needs_currents() -> None:
    with hwloop.connect("sim:ideal,shape=4x4") as chip:
        data = measure(chip, "converter_calibration", vectors=8)
        with pytest.raises(ConfigurationError, match="say nothing of its gain"):
            calibrate(data, datetime.date(2026, 1, 2))
        with pytest.raises(ConfigurationError, match="read_noise data give no"):
            calibrate(measure(chip, "read_noise", reads=16), datetime.date(2026, 1, 2))


def test_endurance_reads_both_states_at_equal_ratios() -> None:
    with hwloop.connect("sim:reram-om,shape=3x3,seed=2") as chip:
        data = measure(chip, "endurance", cycles=100, pulses=10, points=5)
        assert (chip.snapshot()[0][3] == 2000).all()
    cell = data.select(data.columns["cell"] == 0)
    assert cell.columns["cycle"].tolist() == [1, 1, 3, 3, 10, 10, 32, 32, 100, 100]
    up, down = (data.select(data.columns["direction"] == sign).state.mean() for sign in (1, -1))
    assert up > down + 0.3
