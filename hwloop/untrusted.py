"""Reading what somebody else wrote: files that were sent, answers of a peer, texts for a terminal.

Nothing here runs what it reads, believes a size before it has seen as many bytes, or lets through
characters that move a cursor.
"""

from __future__ import annotations

import json
import os
import unicodedata
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwloop.errors import ConfigurationError, CrossbarError

NESTING = 64
"""Deepest nesting of JSON that is read."""


def parse_json(
    raw: bytes | str, what: str, error: type[CrossbarError] = ConfigurationError
) -> dict[str, Any]:
    """Return a JSON object.

    Args:
        raw: its text.
        what: name of what is read, for the message.
        error: raised where it is none.
    """
    try:
        content = json.loads(raw)
    except (ValueError, RecursionError) as problem:
        raise error(f"{what} is not JSON: {one_line(str(problem))}") from problem
    if not isinstance(content, dict):
        raise error(f"{what} is {type(content).__name__}, expected a JSON object")
    if _depth(content) > NESTING:
        raise error(f"{what} is nested more than {NESTING} levels deep")
    return content


def _depth(content: Any) -> int:
    level, depth = [content], 0
    while level and depth <= NESTING:
        depth += 1
        inner: list[Any] = []
        for value in level:
            if isinstance(value, dict):
                inner += value.values()
            elif isinstance(value, list):
                inner += value
        level = [value for value in inner if isinstance(value, dict | list)]
    return depth


def read_arrays(
    path: str | os.PathLike[str], prefixes: tuple[str, ...] = ("",)
) -> dict[str, NDArray[Any]]:
    """Return the arrays of a `.npz` file as `numpy.savez` writes it.

    Members are stored as they are, so that the file cannot unfold to more than its own size; each
    array's header has to announce what its member holds; there are no objects, hence no pickles.

    Args:
        path: the file.
        prefixes: beginnings of the names of the arrays that are wanted; all by default.

    Raises:
        ConfigurationError: it cannot be read, or is not such a file.
    """
    arrays: dict[str, NDArray[Any]] = {}
    try:
        with zipfile.ZipFile(path) as archive:
            for member in archive.infolist():
                name = member.filename.removesuffix(".npy")
                if not name.startswith(prefixes):
                    continue
                if name in arrays:
                    raise ValueError(f"two members have the name {name!r}")
                arrays[name] = _member(archive, member)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, NotImplementedError) as error:
        text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise ConfigurationError(
            f"{Path(path)} cannot be read as arrays: {one_line(text)}",
            remedy="the file is damaged, or was not written by hwloop",
        ) from error
    return arrays


def _member(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> NDArray[Any]:
    if member.compress_type != zipfile.ZIP_STORED or member.flag_bits & 1:
        raise ValueError(f"{member.filename!r} is compressed or encrypted")
    with archive.open(member) as file:
        version = np.lib.format.read_magic(file)
        if version not in ((1, 0), (2, 0)):
            raise ValueError(f"{member.filename!r} has a header of version {version}")
        read = (
            np.lib.format.read_array_header_1_0
            if version == (1, 0)
            else np.lib.format.read_array_header_2_0
        )
        shape, fortran, dtype = read(file)
        if dtype.hasobject:
            raise ValueError(f"{member.filename!r} holds objects")
        size = dtype.itemsize
        for length in shape:
            size *= length  # of Python's integers, which do not overflow
        raw = file.read()
        if size != len(raw) or any(length < 0 for length in shape):
            raise ValueError(f"{member.filename!r} announces {size} bytes and has {len(raw)}")
    array: NDArray[Any] = np.frombuffer(bytearray(raw), dtype=dtype)
    return array.reshape(shape, order="F" if fortran else "C")


def one_line(text: str, most: int = 500) -> str:
    """Return a text that stays on its line: no control characters, and no more than so many.

    Args:
        text: anybody's.
        most: characters that are kept.
    """
    cut = text if len(text) <= most else text[: most - 3] + "..."
    return "".join(c if c == " " or _harmless(c) else _escaped(c) for c in cut)


def printable(text: str) -> str:
    """Return a text with its lines kept, and all other control characters escaped."""
    return "".join(c if c in " \n\t" or _harmless(c) else _escaped(c) for c in text)


def _harmless(character: str) -> bool:
    # C holds what begins an escape sequence or turns the direction of text, Z what ends lines.
    return unicodedata.category(character)[0] not in "CZ"


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode()
