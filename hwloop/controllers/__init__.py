"""Training controllers: they turn activations and errors into operations."""

from hwloop.controllers.base import Algorithm, Controller, ReadTerm
from hwloop.controllers.chopped import ChoppedTTv2
from hwloop.controllers.sgd import AnalogSGD

__all__ = ["Algorithm", "AnalogSGD", "ChoppedTTv2", "Controller", "ReadTerm"]
