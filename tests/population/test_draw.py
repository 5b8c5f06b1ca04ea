"""Cells drawn from a device file: conventions, rules of construction, streams."""

import dataclasses
import math

import numpy as np
import pytest
from device_file.strategies import device_files  # tests/device_file
from hypothesis import given, settings

from hwloop import device_file
from hwloop.device_file import DeviceFile, TabulatedModel, from_aihwkit
from hwloop.errors import ConfigurationError
from hwloop_sim import population
from hwloop_sim.population import Population, draw

PLANES = [f.name for f in dataclasses.fields(Population) if f.type == "Plane"]


def cells(name: str, **options: str) -> Population:
    return draw(device_file.load(name), 200, 100, seed=3, tile=1, overrides=options)


def with_model(name: str, **values: object) -> DeviceFile:
    content = device_file.load(name).content()
    return DeviceFile.model_validate(content | {"model": content["model"] | values})


@pytest.mark.parametrize("name", device_file.presets())
def test_planes_of_presets(name: str) -> None:
    p = cells(name)
    for field in PLANES:
        plane = getattr(p, field)
        assert plane.shape == (200, 100)
        assert plane.dtype == np.float32
        assert np.isfinite(plane).all()
        assert not plane.flags.writeable
    assert (p.up_a >= 0).all() and (p.down_a <= 0).all()
    assert (p.bound_min <= 0).all() and (p.bound_max >= 0).all()
    assert (p.initial >= p.bound_min).all() and (p.initial <= p.bound_max).all()
    assert math.frexp(p.full_scale)[0] == 0.5
    for field in ("bound_max", "bound_min", "reference", "initial", "initial_visible"):
        assert np.abs(getattr(p, field)).max() <= p.full_scale


@given(device=device_files)
@settings(max_examples=60, deadline=None)
def test_any_device_gives_cells_that_keep_the_conventions(device: DeviceFile) -> None:
    try:
        p = draw(device, 4, 5, seed=1)
    except ConfigurationError as error:
        assert "symmetry point" in str(error) or "too steep" in str(error)
        return
    for field in PLANES:
        assert np.isfinite(getattr(p, field)).all(), field
    assert (p.bound_min <= p.initial).all() and (p.initial <= p.bound_max).all()
    assert (np.abs(p.reference) <= p.full_scale).all()
    assert (np.abs(p.bound_max) <= p.full_scale).all()
    assert (np.abs(p.bound_min) <= p.full_scale).all()
    assert (p.up_table is None) == (not isinstance(device.model, TabulatedModel))


def test_equal_arguments_give_equal_cells() -> None:
    first, second = cells("reram-om"), cells("reram-om")
    for field in PLANES:
        np.testing.assert_array_equal(getattr(first, field), getattr(second, field))


@pytest.mark.parametrize("changed", [{"seed": 4}, {"tile": 2}])
def test_seed_and_tile_give_other_cells(changed: dict[str, int]) -> None:
    device = device_file.load("reram-om")
    arguments = {"seed": 3, "tile": 1} | changed
    other = draw(device, 200, 100, **arguments)
    correlation = np.corrcoef(cells("reram-om").up_a.ravel(), other.up_a.ravel())[0, 1]
    assert abs(correlation) < 5 / np.sqrt(20_000)


def test_every_field_has_its_own_stream() -> None:
    plain, changed = cells("reram-om"), cells("reram-om", reference_std="0.5", corrupt="0.1")
    alive = changed.up_a != 0
    for field in ("up_a", "up_b", "down_a", "down_b", "bound_max", "bound_min"):
        a, b = getattr(plain, field), getattr(changed, field)
        np.testing.assert_array_equal(a[alive], b[alive])
    # Gain, bounds and reference are not correlated.
    gain = np.log(plain.up_a.astype(float)).ravel()
    for field in ("bound_max", "bound_min", "reference"):
        values = getattr(plain, field).astype(float).ravel()
        assert abs(np.corrcoef(gain, values)[0, 1]) < 5 / np.sqrt(20_000), field


def test_constant_steps() -> None:
    p = cells("idealized")
    assert not p.up_b.any() and not p.down_b.any()
    np.testing.assert_array_equal(p.up_a, -p.down_a)  # no imbalance between the directions
    assert p.up_a.mean() == pytest.approx(0.0002, rel=0.02)
    assert p.up_a.std() == pytest.approx(0.3 * 0.0002, rel=0.05)
    assert not p.additive


