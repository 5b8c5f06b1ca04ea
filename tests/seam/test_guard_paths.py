"""Every limit on every path to an array: refused, nothing sent, and told why and what to do."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import hwloop
from hwloop.capabilities import Configuration, Limits
from hwloop.crossbar import Chip
from hwloop.errors import CapabilityError, ConfigurationError, CrossbarError, SafetyError
from hwloop.guard import Guard, InForce
from hwloop.operations import Direction, Form, Operation, OuterTrains, Plane, ReadCells, Reset, Vmm
from hwloop.procedures import program_by_gradients, write_verify, zero_shift
from tests.seam.bench_array import SHAPES, BenchArray

URL = "sim:soft-bounds-40,shape=4x5,seed=2"
FOUR = np.ones(4), np.ones(5)


def single(chip: Chip) -> None:
    chip[0].pulse(1, 2, 6)


def lowering(chip: Chip) -> None:
    chip[0].pulse(1, 2, -6)


def batch(chip: Chip) -> None:
    with chip.batch() as b:
        b[0].pulse(1, 2, 1)
        b[0].pulse(1, 2, 6)


def explicit(chip: Chip) -> None:
    chip.submit([chip[0].new_pulse(None, None, np.full((4, 5), 6, np.int16))]).results()


def update(chip: Chip) -> None:
    chip[0].update(FOUR[1], FOUR[0], train_length=6)


def update_of_batch(chip: Chip) -> None:
    with chip.batch() as b:
        b[0].update(np.ones((3, 5)), np.ones((3, 4)), train_length=2)


def trains(chip: Chip) -> None:
    operation = OuterTrains(
        tile=0,
        x_trains=np.ones((1, 6, 5), np.int8),
        d_trains=-np.ones((1, 6, 4), np.int8),
        shape=chip.default_shape,
        configuration=chip.configuration_hash,
        **chip.identity(),
    )
    chip.submit([operation]).results()


def verify(chip: Chip) -> None:
    tile = chip[0].capabilities
    target = tile.middle_siemens + 0.6 * tile.cell_siemens
    write_verify(chip, chip[0], target, tolerance_siemens=1e-9)


def gradients(chip: Chip) -> None:
    program_by_gradients(chip, chip[0], np.full((4, 5), 0.6), granularity=0.05, tolerance=1e-3)


def shift(chip: Chip) -> None:
    zero_shift(chip, chip[0], pulses_max=400)


AT_ONCE: dict[str, Callable[[Chip], None]] = {
    "single pulse": single,
    "pulses downwards": lowering,
    "batch": batch,
    "explicit pulses": explicit,
    "seeded update": update,
    "update of several samples": update_of_batch,
    "update by trains": trains,
}
STEP_BY_STEP: dict[str, Callable[[Chip], None]] = {
    "write-verify": verify,
    "gradient programming": gradients,
    "zero-shifting": shift,
}
LOWERED = {
    "updates by trains": ("outer_by_trains", update),
    "by counts": ("outer_by_counts", update),
}

DOSES = ("pulses_per_operation", "dose_per_cell", "dose_per_line")
LIFE = ("life_dose_per_cell", "life_dose_per_line")


def station_file(folder: Path, limits: str, bias: str = "1T1R") -> Path:
    path = folder / "bench.yaml"
    path.write_text(
        f"schema_version: 1\nkind: station\nname: bench 3\nbias_scheme: {bias}\n"
        f"limits: {{{limits}}}\n"
    )
    return path


def told(error: SafetyError, limit: str, origin: str = "station file bench.yaml") -> None:
    """Check that a refusal says all that it has to."""
    assert (error.limit, error.origin) == (limit, origin)
    assert limit in error.message
    assert f"from {origin}" in error.message
    assert "nothing was sent" in error.message
    assert error.remedy
    assert error.verdict.name == "NOT_APPLIED"


def pulses(chip: Chip) -> np.ndarray:
    """The pulses that the array itself has counted."""
    return np.asarray(chip.snapshot([0])[0][3], np.int64)


@pytest.mark.parametrize("limit", [*DOSES, *LIFE])
@pytest.mark.parametrize("path", [*AT_ONCE, *LOWERED])
def test_pulses_beyond_a_limit_are_not_sent(path: str, limit: str, tmp_path: Path) -> None:
    file = station_file(tmp_path, f"{limit}: 5")
    lowerings, way = LOWERED.get(path, ("", AT_ONCE.get(path, update)))
    with hwloop.connect(URL, station=file, lowerings=[lowerings] if lowerings else []) as chip:
        if path == "updates by trains":  # which draw what fires: all of it
            way = AT_ONCE["seeded update"]
        with pytest.raises(SafetyError) as refused:
            way(chip)
        told(refused.value, limit)
        assert not pulses(chip).any()
        assert chip.totals.pulses == 0
        chip[0].pulse(1, 2, 5)
        assert pulses(chip).sum() == 5


@pytest.mark.parametrize("limit", [*DOSES, *LIFE])
@pytest.mark.parametrize("path", STEP_BY_STEP)
def test_procedures_stop_at_a_limit(path: str, limit: str, tmp_path: Path) -> None:
    most = 0 if limit == "pulses_per_operation" else 30
    file = station_file(tmp_path, f"{limit}: {most}")
    with hwloop.connect(URL, station=file) as chip:
        with pytest.raises(SafetyError) as refused:
            STEP_BY_STEP[path](chip)
        told(refused.value, limit)
        given = pulses(chip)
        assert chip.totals.pulses == given.sum()
        for worst in (given.max(), given.sum(axis=0).max(), given.sum(axis=1).max()):
            assert worst <= most or "cell" in limit
        assert given.max() <= most


SHAPE_LIMITS = {
    "voltage_max": "voltage_max: 0.9",
    "half_select_max": "half_select_max: 0.4",
    "width_max_seconds": "width_max_seconds: 9.0e-7",
    "compliance_max_amperes": "compliance_max_amperes: 9.0e-5",
}


@pytest.mark.parametrize("limit", SHAPE_LIMITS)
def test_pulse_shapes_beyond_a_limit_open_no_array(limit: str, tmp_path: Path) -> None:
    array = BenchArray(kind="physical")
    bias = "V/2" if limit == "half_select_max" else "1T1R"
    file = station_file(tmp_path, SHAPE_LIMITS[limit], bias)
    with pytest.raises(SafetyError) as refused:
        Chip(array, station=file, arm="bench-1")
    told(refused.value, limit)
    assert "pulse shape" in refused.value.message
    assert array.executed == []


def operations(chip: Chip) -> dict[str, Operation]:
    one = np.ones((1, 1), np.int16)
    named = {"configuration": chip.configuration_hash, "shape": chip.default_shape}
    trains = {"x_trains": np.ones((1, 1, 6), np.int8), "d_trains": np.ones((1, 1, 4), np.int8)}
    return {
        "pulse": chip[0].new_pulse(np.array([0]), np.array([0]), one),
        "outer_trains": OuterTrains(tile=0, **trains, **named),
        "configure": hwloop.operations.Configure(content_json=chip.configuration.canonical()),
    }


@pytest.mark.parametrize("limit", SHAPE_LIMITS)
@pytest.mark.parametrize("kind", ["pulse", "outer_trains", "configure"])
def test_every_operation_is_held_to_the_limits_of_its_shape(kind: str, limit: str) -> None:
    """Also one that no Configure has gone before."""
    with Chip(BenchArray()) as chip:
        operation = operations(chip)[kind]
        value = float(SHAPE_LIMITS[limit].split()[1])
        force = InForce.of([("the chip", Limits.model_validate({limit: value}))])
        configuration = Configuration(shapes=SHAPES, limits=force.limits)
        half = chip.capabilities.model_copy(update={"bias_scheme": "V/2"})
        guard = Guard(half, configuration, armed=True, in_force=force)
        if kind != "configure":
            object.__setattr__(operation, "configuration", configuration.hash())
        with pytest.raises(SafetyError) as refused:
            guard.admit([operation])
        told(refused.value, limit, "the chip")
        assert not guard.ledger.row[0].any()


@pytest.mark.parametrize("kind", [Form, Reset])
def test_forming(kind: type[Form | Reset], tmp_path: Path) -> None:
    file = station_file(tmp_path, "forming: false, dose_per_cell: 1")
    array = BenchArray(kind="physical", operations=frozenset({"form", "reset", "configure"}))
    with Chip(array, station=file, arm="bench-1") as chip:
        operation = kind(
            tile=0, recipe="slow", configuration=chip.configuration_hash, **chip.identity()
        )
        with pytest.raises(SafetyError) as refused:
            if kind is Reset:  # counts as a pulse on each cell, the least that it can be
                chip.submit([operation]).results()
                assert array.executed[-1] is operation
            chip.submit([operation])
        told(refused.value, "forming" if kind is Form else "dose_per_cell")
    assert [op.kind for op in array.executed] == ["configure", *(["reset"] * (kind is Reset))]


def test_reads_keep_the_limit_on_voltage(tmp_path: Path) -> None:
    """The bench array reads with up to 0.2 V, 63 codes."""
    weak = {"set": SHAPES["set"].model_copy(update={"up": _weak(0.1), "down": _weak(-0.1)})}
    array = BenchArray()
    configuration = Configuration(shapes=weak, limits=Limits(voltage_max=0.1))
    array._capabilities = array._capabilities.model_copy(update={"configuration": configuration})

    def vmm(code: int) -> Vmm:
        codes = np.full((1, 6), code, np.int8)
        return Vmm(tile=0, direction=Direction.FORWARD, codes=codes, plane=Plane.MAIN)

    with Chip(array) as chip:
        chip.submit([vmm(31), vmm(-31)]).results()
        for operation in (vmm(32), vmm(-32), ReadCells(tile=0, plane=Plane.MAIN)):
            with pytest.raises(SafetyError) as refused:
                chip.submit([operation])
            told(refused.value, "voltage_max", "the chip")
    assert [op.kind for op in array.executed] == ["configure", "vmm", "vmm"]


def _weak(volts: float) -> hwloop.PolarityShape:
    return hwloop.PolarityShape(amplitude_volts=volts, width_seconds=1e-6)


@pytest.mark.parametrize("amperes", [0.0, -1e-4, float("nan"), float("inf"), -float("inf")])
def test_a_compliance_is_a_positive_number(amperes: float) -> None:
    with pytest.raises(ValueError, match="compliance_amperes"):
        hwloop.PolarityShape(amplitude_volts=1.0, width_seconds=1e-6, compliance_amperes=amperes)


# Where limits come from


def test_the_tightest_of_all_sources_holds(tmp_path: Path) -> None:
    device = tmp_path / "weak.yaml"
    preset = hwloop.device_file.load("reram-om")
    limited = preset.model_copy(update={"limits": Limits(dose_per_cell=40, dose_per_line=400)})
    hwloop.device_file.save(limited, device)
    station = station_file(tmp_path, "dose_per_cell: 30, pulses_per_operation: 20")
    own = Limits(dose_per_line=300, pulses_per_operation=50, voltage_max=5.0)
    more = Limits(voltage_max=4.0, dose_per_line=500)
    array = BenchArray(limits=own)
    with Chip(array, device=str(device), station=station, limits=more) as chip:
        force = chip.guard.in_force
        assert force.limits == Limits(
            dose_per_cell=30, dose_per_line=300, pulses_per_operation=20, voltage_max=4.0
        )
        assert force.origins == {
            "dose_per_cell": "station file bench.yaml",
            "pulses_per_operation": "station file bench.yaml",
            "dose_per_line": "the chip",
            "voltage_max": "the limits given to connect()",
        }
        assert chip.configuration.limits == force.limits
    (sent,) = array.executed
    assert isinstance(sent, hwloop.operations.Configure)  # as one object
    assert Configuration.model_validate_json(sent.content_json).limits == force.limits
    other = Limits(dose_per_cell=10)
    with (
        Chip(BenchArray(limits=own), device=str(device), limits=other) as chip,
        pytest.raises(SafetyError, match=r"of 10 from the limits given to connect\(\)"),
    ):
        chip[0].pulse(0, 0, 11)
    with (
        Chip(BenchArray(), device=str(device)) as chip,
        pytest.raises(SafetyError, match=r"of 40 from device file .*weak.yaml"),
    ):
        chip[0].pulse(0, 0, 41)


def test_a_station_that_wires_lines_otherwise_is_refused(tmp_path: Path) -> None:
    file = station_file(tmp_path, "")
    maps = "line_maps: [{rows: [1, 0, 2, 3], cols: [0, 1, 2, 3, 4, 5]}]\n"
    file.write_text(file.read_text() + maps)
    with pytest.raises(CapabilityError, match="is not wired straight"):
        Chip(BenchArray(), station=file)
    with pytest.raises(ConfigurationError, match="there is no such file"):
        Chip(BenchArray(), station=tmp_path / "none.yaml")


def test_what_is_installed_is_read_back_and_compared() -> None:
    class Telling(BenchArray):
        held: Configuration

        def installed(self) -> Configuration:
            return self.held

    array = Telling(limits=Limits(voltage_max=3.5))
    array.held = array.describe().configuration
    Chip(array).close()
    for held in (
        Configuration(shapes=SHAPES, limits=Limits(voltage_max=4.0)),
        Configuration(shapes={"set": SHAPES["set"]}, limits=Limits(voltage_max=3.5)),
    ):
        array.held = held
        with pytest.raises(SafetyError, match="holds another configuration") as refused:
            Chip(array)
        what = "voltage_max is 4.0, asked for was 3.5" if len(held.shapes) == 2 else "'hard'"
        assert what in refused.value.message
    assert {op.kind for op in array.executed} == {"configure"}


# Arming, and no falling back


class Found(BenchArray):
    """An array that was there before this process."""

    started_here = False
    keeps_doses = False


@pytest.mark.parametrize("kind", ["virtual", "physical"])
def test_what_was_not_started_here_is_armed_by_its_id(kind: str) -> None:
    array = Found(kind=kind)
    chip = Chip(array)
    chip[0].read_cells(plane=Plane.MAIN)
    for way in (single_of_bench, trains_of_bench):
        with pytest.raises(SafetyError, match=r"nothing was sent(.|\n)*--arm bench-1"):
            way(chip)
    with pytest.raises(ConfigurationError, match="armed chip 'bench-2', but 'bench-1'"):
        Chip(array, arm="bench-2")
    chip.close()
    with Chip(array, arm="bench-1") as chip:
        assert chip[0].pulse(0, 0, 1) == 1
    kinds = [op.kind for op in array.executed]
    assert kinds == ["configure", "read_cells", "configure", "pulse"]


def single_of_bench(chip: Chip) -> None:
    chip[0].pulse(0, 0, 1)


def trains_of_bench(chip: Chip) -> None:
    chip.submit([operations(chip)["outer_trains"]])


@pytest.mark.parametrize(
    "url",
    [
        "serial:/dev/no-such-port",
        "serial:tcp://127.0.0.1:9,timeout=0.3",
        "zmq:tcp://127.0.0.1:9,timeout=0.3",
        "simulator:reram-om",
        "SIM:reram-om",
        "reram-om",
        "replay:no-such-run",
    ],
)
def test_an_absent_array_is_never_replaced(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import hwloop_sim

    def never(*arguments: object) -> None:
        raise AssertionError("a simulator was opened")

    monkeypatch.setattr(hwloop_sim, "SimBackend", never)
    with pytest.raises(CrossbarError):
        hwloop.connect(url, device="reram-om", arm="chip-1")


def test_a_simulator_is_never_replaced_by_a_chip(monkeypatch: pytest.MonkeyPatch) -> None:
    import hwloop_wire

    def never(*arguments: object) -> None:
        raise AssertionError("a link was opened")

    monkeypatch.setattr(hwloop_wire, "open_serial_backend", never)
    monkeypatch.setattr(hwloop_wire, "open_zmq_backend", never)
    with pytest.raises(ConfigurationError):
        hwloop.connect("sim:no-such-device", arm="chip-1")
    with pytest.raises(ConfigurationError, match="armed chip 'chip-1', but 'sim-"):
        hwloop.connect("sim:reram-om", arm="chip-1")
