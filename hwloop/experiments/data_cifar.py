"""CIFAR-10 and CIFAR-100: the archives that are published, in their python format.

Krizhevsky, "Learning multiple layers of features from tiny images" (2009). The archives hold
pickles, which can run any code when they are read: only files with the published checksums are
opened, and by a reader that knows nothing but arrays, texts, numbers, lists and dictionaries.
"""

from __future__ import annotations

import hashlib
import io
import pickle
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwloop.errors import ConfigurationError
from hwloop.experiments.dataset import Dataset, Labels

SIDE = 32
FILE_BYTES_MAX = 2**28
PLACES = (Path("data"), Path())
"""Folders in which the archives are looked for by name."""


@dataclass(frozen=True, slots=True)
class Archive:
    """A published archive.

    Attributes:
        file, url, md5: its name, where it is published, and its checksum.
        folder: the folder that is in it.
        train, test: names of the files with training and test images, with their checksums.
        names: name of the file with the names of the classes, and its checksum.
        labels, classes: keys of the labels and of the names of the classes.
    """

    file: str
    url: str
    md5: str
    folder: str
    train: Mapping[str, str]
    test: Mapping[str, str]
    names: tuple[str, str]
    labels: bytes
    classes: bytes


ARCHIVES: dict[str, Archive] = {
    "cifar10": Archive(
        file="cifar-10-python.tar.gz",
        url="https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
        md5="c58f30108f718f92721af3b95e74349a",
        folder="cifar-10-batches-py",
        train={
            "data_batch_1": "c99cafc152244af753f735de768cd75f",
            "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
            "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
            "data_batch_4": "634d18415352ddfa80567beed471001a",
            "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
        },
        test={"test_batch": "40351d587109b95175f43aff81a1287e"},
        names=("batches.meta", "5ff9c542aee3614f3951f8cda6e48888"),
        labels=b"labels",
        classes=b"label_names",
    ),
    "cifar100": Archive(
        file="cifar-100-python.tar.gz",
        url="https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz",
        md5="eb9058c3a382ffc7106e4002c42a8d85",
        folder="cifar-100-python",
        train={"train": "16019d7e3df5f24257cddd939b257f8d"},
        test={"test": "f0ef6b0ae62326f3e7ffdfab6717acfc"},
        names=("meta", "7973b15100ade9c7d40fb424638fde48"),
        labels=b"fine_labels",
        classes=b"fine_label_names",
    ),
}
"""The archives, by the names of their data sets."""


def find_cifar(source: str) -> tuple[Archive, Path] | None:
    """Return which archive a source means, and its file or folder; None if it means another thing.

    Raises:
        ConfigurationError: it is named, but not there.
    """
    if source in ARCHIVES:
        archive = ARCHIVES[source]
        for place in PLACES:
            for name in (archive.folder, archive.file):
                if (place / name).exists():
                    return archive, place / name
        raise ConfigurationError(
            f"data {source!r} are not there: neither {archive.folder}/ nor {archive.file} is in "
            "data/ or here",
            remedy=f"download {archive.url} (MD5 {archive.md5}) into data/, or name the place: "
            f"--data PATH/{archive.file}",
        )
    path = Path(source)
    for archive in ARCHIVES.values():
        if path.is_dir() and all((path / name).is_file() for name in archive.train):
            return archive, path
        if path.is_file() and path.name == archive.file:
            return archive, path
    if path.is_file() and path.suffixes[-2:] == [".tar", ".gz"]:
        raise ConfigurationError(
            f"{path} is none of the archives that are known by name",
            remedy=f"name it as it is published: {', '.join(a.file for a in ARCHIVES.values())}",
        )
    return None


def load_cifar(archive: Archive, path: Path, *, colour: bool = True) -> Dataset:
    """Return the images of an archive, or of its folder.

    Args:
        archive: which archive it is.
        path: its file, or the folder that was in it.
        colour: whether images have three channels, or one of grey values, the mean of the three.

    Raises:
        ConfigurationError: a file is missing, or is not as published.
    """
    contents = _from_folder(archive, path) if path.is_dir() else _from_archive(archive, path)
    name = archive.names[0]
    classes = tuple(text.decode() for text in read_pickle(contents[name], name)[archive.classes])
    x_train, y_train = _part(archive, contents, archive.train, colour)
    x_test, y_test = _part(archive, contents, archive.test, colour)
    image = (3 if colour else 1, SIDE, SIDE)
    return Dataset(str(path), x_train, y_train, x_test, y_test, classes, image)


