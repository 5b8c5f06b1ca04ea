"""Fits of every kind of data: what they find, what they refuse to say, what they warn of."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

import hwloop
from hwloop import characterization, device_file
from hwloop.characterization import fit, measurement
from hwloop.characterization.fits.shares import wilson
from hwloop.characterization.fits.traces import traces
from hwloop.device_file import Column, Conductance, Estimate
from hwloop.errors import ConfigurationError
from tests.characterization.traces_of import population, soft_bounds
from tests.tiny_runs import hwloop as command

UNITS = Conductance(middle_siemens=6e-5, half_range_siemens=4e-5, read_volts=0.2, normalised=False)


def as_measurement(found, **header):
    """Return trains as measured data in device units."""
    rows = [(t, k) for k in range(found.values.shape[1]) for t in range(len(found.values))]
    time, train = np.array(rows).T
    order = np.zeros(len(rows), int)
    for cell in found.cells:
        mine = found.cell[train] == cell
        order[mine] = np.arange(mine.sum())
    header.setdefault("name", "made")
    return measurement(
        "pulse_response",
        {
            "cell": found.cell[train],
            "repeat": found.repeat[train],
            "sequence": order,
            "direction": np.where(found.up[train], 1, -1),
            "pulse": time + 1,
            "state_units": found.values[time, train],
        },
        **header,
    )


@pytest.fixture(scope="module")
def response():
    """Return the pulse responses of 20 cells, of which two are stuck, and their parameters."""
    rng = np.random.default_rng(11)
    truth = population(rng, 20)
    found = soft_bounds(rng, *truth, cycle=0.4, read=0.03, pulses=60)
    values = found.values.copy()
    values[:, found.cell < 2] = 0.2 + 0.03 * rng.standard_normal((60, (found.cell < 2).sum()))
    return as_measurement(
        type(found)(
            values, *(getattr(found, n) for n in ("pulses", "up", "cell", "repeat", "cells"))
        )
    )


@pytest.fixture(scope="module")
def fitted(response):
    return fit(response, model="soft_bounds", read_noise=0.01)


def test_trains_are_found_again(response):
    found = traces(response)
    assert found.values.shape == (60, 80)
    assert found.reads == 80 * 59
    assert (found.pulses[1:] == 1).all()


def test_a_fit_of_pulse_responses_finds_the_device(fitted):
    model = fitted.device.model
    assert model.kind == "soft_bounds"
    assert model.cycle_noise_kind == "additive"
    for name, value in (("step", 0.05), ("bound_max", 1.0), ("bound_min", -1.1)):
        estimate = fitted.parameters[f"model.{name}"]
        # Five standard errors; the intervals are 1.96 wide on each side.
        reach = 2.6 * (estimate.high - estimate.low) / 2
        assert abs(estimate.value - value) < reach, name
    assert fitted.parameters["model.cycle_noise"].value == pytest.approx(0.4, rel=0.15)
    write_noise = np.sqrt(0.03**2 - 0.01**2) / model.step
    assert model.write_noise == pytest.approx(write_noise, rel=0.1)


def test_stuck_cells_are_counted_and_left_out(fitted):
    share = fitted.parameters["model.corrupt_probability"]
    assert share.value == pytest.approx(0.1)
    assert share.low < 0.1 < share.high
    assert fitted.device.model.corrupt_probability == pytest.approx(0.1)
    assert fitted.parameters["model.bound_max_spread"].value < 0.4  # two cells of one state


def test_a_fitted_device_is_saved_loaded_and_emulated(fitted, tmp_path):
    path = tmp_path / "hfo2.yaml"
    fitted.save(path)
    loaded = device_file.load(path)
    assert loaded == fitted.device
    assert loaded.fit.parameters == fitted.parameters
    assert loaded.conductance.normalised  # data in device units never arms a chip
    assert loaded.provenance["model"].startswith("fit")
    with hwloop.connect(f"sim:{path},shape=8x8,seed=1") as chip:
        tile = chip[0]
        before = tile.read_cells(average=64)
        chip.submit([tile.new_pulse(None, None, np.full((8, 8), 40, np.int16))])
        assert (tile.read_cells(average=64) - before).mean() > 0


def test_a_base_gives_units_shapes_and_other_parts(response, fitted):
    base = device_file.load("reram-hfo2")
    content = base.content()
    content["model"]["relaxation"] = {"onset_seconds": 1e-3, "std": [0.01]}
    base = device_file.DeviceFile.model_validate(content).with_cells(None)
    whole = fit(response, model="soft_bounds", cells=[4, 5], base=base)
    assert whole.device.conductance == base.conductance
    assert whole.device.shapes == base.shapes
    assert whole.device.model.relaxation == base.model.relaxation
    assert whole.device.model.step != base.model.step
    assert whole.device.provenance["shapes"] == base.provenance["shapes"]


def test_measured_cells_are_emulated_as_themselves(tmp_path):
    with hwloop.connect("sim:reram-om,shape=3x4,seed=1") as chip:
        data = characterization.measure(chip[0], "pulse_response", pulses=40, rows=[0, 2])
    whole = fit(data, model="soft_bounds")
    path = tmp_path / "twin.yaml"
    whole.save(path)
    assert (tmp_path / "twin.cells.csv").exists()
    own = whole.details["cells"].own
    table = device_file.load(path).measured_cells
    high, up = (table.plane(name, 0, 3, 4) for name in ("bound_max", "step_up"))
    assert high[[0, 2]].ravel() == pytest.approx(own[:, 2])
    assert up[[0, 2]].ravel() == pytest.approx(np.abs(np.exp(own[:, 0]) + own[:, 1]))
    assert np.isnan(high[1]).all()  # was not measured, so it is drawn
    with hwloop.connect(f"sim:{path},seed=5") as twin:
        assert (twin[0].rows, twin[0].cols) == (3, 4)


def test_a_fit_is_drawn(fitted, tmp_path):
    fitted.plot(tmp_path / "fit.png")
    assert (tmp_path / "fit.png").stat().st_size > 20_000
    with pytest.raises(ConfigurationError, match="cannot be written"):
        fitted.plot(tmp_path / "fit.docx")


def test_without_the_noise_of_reads_write_noise_is_not_told_apart(response):
    few = fit(response, model="soft_bounds", cells=[5])
    estimate = few.parameters["model.write_noise"]
    assert not estimate.identified
    assert "together" in estimate.why
    assert any("1 cell" in warning for warning in few.warnings)
    assert "model.step_spread" not in few.parameters


def test_steps_that_grow_away_make_the_symmetry_point_unstable():
    rng = np.random.default_rng(12)
    state, rows = 0.0, []
    for repeat in range(3):
        for sign in (1, -1):
            for pulse in range(60):
                step = 0.012 * (1 + 0.6 * state) if sign > 0 else 0.012
                state += sign * step * (1 + 0.2 * rng.standard_normal())
                seen = state + 0.003 * rng.standard_normal()
                rows.append((0, repeat, len(rows), sign, pulse + 1, seen))
    names = ("cell", "repeat", "sequence", "direction", "pulse", "state_units")
    data = measurement("pulse_response", dict(zip(names, np.array(rows).T, strict=True)), name="x")
    found = fit(data, model="linear_step")
    assert any("unstable" in warning for warning in found.warnings)
    assert not found.figures["symmetry_point_units"].identified
    assert found.figures["symmetry_point_units"].value is None
    # Seen from the other side, with up and down exchanged, it is as unstable.
    turned = dict(zip(names, np.array(rows).T, strict=True))
    turned["state_units"], turned["direction"] = -turned["state_units"], -turned["direction"]
    assert any(
        "unstable" in w
        for w in fit(measurement("pulse_response", turned, name="x"), model="linear_step").warnings
    )


def test_auto_takes_the_family_that_predicts_best():
    rng = np.random.default_rng(13)
    one = [np.array([x]) for x in (0.05, 0.04, 1.0, -1.0)]
    found = soft_bounds(rng, *one, cycle=0.3, read=0.02, pulses=60, repeats=3)
    chosen = fit(as_measurement(found))
    assert chosen.device.model.kind == "soft_bounds"
    assert {name for name in chosen.goodness if name.startswith("held_out.")} >= {
        "held_out.soft_bounds.additive",
        "held_out.piecewise_step.additive",
    }


def test_noise_with_a_memory_is_found():
    rng = np.random.default_rng(14)
    one = [np.array([x]) for x in (0.01, 0.01, 1.0, -1.0)]
    found = soft_bounds(
        rng, *one, cycle=0.01, read=0.05, pulses=400, repeats=1, memory=0.85, remembered=0.08
    )
    chosen = fit(as_measurement(found), model="soft_bounds")
    estimate = chosen.parameters["model.write_noise_memory"]
    assert estimate.low < 0.85 < estimate.high
    assert chosen.figures["noise_around_the_curve_units"].value == pytest.approx(
        np.hypot(0.05, 0.08), rel=0.15
    )
    assert not chosen.parameters["model.cycle_noise"].identified


def test_points_off_a_plot_have_no_noise():
    w = np.concatenate([np.linspace(0, 1, 20), np.linspace(1, 0, 20)])
    data = measurement(
        "pulse_response",
        {
            "cell": 0,
            "repeat": 0,
            "sequence": np.arange(40),
            "direction": np.repeat([1, -1], 20),
            "pulse": np.tile(np.arange(1, 21), 2),
            "state_units": w,
        },
        name="digitised",
        conditions={"noise_in_values": False},
    )
    found = fit(data, model="linear_step")
    assert found.device.model.cycle_noise == 0
    assert found.device.model.write_noise == 0
    assert found.parameters["model.write_noise"].value is None
    assert found.device.model.step == pytest.approx(1 / 19, rel=0.05)


def test_a_model_or_a_cell_that_does_not_exist_is_refused(response):
    with pytest.raises(ConfigurationError, match="softbounds"):
        fit(response, model="softbounds")
    with pytest.raises(ConfigurationError, match="99"):
        fit(response, model="soft_bounds", cells=[99])


def noise_data(values, seconds=0.01, level=1e-5):
    cells, reads = values.shape
    return measurement(
        "read_noise",
        {
            "cell": np.repeat(np.arange(cells), reads),
            "time_seconds": np.tile(np.arange(reads) * seconds, cells),
            "conductance_siemens": (level * (1 + 0.05 * values)).ravel(),
        },
        name="noise",
    )


def test_white_noise_is_not_called_coloured_and_the_other_way_round():
    rng = np.random.default_rng(15)
    white = rng.standard_normal((4, 8192))
    quiet = fit(noise_data(white))
    assert quiet.warnings == ()
    assert quiet.figures["cell_0.spectrum_slope"].value == pytest.approx(0, abs=0.1)
    # A sum of octaves, each held for its time: 1/f.
    pink = sum(
        np.repeat(rng.standard_normal((4, 8192 >> k)), 1 << k, 1)[:, :8192] for k in range(12)
    )
    loud = fit(noise_data(pink))
    assert any("white read noise is rejected in 4 of 4" in w for w in loud.warnings)
    assert loud.figures["cell_0.spectrum_slope"].value == pytest.approx(-1, abs=0.25)


def test_two_levels_are_called_a_telegraph():
    rng = np.random.default_rng(16)
    switching = rng.random((2, 8192)) < 0.02
    levels = np.where(np.cumsum(switching, 1) % 2, 1.0, -1.0)
    found = fit(noise_data(levels + 0.2 * rng.standard_normal(levels.shape)))
    assert sum("telegraph" in warning for warning in found.warnings) == 2
    with pytest.raises(ConfigurationError, match="--base"):
        found.device  # noqa: B018
    base = device_file.load("reram-om")
    whole = fit(noise_data(levels + 0.2 * rng.standard_normal(levels.shape)), base=base)
    assert whole.device.model.telegraph.share == 1
    assert whole.device.model.step == base.model.step
    assert "model.telegraph.share" in whole.device.fit.parameters


def relaxation_data(change, seconds, initial):
    """Return retention data of changes, shape (cells, times)."""
    cells, times = change.shape
    return measurement(
        "retention",
        {
            "cell": np.repeat(np.arange(cells), times),
            "time_seconds": np.tile(seconds, cells),
            "nominal_seconds": np.tile(seconds, cells),
            "initial_siemens": np.repeat(initial, times),
            "conductance_siemens": (initial[:, None] + change).ravel(),
        },
        name="relaxation",
    )


def test_relaxation_and_drift_are_told_apart(tmp_path):
    rng = np.random.default_rng(17)
    seconds, initial = np.array([0.01, 1.0, 100.0, 1e4]), rng.uniform(2e-5, 8e-5, 800)
    octaves = np.log2(1 + seconds / 1e-3)
    steps = rng.standard_normal((800, 4)) * np.sqrt(np.diff(np.concatenate([[0], octaves])))
    relaxed = fit(relaxation_data(5e-7 * np.cumsum(steps, 1), seconds, initial))
    assert any("power law of time is rejected" in warning for warning in relaxed.warnings)
    law = (1 + seconds / 1e-3) ** -rng.normal(0.05, 0.01, (800, 1)) - 1
    drifted = fit(relaxation_data(initial[:, None] * law, seconds, initial))
    assert any("power of time, as in PCM" in warning for warning in drifted.warnings)
    assert drifted.figures["drift.exponent"].value == pytest.approx(0.05, abs=0.01)
    base = device_file.load("reram-om")
    whole = fit(relaxation_data(5e-7 * np.cumsum(steps, 1), seconds, initial), base=base)
    assert whole.device.model.relaxation is not None
    whole.save(tmp_path / "relaxing.yaml")
    assert device_file.load(tmp_path / "relaxing.yaml") == whole.device


def test_yield_and_values_of_a_map_are_kept_apart():
    rng = np.random.default_rng(18)
    values = np.where(rng.random(2000) < 0.4, 0.0, rng.normal(1e-5, 1e-6, 2000))
    place = np.arange(2000)
    data = measurement(
        "array_map",
        {"cell": place, "row": place // 50, "col": place % 50, "conductance_siemens": values},
        name="map",
    )
    found = fit(data)
    share = found.figures["open_share"]
    assert share.low < 0.4 < share.high
    assert found.figures["conducting.mean_siemens"].value == pytest.approx(1e-5, rel=0.02)
    assert any("zero-inflated" in warning for warning in found.warnings)


def amplitude_data(rng, means, sigma, sweeps=60):
    volts = 1 + 0.05 * np.arange(len(means))
    logs = means + sigma * rng.standard_normal((sweeps, len(means)))
    return measurement(
        "amplitude_response",
        {
            "cell": 0,
            "repeat": np.repeat(np.arange(sweeps), len(means)),
            "sequence": np.arange(logs.size),
            "amplitude_volts": np.tile(volts, sweeps),
            "resistance_ohms": 10 ** logs.ravel(),
        },
        name="sweeps",
    )


def test_a_bump_and_a_changing_spread_are_named():
    rng = np.random.default_rng(19)
    bump = np.array([4.6, 4.9, 5.2, 5.0, 4.9, 5.4, 6.2])
    found = fit(amplitude_data(rng, bump, np.array([0.05] * 6 + [0.2])))
    assert any("not monotone" in warning for warning in found.warnings)
    assert any("spread depends on the voltage" in warning for warning in found.warnings)
    assert found.figures["at_1.10_volts.mean_log10_ohms"].value == pytest.approx(5.2, abs=0.03)
    straight = fit(amplitude_data(rng, np.linspace(4.6, 6.2, 7), 0.05))
    assert not any("monotone" in warning for warning in straight.warnings)


def test_open_circuits_and_dead_devices_do_not_spoil_medians():
    rng = np.random.default_rng(20)
    ohms = 10 ** rng.normal(3.5, 0.2, 60)
    ohms[:5], ohms[5:9] = 1e13, np.nan
    data = measurement(
        "summary",
        {"cell": np.arange(60), "resistance_ohms": ohms, "area_square_metres": 4e-12},
        name="devices",
        own={"area_square_metres": Column(name="area_square_metres", unit="m2", meaning="area")},
    )
    found = fit(data)
    assert found.figures["resistance_ohms.missing_share"].value == pytest.approx(4 / 60)
    assert found.figures["resistance_ohms.open_share"].value == pytest.approx(5 / 60)
    median = found.figures["resistance_ohms.median_of_working"]
    assert median.low < 10**3.5 < median.high
    assert any("open circuits" in warning for warning in found.warnings)


def test_forming_voltages_know_their_grid():
    rng = np.random.default_rng(21)
    volts = np.round(rng.normal(3.4, 0.1, 300) / 0.02) * 0.02
    volts[:10] = np.nan
    data = measurement("forming", {"cell": np.arange(300), "breakdown_volts": volts}, name="form")
    found = fit(data)
    assert found.figures["breakdown.grid_volts"].value == pytest.approx(0.02)
    assert found.figures["formed_share"].value == pytest.approx(290 / 300)


def test_kinds_without_a_model_give_figures():
    rng = np.random.default_rng(22)
    cells = np.arange(50)
    settled = {"settled": Column(name="settled", unit="1", meaning="1 where it settled")}
    points = measurement(
        "symmetry_point",
        {
            "cell": cells,
            "repeat": 0,
            "pulses_spent": 100,
            "conductance_siemens": rng.normal(5e-5, 1e-6, 50),
            "settled": (cells > 4).astype(int),
        },
        name="points",
        own=settled,
    )
    found = fit(points)
    assert found.figures["symmetry_point.mean_siemens"].value == pytest.approx(5e-5, rel=0.02)
    assert any("5 of 50 searches did not settle" in warning for warning in found.warnings)
    cycle = np.tile(np.repeat([1, 10, 100, 1000], 2), 5)
    high = np.tile([1, -1], 20)
    worn = measurement(
        "endurance",
        {
            "cell": np.repeat(np.arange(5), 8),
            "cycle": cycle,
            "direction": high,
            "conductance_siemens": 5e-5 + high * (2e-5 - 5e-6 * np.log10(cycle)),
        },
        name="worn",
    )
    trend = fit(worn).figures["window_per_decade_siemens"]
    assert trend.value == pytest.approx(-1e-5, rel=1e-6)
    assert any("shrunk" in warning for warning in fit(worn).warnings)
    assert fit(worn).draw is not None


@given(found=st.integers(0, 200), more=st.integers(0, 200))
@settings(deadline=None)
def test_the_interval_of_a_share_holds_it(found, more):
    low, high = wilson(found, found + more)
    assert 0 <= low <= high <= 1
    if found + more:
        assert low <= found / (found + more) + 1e-12
        assert found / (found + more) <= high + 1e-12


def test_estimates_are_in_order():
    with pytest.raises(ValidationError, match="low"):
        Estimate(value=1.0, low=2.0, high=1.0)
    with pytest.raises(ValidationError, match="identified"):
        Estimate()


def test_the_command_writes_a_device_file_and_a_report(response, tmp_path):
    characterization.save(response, tmp_path / "data.yaml")
    out, report = tmp_path / "device.yaml", tmp_path / "report"
    ran = command(
        "device",
        "fit",
        tmp_path / "data.yaml",
        "--model",
        "soft_bounds",
        "--cells",
        "3:5",
        "--out",
        out,
        "--report",
        report,
        "--json",
    )
    assert ran.returncode == 0, ran.stderr
    content = json.loads(ran.stdout)
    assert content["device"]["model"]["kind"] == "soft_bounds"
    assert device_file.load(out).fit.cells == 20
    assert (report / "fit.png").exists()
    assert json.loads((report / "fit.json").read_text())["fit"]["warnings"]
    wrong = command("device", "fit", tmp_path / "data.yaml", "--cells", "three")
    assert wrong.returncode == 2
    assert "0:64" in wrong.stderr
