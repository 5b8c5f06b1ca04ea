"""Characterization: measuring devices, importing, checking and fitting what was measured.

data = characterization.measure(chip[0], "pulse_response", pulses=200)
characterization.fit(data).save("hfo2.yaml")
"""

from hwloop.characterization.measurement import Measurement

__all__ = ["Measurement"]
