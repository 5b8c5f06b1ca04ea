"""`hwloop device validate`: all problems, each with path, value, expectation and remedy."""

import json
from pathlib import Path

import numpy as np
import pytest

from hwloop import characterization, device_file
from hwloop.characterization import Measurement, check, measurement, require
from hwloop.cli import main
from hwloop.cli.device_validate import SchemaKind, json_schema
from hwloop.device_file import FileError
from hwloop.device_file.load import parse_station
from hwloop.errors import ConfigurationError

ROOT = Path(__file__).parents[2]
PULSES = 40


def response(
    up: np.ndarray | None = None, down: np.ndarray | None = None, **columns: object
) -> Measurement:
    """Make a pulse response of one cell, up and down between 10 and 50 uS."""
    up = np.linspace(10e-6, 50e-6, PULSES) if up is None else up
    down = np.linspace(50e-6, 10e-6, PULSES) if down is None else down
    good = {
        "cell": 0,
        "repeat": 0,
        "sequence": np.arange(2 * PULSES),
        "direction": np.repeat([1, -1], PULSES),
        "pulse": np.tile(np.arange(1, PULSES + 1), 2),
        "conductance_siemens": np.concatenate([up, down]),
    }
    return measurement("pulse_response", {**good, **columns}, name="x")


def found(data: Measurement) -> list[str]:
    return [f"{p.severity}: {p}; {p.remedy}" for p in check(data)]


def test_good_data_has_no_problems() -> None:
    assert found(response()) == []
    require(response())


def test_order() -> None:
    sequence = np.arange(2 * PULSES)
    sequence[[7, 8]] = [8, 7]
    (problem,) = found(response(sequence=sequence))
    assert problem.startswith("error: sequence, row 9: 7: should rise from row to row")
    with pytest.raises(FileError, match="sequence, row 9"):
        require(response(sequence=sequence))


def test_repeats_are_told_from_cells() -> None:
    columns = {"cell": [0, 1, 2], "row": [0, 0, 1], "col": [0, 0, 0], "state_units": 0.5}
    (problem,) = found(measurement("array_map", columns, name="x"))
    assert "cell, row 1: row 0, col 0, cell 0: is the place of more than one cell" in problem
    assert "repeats must be labelled repeat" in problem
    (problem,) = found(
        measurement("array_map", {**columns, "cell": [0, 1, 1], "row": [0, 1, 2]}, name="x")
    )
    assert "is one cell number at more than one place" in problem


@pytest.mark.parametrize("noise", [0.0, 2e-6])
def test_swapped_polarity(noise: float) -> None:
    rng = np.random.default_rng(5)
    up = np.linspace(10e-6, 50e-6, PULSES) + noise * rng.standard_normal(PULSES)
    down = up[::-1]
    assert found(response(up, down)) == []
    (problem,) = found(response(down, up))
    assert problem.startswith(
        "error: direction: cell 0, repeat 0, up: the conductance moves against"
    )
    assert "in 2 of 2 trains" in problem
    assert "--polarity swapped" in problem


def test_noise_is_not_taken_for_swapped_polarity() -> None:
    # 200 cells that do not move: about 0.006 % of trains pass 4 standard errors by chance.
    rng = np.random.default_rng(5)
    trains = 30e-6 + 2e-6 * rng.standard_normal((200, 2 * PULSES))
    for train in trains:
        assert found(response(train[:PULSES], train[PULSES:])) == []


def test_one_cell_that_moves_the_wrong_way_is_a_warning() -> None:
    cell = np.repeat([0, 1, 2], 2 * PULSES)
    good = np.concatenate([np.linspace(1, 5, PULSES), np.linspace(5, 1, PULSES)]) * 1e-5
    data = measurement(
        "pulse_response",
        {
            "cell": cell,
            "repeat": 0,
            "sequence": np.tile(np.arange(2 * PULSES), 3),
            "direction": np.tile(np.repeat([1, -1], PULSES), 3),
            "pulse": np.tile(np.arange(PULSES), 6),
            "conductance_siemens": np.concatenate([good, good, 6e-5 - good]),
        },
        name="x",
    )
    (problem,) = found(data)
    assert problem.startswith("warning: direction: cell 2")
    assert "in 2 of 6 trains" in problem


def test_points_per_cell() -> None:
    columns = {"cell": np.repeat(np.arange(4), 5), "time_seconds": np.tile(np.arange(5), 4)}
    (problem,) = found(measurement("read_noise", {**columns, "state_units": 0.5}, name="x"))
    assert problem.startswith(
        "error: cell 0: 5 rows: read_noise needs at least 16 per cell; 4 of 4"
    )


def test_duplicated_times() -> None:
    times = np.arange(16.0)
    times[9] = 8
    columns = {"cell": 0, "time_seconds": times, "state_units": np.sin(times)}
    (problem,) = found(measurement("read_noise", columns, name="x"))
    assert problem.startswith("error: time_seconds, row 10: 8: is given twice")


def test_compliance_plateaus() -> None:
    flat = np.minimum(np.linspace(10e-6, 50e-6, PULSES), 40e-6)
    (problem,) = found(response(up=flat, down=flat[::-1]))
    assert problem.startswith("warning: conductance_siemens, row 31: 4e-05: 1 cells hold their")
    assert "a column `limited`" in problem
    assert found(response(up=flat, down=flat[::-1], limited=0)) == []


