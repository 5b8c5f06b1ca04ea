"""Frames and their separation on a byte stream."""

from __future__ import annotations

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwloop_wire.frames import (
    Frame,
    FrameError,
    Message,
    OtherVersionError,
    Splitter,
    decode,
    encode,
    encoded_bytes,
    frame_bytes,
    to_stream,
)

messages = st.lists(st.builds(Message, st.integers(0, 255), st.binary(max_size=300)), max_size=9)
word = st.integers(0, 2**32 - 1)
frames = st.builds(Frame, st.integers(0, 255), word, word, word, messages)


@given(frames)
def test_frames_round_trip(frame: Frame) -> None:
    raw = encode(frame)
    assert decode(raw) == frame
    assert len(raw) == frame_bytes(len(m.body) for m in frame.messages)
    assert len(to_stream(raw)) <= encoded_bytes(len(raw))


@given(frames, st.data())
def test_a_changed_bit_is_noticed(frame: Frame, data: st.DataObject) -> None:
    raw = bytearray(encode(frame))
    bit = data.draw(st.integers(0, 8 * len(raw) - 1))
    raw[bit // 8] ^= 1 << bit % 8
    with pytest.raises(FrameError):
        decode(bytes(raw))


@given(st.binary(max_size=600))
def test_garbage_is_no_frame(raw: bytes) -> None:
    with pytest.raises(FrameError):
        decode(raw)


@given(st.binary(min_size=16, max_size=200))
def test_garbage_behind_a_right_check_is_a_frame_or_an_error(raw: bytes) -> None:
    raw = b"\x01\x01" + raw[2:]
    try:
        frame = decode(raw + zlib.crc32(raw).to_bytes(4, "little"))
    except FrameError:
        return
    assert encode(frame)[:4] == raw[:4]


def test_another_version_is_told_apart() -> None:
    raw = b"\x01\x07" + encode(Frame(1, 2, 3, 4, []))[2:16]
    with pytest.raises(OtherVersionError) as caught:
        decode(raw + zlib.crc32(raw).to_bytes(4, "little"))
    assert (caught.value.kind, caught.value.version) == (1, 7)


@given(st.lists(frames, max_size=6), st.lists(st.integers(1, 200), max_size=50))
def test_a_stream_is_separated_wherever_it_is_cut(sent: list[Frame], cuts: list[int]) -> None:
    stream = b"".join(to_stream(encode(frame)) for frame in sent)
    splitter = Splitter(10_000)
    received: list[bytes] = []
    for cut in cuts:
        received += splitter.feed(stream[:cut])
        stream = stream[cut:]
    received += splitter.feed(stream)
    assert [decode(raw) for raw in received] == sent
    assert splitter.bad == 0


@given(st.lists(st.binary(max_size=100), max_size=20), frames)
def test_a_frame_behind_garbage_is_found(garbage: list[bytes], frame: Frame) -> None:
    splitter = Splitter(10_000)
    for piece in garbage:
        splitter.feed(piece)
    splitter.feed(b"\0")
    assert [decode(raw) for raw in splitter.feed(to_stream(encode(frame)))] == [frame]


def test_an_endless_piece_is_dropped_without_being_kept() -> None:
    splitter = Splitter(100)
    for _ in range(1000):
        assert splitter.feed(b"x" * 99) == []
        assert len(splitter._tail) <= 100
    assert splitter.bad == 1
    frame = encode(Frame(1, 2, 3, 4, []))
    assert splitter.feed(b"y\0" + to_stream(frame)) == [frame]