def test_linear_steps_refer_to_the_mean_bounds() -> None:
    device = with_model("ecram", gamma_up_spread=0.0, gamma_down_spread=0.0)
    p = draw(device, 50, 50, seed=1)
    np.testing.assert_allclose(p.up_b, -0.1153 * p.up_a / 1.1724, rtol=1e-5)
    np.testing.assert_allclose(p.down_b, -0.5085 * p.down_a / -0.8276, rtol=1e-5)
    own = draw(with_model("ecram", gamma_up_spread=0.0, mean_bound_reference=False), 50, 50, seed=1)
    np.testing.assert_allclose(own.up_b, -0.1153 * own.up_a / own.bound_max, rtol=1e-5)


def test_soft_bounds_have_no_step_at_the_bound() -> None:
    p = cells("soft-bounds-40")
    np.testing.assert_allclose(p.up_a + p.up_b * p.bound_max, 0, atol=1e-6)
    np.testing.assert_allclose(p.down_a + p.down_b * p.bound_min, 0, atol=1e-6)
    assert (p.up_b <= 0).all() and (p.down_b <= 0).all()
    assert p.additive


def test_slope_spread_moves_the_bound() -> None:
    device = with_model(
        "soft-bounds-40", slope_up_spread=0.2, bound_max_spread=0.0, step_spread=0.0
    )
    p = draw(device, 100, 100, seed=1)
    slope = -p.up_b / p.up_a
    assert slope.std() == pytest.approx(0.2, rel=0.05)
    uncut = p.bound_max < p.full_scale
    np.testing.assert_allclose((p.bound_max * slope)[uncut], 1, rtol=1e-5)


def test_rules_of_rasch_2024() -> None:
    """a+- = delta (exp(s_d2d xi) +- s_pm xi'), bounds max(1 + s_b xi, 0), r at the symmetry
    point."""
    p = cells("soft-bounds-rasch")
    up, down = p.up_a.astype(float) / 0.1, -p.down_a.astype(float) / 0.1
    gain, rho = (up + down) / 2, (up - down) / 2
    assert np.log(gain).mean() == pytest.approx(0, abs=4 * 0.3 / np.sqrt(20_000))
    assert np.log(gain).std() == pytest.approx(0.3, rel=0.02)
    assert rho.std() == pytest.approx(0.1, rel=0.02)
    assert rho.mean() == pytest.approx(0, abs=4 * 0.1 / np.sqrt(20_000))
    assert p.bound_max.std() == pytest.approx(0.3, rel=0.02)
    assert (p.bound_max == 0).sum() + (p.bound_min == 0).sum() > 0  # 4e-4 of 40,000 bounds
    ordinary = (p.bound_max > 0) & (p.bound_min < 0)
    up, down, rho, high, low = (v[ordinary] for v in (up, down, rho, p.bound_max, p.bound_min))
    point = 2 * rho / (up / high - down / low)
    np.testing.assert_allclose(p.reference[ordinary], point, atol=1e-5)


def test_up_down_shrinks_one_direction_only() -> None:
    for up_down, up, down in ((0.3, 0.01, 0.007), (-0.3, 0.007, 0.01)):
        parameters = {"dw_min": 0.01, "up_down": up_down, "dw_min_dtod": 0, "up_down_dtod": 0}
        p = draw(from_aihwkit("ConstantStepDevice", parameters), 2, 2, seed=1)
        np.testing.assert_allclose(p.up_a, up, rtol=1e-6)
        np.testing.assert_allclose(p.down_a, -down, rtol=1e-6)


@pytest.mark.parametrize("name", ["soft-bounds-40", "ecram", "reram-es"])
def test_symmetry_point_is_where_steps_cancel(name: str) -> None:
    p = cells(name, subtract_symmetry_point="true")
    w = p.reference.astype(float)
    if p.up_table is None or p.down_table is None:
        net = p.up_a + p.up_b * w + p.down_a + p.down_b * w
    else:
        knots = np.linspace(0, 1, len(p.up_table))
        u = w * p.up_b + p.down_b
        net = p.up_a * np.interp(u, knots, p.up_table) + p.down_a * np.interp(
            u, knots, p.down_table
        )
    inside = (w > p.bound_min + 1e-6) & (w < p.bound_max - 1e-6)
    assert inside.mean() > 0.9
    assert np.abs(net[inside] / p.up_a[inside]).max() < 2e-3


