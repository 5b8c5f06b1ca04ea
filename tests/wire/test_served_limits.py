"""A served chip keeps limits, lease and doses itself, whatever its clients send."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tty
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

import hwloop
from hwloop.backend import keeps_doses
from hwloop.capabilities import Configuration, Limits
from hwloop.cli import main
from hwloop.crossbar import Chip
from hwloop.errors import ConfigurationError, DeviceError, LinkError, SafetyError
from hwloop.guard import LifeLedger, chip_folder, is_held, recorded, state_folder
from hwloop.operations import Plane, Pulse
from hwloop_wire import messages as m
from hwloop_wire import open_serial_backend
from hwloop_wire.codes import ErrorCode, Flag, Table
from hwloop_wire.frames import Message
from tests.firmware.host import Host, error_of
from tests.firmware.moves import outer, pulse, trains
from tests.seam.bench_array import SHAPES, BenchArray
from tests.wire.chips import InlineArray, connect, served

STATION = "station file bench.yaml"


def moving(array: BenchArray) -> list[str]:
    return [op.kind for op in array.executed if op.kind != "configure"]


@contextmanager
def raw_host(address: str) -> Iterator[Host]:
    """A host that checks nothing."""
    descriptor = os.open(address, os.O_RDWR | os.O_NOCTTY)
    try:
        tty.setraw(descriptor)
        yield Host(descriptor, descriptor)
    finally:
        os.close(descriptor)


def physical(**options: object) -> InlineArray:
    return InlineArray(4, 5, tiles=1, kind="physical", encodings=("seeded", "trains"), **options)  # type: ignore[arg-type]


WHERE = ["host", "chip", "station"]
DOSES = ["pulses_per_operation", "dose_per_cell", "dose_per_line"]
LIFE = ["life_dose_per_cell", "life_dose_per_line"]


@pytest.mark.parametrize(
    ("limit", "where"),
    [
        *((limit, where) for limit in DOSES for where in WHERE),
        *((limit, where) for limit in LIFE for where in WHERE[1:]),
    ],
)
def test_raw_frames_are_held_to_every_limit(limit: str, where: str) -> None:
    limits = Limits.model_validate({limit: 5})
    array = physical(limits=limits if where == "chip" else None)
    station = (STATION, limits) if where == "station" else None
    installed = Configuration(shapes=SHAPES, limits=limits.installed())
    origin = {"host": "the host's configuration", "chip": "the chip", "station": STATION}[where]
    named = {"configuration": installed.hash()}
    attempts = (
        pulse(6, **named),
        pulse(-6, **named),
        outer(6, **named),
        outer(2, samples=3, **named),
        trains(6, **named),
        trains(2, samples=3, **named),
    )
    with (
        served(array, arm="bench-1", station=station) as server,
        raw_host(server.address) as host,
    ):
        host.prepare(installed)
        for attempt in attempts:
            host.run(attempt)
            assert host.error is ErrorCode.LIMIT
            detail = host.status().detail
            assert limit in detail
            assert f"from {origin}" in detail
            host.control(m.Clear(), m.Done)
        assert host.status().pulses == 0
        assert moving(array) == []
        assert host.run(pulse(5, **named)).fired == 5
        for _ in range(2):  # a new session begins a run, but no life
            host.prepare(installed)
            fired = host.run(pulse(1, **named)).fired
            assert fired == (0 if limit in LIFE else 1)
            host.control(m.Clear(), m.Done)
    assert moving(array) == ["pulse"] * (1 if limit in LIFE else 3)


SHAPES_LIMITS = {
    "voltage_max": 2.9,
    "half_select_max": 1.4,
    "width_max_seconds": 9e-7,
    "compliance_max_amperes": 9e-5,
}


@pytest.mark.parametrize("limit", SHAPES_LIMITS)
def test_raw_configurations_are_held_to_every_limit(limit: str) -> None:
    """Shapes beyond the limits that come with them, and limits looser than the bench's."""
    array = physical()
    array._capabilities = array._capabilities.model_copy(update={"bias_scheme": "V/2"})
    tight = Limits.model_validate({limit: SHAPES_LIMITS[limit]})
    with (
        served(array, arm="bench-1", station=(STATION, tight)) as server,
        raw_host(server.address) as host,
    ):
        host.begin()
        for limits in (tight, Limits(), Limits.model_validate({limit: 10.0})):
            offered = Configuration(shapes=SHAPES, limits=limits)
            assert host.configure(offered) is ErrorCode.LIMIT
        assert not host.status().flags & Flag.CONFIGURED
        fine = Configuration(shapes={}, limits=tight)
        assert host.configure(fine) is ErrorCode.NONE
        assert host.configure(Configuration(shapes={}, limits=Limits())) is ErrorCode.LIMIT
        assert host.offered(Table.INSTALLED) == fine
    assert [op.kind for op in array.executed] == ["configure"]


@pytest.mark.parametrize("amperes", [0.0, -1e-4, np.inf, -np.inf])
def test_a_compliance_is_a_positive_number(amperes: float) -> None:
    array = physical()
    entry = m.ShapeEntry(1.0, 1e-6, amperes, -1.0, 1e-6, np.nan, "set")
    none = m.NO_LIMIT
    head = m.Configure(5, np.nan, np.nan, np.nan, np.nan, none, none, none, shapes=1, forming=1)
    with served(array, arm="bench-1") as server, raw_host(server.address) as host:
        host.begin()
        (answer,) = host.ask(Message(m.Configure.NUMBER, head.pack() + entry.pack()))
        assert error_of(answer) is ErrorCode.RANGE
    assert array.executed == []


