"""What a device file says of time is what reads see: spreads, spectra, traps, correlations.

Each tolerance is stated in standard errors of its estimate: beyond 4.5 of them, a test fails once
in 150,000 seeds by chance alone; the seeds are fixed.
"""

import numpy as np
import pytest
from scipy import signal

from hwloop import device_file
from hwloop.device_file import DeviceFile
from hwloop.operations import Direction, Plane
from hwloop_sim.periphery import PERIPHERIES
from hwloop_sim.population import draw
from hwloop_sim.tile import Tile

SIDE = 128
CELLS = SIDE * SIDE
ERRORS = 4.5


def tile_of(rows=SIDE, cols=SIDE, seed=5, **model):
    """A tile of equal cells at states from -1 to 1, with the given terms."""
    base = {"kind": "constant_step", "step": 1e-9, "bound_max": 1.0, "bound_min": -1.0}
    content = device_file.load("ideal").model_dump(mode="json", exclude_none=True)
    device = DeviceFile.model_validate(
        content | {"model": base | model, "provenance": {}, "measured": {}}
    )
    tile = Tile(draw(device, rows, cols, seed=seed), PERIPHERIES["ideal"], index=0, seed=seed)
    state = tile.snapshot()
    levels = np.linspace(-1, 1, cols, dtype=np.float32)
    state[:2] = np.broadcast_to(levels, (rows, cols)).view(np.uint32)
    tile.restore(state)
    return tile


def seen(tile, seconds):
    """What reads see at a time, less the states."""
    tile.begin(round(seconds * 1e9))
    tile.vmm(Direction.FORWARD, Plane.MAIN, np.zeros((0, tile.cols), np.int32), ordinal=0)
    states = tile.snapshot()[1].view(np.float32)
    return tile._state.time.seen.astype(float) - states


def close(value, expected, standard_error):
    assert abs(value - expected) < ERRORS * standard_error, (value, expected, standard_error)


def test_relaxation_spreads_with_the_logarithm_of_time():
    std, mean = 0.02, -0.003
    tile = tile_of(relaxation={"onset_seconds": 1e-3, "std": [std], "mean": [mean]})
    octaves = np.array([0.3, 2.5, 5, 10, 20])
    changes = [seen(tile, 1e-3 * (2.0**n - 1)) for n in octaves]
    for n, change in zip(octaves, changes, strict=True):
        spread = std * np.sqrt(n)
        close(change.std(), spread, spread / np.sqrt(2 * CELLS))
        close(change.mean(), mean * n, spread / np.sqrt(CELLS))
    # One path: what comes later does not depend on what came before, and is found again.
    later = changes[3] - changes[2]
    close(np.corrcoef(later.ravel(), changes[2].ravel())[0, 1], 0, 1 / np.sqrt(CELLS))
    np.testing.assert_array_equal(seen(tile, 1e-3 * (2.0**10 - 1)), changes[3])
    # A pulse begins a new one.
    tile.begin(0)
    tile.pulse(None, None, np.ones((SIDE, SIDE), np.int16), ordinal=1)
    again = seen(tile, 1e-3 * (2.0**10 - 1))
    close(np.corrcoef(again.ravel(), changes[3].ravel())[0, 1], 0, 1 / np.sqrt(CELLS))


def test_relaxation_depends_on_the_level():
    tile = tile_of(1000, 5, relaxation={"onset_seconds": 1.0, "std": [0.001, 0.1, 0.03]})
    spread = seen(tile, 1.0).std(axis=0)
    expected = np.array([0.001, 0.0505, 0.1, 0.065, 0.03])
    assert (np.abs(spread / expected - 1) < ERRORS / np.sqrt(2 * 1000)).all()