def test_curves_without_a_single_symmetry_point_are_refused() -> None:
    content = device_file.load("reram-es").content()
    for name in ("A_up", "A_down", "gamma_up", "gamma_down", "a", "b"):
        del content["model"][name]
    content["model"] |= {"kind": "piecewise_step", "up": [1, 2, 1], "down": [1, 1, 1]}
    content["model"]["reference"] = {"subtract_symmetry_point": True}
    device = DeviceFile.model_validate(content)
    with pytest.raises(ConfigurationError, match="more than one symmetry point"):
        draw(device, 2, 2, seed=1)


def test_start_is_at_difference_zero() -> None:
    p = cells("soft-bounds-40", reference_mean="0.3", reference_std="0.5")
    np.testing.assert_array_equal(p.initial_visible, p.reference)
    inside = (p.reference <= p.bound_max) & (p.reference >= p.bound_min)
    assert 0.5 < inside.mean() < 1
    np.testing.assert_array_equal(p.initial[inside], p.reference[inside])


def test_write_noise_is_in_device_units() -> None:
    p = cells("reram-sb")
    np.testing.assert_array_equal(p.write_noise, np.float32(56 * 0.002))
    assert (p.initial_visible - p.initial).std() == pytest.approx(0.112, rel=0.03)


def test_stuck_cells() -> None:
    p = cells("reram-om", corrupt="measured")
    stuck = p.bound_max == p.bound_min
    assert stuck.mean() == pytest.approx(0.1348, abs=4 * np.sqrt(0.1348 * 0.8652 / 20_000))
    for field in ("up_a", "up_b", "down_a", "down_b", "write_noise"):
        assert not getattr(p, field)[stuck].any()
        assert getattr(p, field)[~stuck].all()
    np.testing.assert_array_equal(p.initial[stuck], p.bound_max[stuck])
    np.testing.assert_array_equal(p.initial_visible[stuck], p.bound_max[stuck])
    assert np.abs(p.initial[stuck]).max() <= 0.01
    assert np.unique(p.initial[stuck]).size > 1000


def test_all_cells_stuck_in_a_tabulated_tile() -> None:
    p = cells("reram-es", corrupt="1")
    assert not p.up_a.any() and not p.up_b.any() and not p.down_b.any()
    assert (p.bound_max == p.bound_min).all()


def test_full_scale_depends_on_the_device_alone() -> None:
    scales = {
        draw(device_file.load("soft-bounds-40"), 3, 3, seed=s, tile=t).full_scale
        for s in range(5)
        for t in range(3)
    }
    assert scales == {4.0}
    assert cells("ideal").full_scale == 2.0
    assert cells("soft-bounds-40", reference_std="2").full_scale == 16.0


@pytest.mark.parametrize("name", ["fixed", "es", "power", "piecewise"])
def test_tables_follow_the_curves(name: str) -> None:
    device = {
        "fixed": from_aihwkit("ExpStepDevice", {}),
        "es": device_file.load("reram-es"),
        "power": from_aihwkit("PowStepDevice", {"pow_gamma": 2.5, "pow_gamma_dtod": 0.0}),
        "piecewise": from_aihwkit(
            "PiecewiseStepDevice", {"piecewise_up": [1.5, 1, 0.2], "piecewise_down": [0.2, 1, 1.5]}
        ),
    }[name]
    p = draw(device, 2, 2, seed=1)
    assert isinstance(device.model, TabulatedModel)
    assert p.up_table is not None and p.down_table is not None
    assert p.up_table.dtype == np.float32 and len(p.up_table) == len(p.down_table)
    u = np.linspace(0, 1, 100_003)
    knots = np.linspace(0, 1, len(p.up_table))
    for table, exact in zip((p.up_table, p.down_table), device.model.table_curves(u), strict=True):
        assert np.abs(np.interp(u, knots, table) - exact).max() < population.TABLE_ERROR
    if name == "piecewise":
        assert len(p.up_table) == 3


def test_curves_that_no_table_can_hold_are_refused() -> None:
    device = with_model("reram-es", gamma_up=1e3)
    with pytest.raises(ConfigurationError, match="too steep for a table of 16385 knots"):
        draw(device, 2, 2, seed=1)


def test_unknown_option_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="option 'reference_sd' is unknown"):
        cells("reram-om", reference_sd="1")
