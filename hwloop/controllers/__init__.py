"""Training controllers: they turn activations and errors into operations."""

from typing import Any

from hwloop.controllers.agad import AGAD
from hwloop.controllers.base import Algorithm, Controller, ReadTerm
from hwloop.controllers.checks import AlgorithmWarning, examine
from hwloop.controllers.chopped import ChoppedTTv2, TTv2
from hwloop.controllers.mixed_precision import MixedPrecision
from hwloop.controllers.residual import ResidualLearning
from hwloop.controllers.rider import ERider
from hwloop.controllers.sgd import AnalogSGD
from hwloop.controllers.tiki_taka import TikiTaka

ALGORITHMS: tuple[type[Any], ...] = (
    ChoppedTTv2,
    TTv2,
    AGAD,
    ERider,
    TikiTaka,
    ResidualLearning,
    MixedPrecision,
    AnalogSGD,
)
"""Options of the training algorithms; their `name` is their name in configurations."""

__all__ = [
    "AGAD",
    "ALGORITHMS",
    "Algorithm",
    "AlgorithmWarning",
    "AnalogSGD",
    "ChoppedTTv2",
    "Controller",
    "ERider",
    "MixedPrecision",
    "ReadTerm",
    "ResidualLearning",
    "TTv2",
    "TikiTaka",
    "examine",
]
