"""CIFAR archives: read from file and folder, checked, and never trusted."""

import contextlib
import hashlib
import io
import os
import pickle
import pickletools
import tarfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwloop.errors import ConfigurationError
from hwloop.experiments import data_cifar
from hwloop.experiments.address import absolute
from hwloop.experiments.config import load_config
from hwloop.experiments.data import load_data
from hwloop.experiments.data_cifar import ARCHIVES, Archive, read_pickle

IMAGES = 4


STRINGS = {"BINBYTES": b"T", "SHORT_BINBYTES": b"U"}


def dumped(content: object) -> bytes:
    """Return a pickle as Python 2 wrote it, like the published ones: bytes are its strings."""
    raw = bytearray(pickle.dumps(content, protocol=3))
    for opcode, _, position in pickletools.genops(bytes(raw)):
        if opcode.name in STRINGS:
            raw[position : position + 1] = STRINGS[opcode.name]
    return bytes(raw).replace(b"numpy._core", b"numpy.core")


def batch(labels_key: bytes, seed: int) -> bytes:
    """Return a file of images."""
    random = np.random.default_rng(seed)
    content = {
        b"data": random.integers(0, 256, (IMAGES, 3072), np.uint8),
        labels_key: [i % 2 for i in range(IMAGES)],
    }
    return dumped(content)


def files(archive: Archive) -> dict[str, bytes]:
    names = [*archive.train, *archive.test]
    contents = {name: batch(archive.labels, i) for i, name in enumerate(names)}
    contents[archive.names[0]] = dumped({archive.classes: [b"cat", b"dog"]})
    return contents


def publish(monkeypatch: pytest.MonkeyPatch, name: str, contents: dict[str, bytes], raw: bytes):
    """Have the archive that a test made taken for the published one."""
    archive = ARCHIVES[name]

    def sums(part):
        return {name: hashlib.md5(contents[name]).hexdigest() for name in part}

    published = replace(
        archive,
        md5=hashlib.md5(raw).hexdigest(),
        train=sums(archive.train),
        test=sums(archive.test),
        names=(archive.names[0], hashlib.md5(contents[archive.names[0]]).hexdigest()),
    )
    monkeypatch.setitem(data_cifar.ARCHIVES, name, published)


def pack(path: Path, archive: Archive, contents: dict[str, bytes]) -> bytes:
    with tarfile.open(path, "w:gz") as tar:
        for name, content in contents.items():
            info = tarfile.TarInfo(f"{archive.folder}/{name}")
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path.read_bytes()


@pytest.fixture(params=["cifar10", "cifar100"])
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> Path:
    """Return an archive that counts as published, beside its folder in `unpacked/`."""
    known = ARCHIVES[name]
    contents, path = files(known), tmp_path / known.file
    publish(monkeypatch, name, contents, pack(path, known, contents))
    folder = tmp_path / "unpacked" / known.folder
    folder.mkdir(parents=True)
    for file, content in contents.items():
        (folder / file).write_bytes(content)
    return path


def test_archive_and_folder_hold_the_same(archive: Path, name: str):
    data = load_data(str(archive))
    assert data.x_train.shape == (IMAGES * len(ARCHIVES[name].train), 3072)
    assert data.x_test.shape == (IMAGES, 3072)
    assert (data.classes, data.image) == (("cat", "dog"), (3, 32, 32))
    assert data.y_test.tolist() == [0, 1, 0, 1]
    # The channels are one after the other, each row by row; the first file has the seed 0.
    first = np.random.default_rng(0).integers(0, 256, (IMAGES, 3072), np.uint8)[0]
    assert np.array_equal(data.x_train[0], first.astype(np.float32) / np.float32(255))
    folder = archive.parent / "unpacked" / ARCHIVES[name].folder
    assert load_data(str(folder)).fingerprint() == data.fingerprint()


def test_grey_is_the_mean_of_the_channels(archive: Path):
    grey, data = load_data(str(archive), colour=False), load_data(str(archive))
    assert grey.image == (1, 32, 32)
    assert np.allclose(grey.x_test, data.x_test.reshape(IMAGES, 3, -1).mean(axis=1), atol=1e-6)


