"""What the pictures of reproductions share."""

from hwloop.report.style import ANALOG, FLOAT, PULSES

COLOURS = {
    "sgd": "#555555",
    "tiki-taka": "#CC79A7",
    "ttv2": FLOAT,
    "c-ttv2": PULSES,
    "agad": ANALOG,
    "e-rider": "#E69F00",
}
"""Colours of the algorithms, told apart by any colour vision."""

LABELS = {
    "sgd": "analog SGD",
    "tiki-taka": "Tiki-Taka",
    "ttv2": "TTv2",
    "c-ttv2": "c-TTv2",
    "agad": "AGAD",
    "e-rider": "E-RIDER",
}
"""Names of the algorithms in pictures."""