def test_ranges() -> None:
    data = response()
    limited = measurement(
        "pulse_response", data.columns, name="x", conditions={"value_maximum": 45e-6}
    )
    (problem,) = found(limited)
    assert problem.startswith("error: conductance_siemens, row 36: ")
    assert "the instrument reads at most 4.5e-05 (10 rows)" in problem
    up = data.columns["conductance_siemens"][:PULSES].copy()
    up[3] = -9e-6
    assert (
        "row 4: -9e-06: is a conductance or resistance that no cell has" in found(response(up))[0]
    )
    up[3] = -1e-7  # noise of a read near 0
    assert found(response(up)) == []
    assert "is no conductance of a cell" in found(response(up * 1e6, up[::-1] * 1e6))[0]


def test_data_without_noise_says_nothing_of_noise() -> None:
    columns = {"cell": 0, "time_seconds": np.arange(16), "state_units": np.arange(16)}
    quiet = measurement("read_noise", columns, name="x", conditions={"noise_in_values": False})
    assert "conditions.noise_in_values: false" in found(quiet)[0]


def test_the_command_names_every_problem(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "x.yaml"
    sequence = np.arange(2 * PULSES)
    sequence[[7, 8]] = [8, 7]
    falling = np.linspace(50e-6, 10e-6, PULSES)
    characterization.save(response(falling, falling[::-1], sequence=sequence), path)
    assert main(["device", "validate", str(path)]) == 2
    out, err = capsys.readouterr()
    assert out.strip() == f"{path}: not valid, 2 problems"
    assert err.count("error: ") == 2
    assert err.count("remedy: ") == 2
    assert main(["device", "validate", str(path), "--json"]) == 2
    shown = json.loads(capsys.readouterr().out)
    assert shown["valid"] is False
    assert [set(p) for p in shown["problems"]] == [
        {"path", "value", "expected", "remedy", "severity"}
    ] * 2


def test_problems_of_headers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "x.yaml"
    characterization.save(response(), path)
    text = path.read_text()
    for old, new, message in (
        ("name: x", "nmae: x", "did you mean name?"),
        ("schema_version: 1", "schema_version: 9", "this library reads up to 1"),
        ("unit: S", "unit: uS", "conductance_siemens: unit 'uS' should be 'S'"),
        ("name: pulse\n", "name: puls\n", "also needs pulse"),
        ("name: x", "name: !!python/object:os.system {}", "could not determine a constructor"),
        ("kind: pulse_response", "kind: pulses", "kind: 'pulses'"),
    ):
        assert old in text
        path.write_text(text.replace(old, new, 1))
        assert main(["device", "validate", str(path)]) == 2
        out, err = capsys.readouterr()
        assert message in err
        assert "not valid" in out
    path.write_text(text)
    assert main(["device", "validate", str(path), "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["valid"], shown["rows"], shown["problems"]) == (True, 2 * PULSES, [])


STATION = """schema_version: 1
kind: station
name: bench-2
bias_scheme: V/2
links:
  probe: {url: "serial:/dev/ttyACM0,baud=921600", chip_id: A7}
limits: {voltage_max: 1.8}
line_maps:
- {tile: 0, rows: [1, 0, 2], cols: [0, 1]}
calibrations:
- {chip_id: A7, date: 2026-03-01, axis: forward, gain: [1.01, 0.99], offset_amperes: [0, 1e-9]}
- {chip_id: A7, date: 2026-05-01, axis: forward, gain: [1.02, 0.99], offset_amperes: [0, 1e-9]}
"""


def test_stations(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "bench.yaml"
    path.write_text(STATION)
    station = device_file.load_station(path)
    assert station.calibration("A7", 0, "forward").gain[0] == 1.02
    assert station.calibration("A8", 0, "forward") is None
    assert main(["device", "validate", str(path)]) == 0
    assert "valid, station bench-2, 1 links" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("[1, 0, 2]", "[1, 1, 2]", "rows: should hold each of 0 to 2 once: 1 twice, 0 not at all"),
        ("[1, 0, 2]", "[1, 0, 3]", "rows: should hold each of 0 to 2 once: 2 not at all"),
        ("0.99], off", "0.99, 1], off", "gain has 3 lines, offset_amperes 2"),
        ("2026-05-01", "2026-03-01", "calibrations: ('A7', '2026-03-01', 0, 'forward') is given 2"),
        ("2026-05-01", "yesterday", "calibrations.1.date: 'yesterday'"),
        ("V/2", "V/4", "bias_scheme: 'V/4'"),
        ("[1.02", "[0", "calibrations.1.gain.0: 0: should be greater than 0"),
        ("serial:/dev", "/dev", "links.probe.url"),
        ("voltage_max", "volts_max", "limits.volts_max: 1.8: is no field"),
        ("{tile: 0,", "{tile: 0, tile: 0,", "the key 'tile' is given twice"),
    ],
)
def test_problems_of_stations(old: str, new: str, message: str) -> None:
    assert old in STATION
    with pytest.raises(ConfigurationError) as caught:
        parse_station(STATION.replace(old, new, 1), "bench.yaml")
    assert message in str(caught.value)


@pytest.mark.parametrize("kind", list(SchemaKind))
def test_schemas_are_those_of_the_documentation(
    kind: SchemaKind, capsys: pytest.CaptureFixture[str]
) -> None:
    written = json.loads((ROOT / "docs" / "schema" / f"{kind}.json").read_text())
    assert written == json_schema(kind), (
        f"hwloop device schema --kind {kind} > docs/schema/{kind}.json"
    )
    assert main(["device", "schema", "--kind", kind]) == 0
    assert json.loads(capsys.readouterr().out) == written
