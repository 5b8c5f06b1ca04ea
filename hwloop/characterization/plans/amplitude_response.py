"""Amplitude response: the state after pulses of one shape after the other, ever stronger."""

from __future__ import annotations

from typing import ClassVar, Literal

from hwloop.capabilities import PolarityShape, PulseShape
from hwloop.characterization.plans.base import Count, Marks, Plan, Pulses, Step, Steps
from hwloop.device_file.quantities import MeasurementKind
from hwloop.errors import ConfigurationError
from hwloop.procedures.bench import Bench


class AmplitudeResponse(Plan):
    """A staircase of pulse shapes on all cells at once, with a read after each shape."""

    kind: ClassVar[MeasurementKind] = "amplitude_response"

    shape_names: tuple[str, ...] = ()
    """Pulse shapes in order; all of the array by rising amplitude by default."""

    polarity: Literal["up", "down"] = "up"
    """Direction of the pulses."""

    pulses: Count = 1
    """Pulses of each shape."""

    repeats: Count = 2
    """How often the staircase is climbed."""

    lead: Pulses = 100
    """Pulses of the first shape, against the polarity, before each staircase."""

    average: Count | None = None
    """Reads behind a value; 16, or as many as the tile sums, by default."""

    def shapes(self, bench: Bench) -> tuple[str, ...]:
        """Return the pulse shapes in order.

        Raises:
            ConfigurationError: there are fewer than two, or one is unknown.
        """
        known = bench.configuration.shapes

        def volts(name: str) -> float:
            return abs(self._side(known[name]).amplitude_volts)

        names = tuple(bench.shape(name) for name in self.shape_names)
        names = names or tuple(sorted(known, key=volts))
        if len(names) < 2:
            raise ConfigurationError(
                f"amplitude_response needs several pulse shapes, "
                f"{bench.owner.capabilities.name} has {', '.join(known) or 'none'}",
                remedy="add shapes of other amplitudes to the device file",
            )
        return names

    def steps(self, bench: Bench) -> Steps:
        """Yield the lead and a read, then shape after shape with a read each."""
        average, names = bench.average(self.average), self.shapes(bench)
        sign = 1 if self.polarity == "up" else -1
        for repeat in range(self.repeats):
            lead = bench.pulse(-sign * self.lead, names[0])
            marks: Marks = {
                "repeat": repeat,
                "sequence": 0,
                "direction": 0,
                "pulse": 0,
                "amplitude_volts": 0.0,
                "width_seconds": 0.0,
            }
            yield Step([*lead, bench.read(average)], marks)
            for number, name in enumerate(names, start=1):
                shape = self._side(bench.configuration.shapes[name])
                marks = {
                    "repeat": repeat,
                    "sequence": number,
                    "direction": sign,
                    "pulse": number * self.pulses,
                    "amplitude_volts": shape.amplitude_volts,
                    "width_seconds": shape.width_seconds,
                }
                pulses = bench.pulse(sign * self.pulses, name)
                yield Step([*pulses, bench.read(average)], marks)

    def _side(self, shape: PulseShape) -> PolarityShape:
        return shape.up if self.polarity == "up" else shape.down
