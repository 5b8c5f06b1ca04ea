"""Populations, peripheries and operations at random."""

import numpy as np
from hypothesis import strategies as st

from hwloop.operations import Direction, Plane
from hwloop_sim.periphery import Periphery, code_max
from hwloop_sim.population import Population
from hwloop_sim.terms import Terms

TERMS = ("drift", "relaxation", "read noise", "telegraph")


def curve(rng, low, high):
    """A level curve."""
    return tuple(rng.uniform(low, high, rng.integers(2, 34)).astype(np.float32).tolist())


def terms(rng, kinds):
    """Terms of the given kinds, some of them large, with time constants from one tick on."""
    numbers = {"level_low": -0.5, "level_scale": 0.9}
    if "drift" in kinds:
        numbers |= {
            "drift_rate": 2.0 ** rng.integers(-20, 1),
            "drift_spread": rng.choice([0.0, 0.3]),
            "drift_zero": -1.5,
            "drift_exponent": curve(rng, -0.02, 0.1),
        }
    if "relaxation" in kinds:
        numbers |= {
            "relaxation_rate": 2.0 ** rng.integers(-20, 1),
            "relaxation_mean": curve(rng, -0.05, 0.05),
            "relaxation_std": curve(rng, 0, 0.1),
        }
    if "read noise" in kinds:
        octaves = int(rng.integers(1, 41))
        numbers |= {
            "noise_shift": int(rng.integers(0, 65 - octaves)),
            "noise_weights": tuple(rng.uniform(0, 1, octaves).astype(np.float32).tolist()),
            "noise_std": curve(rng, 0, 0.1),
        }
    if "telegraph" in kinds:
        octaves = int(rng.integers(1, 41))
        numbers |= {
            "trap_octaves": octaves,
            "trap_shift": int(rng.integers(0, 65 - octaves)),
            "trap_last": int(rng.choice([0, 2**31, 2**32 - 1])),
            "trap_filled": int(rng.choice([1, 2**31, 2**32 - 1])),
            "trap_spread": 0.3,
            "trap_mean": 0.4,
            "trap_height": curve(rng, -0.2, 0.2),
        }
    return Terms(**numbers)


def population(
    rng,
    rows,
    cols,
    *,
    table=False,
    additive=False,
    cycle_noise=0.3,
    write_noise=0.0,
    write_memory=0.0,
    kinds=(),
):
    """A population with large steps, some stuck cells, and bounds that are reached."""
    shape = (rows, cols)

    def draw(low, high):
        return rng.uniform(low, high, shape).astype(np.float32)

    p = {
        "up_a": draw(0.001, 0.2),
        "up_b": draw(-0.2, 0.05),
        "down_a": -draw(0.001, 0.2),
        "down_b": draw(-0.2, 0.05),
        "bound_max": draw(0.2, 1.5),
        "bound_min": -draw(0.2, 1.5),
        "write_noise": draw(0, write_noise) if write_noise else np.zeros(shape, np.float32),
        "reference": draw(-0.5, 0.5),
        "initial": draw(-0.1, 0.1),
        "up_table": None,
        "down_table": None,
    }
    if table:
        knots = int(rng.integers(2, 9))
        p["up_b"], p["down_b"] = draw(0.2, 0.6), draw(0.3, 0.7)
        p["up_table"] = rng.uniform(0, 1, knots).astype(np.float32)
        p["down_table"] = rng.uniform(0, 1, knots).astype(np.float32)
    stuck = rng.uniform(size=shape) < 0.1
    for name in ("up_a", "up_b", "down_a", "down_b", "write_noise"):
        p[name][stuck] = 0
    p["bound_max"][stuck] = p["bound_min"][stuck] = p["initial"][stuck]
    p["initial_visible"] = p["initial"] + p["write_noise"]
    return Population(
        **p,
        additive=additive,
        cycle_noise=cycle_noise,
        full_scale=2.0,
        write_memory=write_memory,
        terms=terms(rng, kinds) if kinds else None,
    )


