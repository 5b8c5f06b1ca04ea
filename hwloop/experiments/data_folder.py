"""Folders of the user's own: IDX files as MNIST has them, and images in a subfolder per class."""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hwloop.errors import ConfigurationError
from hwloop.experiments.dataset import Dataset, Inputs, Labels, split

IMAGE_SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp"}
SCALE = "scale all images to one size, or have it done: data.image_size=32"
IDX_BYTES_MAX = 1 << 31
IDX_PREFIXES = {"train": "train", "test": "t10k"}


def is_idx_folder(folder: Path) -> bool:
    """Return whether a folder holds IDX files."""
    return _idx_path(folder, "train", "images-idx3") is not None


def _idx_path(folder: Path, part: str, what: str) -> Path | None:
    stem = f"{IDX_PREFIXES[part]}-{what}"
    names = (f"{stem}-ubyte", f"{stem}-ubyte.gz", stem.replace("-idx", ".idx") + "-ubyte")
    return next((folder / name for name in names if (folder / name).is_file()), None)


def idx_folder(folder: Path) -> Dataset:
    """Return the samples of a folder of IDX files."""
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
        vectors(x_train),
        y_train.astype(np.int64),
        vectors(x_test),
        y_test.astype(np.int64),
        classes,
        (1, *x_train.shape[1:]) if x_train.ndim == 3 else None,
    )


def read_idx(path: Path) -> NDArray[np.uint8]:
    """Read an IDX file of unsigned bytes, possibly compressed by gzip.

    Raises:
        ConfigurationError: it is not such a file.
    """
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            magic = file.read(4)
            if len(magic) < 4 or magic[:3] != b"\0\0\x08":
                raise ConfigurationError(f"{path} is not an IDX file of unsigned bytes")
            sizes = file.read(4 * magic[3])
            if len(sizes) < 4 * magic[3]:
                raise ConfigurationError(f"{path} ends in its header")
            shape = struct.unpack(f">{magic[3]}I", sizes)
            expected = math.prod(shape)
            # Compressed, little can unfold to much: no more is read than the header announces.
            raw = file.read(min(expected, IDX_BYTES_MAX) + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise ConfigurationError(f"{path} cannot be read: {error}") from error
    if len(raw) != expected or not expected:
        holds = "more" if len(raw) > expected else str(len(raw))
        raise ConfigurationError(
            f"{path} holds {holds} bytes, its header says {shape}: {expected}",
            remedy=f"files of up to {IDX_BYTES_MAX} bytes are read",
        )
    return np.frombuffer(raw, np.uint8).reshape(shape)


def image_folder(
    folder: Path, test_share: float, *, size: int | None = None, colour: bool = False
) -> Dataset:
    """Return the images of a folder with a subfolder per class, possibly below `train` and `test`.

    Args:
        folder: the folder.
        test_share: share of each class that is kept for the test where the folder has no split.
        size: height and width that images are scaled to; None takes images of one size.
        colour: whether images have three channels, red, green and blue, or one of grey values.
    """
    if (folder / "train").is_dir() and (folder / "test").is_dir():
        classes = _class_folders(folder / "train")
        x_train, y_train = _images(folder / "train", classes, size, colour)
        x_test, y_test = _images(folder / "test", classes, size, colour)
        if x_train.shape[1:] != x_test.shape[1:]:
            raise ConfigurationError(
                f"{folder}: training images have {_size(x_train[0])} pixels, test images "
                f"{_size(x_test[0])}",
                remedy=SCALE,
            )
        image = _shape(x_train)
        return Dataset(
            str(folder), vectors(x_train), y_train, vectors(x_test), y_test, classes, image
        )
    classes = _class_folders(folder)
    x, y = _images(folder, classes, size, colour)
    return split(str(folder), vectors(x), y, classes, test_share, _shape(x))


def _class_folders(folder: Path) -> tuple[str, ...]:
    classes = tuple(sorted(p.name for p in folder.iterdir() if p.is_dir()))
    if len(classes) < 2:
        raise ConfigurationError(
            f"{folder} holds {len(classes)} subfolders, expected one per class, two or more",
            remedy="sort the images into a subfolder per class, or name a folder of IDX files",
        )
    return classes


def _images(
    folder: Path, classes: Sequence[str], size: int | None, colour: bool
) -> tuple[NDArray[np.uint8], Labels]:
    """Return images, shape (images, channels, height, width), and their classes."""
    images: list[NDArray[np.uint8]] = []
    labels: list[int] = []
    for label, name in enumerate(classes):
        files = sorted(p for p in (folder / name).glob("*") if p.suffix.lower() in IMAGE_SUFFIXES)
        if not files:
            raise ConfigurationError(
                f"{folder / name} holds no images ({', '.join(sorted(IMAGE_SUFFIXES))})"
            )
        for file in files:
            pixels = _pixels(file, size, colour)
            if images and pixels.shape != images[0].shape:
                raise ConfigurationError(
                    f"{file} has {_size(pixels)} pixels, the images before it {_size(images[0])}",
                    remedy=SCALE,
                )
            images.append(pixels)
            labels.append(label)
    return np.stack(images), np.array(labels, np.int64)


def _pixels(file: Path, size: int | None, colour: bool) -> NDArray[np.uint8]:
    """Return an image, shape (channels, height, width)."""
    from PIL import Image

    try:
        with Image.open(file) as image:
            taken = image.convert("RGB" if colour else "L")
            if size is not None:
                taken = taken.resize((size, size), Image.Resampling.BILINEAR)
            pixels: NDArray[np.uint8] = np.asarray(taken)
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        raise ConfigurationError(f"{file} is not a readable image: {error}") from error
    return pixels.transpose(2, 0, 1) if colour else pixels[None]


def vectors(images: NDArray[np.uint8]) -> Inputs:
    """Return images of bytes as vectors from 0 to 1, shape (images, inputs)."""
    return images.reshape(len(images), -1).astype(np.float32) / np.float32(255)


def _shape(images: NDArray[np.uint8]) -> tuple[int, int, int]:
    channels, height, width = images.shape[1:]
    return channels, height, width


def _size(image: NDArray[np.uint8]) -> str:
    return f"{image.shape[2]} x {image.shape[1]}"