def read_pickle(content: bytes, name: str) -> dict[bytes, Any]:
    """Read a pickle of arrays, texts, numbers, lists and dictionaries, and of nothing else.

    Args:
        content: the pickle.
        name: how messages name it.

    Raises:
        ConfigurationError: it is none, or asks for anything else.
    """
    try:
        read = _Reader(io.BytesIO(content), encoding="bytes").load()
    except ConfigurationError:
        raise
    except Exception as error:  # a pickle can fail in any way
        raise ConfigurationError(f"{name} cannot be read as a pickle: {error}") from error
    if not isinstance(read, dict):
        raise ConfigurationError(f"{name} holds {type(read).__name__}, expected a dictionary")
    return read


class _Reader(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if module in ("numpy.core.multiarray", "numpy._core.multiarray") and name == "_reconstruct":
            return _empty
        if module == "numpy" and name in ("ndarray", "dtype"):
            return getattr(np, name)
        raise ConfigurationError(
            f"a pickle asks for {module}.{name}: only arrays, texts, numbers, lists and "
            "dictionaries are read",
            remedy="do not open this file; take the published archive",
        )

    def persistent_load(self, pid: Any) -> Any:
        raise ConfigurationError("a pickle refers to something outside it")


def _empty(*_: object) -> NDArray[np.uint8]:
    """Return the empty array that a pickle then fills."""
    return np.ndarray((0,), np.uint8)


def _part(
    archive: Archive, contents: Mapping[str, bytes], files: Mapping[str, str], colour: bool
) -> tuple[NDArray[np.float32], Labels]:
    images, labels = [], []
    for name in files:
        read = read_pickle(contents[name], name)
        x, y = read.get(b"data"), read.get(archive.labels)
        if (
            not isinstance(x, np.ndarray)
            or x.dtype != np.uint8
            or x.ndim != 2
            or x.shape[1] != 3 * SIDE * SIDE
            or not isinstance(y, list)
            or len(y) != len(x)
        ):
            raise ConfigurationError(
                f"{name} does not hold images of {SIDE} x {SIDE} pixels in colour with their labels"
            )
        values = x.astype(np.float32) / np.float32(255)
        if not colour:
            values = values.reshape(len(x), 3, -1).mean(axis=1)
        images.append(values)
        labels.append(np.array(y, np.int64))
    return np.concatenate(images), np.concatenate(labels)


def _wanted(archive: Archive) -> dict[str, str]:
    return {**archive.train, **archive.test, archive.names[0]: archive.names[1]}


def _from_folder(archive: Archive, path: Path) -> dict[str, bytes]:
    contents = {}
    for name, md5 in _wanted(archive).items():
        file = path / name
        if not file.is_file():
            raise ConfigurationError(
                f"{path} holds no {name}", remedy=f"unpack {archive.url} again"
            )
        contents[name] = _checked(file, md5, archive)
    return contents


def _from_archive(archive: Archive, path: Path) -> dict[str, bytes]:
    raw = _checked(path, archive.md5, archive)
    contents = {}
    with tarfile.open(fileobj=io.BytesIO(raw), mode="r:gz") as tar:
        for name in _wanted(archive):
            try:
                member = tar.getmember(f"{archive.folder}/{name}")
            except KeyError:
                raise ConfigurationError(f"{path} holds no {archive.folder}/{name}") from None
            file = tar.extractfile(member) if member.size <= FILE_BYTES_MAX else None
            if file is None:
                raise ConfigurationError(f"{path}: {member.name} is no file of a usual size")
            contents[name] = file.read()
    return contents


def _checked(path: Path, md5: str, archive: Archive) -> bytes:
    """Return the content of a file whose checksum is as published."""
    try:
        size = path.stat().st_size
        raw = path.read_bytes() if size <= FILE_BYTES_MAX else b""
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}") from error
    found = hashlib.md5(raw, usedforsecurity=False).hexdigest()
    if found != md5:
        raise ConfigurationError(
            f"{path} is damaged or not the published file: its MD5 is {found}, expected {md5} "
            f"({size} bytes)",
            remedy=f"download it again: {archive.url}",
        )
    return raw