def test_the_server_holds_lease_and_doses() -> None:
    array = physical()
    with served(array, arm="bench-1") as server:
        backend = open_serial_backend(server.address, {})
        assert keeps_doses(backend)
        with Chip(backend, arm="bench-1") as chip:
            assert chip.guard.life is None  # or they would count twice
            chip[0].pulse(1, 2, 5)
            assert recorded("bench-1").counts.row[0][1] >= 5  # type: ignore[union-attr]
        assert is_held(chip_folder("bench-1"))
        with pytest.raises(SafetyError, match=f"held by process {os.getpid()}"):
            LifeLedger(array.describe(), Limits())
    assert not is_held(chip_folder("bench-1"))
    found = recorded("bench-1")
    assert found is not None
    assert found.settled
    assert found.counts.row[0].tolist() == [0, 5, 0, 0]


def test_a_chip_that_another_process_holds_is_not_served() -> None:
    life = LifeLedger(physical().describe(), Limits())
    with pytest.raises(SafetyError, match="held by"), served(physical(), arm="bench-1"):
        pass
    with served(physical()):  # nothing can be moved
        pass
    life.close()


def test_one_host_holds_a_served_chip() -> None:
    with served(physical(), arm="bench-1") as server:
        first = open_serial_backend(server.address, {})
        first.close()
    with served(physical(), "tcp", arm="bench-1") as server:
        first = open_serial_backend(server.address, {})
        with pytest.raises(LinkError, match="another host holds the chip"):
            open_serial_backend(server.address, {"timeout": "0.5"})
        first.close()


def test_a_virtual_array_that_is_served_is_armed_by_its_id_and_leaves_no_state() -> None:
    array = InlineArray()
    with served(array) as server:
        with Chip(open_serial_backend(server.address, {})) as chip:
            chip[0].read_cells(plane=Plane.MAIN)
            with pytest.raises(SafetyError, match=r"not armed(.|\n)*--arm bench-1"):
                chip[0].pulse(0, 0, 1)
        with Chip(open_serial_backend(server.address, {}), arm="bench-1") as chip:
            assert chip[0].pulse(0, 0, 1) == 1
    assert moving(array) == ["read_cells", "pulse"]
    assert not state_folder().exists()


def test_limits_of_the_bench_are_the_chips_own_for_its_hosts(tmp_path: Path) -> None:
    """By the command line, with a station file at the server's end."""
    station = tmp_path / "bench.yaml"
    station.write_text(
        "schema_version: 1\nkind: station\nname: bench 3\nbias_scheme: 1T1R\n"
        "limits: {dose_per_cell: 7}\n"
    )
    command = [sys.executable, "-m", "hwloop.cli", "chip", "serve", "--station", str(station)]
    options = ["--backend", "sim:reram-om,shape=4x4", "--on", "zmq:tcp://127.0.0.1:*"]
    with subprocess.Popen([*command, *options], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            url = f"zmq:{json.loads(process.stdout.readline())['address']}"
            check_limits_of_the_bench(url)
        finally:
            process.terminate()
    assert process.returncode == 0  # it has idled the lines and closed the array


def check_limits_of_the_bench(url: str) -> None:
    with hwloop.connect(url, arm="sim-reram-om-1") as chip:
        assert chip.configuration.limits.dose_per_cell == 7
        assert chip.backend.installed() == chip.configuration  # type: ignore[attr-defined]
        with pytest.raises(SafetyError, match="the limit dose_per_cell of 7 from the chip"):
            chip[0].pulse(0, 0, 8)
        chip.guard.admit = lambda operations: None  # type: ignore[method-assign]
        with pytest.raises(DeviceError, match=f"dose_per_cell of 7 from {STATION}") as refused:
            chip[0].pulse(0, 0, 8)
        assert refused.value.remedy
        chip.backend.clear()
        assert not chip.snapshot()[0][3].any()


def test_the_doses_of_a_served_chip_are_shown_where_it_is_served(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with served(physical(), "tcp", arm="bench-1") as server:
        url = f"serial:{server.address}"
        assert main(["chip", "dose", "--backend", url]) == 2
    assert "where it is served" in capsys.readouterr().err


def test_a_wrong_id_serves_nothing_that_moves() -> None:
    array = physical()
    with served(array, arm="bench-2") as server:
        backend = open_serial_backend(server.address, {})
        with pytest.raises(ConfigurationError, match="armed chip 'bench-2'"):
            Chip(backend, arm="bench-2")
        chip = Chip(backend, arm="bench-1")
        with pytest.raises(DeviceError, match=r"ARM for another chip|without ARM"):
            chip[0].pulse(0, 0, 1)
        backend.clear()
        chip.close()
    assert not any(isinstance(op, Pulse) for op in array.executed)


def test_a_tightened_configuration_of_one_host_binds_no_other() -> None:
    with served(physical()) as server:
        for limits in (Limits(dose_per_cell=3), None):
            with Chip(connect("pty", server.address), limits=limits) as chip:
                assert chip.configuration.limits == (limits or Limits())
