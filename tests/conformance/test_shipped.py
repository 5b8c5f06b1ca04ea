"""All backends of this distribution pass."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import hwloop
from hwloop.backend import open_backend
from hwloop.conformance import Judgement, Report, conform
from hwloop.tape import FileTape
from hwloop.testing import FaultSpec
from tests.wire.chips import connect, served

ALWAYS_MISSING = {"limits_of_forming"}
"""What no virtual array has."""


def passes(report: Report, skipped: set[str]) -> None:
    reasons = {o.name: o.reason for o in report.outcomes if o.judgement is Judgement.FAILED}
    assert reasons == {}
    names = {o.name for o in report.outcomes if o.judgement is Judgement.SKIPPED}
    assert names == skipped | ALWAYS_MISSING
    assert report.most_pulses_per_cell <= report.scope.most_pulses_per_cell


OF_A_SIMULATED = {"duplicates", "limits_of_its_own"}
ONE_TILE, NO_BOUND = {"tiles"}, {"saturation"}


@pytest.mark.parametrize(
    ("url", "skipped"),
    [
        ("sim:reram-om,shape=2x12x20,seed=3,adc_range_forward=2,adc_range_backward=2", set()),
        ("sim:ideal,periphery=ideal,shape=1x1", ONE_TILE | NO_BOUND),
        ("sim:capacitor,shape=1x7", ONE_TILE | NO_BOUND),
        ("sim:reram-hfo2,shape=9x1,seed=2", ONE_TILE | NO_BOUND),
        ("sim:reram-es,shape=5x3", ONE_TILE | NO_BOUND),
        ("sim:ecram-mo,shape=3x3,adc_range_forward=1", ONE_TILE),
        ("sim:soft-bounds-40,shape=64x64,output_noise=0", ONE_TILE),
        ("sim:reram-om,shape=20x40,corrupt=measured,gain_spread=0.1", ONE_TILE | NO_BOUND),
    ],
)
def test_simulated_arrays(url: str, skipped: set[str]) -> None:
    passes(conform(url), OF_A_SIMULATED | skipped)


def test_the_native_firmware() -> None:
    url = "emulator:native,shape=6x5,adc_range_forward=1,adc_range_backward=1"
    passes(conform(url), {"limits_of_its_own"} | ONE_TILE)


def test_the_firmware_on_a_cortex_m7(requires: Callable[[str, str], None]) -> None:
    requires("qemu-system-arm", "the chip is emulated")
    requires("arm-none-eabi-gcc", "the firmware is built")
    url = "emulator:qemu-m7,shape=3x4"
    passes(conform(url), {"limits_of_its_own"} | ONE_TILE | NO_BOUND)


@pytest.mark.parametrize("kind", ["pty", "zmq"])
def test_a_served_array(kind: str) -> None:
    """Over a pseudo-terminal, as over a serial line, and over ZMQ."""
    array = open_backend("sim:reram-om,shape=4x6,seed=2")
    chip = array.describe().chip_id
    with served(array, kind) as server:
        scheme = "zmq" if kind == "zmq" else "serial"
        report = conform(f"{scheme}:{server.address}", arm=chip)
        passes(report, {"limits_of_its_own"} | ONE_TILE | NO_BOUND)


def test_a_served_array_on_a_bad_line() -> None:
    array = open_backend("sim:reram-om,shape=3x3,seed=2")
    chip = array.describe().chip_id
    with served(array, "pty") as server:
        faults = FaultSpec.total(2e-4)
        report = conform(lambda: connect("pty", server.address, faults=faults), arm=chip)
        passes(report, {"limits_of_its_own"} | ONE_TILE | NO_BOUND)


@pytest.mark.parametrize("mode", ["strict", "follow", "lenient"])
def test_a_tape_is_no_array_and_says_so(mode: str, tmp_path: Path) -> None:
    path = tmp_path / "run.hwtape"
    with hwloop.connect("sim:reram-om,shape=2x3", tape=FileTape(path, {})) as chip:
        chip[0].read_cells()
    report = conform(f"replay:{path},mode={mode}")
    assert report.failed() == []
    others = [outcome for outcome in report.outcomes if outcome.name != "capabilities"]
    assert {o.reason for o in others} == {"moves_nothing: no array is behind it"}


def test_nothing_is_left_behind(tmp_path: Path) -> None:
    """A chip whose cells outlive it passes twice, though its ids have been used."""
    url = f"emulator:native,shape=2x2,cells={tmp_path / 'cells'}"
    for _ in range(2):
        passes(conform(url), {"limits_of_its_own"} | ONE_TILE | NO_BOUND)
