"""Training of torch models on arrays: layers, conversion of a model, the optimizer, checkpoints."""

from hwloop.nn.attention import Attention
from hwloop.nn.checkpoint import load, save
from hwloop.nn.convert import convert
from hwloop.nn.convolution import CrossbarConv
from hwloop.nn.layer import CrossbarLayer
from hwloop.nn.linear import CrossbarLinear
from hwloop.nn.matrix import Block, CrossbarMatrix
from hwloop.nn.optimizer import AnalogOptimizer
from hwloop.nn.ranges import set_input_ranges, set_line_ranges
from hwloop.nn.survey import Placement
from hwloop.nn.tiling import shape_option, tile_shapes

__all__ = [
    "AnalogOptimizer",
    "Attention",
    "Block",
    "CrossbarConv",
    "CrossbarLayer",
    "CrossbarLinear",
    "CrossbarMatrix",
    "Placement",
    "convert",
    "load",
    "save",
    "set_input_ranges",
    "set_line_ranges",
    "shape_option",
    "tile_shapes",
]
