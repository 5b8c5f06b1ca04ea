"""The array model of docs/array-model.md in plain numpy float32: slow, obvious, without the C."""

import numpy as np

from hwloop.operations import Direction, Plane
from hwloop.random import Purpose, gaussian, operation_key, philox2x32, train_bits
from tests.oracle.terms import seen

F = np.float32


class ArrayModel:
    """A tile; takes what `hwloop_sim.tile.Tile` takes, and has the same methods."""

    def __init__(self, population, periphery, *, index, seed):
        self.population = population
        self.periphery = periphery
        self.index = index
        self.seed = seed
        self.rows, self.cols = population.reference.shape
        self.persistent = population.initial.copy()
        self.visible = population.initial_visible.copy()
        self.reference = population.reference.copy()
        self.pulses = np.zeros((self.rows, self.cols), np.uint32)
        self.pulsed = np.zeros((self.rows, self.cols), np.uint64)
        self.now = 0

    def begin(self, clock):
        """Section 5: the tick at which the next operation begins."""
        self.now = clock

    # Section 1: cells

    def pulse_cells(self, mask, down, key, step):
        """One pulse on every cell of a mask; `down` [rows, cols] gives the directions."""
        p = self.population
        cells = np.arange(self.rows * self.cols).reshape(self.rows, self.cols)
        first, second = philox2x32(key, cells, step)
        xi, eta = gaussian(first), gaussian(second)

        w = self.persistent
        a = np.where(down, p.down_a, p.up_a)
        if p.up_table is None:
            step_size = a + np.where(down, p.down_b, p.up_b) * w
        else:
            u = clamp(w * p.up_b + p.down_b, F(0), F(1))
            knots = len(p.up_table)
            position = u * F(knots - 1)
            k = np.minimum(np.trunc(position).astype(int), knots - 2)
            f = position - k.astype(np.float32)
            low = np.where(down, p.down_table[k], p.up_table[k])
            high = np.where(down, p.down_table[k + 1], p.up_table[k + 1])
            step_size = a * (low + f * (high - low))

        s = F(p.cycle_noise)
        if s == 0:
            moved = w + step_size
        elif p.additive:
            moved = w + (step_size + (s * a) * xi)
        else:
            moved = w + step_size * (F(1) + s * xi)
        moved = clamp(moved, p.bound_min, p.bound_max)
        after = moved
        if p.write_memory != 0:
            after = moved + (F(p.write_memory) * (self.visible - w) + p.write_noise * eta)
        elif np.any(p.write_noise != 0):
            after = moved + p.write_noise * eta

        assert moved.dtype == after.dtype == np.float32
        self.persistent = np.where(mask, moved, self.persistent)
        self.visible = np.where(mask, after, self.visible)
        self.pulses += mask
        self.pulsed = np.where(mask, np.uint64(self.now), self.pulsed)

    # Section 3: operations

    def key(self, ordinal, purpose):
        return operation_key(self.seed, ordinal, self.index, purpose)

    def outer_update(self, x_codes, d_codes, lengths, x_gains, d_gains, *, ordinal):
        code_max = 2 ** (self.periphery.update_bits - 1) - 1
        fired = 0
        for sample, length in enumerate(lengths):
            trains = []
            for purpose, codes, gains in (
                (Purpose.X_TRAINS, x_codes, x_gains),
                (Purpose.D_TRAINS, d_codes, d_gains),
            ):
                fires = train_bits(
                    self.key(ordinal, purpose),
                    codes[sample],
                    int(gains[sample]),
                    int(length),
                    sample=sample,
                    code_max=code_max,
                )
                trains.append(fires * np.sign(codes[sample]))
            fired += self.apply_sample(*trains, ordinal, sample)
        return fired

    def outer_trains(self, x_trains, d_trains, *, ordinal):
        return sum(
            self.apply_sample(x, d, ordinal, sample)
            for sample, (x, d) in enumerate(zip(x_trains, d_trains, strict=True))
        )

    def apply_sample(self, x_train, d_train, ordinal, sample):
        fired = 0
        for slot, (x, d) in enumerate(zip(x_train, d_train, strict=True)):
            sign = np.outer(d.astype(int), x.astype(int))
            self.pulse_cells(
                sign != 0, sign < 0, self.key(ordinal, Purpose.PULSE), sample << 8 | slot
            )
            fired += np.count_nonzero(sign)
        return fired

    def pulse(self, rows, cols, counts, *, ordinal):
        signed = np.zeros((self.rows, self.cols), int)
        signed[np.ix_(self.every(rows, self.rows), self.every(cols, self.cols))] = counts
        for n in range(int(np.abs(signed).max(initial=0))):
            mask = np.abs(signed) > n
            self.pulse_cells(mask, signed < 0, self.key(ordinal, Purpose.PULSE), n)
        return int(np.abs(signed).sum())

    def read_grid(self, plane):
        bits = self.periphery.cell_bits
        scale = F(2 ** (bits - 2)) / F(self.population.full_scale)
        most = 2 ** (bits - 2) - 1

        def q(w):
            return np.clip(round_half(w * scale).astype(np.int64), -most, most)

        main = q(self.visible if self.population.terms is None else seen(self))
        reference = q(self.reference)
        return {
            Plane.MAIN: main,
            Plane.REFERENCE: reference,
            Plane.DIFFERENCE: main - reference,
        }[plane]

    def vmm(self, direction, plane, codes, *, ordinal):
        p = self.periphery
        forward = direction == Direction.FORWARD
        grid = self.read_grid(plane)
        grid = grid if forward else grid.T
        dac_max = 2 ** (p.dac_bits - 1) - 1
        lsb = F(self.population.full_scale) / F(2 ** (p.cell_bits - 2)) / F(dac_max)
        samples = np.arange(len(codes))[:, None]
        carried = codes.astype(np.int64)
        if p.input_noise > 0:
            purpose = Purpose.INPUT_FORWARD if forward else Purpose.INPUT_BACKWARD
            lines = np.arange(codes.shape[1])[None, :]
            xi = gaussian(philox2x32(self.key(ordinal, purpose), lines, samples)[0])
            noise_in = F(p.input_noise) * F(dac_max) * F(64)
            noisy = carried * 64 + round_half(noise_in * xi).astype(np.int64)
            carried = np.where(codes != 0, noisy, 0)
            lsb = lsb / F(64)
        sums = np.einsum("sj,ij->si", carried, grid)
        y = sums.astype(np.float32) * lsb
        purpose = Purpose.OUTPUT_FORWARD if forward else Purpose.OUTPUT_BACKWARD
        lines = np.arange(grid.shape[0])[None, :]
        y = self.with_output_noise(y, self.key(ordinal, purpose), lines, samples)
        y = self.as_converted(0 if forward else 1, y)
        bound = p.adc_range_forward if forward else p.adc_range_backward
        return convert(y, p.adc_bits, bound)

    def read_cells(self, plane, rows, cols, *, average, ordinal):
        p = self.periphery
        lsb = F(self.population.full_scale) / F(2 ** (p.cell_bits - 2))
        cells = np.arange(self.rows * self.cols).reshape(self.rows, self.cols)
        total = np.zeros((self.rows, self.cols), np.int32)
        any_saturated = np.zeros((self.rows, self.cols), bool)
        for n in range(average):
            y = self.read_grid(plane).astype(np.float32) * lsb
            y = self.with_output_noise(y, self.key(ordinal, Purpose.CELL_READ), cells, n)
            y = self.as_converted(2, y.T).T
            codes, saturated = convert(y, p.cell_adc_bits, p.cell_adc_range)
            total += codes
            any_saturated |= saturated
        block = np.ix_(self.every(rows, self.rows), self.every(cols, self.cols))
        return total[block], any_saturated[block]

    def with_output_noise(self, y, key, lane, step):
        if not self.periphery.output_noise > 0:
            return y
        return y + F(self.periphery.output_noise) * gaussian(philox2x32(key, lane, step)[0])

    def as_converted(self, kind, y):
        """What the converters of the output lines, along the last axis, make of their inputs."""
        errors = self.periphery.line_errors(self.rows, self.cols, seed=self.seed, tile=self.index)
        if errors is None:
            return y
        gains, offsets = errors[kind]
        return y * gains + offsets

    def snapshot(self):
        planes = [p.view(np.uint32) for p in (self.persistent, self.visible, self.reference)]
        planes.append(self.pulses)
        if self.population.terms is not None:
            now = np.full_like(self.pulsed, self.now)
            planes += [
                w >> np.uint64(s) & np.uint64(2**32 - 1)
                for w in (self.pulsed, now)
                for s in (0, 32)
            ]
        return np.stack(planes).astype(np.uint32)

    @staticmethod
    def every(lines, count):
        return np.arange(count) if lines is None else np.asarray(lines, int)


def clamp(value, low, high):
    value = np.where(value < low, low, value)
    return np.where(value > high, high, value)


def round_half(value):
    return np.trunc(value + np.where(value < 0, F(-0.5), F(0.5)))


def convert(y, bits, bound):
    code_max = 2 ** (bits - 1) - 1
    v = y * (F(code_max) / F(bound))
    limit = F(code_max + 1)
    codes = round_half(clamp(v, -limit, limit)).astype(np.int32)
    return np.clip(codes, -code_max, code_max), np.abs(v) >= F(code_max)
