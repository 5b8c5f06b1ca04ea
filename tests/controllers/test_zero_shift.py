"""Zero-shifting, on simulated arrays whose symmetry points are known."""

import numpy as np
import pytest
from ideal_backend import ideal_chip

import hwloop
from hwloop.errors import CapabilityError
from hwloop.lowering import HostReference
from hwloop.operations import Plane
from hwloop.procedures import zero_shift

DEVICE = "soft-bounds-40,reference_std=0,subtract_symmetry_point=true"
"""Its reference plane is the symmetry points, so that they can be looked up."""


@pytest.fixture(scope="module")
def shifted():
    with hwloop.connect(f"sim:{DEVICE},shape=12x16,seed=2") as chip:
        unit = chip[0].capabilities.cell_siemens
        middle = chip[0].capabilities.middle_siemens
        truth = middle + unit * chip.snapshot()[0][2].view(np.float32)
        result = zero_shift(chip, chip[0])
        planes = chip.snapshot()[0].view(np.float32)
        yield result, truth, middle + unit * planes[2], unit


def test_symmetry_points_are_found_within_their_errors(shifted):
    result, truth, _, unit = shifted
    assert result.settled.all()
    z = (result.siemens - truth) / result.standard_error
    assert np.sqrt((z**2).mean()) < 2
    assert np.sqrt(((result.siemens - truth) ** 2).mean()) < 0.05 * unit


def test_the_reference_plane_is_what_was_found(shifted):
    result, _, plane, unit = shifted
    assert np.abs(plane - result.siemens).max() < 1e-5 * unit
    # What is read back has the noise of 64 reads, 0.06 / 8.
    assert np.sqrt((result.error_siemens**2).mean()) == pytest.approx(0.0075 * unit, rel=0.2)


def test_its_cost_is_in_pulses(shifted):
    result, _, _, _ = shifted
    assert (result.pulses > 0).all()
    assert result.pulses.max() <= 4096


def test_a_write_error_is_made_and_reported():
    with hwloop.connect(f"sim:{DEVICE},shape=12x16,seed=2") as chip:
        result = zero_shift(chip, chip[0], pulses_max=600, write_error_units=0.2)
        unit = chip[0].capabilities.cell_siemens
        plane = chip[0].read_cells(average=64, plane=Plane.REFERENCE)
    made = np.sqrt((result.error_siemens**2).mean())
    assert made == pytest.approx(0.2 * unit, rel=0.15)
    assert plane - result.siemens == pytest.approx(result.error_siemens, abs=0.05 * unit)


def test_the_host_keeps_the_reference_where_it_was_asked_to():
    url = f"sim:{DEVICE},shape=12x16,seed=2"
    with hwloop.connect(url, lowerings=["host_reference"]) as chip:
        result = zero_shift(chip, chip[0], pulses_max=600)
        assert (result.error_siemens == 0).all()
        unit = chip[0].capabilities.cell_siemens
        held = chip.lowering(HostReference)
        main = chip[0].read_cells(average=64, plane=Plane.MAIN)
        difference = chip[0].read_cells(average=64)
    assert held is not None
    assert difference == pytest.approx(main - result.siemens, abs=0.06 * unit)


def test_an_array_without_a_reference_to_set_is_refused():
    chip, backend = ideal_chip([(2, 3)], virtual=False)
    sent = backend.submissions
    with pytest.raises(CapabilityError, match="host_reference"):
        zero_shift(chip, chip[0])
    assert backend.submissions == sent