def test_drift_is_a_power_of_time():
    tile = tile_of(
        drift={"onset_seconds": 1e-6, "exponent": [0.05], "exponent_spread": 0.3}, step_spread=0.0
    )
    device = device_file.load("ideal").conductance
    zero = -device.middle_siemens / device.half_range_siemens
    states = tile.snapshot()[1].view(np.float32)[:, 1:]
    exponents = []
    for seconds in (1e-3, 1.0, 1e4):
        left = (seen(tile, seconds)[:, 1:] + states - zero) / (states - zero)
        exponents.append(-np.log(left) / np.log(1 + seconds / 1e-6))
    np.testing.assert_allclose(exponents[0], exponents[2], rtol=1e-3, atol=1e-4)
    close(exponents[2].mean(), 0.05, 0.015 / np.sqrt(CELLS))
    close(exponents[2].std(), 0.015, 0.015 / np.sqrt(2 * CELLS))


@pytest.mark.parametrize("slope", [0.8, 1.0, 1.4])
def test_low_frequency_noise_has_its_spectrum_and_its_size(slope):
    samples, interval = 2**12, 2.0**10 * 1e-9
    tile = tile_of(
        16,
        16,
        read_noise={
            "std": [0.1],
            "shortest_seconds": interval,
            "longest_seconds": interval * 2**15,
            "slope": slope,
        },
    )
    series = np.array([seen(tile, n * interval) for n in range(samples)]).reshape(samples, -1)
    frequency, power = signal.welch(series, 1 / interval, nperseg=1024, axis=0)
    band = (frequency > 8 / (1024 * interval)) & (frequency < 0.1 / interval)
    frequency, power = frequency[band], power[band].mean(axis=1)
    # An octave is a staircase, whose spectrum is Fejer's kernel.
    lengths = 2.0 ** np.arange(16)
    variances = lengths ** (slope - 1)
    x = np.pi * frequency[:, None] * interval
    kernels = (np.sin(lengths * x) / np.sin(x)) ** 2 / lengths
    expected = 2 * interval * 0.1**2 * (kernels * variances).sum(axis=1) / variances.sum()
    # 256 cells and 7 segments leave 0.03 per frequency; the window smears steep parts a little.
    assert np.abs(power / expected - 1).max() < 0.15
    assert abs((power / expected).mean() - 1) < 0.05
    fitted = np.polyfit(np.log(frequency), np.log(power), 1)[0]
    assert abs(fitted + slope) < 0.1  # a staircase follows the power law up to a ripple
    # The size at one moment, over cells.
    large = tile_of(
        read_noise={"std": [0.1], "shortest_seconds": 1e-6, "longest_seconds": 1e3, "slope": slope}
    )
    spread = seen(large, 1.0).std()
    close(spread, 0.1, 0.1 / np.sqrt(2 * CELLS))


def test_telegraph_noise_has_two_levels_in_the_cells_with_a_trap():
    share, filled = 0.3, 0.4
    tile = tile_of(
        telegraph={
            "share": share,
            "height": [0.2],
            "height_spread": 0.1,
            "filled": filled,
            "shortest_seconds": 2.0**10 * 1e-9,
            "longest_seconds": 2.0**12 * 1e-9,
        }
    )
    samples = 400
    # Further apart than the longest time constant: all samples are independent.
    series = np.array([seen(tile, 1e-5 * n) for n in range(samples)])
    trapped = np.ptp(series, axis=0) > 1e-6
    close(trapped.mean(), share, np.sqrt(share * (1 - share) / CELLS))
    assert np.abs(series[:, ~trapped]).max() < 1e-6
    low, high = series.min(axis=0)[trapped], series.max(axis=0)[trapped]
    between = (series[:, trapped] > low + 1e-5) & (series[:, trapped] < high - 1e-5)
    assert not between.any()
    heights = high - low
    close(heights.mean(), 0.2, 0.02 / np.sqrt(heights.size))
    close(heights.std(), 0.02, 0.02 / np.sqrt(2 * heights.size))
    occupied = (series[:, trapped] > low + heights / 2).mean()
    close(occupied, filled, np.sqrt(filled * (1 - filled) / (samples * heights.size)))
    close(series[:, trapped].mean(), 0, 0.1 / np.sqrt(samples * heights.size))


