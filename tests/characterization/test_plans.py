"""Plans: what they do to cells, what they cost, and what they refuse before anything moves."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

import hwloop
from hwloop import characterization
from hwloop.capabilities import Limits
from hwloop.characterization import MeasurementInterrupted, measure
from hwloop.characterization.checks import check
from hwloop.characterization.plans import PLANS, Measuring, make_plan, rehearse
from hwloop.crossbar import Chip
from hwloop.errors import CapabilityError, ConfigurationError, CrossbarError, SafetyError
from hwloop.operations import Form, Operation, Pulse, Result
from hwloop.procedures.cells import choose_cells
from tests.seam.bench_array import STEP, BenchArray

SIM = "sim:reram-om,shape=8x8,seed=5"

SHORT = {
    "pulse_response": {"pulses": 12, "every": 5, "trains": ["up", "down"], "lead": 3},
    "amplitude_response": {"lead": 4},
    "symmetry_point": {"pulses_max": 300, "pairs": 2, "lead": 4},
    "read_noise": {"reads": 20},
    "retention": {"points": 4, "last_seconds": 1e-3, "level_pulses": [5, 10]},
    "endurance": {"cycles": 70, "pulses": 2, "points": 4},
    "array_map": {"pulses": 20},
    "write_verify": {"target_siemens": [4e-5, 6e-5], "tolerance_siemens": 4e-6, "rounds": 6},
    "converter_calibration": {"vectors": 16, "zeros": 4, "average": 8},
}
"""Parameters with which every plan but forming is short."""


def bench(**options: object) -> tuple[Chip, BenchArray]:
    """Return a chip of ideal cells that move by STEP per pulse, and the array behind it."""
    array = BenchArray(tiles=1, **options)  # type: ignore[arg-type]
    array.cells[0][:] = 50 * STEP / 10
    return Chip(array, arm=None if options.get("kind") != "physical" else "bench-1"), array


def test_a_pulse_response_is_what_the_cells_do() -> None:
    chip, array = bench()
    data = measure(
        chip[0], "pulse_response", pulses=5, every=2, repeats=2, lead=1, rows=[1, 3], cols=2
    )
    assert (data.rows, data.kind, data.header.quantity) == (
        28,
        "pulse_response",
        "conductance_siemens",
    )
    cell = data.select(data.columns["cell"] == 1)
    assert set(cell.columns["row"]) == {3}
    assert cell.columns["sequence"].tolist() == [*range(7)] * 2
    assert cell.columns["direction"].tolist() == [0, 1, 1, 1, -1, -1, -1] * 2
    assert cell.columns["pulse"].tolist() == [0, 2, 4, 5, 2, 4, 5] * 2
    moved = np.array([0, 2, 4, 5, 3, 1, 0] * 2) - 1
    assert cell.state == pytest.approx(array_start() + moved * STEP, abs=2e-8)
    assert check(data) == []
    assert array.cells[0][0, 0] == array_start()


def array_start() -> float:
    return 50 * STEP / 10


def test_a_row_has_one_direction() -> None:
    with (
        hwloop.connect("sim:ideal,shape=2x2") as chip,
        pytest.raises(ConfigurationError, match="a row of the data has one direction"),
    ):
        measure(chip, "pulse_response", pulses=4, every=2, trains=["up", "alternating"])


def test_alternating_trains_begin_upwards() -> None:
    chip, array = bench()
    measure(chip, "pulse_response", pulses=3, trains=["alternating"], repeats=1, cells=[(0, 0)])
    counts = [o.counts.item() for o in array.executed if isinstance(o, Pulse)]
    assert counts == [1, -1, 1]


def test_an_amplitude_response_climbs_the_shapes() -> None:
    chip, array = bench()
    data = measure(chip, "amplitude_response", repeats=1, lead=2, rows=0, cols=0, polarity="down")
    shapes = [o.shape for o in array.executed if isinstance(o, Pulse)]
    assert shapes == ["set", "set", "hard"]
    assert data.columns["amplitude_volts"].tolist() == [0.0, -1.0, -3.0]
    assert list(data.header.shapes) == ["set", "hard"]


@pytest.mark.parametrize("plan", [p for p in SHORT if p != "amplitude_response"])
def test_the_dose_is_known_before_and_counted_by_the_device(plan: str) -> None:
    with hwloop.connect(SIM) as chip:
        cells = choose_cells(chip[0].capabilities, 0, cells=[(0, 1), (2, 1), (5, 7)])
        measuring = Measuring(chip, make_plan(plan, SHORT[plan]), cells)
        measuring.run()
        counted = chip.snapshot()[0][3]
        assert np.array_equal(measuring.dose.cells, counted)
        assert measuring.pulses == counted.sum()
        rehearsal = measuring.rehearsal
        if rehearsal.exact:
            assert np.array_equal(rehearsal.dose, counted)
            assert (rehearsal.steps, rehearsal.rows) == (
                measuring.done,
                measuring.measurement().rows,
            )
        else:
            assert (rehearsal.dose >= counted).all()
            assert rehearsal.steps >= measuring.done
        assert check(measuring.measurement()) == []


def test_every_plan_is_tried_here() -> None:
    assert set(PLANS) == {*SHORT, "forming"}


def test_trains_are_split_where_an_operation_may_not_give_them() -> None:
    limits = Limits(pulses_per_operation=4, dose_per_cell=20)
    chip, array = bench(limits=limits)
    measure(chip, "pulse_response", pulses=10, every=10, repeats=1, rows=0, cols=0)
    counts = [o.counts.item() for o in array.executed if isinstance(o, Pulse)]
    assert counts == [4, 4, 2, -4, -4, -2]


@pytest.mark.parametrize(
    ("limits", "what"),
    [
        (Limits(dose_per_cell=79), "cell row 0, col 0 .* the limit dose_per_cell of 79"),
        (Limits(dose_per_line=479), "row 0 .* the limit dose_per_line of 479"),
    ],
)
def test_a_dose_over_a_limit_is_refused_before_anything_moves(limits: Limits, what: str) -> None:
    chip, array = bench(limits=limits)
    with pytest.raises(SafetyError, match=f"gives a cell 80 pulses: {what} .*; nothing was sent"):
        measure(chip, "pulse_response", pulses=20)
    assert [o.kind for o in array.executed] == ["configure"]
    assert chip.guard.ledger.row[0].sum() == 0


def test_a_second_plan_is_refused_for_the_dose_of_the_first() -> None:
    chip, _ = bench(limits=Limits(dose_per_cell=100))
    measure(chip, "pulse_response", pulses=20)
    with pytest.raises(SafetyError, match="dose_per_cell"):
        measure(chip, "pulse_response", pulses=20)


def test_a_physical_array_has_to_be_armed() -> None:
    array = BenchArray(tiles=1, kind="physical")
    with pytest.raises(SafetyError, match="not armed") as refused:
        measure(Chip(array), "pulse_response")
    assert refused.value.remedy == "arm it by its id: --arm bench-1"
    assert len(array.executed) == 1
    assert measure(Chip(array), "read_noise", reads=16).rows == 16 * 24  # reads need no arming


@pytest.mark.parametrize(
    ("plan", "parameters", "error", "message", "remedy"),
    [
        ("pulse_respons", {}, ConfigurationError, "is unknown", "did you mean pulse_response?"),
        ("pulse_response", {"pulsses": 2}, ConfigurationError, "pulsses: is no", "mean pulses?"),
        ("pulse_response", {"pulses": 0}, ConfigurationError, "pulses: is 0", "parameters of"),
        ("pulse_response", {"shape": "sett"}, ConfigurationError, "'sett' is no", "mean set?"),
        ("pulse_response", {"trains": ["left"]}, ConfigurationError, "trains.0: is 'left'", ""),
        ("pulse_response", {"average": 99}, CapabilityError, "expected 1 to 64", ""),
        ("pulse_response", {"rows": [9]}, ConfigurationError, "rows: 9 is out of range", ""),
        ("pulse_response", {"cols": [-1]}, ConfigurationError, "cols: -1 is out", ""),
        ("pulse_response", {"rows": []}, ConfigurationError, "names no line", ""),
        ("pulse_response", {"cells": [(0, 0), (0, 0)]}, ConfigurationError, "twice", ""),
        ("pulse_response", {"cells": [(0, 0)], "rows": 1}, ConfigurationError, "one of both", ""),
        ("retention", {"level_siemens": [1e-5]}, ConfigurationError, "belong together", ""),
        ("symmetry_point", {"pulses_max": 8}, ConfigurationError, "need 320", "raise pulses_max"),
        ("write_verify", {}, ConfigurationError, "target_siemens: Field required", ""),
        ("forming", {"recipes": ["f"], "formed_siemens": 1e-6}, CapabilityError, "needs form", ""),
    ],
)
def test_mistakes_are_refused_before_anything_moves(
    plan: str, parameters: dict[str, object], error: type[CrossbarError], message: str, remedy: str
) -> None:
    chip, array = bench()
    with pytest.raises(error) as refused:
        measure(chip[0], plan, **parameters)  # type: ignore[arg-type]
    assert message in refused.value.message
    assert remedy in refused.value.remedy
    assert [o.kind for o in array.executed] == ["configure"]


def test_a_table_that_would_be_too_large_is_refused() -> None:
    chip, array = bench(rows=1500, cols=1500)
    with pytest.raises(ConfigurationError, match="a table of more than 134217728 values"):
        measure(chip, "read_noise", reads=20)
    assert len(array.executed) == 1


def test_what_a_plan_needs_and_lacks_is_named() -> None:
    chip, _ = bench(operations=frozenset({"read_cells", "configure"}))
    with pytest.raises(CapabilityError, match="retention needs pulse, wait, which bench"):
        measure(chip, "retention")


def test_one_shape_is_not_enough_for_an_amplitude_response() -> None:
    with hwloop.connect(SIM) as chip, pytest.raises(ConfigurationError, match="several") as refused:
        measure(chip, "amplitude_response")
    assert "add shapes" in refused.value.remedy


def test_a_chip_of_several_tiles_needs_one_named() -> None:
    chip = Chip(BenchArray())
    with pytest.raises(ConfigurationError, match="2 tiles"):
        measure(chip, "read_noise")
    assert set(measure(chip[1], "read_noise", reads=16).columns["tile"]) == {1}


def test_an_interruption_keeps_what_was_measured() -> None:
    def stop(progress: characterization.plans.Progress) -> None:
        assert progress.of == 82
        if progress.steps == 30:
            raise KeyboardInterrupt

    with hwloop.connect(SIM) as chip:
        with pytest.raises(MeasurementInterrupted) as interrupted:
            measure(chip, "pulse_response", pulses=20, progress=stop, rows=0)
        partial = interrupted.value.measurement
        assert partial is not None
        assert partial.rows == 30 * 8
        assert partial.header.notes["partial"] == "stopped after 30 of 82 steps"
        whole = measure(chip, "pulse_response", pulses=20, rows=0)  # the array goes on
        assert "partial" not in whole.header.notes


def test_adaptive_plans_keep_their_last_estimate() -> None:
    def stop(progress: characterization.plans.Progress) -> None:
        if progress.steps == 4:
            raise KeyboardInterrupt

    with hwloop.connect(SIM) as chip, pytest.raises(MeasurementInterrupted) as interrupted:
        measure(chip, "write_verify", target_siemens=[7e-5], tolerance_siemens=1e-7, progress=stop)
    partial = interrupted.value.measurement
    assert partial is not None
    assert partial.columns["pulses_spent"].max() > 0
    assert "of at most 32 steps" in partial.header.notes["partial"]


def test_data_of_normalised_arrays_stay_normalised() -> None:
    with hwloop.connect(SIM) as chip:
        data = measure(chip, "pulse_response", pulses=5, rows=0)
        header = data.header
        assert header.normalised
        assert header.conductance == chip.device.conductance  # type: ignore[union-attr]
        assert header.device.chip_id == "sim-reram-om-5"
        assert header.shapes == dict(chip.configuration.shapes)
        assert data.state.min() >= header.conditions.value_minimum  # type: ignore[operator]


class FormingArray(BenchArray):
    """Cells that read nothing until a recipe is strong enough for them."""

    NEEDED = np.arange(24).reshape(4, 6) % 3

    def __init__(self) -> None:
        known = frozenset({"read_cells", "pulse", "form", "configure"})
        super().__init__(tiles=1, operations=known)
        self.cells[0][:] = 0

    def execute(self, operation: Operation) -> Result:
        if isinstance(operation, Form):
            assert operation.rows is not None and operation.cols is not None
            at = operation.rows[0], operation.cols[0]
            assert self.cells[0][at] == 0, "a formed cell is formed again"
            if int(operation.recipe[-1]) > self.NEEDED[at]:
                self.cells[0][at] = 20e-6
        return super().execute(operation)


def test_forming_stops_cell_by_cell() -> None:
    array = FormingArray()
    data = measure(
        Chip(array),
        "forming",
        recipes=["volts-1", "volts-2"],
        recipe_volts=[2.5, 3.0],
        formed_siemens=5e-6,
    )
    needed = FormingArray.NEEDED.ravel()
    volts = np.select([needed == 0, needed == 1], [2.5, 3.0], np.nan)
    assert np.array_equal(data.columns["breakdown_volts"], volts, equal_nan=True)
    assert np.array_equal(data.columns["formed"], needed < 2)
    assert np.array_equal(data.columns["attempts"], np.minimum(needed + 1, 2))


def test_forming_may_be_forbidden() -> None:
    chip = Chip(FormingArray(), limits=Limits(forming=False))
    with pytest.raises(SafetyError, match="forming is not allowed"):
        measure(chip, "forming", recipes=["volts-1"], formed_siemens=5e-6)


def test_a_rehearsal_gives_no_id_away() -> None:
    with hwloop.connect(SIM) as chip:
        cells = choose_cells(chip[0].capabilities, 0)
        rehearsal = rehearse(chip, make_plan("pulse_response", {"pulses": 4}), cells)
        assert (chip.next_id, chip.next_ordinal) == (1, 1)
        assert (rehearsal.pulses, rehearsal.most_pulses_per_cell) == (16 * 64, 16)
        assert rehearsal.pulse_seconds == pytest.approx(8 * 16 * 2.5e-6)


def test_measuring_loads_nothing_heavy() -> None:
    script = (
        "import sys, hwloop\n"
        "from hwloop import characterization\n"
        "from hwloop.experiments import measure, measure_config\n"
        "characterization.measure(hwloop.connect('sim:ideal,shape=2x2'), 'read_noise', reads=16)\n"
        "print({'torch', 'scipy', 'matplotlib', 'h5py', 'mlxtend'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (done.stdout.strip(), done.stderr) == ("set()", "")
