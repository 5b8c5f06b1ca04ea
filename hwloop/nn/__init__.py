"""Training of torch models on arrays: layers, conversion of a model, the optimizer, checkpoints."""

from hwloop.nn.checkpoint import load, save
from hwloop.nn.convert import convert, shape_option, tile_shapes
from hwloop.nn.linear import CrossbarLinear
from hwloop.nn.optimizer import AnalogOptimizer

__all__ = [
    "AnalogOptimizer",
    "CrossbarLinear",
    "convert",
    "load",
    "save",
    "shape_option",
    "tile_shapes",
]