def test_traps_of_all_octaves_switch_at_their_rates():
    constants = 2.0 ** np.arange(10, 13) * 1e-9
    tile = tile_of(
        telegraph={
            "share": 1.0,
            "height": [0.2],
            "shortest_seconds": constants[0],
            "longest_seconds": constants[-1],
        }
    )
    samples = 256
    series = np.array([seen(tile, constants[0] * n) for n in range(samples)]) > 0
    rates = (series[1:] != series[:-1]).mean(axis=0)
    # A fair coin after each time constant: half of them change the state.
    counts = np.histogram(rates, [0, 0.18, 0.37, 1])[0] / CELLS
    assert np.abs(counts - 1 / 3).max() < 0.02  # the classes overlap by less than 0.01
    close(rates.mean(), np.mean([0.5, 0.25, 0.125]), 0.1545 / np.sqrt(CELLS))


def test_write_noise_with_a_memory_correlates_from_pulse_to_pulse():
    rho, fresh = 0.55, 0.142
    rows, pulses = 64, 300
    step = 1e-6
    tile = tile_of(rows, rows, write_noise=fresh / step, write_noise_memory=rho, step=step)
    series = []
    for n in range(pulses):
        counts = np.full((rows, rows), 1 if n % 2 else -1, np.int16)
        tile.pulse(None, None, counts, ordinal=n)
        persistent, visible = tile.snapshot()[:2].view(np.float32)
        series.append(visible - persistent)
    series = np.array(series[20:], float).reshape(280, -1)
    count = series.size
    spread = fresh / np.sqrt(1 - rho**2)
    assert abs(spread - 0.17) < 1e-3  # as measured on a ReRAM cell (Gong et al. 2018)
    # Samples of an AR(1) count (1 - rho^2) / (1 + rho^2) for its variance.
    close(series.std(), spread, spread / np.sqrt(2 * count * (1 - rho**2) / (1 + rho**2)))
    for lag in (1, 2, 4):
        products = series[lag:] * series[:-lag] / series.var()
        close(products.mean(), rho**lag, np.sqrt((1 + rho**2) / (1 - rho**2) / products.size))
    # The spread of cells that have just been drawn is that after many pulses.
    device = DeviceFile.model_validate(
        device_file.load("reram-om").content()
        | {
            "model": device_file.load("reram-om").model.model_dump()
            | {"write_noise_memory": rho, "corrupt_probability": 0.0}
        }
    )
    p = draw(device, SIDE, SIDE, seed=2)
    noise = (p.initial_visible - p.reference) / p.write_noise
    expected = 1 / np.sqrt(1 - rho**2)
    close(noise.std(), expected, expected / np.sqrt(2 * CELLS))


def test_the_full_scale_leaves_room_for_what_time_does():
    quiet = draw(device_file.load("reram-om"), 4, 4, seed=1)
    tile = tile_of(relaxation={"onset_seconds": 1e-3, "std": [0.2]})
    assert tile._state.struct.full_scale >= 1 + 5 * 0.2 * np.sqrt(np.log2(1e8))
    assert quiet.full_scale == 4.0


def test_steps_may_grow_towards_a_bound():
    # Up steps that triple and down steps that fade, as some filaments show.
    tile = Tile(
        draw(
            DeviceFile.model_validate(
                device_file.load("ideal").model_dump(mode="json", exclude_none=True)
                | {
                    "provenance": {},
                    "model": {
                        "kind": "linear_step",
                        "step": 0.01,
                        "bound_max": 1.0,
                        "bound_min": -1.0,
                        "gamma_up": -2.0,
                        "gamma_down": 1.0,
                        "allow_increasing": True,
                    },
                }
            ),
            1,
            1,
            seed=1,
        ),
        PERIPHERIES["ideal"],
        index=0,
        seed=1,
    )
    states = []
    for n in range(60):
        tile.pulse(None, None, np.ones((1, 1), np.int16), ordinal=n)
        states.append(float(tile.snapshot()[0].view(np.float32)[0, 0]))
    steps = np.diff(states[:-5])
    inside = np.array(states[:-6]) < 0.95
    assert (np.diff(steps[inside[: len(steps)]]) > 0).all()
    np.testing.assert_allclose(steps[0], 0.01 * (1 + 2 * states[0]), rtol=1e-4)
    assert states[-1] == 1.0
