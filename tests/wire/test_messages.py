"""The messages: every one round-trips, and what is generated from them is up to date."""

from __future__ import annotations

import dataclasses
import json
import math
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwloop_wire import generate, golden
from hwloop_wire import messages as m
from hwloop_wire.frames import decode
from hwloop_wire.layout import Body, MessageError
from tests.wire.strategies import bodies

ALL = (*m.STRUCTURES, *m.MESSAGES)
FRAMES = json.loads((generate.ROOT / generate.FRAMES).read_text())


def same(a: object, b: object) -> bool:
    return a == b or (isinstance(a, float) and isinstance(b, float) and a != a and b != b)


@pytest.mark.parametrize("body", ALL, ids=lambda body: body.__name__)
@given(data=st.data())
def test_every_message_round_trips(body: type[Body], data: st.DataObject) -> None:
    sent = data.draw(bodies(body))
    raw = sent.pack()
    assert len(raw) == body.STRUCT.size
    received = body.unpack(b"\xff" * 3 + raw, 3)
    for name, value in dataclasses.asdict(sent).items():
        assert same(value, getattr(received, name)), name


@pytest.mark.parametrize("body", ALL, ids=lambda body: body.__name__)
def test_fields_lie_at_multiples_of_their_size(body: type[Body]) -> None:
    end = 0
    for place in body.PLACES:
        assert place.offset == end
        end += place.size
        if place.type[0] not in "cx":
            assert place.offset % place.size == 0
    assert end == body.STRUCT.size


@pytest.mark.parametrize("body", ALL, ids=lambda body: body.__name__)
@given(raw=st.binary(max_size=500))
def test_garbage_is_a_message_or_an_error(body: type[Body], raw: bytes) -> None:
    try:
        body.unpack(raw)
    except MessageError:
        pass
    else:
        assert len(raw) >= body.STRUCT.size


def test_text_that_does_not_fit_is_refused() -> None:
    with pytest.raises(MessageError, match="64 bytes"):
        m.Arm(deadman_ms=0, armed=1, chip_id="ü" * 33).pack()
    with pytest.raises(MessageError):
        m.Arm(deadman_ms=-1, armed=1, chip_id="").pack()


def test_generated_files_are_up_to_date() -> None:
    for path, text in generate.generated().items():
        assert (generate.ROOT / path).read_text(encoding="utf-8") == text, (
            f"{path}: run python -m hwloop_wire.generate"
        )


def test_the_dictionary_follows_every_table() -> None:
    text = m.canonical()
    for word in ("Vmm 16 40", "16 u16 tile", "DICTIONARY 2", "FORWARD 0", "+ u16 x_gains samples"):
        assert word in text, word
    assert "meaning" not in text


@pytest.mark.parametrize("record", FRAMES, ids=lambda record: record["name"])
def test_golden_frames(record: dict[str, object]) -> None:
    raw = bytes.fromhex(str(record["frame"]))
    frame = decode(raw)
    want = next(g for g in golden.GOLDEN if g.name == record["name"])
    assert frame[:4] == (want.kind, want.epoch, want.sequence, want.acknowledged)
    for message, sample in zip(frame.messages, want.samples, strict=True):
        body = m.TYPES[message.type].unpack(message.body)
        for name, value in dataclasses.asdict(sample.body).items():
            assert same(value, getattr(body, name)), name
        assert message.body[type(body).STRUCT.size :] == sample.tail


def test_every_message_has_a_golden_frame() -> None:
    shown = {message["name"] for record in FRAMES for message in record["messages"]}
    assert shown == {body.__name__ for body in m.MESSAGES}


def test_golden_values_survive_json() -> None:
    (tile,) = (r for r in FRAMES if r["name"] == "describe_answer")
    fields = tile["messages"][0]["fields"]
    assert fields["output_noise"] is None
    assert math.isclose(fields["cell_siemens"], 50e-6)


@pytest.mark.parametrize("compiler", ["gcc", "arm-none-eabi-gcc"])
def test_the_header_compiles(
    compiler: str, tmp_path: Path, requires: Callable[[str, str], None]
) -> None:
    requires(compiler, "the header's assertions hold for its layout rules")
    source = tmp_path / "check.c"
    source.write_text(
        '#include "messages.h"\n#define X(N, n, size) size,\n'
        "const unsigned sizes[] = {HWL_MESSAGES(X)};\n"
    )
    flags = ["-std=c11", "-Wall", "-Wextra", "-Wconversion", "-Werror", "-c", "-o", "/dev/null"]
    if compiler != "gcc":
        flags += ["-mcpu=cortex-m7", "-mthumb"]
    program = shutil.which(compiler) or compiler
    include = generate.ROOT / generate.HEADER.parent
    subprocess.run([program, *flags, f"-I{include}", source], check=True)