@st.composite
def populations(draw, most=40):
    """A population of any kind, at most `most` lines long."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    return population(
        rng,
        draw(st.integers(1, most)),
        draw(st.integers(1, most)),
        table=draw(st.booleans()),
        additive=draw(st.booleans()),
        cycle_noise=draw(st.sampled_from([0.0, 0.3, 5.0])),
        write_noise=draw(st.sampled_from([0.0, 0.1])),
        write_memory=draw(st.sampled_from([0.0, 0.0, 0.55])),
        kinds=draw(st.one_of(st.just(()), st.sets(st.sampled_from(TERMS)).map(sorted))),
    )


@st.composite
def peripheries(draw):
    """Converters of any kind."""
    input_noise = draw(st.sampled_from([0.0, 0.0, 0.01, 0.5]))
    bits = st.sampled_from([2, 7, 9, 16] if input_noise else [2, 7, 9, 16, 24])
    ranges = st.sampled_from([0.05, 1.0, 12.0])
    return Periphery(
        dac_bits=draw(bits),
        adc_bits=draw(st.sampled_from([2, 9, 24])),
        adc_range_forward=draw(ranges),
        adc_range_backward=draw(ranges),
        cell_adc_bits=draw(st.sampled_from([9, 12, 24])),
        cell_adc_range=draw(st.sampled_from([0.3, 4.0])),
        output_noise=draw(st.sampled_from([0.0, 0.06])),
        gain_spread=draw(st.sampled_from([0.0, 0.0, 0.02])),
        offset_spread=draw(st.sampled_from([0.0, 0.0, 0.01])),
        input_noise=input_noise,
        cell_bits=draw(st.sampled_from([16, 24])),
        update_bits=draw(st.sampled_from([2, 8, 24])),
    )


@st.composite
def operations(draw, rows, cols, periphery):
    """An operation as the name of a method, its arguments, and its keyword arguments."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    keywords = {"ordinal": draw(st.integers(0, 2**64 - 1))}
    kind = draw(st.sampled_from(["vmm", "read_cells", "pulse", "outer_update", "outer_trains"]))
    samples = draw(st.integers(0, 5))

    def codes(bits, *shape):
        most = code_max(bits)
        values = rng.integers(-most, most, shape, endpoint=True)
        values[rng.uniform(size=shape) < 0.3] = 0
        values[rng.uniform(size=shape) < 0.1] = most
        return values.astype(np.int32)

    def lines(count):
        if draw(st.booleans()):
            return None
        return rng.permutation(count)[: rng.integers(0, count + 1)].astype(np.uint32)

    if kind == "vmm":
        direction = draw(st.sampled_from(Direction))
        driven = cols if direction == Direction.FORWARD else rows
        plane = draw(st.sampled_from(Plane))
        return kind, (direction, plane, codes(periphery.dac_bits, samples, driven)), keywords
    if kind == "read_cells":
        average = draw(st.integers(1, 5))
        plane = draw(st.sampled_from(Plane))
        return kind, (plane, lines(rows), lines(cols)), {"average": average, **keywords}
    if kind == "pulse":
        block = lines(rows), lines(cols)
        height, width = (
            n if b is None else len(b) for n, b in zip((rows, cols), block, strict=True)
        )
        most = draw(st.sampled_from([1, 3, 40]))
        counts = rng.integers(-most, most, (height, width), endpoint=True).astype(np.int16)
        return kind, (*block, counts), keywords
    if kind == "outer_update":
        longest = draw(st.sampled_from([1, 5, 31, 33, 64, 255]))
        lengths = rng.integers(0, longest, samples, endpoint=True).astype(np.int32)
        gains = rng.integers(1, 65536, (2, samples), endpoint=True).astype(np.int32)
        gains[rng.uniform(size=gains.shape) < 0.3] = 65536
        bits = periphery.update_bits
        sides = codes(bits, samples, cols), codes(bits, samples, rows)
        return kind, (*sides, lengths, *gains), keywords
    slots = draw(st.sampled_from([0, 1, 31, 40]))
    trains = [rng.integers(-1, 2, (samples, slots, n)).astype(np.int8) for n in (cols, rows)]
    return kind, tuple(trains), keywords
