"""What speaks against an algorithm on an array is said before the first pulse."""

import warnings

import pytest
from torch import nn

import hwloop
from hwloop import device_file
from hwloop.controllers import (
    AGAD,
    ALGORITHMS,
    AlgorithmWarning,
    AnalogSGD,
    ChoppedTTv2,
    TikiTaka,
    TTv2,
    examine,
)
from hwloop.errors import ConfigurationError
from hwloop.nn import convert

FAST = [ChoppedTTv2(), TTv2(), AGAD(), TikiTaka()]


def device(preset="soft-bounds-40", **model):
    content = device_file.load(preset).content()
    content["model"] |= model
    return device_file.DeviceFile.model_validate(content)


@pytest.fixture(scope="module")
def tiles():
    with hwloop.connect("sim:soft-bounds-40,shape=2x8x20") as chip:
        yield [chip[0], chip[1]]


@pytest.mark.parametrize("options", ALGORITHMS, ids=lambda options: options.name)
def test_nothing_speaks_against_the_shipped_devices_with_asymmetry(options, tiles):
    for preset in ("soft-bounds-40", "reram-om", "reram-sb"):
        assert examine(options(), tiles, device_file.load(preset), vectors=10_000) == []


@pytest.mark.parametrize("algorithm", FAST, ids=lambda algorithm: algorithm.name)
def test_a_fast_array_without_a_symmetry_point_is_warned_of(algorithm, tiles):
    (text,) = examine(algorithm, tiles, device("gokmen-vlasov", step=0.01))
    assert "no symmetry point" in text
    assert algorithm.name in text


def test_algorithms_without_a_fast_array_need_no_symmetry_point(tiles):
    assert examine(AnalogSGD(), tiles, device_file.load("gokmen-vlasov")) == []


@pytest.mark.parametrize("algorithm", [AnalogSGD(), AGAD()], ids=lambda algorithm: algorithm.name)
def test_a_reference_outside_the_range_is_refused(algorithm, tiles):
    bad = device(reference={"mean": 1.2, "std": 0.0, "subtract_symmetry_point": False})
    with pytest.raises(ConfigurationError, match=r"outside the range.*same sign") as refused:
        examine(algorithm, tiles, bad)
    assert "zero_shift" in refused.value.remedy


def test_a_wide_reference_is_warned_of(tiles):
    wide = device(reference={"mean": 0.3, "std": 0.5, "subtract_symmetry_point": False})
    (text,) = examine(AnalogSGD(), tiles, wide)
    assert "9 % of the cells" in text  # 8.1 % above, 0.5 % below
    narrow = device(reference={"mean": 0.3, "std": 0.3, "subtract_symmetry_point": False})
    assert examine(AnalogSGD(), tiles, narrow) == []


def test_more_states_than_codes_are_warned_of(tiles):
    (text,) = examine(TTv2(), tiles, device(step=2e-4))
    assert "10000 states, more than the 1024 codes" in text
    assert examine(AnalogSGD(), tiles, device(step=2e-4)) == []
    assert examine(TTv2(fast_granularity=0.01), tiles, device(step=2e-4)) == []


def test_cells_that_reads_cannot_see_to_their_end_are_warned_of(tiles):
    (text,) = examine(TTv2(), tiles, device(bound_max=6.0, step=0.1))
    assert "ends at 4 device units, cells go to 6" in text


def test_schedules_that_do_not_come_round_are_warned_of(tiles):
    (text,) = examine(TTv2(n_s=10), tiles, None, vectors=199)
    assert "199 vectors, but a pass over the 20 lines of tile 1 takes 200" in text
    assert examine(TTv2(n_s=10), tiles, None, vectors=200) == []
    assert examine(TTv2(n_s=10, transfer="rows"), tiles, None, vectors=199) == []


@pytest.mark.parametrize(
    ("algorithm", "vectors"), [(TTv2(n_s=50), 49), (AGAD(n_s=1, period=10), 200)]
)
def test_schedules_that_change_nothing_are_refused(algorithm, vectors, tiles):
    with pytest.raises(ConfigurationError, match="no weight would ever change"):
        examine(algorithm, tiles, None, vectors=vectors)
    examine(algorithm, tiles, None, vectors=vectors + 1)


def test_conversion_warns_and_refuses_before_anything_is_sent():
    net = nn.Linear(20, 8)
    with hwloop.connect("sim:gokmen-vlasov,states=100,shape=2x8x20") as chip:
        with pytest.warns(AlgorithmWarning, match="no symmetry point"):
            convert(net, chip, TTv2())
        sent = chip.next_id
        with (
            warnings.catch_warnings(action="ignore"),
            pytest.raises(ConfigurationError, match="lines_per_transfer"),
        ):
            convert(net, chip, TTv2(lines_per_transfer=0))
        with (
            warnings.catch_warnings(action="ignore"),
            pytest.raises(hwloop.errors.CapabilityError, match="reads_per_transfer"),
        ):
            convert(net, chip, TTv2(reads_per_transfer=10**6))
        assert chip.next_id == sent
