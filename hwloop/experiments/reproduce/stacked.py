"""Copies of a small task in one tile, one above the other, so that one operation serves them all.

A tile of `copies * rows` rows holds `copies` layers of `rows x cols`. A sample belongs to one copy:
its errors are 0 in the rows of the others, so that no pulse of it reaches them. The samples of a
step are given in turn, one of each copy, then the next of each. Copies have their own cells, data
and errors; they share the choppers of their columns and the running maxima mu_x and mu_d, which
become means over the copies.
"""

from __future__ import annotations

import dataclasses
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from hwloop.controllers import Algorithm
from hwloop.controllers.options import FastOptions, HiddenOptions
from hwloop.crossbar import Chip
from hwloop.weights import WeightMap

ONE = WeightMap(1.0)
"""Weights in device units."""

Vectors = NDArray[np.float32]


def for_copies(algorithm: Algorithm, copies: int) -> Algorithm:
    """Return an algorithm whose options count the vectors of all copies.

    A line is read after as many vectors of each copy as before, and gives as much; an average over
    vectors reaches as far back.
    """
    if not isinstance(algorithm, FastOptions):
        return algorithm  # analog SGD counts no vectors
    options: dict[str, Any] = {
        "n_s": algorithm.n_s * copies,
        "momentum": algorithm.momentum ** (1 / copies),
    }
    if isinstance(algorithm, HiddenOptions):
        options["gamma0"] = algorithm.gamma0 * copies
    many: Any = dataclasses.replace(algorithm, **options)
    return cast(Algorithm, many)


def spread(errors: NDArray[np.floating[Any]]) -> Vectors:
    """Return the errors of samples over the rows of all copies.

    Args:
        errors: shape (vectors, copies, rows).

    Returns:
        Shape (vectors * copies, copies * rows), 0 in the rows of other copies.
    """
    vectors, copies, rows = errors.shape
    wide = np.zeros((vectors, copies, copies, rows), np.float32)
    own = np.arange(copies)
    wide[:, own, own] = errors
    return wide.reshape(vectors * copies, copies * rows)


def own(products: NDArray[np.floating[Any]], copies: int) -> Vectors:
    """Return what each sample's own copy gave.

    Args:
        products: shape (vectors * copies, copies * rows).
        copies: number of copies.

    Returns:
        Shape (vectors, copies, rows).
    """
    wide = products.reshape(-1, copies, copies, products.shape[1] // copies)
    index = np.arange(copies)
    chosen: Vectors = wide[:, index, index]
    return chosen


def weights(chip: Chip, copies: int) -> Vectors:
    """Return the weights of the first tile, past the converters, shape (copies, rows, cols)."""
    planes = chip.snapshot()[0].view(np.float32)
    difference: Vectors = planes[1] - planes[2]
    return difference.reshape(copies, -1, difference.shape[1])
