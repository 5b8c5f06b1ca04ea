"""A live array against a tape."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import hwloop
from hwloop.cli import main
from hwloop.crossbar import Chip
from hwloop.errors import CapabilityError, ConfigurationError, SafetyError
from hwloop.experiments.compare import Rehearsal, Tolerance, compare, rehearse
from hwloop.operations import Operation, Result, Verdict
from hwloop.tape import FileTape
from hwloop.tape.recording import open_recording
from tests.replay.tapes import bench, record
from tests.seam.bench_array import BenchArray

URL = "sim:reram-om,shape=2x6x8"


def work(chip: Chip) -> None:
    chip[0].forward(np.linspace(-0.2, 0.2, chip[0].cols))
    chip[0].read_cells(average=16)
    chip[1].update(np.full(chip[1].cols, 0.5), np.full(chip[1].rows, 0.5))
    chip[1].pulse(row=1, col=2, count=7)
    chip[1].read_line(1)
    chip[1].backward(np.full(chip[1].rows, 0.1))
    chip.wait(1e-6)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    with hwloop.connect(f"{URL},seed=1", tape=FileTape(tmp_path / "tape", {})) as chip:
        work(chip)
    return tmp_path / "tape"


def test_the_same_array_gives_the_same_codes(path: Path) -> None:
    with hwloop.connect(f"{URL},seed=1") as chip:
        found = compare(open_recording(path), chip, Tolerance(codes=0))
    assert found.outside == 0 and found.without_result is None
    kinds = {kind: (row.operations, row.values, row.worst) for kind, row in found.kinds.items()}
    assert kinds == {
        "vmm": (2, 6 + 8, 0),
        "read_cells": (2, 6 * 8 + 8, 0),
        "outer_update": (1, 1, 0),
        "pulse": (1, 1, 0),
        "wait": (1, 0, 0),
    }


def test_another_array_does_not(path: Path) -> None:
    with hwloop.connect(f"{URL},seed=2") as chip:
        found = compare(open_recording(path), chip, Tolerance(codes=2))
    row = found.kinds["read_cells"]
    assert 10 < row.outside <= row.values and row.worst > 2
    assert row.first.startswith("operation 2, tile 0, [0, ")
    assert "taped" in row.first


def test_noise_alone_is_within_six_of_its_deviations(tmp_path: Path) -> None:
    """Of 8,000 differences of normal deviates, 6 sigma excludes one with a chance of 2e-5.

    At half a sigma and the code for rounding, some of them have to be outside.
    """
    url, path = "sim:ideal,shape=40x50,periphery=default", tmp_path / "tape"

    def read(chip: Chip) -> None:
        for average in (1, 4):
            chip[0].read_cells(average=average)

    with hwloop.connect(f"{url},seed=1", tape=FileTape(path, {})) as chip:
        assert chip.capabilities.tiles[0].output_noise > 0
        read(chip)
    for noise, few in ((6, True), (0.2, False)):
        with hwloop.connect(f"{url},seed=2") as chip:
            found = compare(open_recording(path), chip, Tolerance(noise=noise))
        assert (found.outside == 0) is few, found.kinds


def test_averaged_reads_are_compared_by_their_means(tmp_path: Path) -> None:
    def read(chip: Chip) -> None:
        chip[0].read_cells(average=64)

    path = record(tmp_path / "tape", read)
    array = bench()
    array.cells[0] += 1e-6  # 40.95 codes of each single read
    with Chip(array) as chip:
        row = compare(open_recording(path), chip, Tolerance(codes=41)).kinds["read_cells"]
    assert row.outside == 0 and row.worst == pytest.approx(41, abs=0.5)


def test_two_saturated_reads_agree(tmp_path: Path) -> None:
    def deep(array: BenchArray, siemens: float) -> Chip:
        array.cells[0] += siemens
        return Chip(array, tape=FileTape(tmp_path / "tape", {}) if siemens < 1 else None)

    with deep(bench(), 1e-3) as chip:
        assert abs(chip[0].read_cells()).max() > 0
    with deep(bench(), 2.0) as chip:
        assert compare(open_recording(tmp_path / "tape"), chip, Tolerance(codes=0)).outside == 0


def test_pulses_and_verdicts_have_to_be_equal(tmp_path: Path) -> None:
    path = record(tmp_path / "tape", lambda chip: chip[0].pulse(1, 2, 7))

    class Weak(BenchArray):
        def execute(self, operation: Operation) -> Result:
            result = super().execute(operation)
            return Result(fired=6) if operation.kind == "pulse" else result

    class Cut(BenchArray):
        def execute(self, operation: Operation) -> Result:
            result = super().execute(operation)
            return Result(verdict=Verdict.PARTIAL) if operation.kind == "pulse" else result

    for array, says in (
        (Weak(reference="cell"), "[0]: 6, taped 7"),
        (Cut(reference="cell"), "partial, taped applied"),
    ):
        with Chip(array) as chip:
            row = compare(open_recording(path), chip, Tolerance(codes=9)).kinds["pulse"]
        assert row.outside == 1 and says in row.first


def test_a_chip_without_stated_noise_needs_a_tolerance_in_codes(tmp_path: Path) -> None:
    path = record(tmp_path / "tape", lambda chip: chip[0].read_cells())
    with Chip(bench()) as chip, pytest.raises(CapabilityError, match="does not state"):
        compare(open_recording(path), chip, Tolerance(noise=6))


Opener = Callable[[], Chip]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"tiles": 1}, "tile 1: on the tape 4x6, the array has none"),
        ({"rows": 5}, "tile 0: rows: on the tape 4, the array has 5"),
    ],
)
def test_another_kind_of_array_is_refused(
    tmp_path: Path, change: dict[str, int], says: str
) -> None:
    path = record(tmp_path / "tape", lambda chip: chip[0].pulse(0, 0, 1))
    array = bench(**change)
    with Chip(array) as chip, pytest.raises(ConfigurationError) as refused:
        compare(open_recording(path), chip, Tolerance(codes=1))
    assert says in refused.value.message
    assert [op.kind for op in array.executed] == ["configure"]


def test_nothing_moves_that_is_not_armed_or_over_a_limit(tmp_path: Path) -> None:
    def two_doses(chip: Chip) -> None:
        chip[0].pulse(0, 0, 30)
        chip[0].pulse(0, 0, 30)

    path = record(tmp_path / "tape", two_doses, kind="physical")
    array = bench(kind="physical")
    with pytest.raises(SafetyError, match="not armed"), Chip(array) as chip:
        compare(open_recording(path), chip, Tolerance(codes=1))
    assert [op.kind for op in array.executed] == ["configure"]
    worn = bench(kind="physical", limits=hwloop.Limits(dose_per_cell=50))
    with (
        pytest.raises(SafetyError, match="dose_per_cell of 50"),
        Chip(Rehearsal(worn.describe()), arm="bench-1") as chip,
    ):
        rehearse(open_recording(path), chip)
    assert worn.executed == []


def test_a_tape_without_an_answer_is_compared_up_to_there(tmp_path: Path) -> None:
    path = record(tmp_path / "tape", lambda chip: [chip[0].read_line(i) for i in range(3)])
    path.write_bytes(path.read_bytes()[:-1])
    with Chip(bench()) as chip:
        found = compare(open_recording(path), chip, Tolerance(codes=0))
    assert found.without_result == 3
    assert found.kinds["read_cells"].operations == 2


def test_command(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["run", "compare", str(path), "--backend", f"{URL},seed=1"]
    assert main([*words, "--codes", "0", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["outside"] == 0 and found["kinds"]["vmm"]["values"] == 14
    assert main([*words, "--dry-run", "--json"]) == 0
    dry = json.loads(capsys.readouterr().out)
    assert dry["operations"]["read_cells"] == 2 and dry["pulses"] >= 7
    words[-1] = f"{URL},seed=2"
    assert main(words) == 8
    out, err = capsys.readouterr()
    assert "read_cells" in out and "first outside" in out
    assert "outside the tolerance" in err


@pytest.mark.parametrize(
    ("more", "code"),
    [
        (["--codes", "1", "--noise", "2"], 2),
        (["--codes", "-1"], 2),
        (["--noise", "0"], 2),
        ([], 0),
    ],
)
def test_tolerances(path: Path, more: list[str], code: int) -> None:
    assert main(["run", "compare", str(path), "--backend", f"{URL},seed=1", *more]) == code