def test_names_are_looked_for(archive: Path, name: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(archive.parent)
    here = load_data(name)
    (archive.parent / "data").mkdir()
    os.rename(archive, archive.parent / "data" / archive.name)
    assert load_data(name).fingerprint() == here.fingerprint()
    # A configuration names the file, so that a run goes on from any folder.
    config = absolute(load_config(flags={"data.source": name}))
    assert config.data.source == str(archive.parent / "data" / archive.name)


def test_missing_data_say_what_to_do(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigurationError) as refusal:
        load_data(name)
    assert "are not there" in refusal.value.message
    for part in (ARCHIVES[name].url, ARCHIVES[name].md5, "into data/"):
        assert part in refusal.value.remedy


def test_damaged_files_are_refused(archive: Path, name: str):
    raw = bytearray(archive.read_bytes())
    raw[len(raw) // 2] ^= 1
    archive.write_bytes(bytes(raw))
    with pytest.raises(ConfigurationError, match="is damaged or not the published") as refusal:
        load_data(str(archive))
    assert ARCHIVES[name].url in refusal.value.remedy
    folder = archive.parent / "unpacked" / ARCHIVES[name].folder
    file = folder / next(iter(ARCHIVES[name].train))
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(ConfigurationError, match="is damaged or not the published"):
        load_data(str(folder))
    (folder / ARCHIVES[name].names[0]).unlink()
    with pytest.raises(ConfigurationError):
        load_data(str(folder))


def test_archives_of_other_names_are_refused(tmp_path: Path):
    (tmp_path / "images.tar.gz").write_bytes(b"")
    with pytest.raises(ConfigurationError, match="none of the archives"):
        load_data(str(tmp_path / "images.tar.gz"))


class Harmful:
    """An object whose pickle runs a command when it is read."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self):
        return os.mkdir, (str(self.mark),)


@pytest.mark.parametrize("protocol", [0, 2, 5])
def test_a_pickle_runs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, protocol: int):
    mark = tmp_path / "harm"
    harmful = pickle.dumps({"data": Harmful(mark)}, protocol=protocol)
    with pytest.raises(ConfigurationError, match=r"asks for (posix|nt)\.mkdir"):
        read_pickle(harmful, "data_batch_1")
    # Not even where the checksum is right.
    contents = {**files(ARCHIVES["cifar10"]), "data_batch_3": harmful}
    path = tmp_path / ARCHIVES["cifar10"].file
    publish(monkeypatch, "cifar10", contents, pack(path, ARCHIVES["cifar10"], contents))
    with pytest.raises(ConfigurationError, match="asks for"):
        load_data(str(path))
    assert not mark.exists()


@pytest.mark.parametrize(
    "asked", [b"cbuiltins\neval\n.", b"cnumpy\nload\n.", b"cnumpy.core.multiarray\nfromstring\n."]
)
def test_a_pickle_gets_no_function(asked: bytes):
    with pytest.raises(ConfigurationError, match="asks for"):
        read_pickle(asked, "file")


def test_a_pickle_of_a_huge_array_takes_no_memory():
    array = dumped(np.zeros(3, np.uint8))
    huge = array.replace(b"K\x00\x85", b"\x8a\x06\x00\x00\x00\x00\x00\x01\x85")
    assert huge != array
    with pytest.raises(ConfigurationError, match="expected a dictionary"):
        read_pickle(huge, "file")


@given(st.binary(max_size=60))
@settings(max_examples=200, deadline=None)
def test_any_bytes_are_read_or_refused(content: bytes):
    with contextlib.suppress(ConfigurationError):
        assert isinstance(read_pickle(content, "file"), dict)


@pytest.mark.parametrize(
    "content",
    [
        {b"data": np.zeros((2, 3072)), b"labels": [0, 1]},
        {b"data": np.zeros((2, 3071), np.uint8), b"labels": [0, 1]},
        {b"data": np.zeros((2, 3072), np.uint8), b"labels": [0]},
        {b"labels": [0, 1]},
        [1, 2],
    ],
    ids=["floats", "shape", "labels", "no data", "no dictionary"],
)
def test_other_contents_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: object
):
    contents = {**files(ARCHIVES["cifar10"]), "test_batch": dumped(content)}
    path = tmp_path / ARCHIVES["cifar10"].file
    publish(monkeypatch, "cifar10", contents, pack(path, ARCHIVES["cifar10"], contents))
    with pytest.raises(ConfigurationError, match="test_batch"):
        load_data(str(path))
