"""How a message is laid out: typed fields at natural alignment, as a C compiler lays out a struct.

A subclass of `Body` carries the types and meanings of its fields in its annotations. The struct
that packs it, the table that documents it and the C struct all follow from them.
"""

from __future__ import annotations

import dataclasses
import operator
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import (
    Annotated,
    Any,
    ClassVar,
    NamedTuple,
    Self,
    TypeVar,
    dataclass_transform,
    get_type_hints,
)

U8 = Annotated[int, "u8"]
U16 = Annotated[int, "u16"]
U32 = Annotated[int, "u32"]
U64 = Annotated[int, "u64"]
F64 = Annotated[float, "f64"]
C16 = Annotated[str, "c16"]
C32 = Annotated[str, "c32"]
C64 = Annotated[str, "c64"]
C128 = Annotated[str, "c128"]

B = TypeVar("B", bound="Body")

CODES = {"u8": "B", "u16": "H", "u32": "I", "u64": "Q", "f64": "d"}
"""Codes of the module `struct` for the numeric types; `cN` is N bytes of text."""


class MessageError(Exception):
    """Bytes that are not what the protocol says."""


class Place(NamedTuple):
    """A field and where it lies; `type` is `xN` for N reserved bytes."""

    name: str
    type: str
    offset: int
    size: int
    meaning: str


class Array(NamedTuple):
    """An array behind the fixed fields; `extent` and a type that depends on a field are text."""

    name: str
    type: str
    extent: str
    meaning: str


@dataclass(slots=True)
class Body:
    """Fixed fields of a message.

    `NUMBER` is the message's type on the wire, `None` for what is no message by itself; `TAIL` the
    arrays that follow.
    """

    NUMBER: ClassVar[int | None] = None
    TAIL: ClassVar[tuple[Array, ...]] = ()

    PLACES: ClassVar[tuple[Place, ...]] = ()
    STRUCT: ClassVar[struct.Struct] = struct.Struct("<")
    _values: ClassVar[Callable[[Any], tuple[Any, ...]]]
    _texts: ClassVar[tuple[tuple[int, int], ...]] = ()

    def pack(self) -> bytes:
        """Return the bytes.

        Raises:
            MessageError: a value does not fit its type.
        """
        cls = type(self)
        values = cls._values(self)
        if cls._texts:
            changed = list(values)
            for i, size in cls._texts:
                changed[i] = _text_bytes(values[i], size)
            values = tuple(changed)
        try:
            return cls.STRUCT.pack(*values)
        except struct.error as error:
            raise MessageError(f"{cls.__name__}: {error} in {self}") from error

    @classmethod
    def unpack(cls, raw: bytes | memoryview, offset: int = 0) -> Self:
        """Return the body at an offset.

        Raises:
            MessageError: too few bytes, or text that is not UTF-8.
        """
        try:
            values = cls.STRUCT.unpack_from(raw, offset)
        except struct.error as error:
            raise MessageError(
                f"{cls.__name__}: {len(raw) - offset} bytes, expected {cls.STRUCT.size}"
            ) from error
        if cls._texts:
            changed: list[Any] = list(values)
            for i, _ in cls._texts:
                try:
                    changed[i] = changed[i].rstrip(b"\0").decode()
                except UnicodeDecodeError as error:
                    raise MessageError(f"{cls.__name__}: text is not UTF-8") from error
            return cls(*changed)
        return cls(*values)


@dataclass_transform()
def body(number: int | None = None) -> Callable[[type[B]], type[B]]:
    """Make a subclass of `Body` a dataclass and lay it out.

    Args:
        number: type of the message on the wire.
    """

    def lay_out(cls: type[B]) -> type[B]:
        cls = dataclass(slots=True)(cls)  # freezing would double the time of making one
        hints = get_type_hints(cls, include_extras=True)
        places: list[Place] = []
        offset, largest = 0, 1
        for field in dataclasses.fields(cls):
            kind, meaning = hints[field.name].__metadata__
            text = kind[0] == "c"
            size = int(kind[1:]) if text else struct.calcsize(CODES[kind])
            alignment = 1 if text else size
            offset = _reserve(places, offset, alignment)
            places.append(Place(field.name, kind, offset, size, meaning))
            offset += size
            largest = max(largest, alignment)
        _reserve(places, offset, largest)
        cls.NUMBER = number
        cls.PLACES = tuple(places)
        cls.STRUCT = struct.Struct("<" + "".join(map(_code, places)))
        named = [place for place in places if place.type[0] != "x"]
        cls._values = staticmethod(_getter([place.name for place in named]))
        cls._texts = tuple((i, p.size) for i, p in enumerate(named) if p.type[0] == "c")
        return cls

    return lay_out


def _getter(names: list[str]) -> Callable[[Any], tuple[Any, ...]]:
    if not names:
        return lambda body: ()
    get = operator.attrgetter(*names)
    return get if len(names) > 1 else lambda body: (get(body),)


def _reserve(places: list[Place], offset: int, alignment: int) -> int:
    gap = -offset % alignment
    if gap:
        places.append(Place(f"reserved_{offset}", f"x{gap}", offset, gap, "zeros"))
    return offset + gap


def _code(place: Place) -> str:
    if place.type[0] == "c":
        return f"{place.size}s"
    return f"{place.size}x" if place.type[0] == "x" else CODES[place.type]


def _text_bytes(text: str, size: int) -> bytes:
    raw = text.encode()
    if len(raw) > size or "\0" in text:
        raise MessageError(f"{text!r} does not fit {size} bytes of text")
    return raw
