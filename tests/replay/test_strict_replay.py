"""Strict replay: the same operations in the same order, or the first difference."""

import dataclasses
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import hwloop
from hwloop.crossbar import Chip
from hwloop.errors import CapabilityError, ConfigurationError, ReplayError
from hwloop.operations import Direction, Operation, Pulse, Snapshot, Vmm, Wait
from hwloop.tape import FileTape, HashTape, Tape
from tests.replay.tapes import bench, record, rewrite

Step = Callable[[Chip], object]


def do(chip: Chip, script: list[tuple[int, int, int]]) -> list[object]:
    """Carry out a script of (verb, row, number)."""
    verbs: list[Callable[[int, int], object]] = [
        lambda row, n: chip[0].pulse(row=row, col=n % 6, count=n),
        lambda row, n: chip[1].read_line(row, average=1 + n % 4).tolist(),
        lambda row, n: chip[row % 2].forward(np.full(6, 0.01 * n)).tolist(),
        lambda row, n: chip.wait(n * 1e-6),
    ]
    return [verbs[verb](row, n) for verb, row, n in script]


scripts = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(1, 15)), min_size=1, max_size=8
)


@settings(max_examples=30, deadline=None)
@given(scripts, st.data())
def test_a_tape_answers_its_own_script_and_no_other(
    script: list[tuple[int, int, int]], data: st.DataObject
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path, live, again = Path(folder) / "tape", list[object](), HashTape()
        record(path, lambda chip: live.extend(do(chip, script)))
        with hwloop.connect(f"replay:{path}", tape=again) as chip:
            assert do(chip, script) == live
        assert again.digest() == Tape(path).hash()
        # One number of one step is changed: the replay stops there, and nowhere else.
        at = data.draw(st.integers(0, len(script) - 1))
        verb, row, n = script[at]
        changed = [*script[:at], (verb, row, n + 1), *script[at + 1 :]]
        with (
            pytest.raises(ReplayError) as stopped,
            hwloop.connect(f"replay:{path},mode=strict") as chip,
        ):
            do(chip, changed)
        assert stopped.value.exit_code == 8
        assert stopped.value.message.startswith(f"operation {at + 1} differs from {path}\n")


def three_pulses(chip: Chip) -> None:
    for count in (1, 2, 3):
        chip[0].pulse(row=1, col=2, count=count)
        chip[0].read_cells(rows=[1], cols=[2])


def test_the_first_difference_is_shown_with_its_neighbours(tmp_path: Path) -> None:
    path = record(tmp_path / "tape", three_pulses)
    with pytest.raises(ReplayError) as stopped, hwloop.connect(f"replay:{path}") as chip:
        chip[0].pulse(row=1, col=2, count=1)
        chip[0].read_cells(rows=[1], cols=[2])
        chip[0].pulse(row=1, col=2, count=5)
    lines = stopped.value.message.splitlines()
    assert [line.split()[:2] for line in lines[1:7]] == [
        ["1", "pulse"],
        ["2", "read_cells"],
        ["asked", "pulse"],
        ["taped", "3"],
        ["4", "read_cells"],
        ["5", "pulse"],
    ]
    starts = {line.index("tile 0") for line in lines[1:7]}
    assert len(starts) == 1  # columns are aligned
    assert lines[7] == (
        "  counts: 1 of 1 values differ by up to 3, the first at [0, 0]: asked 5, taped 2"
    )
    assert stopped.value.operation_id == 3


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        (lambda chip: chip[1].pulse(row=1, col=2, count=1), "tile: asked 1, taped 0"),
        (lambda chip: chip[0].read_line(1), "kind: asked read_cells, taped pulse"),
        (lambda chip: chip[0].pulse(row=0, col=2, count=1), "rows: 1 of 1 values differ"),
        (
            lambda chip: chip.submit([chip[0].new_pulse(None, None, np.ones((4, 6), int))]),
            "shape of counts: asked 4x6, taped 1x1",
        ),
        (lambda chip: chip[0].pulse(1, 2, 1, "hard"), "shape: asked hard, taped set"),
        (lambda chip: chip.identity() and chip[0].pulse(1, 2, 1), "ordinal: asked 2, taped 1"),
    ],
)
def test_every_field_counts(tmp_path: Path, asked: Step, says: str) -> None:
    path = record(tmp_path / "tape", three_pulses)
    with pytest.raises(ReplayError) as stopped, hwloop.connect(f"replay:{path}") as chip:
        asked(chip)
    assert f"  {says}" in stopped.value.message


def test_an_operation_that_is_left_out_is_recognised(tmp_path: Path) -> None:
    path = record(tmp_path / "tape", three_pulses)
    with (
        pytest.raises(ReplayError, match=r"has what is asked for at 2: 1 left out\?"),
        hwloop.connect(f"replay:{path}") as chip,
    ):
        chip[0].read_cells(rows=[1], cols=[2])


def test_the_tape_ends(tmp_path: Path) -> None:
    path = record(tmp_path / "tape", three_pulses)
    with pytest.raises(ReplayError, match="ends after 7"), hwloop.connect(f"replay:{path}") as chip:
        three_pulses(chip)
        chip[0].read_line(0)


def test_a_tape_without_an_answer(tmp_path: Path) -> None:
    path = record(tmp_path / "tape", three_pulses)
    raw = path.read_bytes()
    path.write_bytes(raw[:-1])  # the last result is torn
    with (
        pytest.raises(ReplayError, match="operation 6, read_cells on tile 0, has no result"),
        hwloop.connect(f"replay:{path}") as chip,
    ):
        three_pulses(chip)


def test_ids_do_not_count(tmp_path: Path) -> None:
    path = record(tmp_path / "tape", three_pulses)
    with hwloop.connect(f"replay:{path}") as chip:
        chip.next_id = 1000
        three_pulses(chip)


def test_the_tape_of_a_physical_chip_needs_no_arming(tmp_path: Path) -> None:
    path = record(tmp_path / "tape", three_pulses, kind="physical")
    with hwloop.connect(f"replay:{path}") as chip:
        assert chip.capabilities.kind == "virtual"
        assert chip.capabilities.name == "replay of bench"
        three_pulses(chip)


def test_limits_of_the_recorded_bench_are_those_of_the_replay(tmp_path: Path) -> None:
    limits, path = hwloop.Limits(pulses_per_operation=3), tmp_path / "tape"
    with Chip(bench(), limits=limits, tape=FileTape(path, {})) as chip:
        three_pulses(chip)
    with hwloop.connect(f"replay:{path}") as chip:
        assert chip.configuration.limits == limits
        three_pulses(chip)


def test_lowerings_are_above_the_tape(tmp_path: Path) -> None:
    lowerings, live = ["outer_by_counts", "backward_by_reads"], []

    def work(chip: Chip) -> object:
        x, d = np.linspace(-1, 1, 6), np.linspace(1, -1, 4)
        return chip[0].update(x, d, train_length=9), chip[0].backward(np.full(4, 0.1)).tolist()

    path = tmp_path / "tape"
    with Chip(bench(), lowerings=lowerings, tape=FileTape(path, {})) as chip:
        live.append(work(chip))
    with hwloop.connect(f"replay:{path}", lowerings=lowerings) as chip:
        assert work(chip) == live[0]


def test_a_device_file_is_not_needed(tmp_path: Path) -> None:
    path = tmp_path / "tape"
    with hwloop.connect("sim:reram-om,shape=4x6", tape=FileTape(path, {})) as live:
        granularity = live.device.granularity
    with hwloop.connect(f"replay:{path}") as chip:
        assert chip.device is None
        assert chip.capabilities.granularity == granularity
        assert chip.configuration == live.configuration


def test_a_replay_has_no_state(tmp_path: Path) -> None:
    path = tmp_path / "tape"
    hwloop.connect("sim:ideal,shape=4x6", tape=FileTape(path, {})).close()
    with (
        pytest.raises(CapabilityError, match="no state"),
        hwloop.connect(f"replay:{path}") as chip,
    ):
        chip.snapshot()


def test_following_forgives_other_values_and_counts_them(tmp_path: Path) -> None:
    def work(chip: Chip) -> object:
        for _ in range(3):
            chip[0].forward(np.full(6, 0.1))
        return chip[0].forward(np.full(6, 0.1)).tolist()

    path, live = tmp_path / "tape", []
    record(path, lambda chip: live.append(work(chip)))

    def other(position: int, operation: Operation) -> Operation:
        if position not in (2, 3) or not isinstance(operation, Vmm):
            return operation
        codes = operation.codes.copy()
        codes[0, :position] -= position
        return dataclasses.replace(operation, codes=codes)

    rewrite(path, other)
    with hwloop.connect(f"replay:{path},mode=follow") as chip:
        assert work(chip) == live[0]
        row = chip.backend.differences.kinds["vmm"]
        assert (row.operations, row.differing, row.values, row.most, row.first) == (4, 2, 5, 3, 2)
    with (
        pytest.raises(ReplayError, match="kind: asked read_cells, taped vmm"),
        hwloop.connect(f"replay:{path},mode=follow") as chip,
    ):
        chip[0].read_line(0)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ("mode=loose", "modes: strict, follow, lenient"),
        ("mode=strict,bound=3", "options: mode"),
        ("mode=lenient,bound=-1", "whole number of pulses"),
        ("mode=lenient,bound=2.5", "whole number of pulses"),
        ("quux=1", "options: mode"),
        ("mode=compare", "hwloop run compare"),
    ],
)
def test_options_that_do_not_work(tmp_path: Path, options: str, says: str) -> None:
    path = record(tmp_path / "tape", three_pulses)
    with pytest.raises(ConfigurationError) as refused:
        hwloop.connect(f"replay:{path},{options}")
    assert says in str(refused.value)


def test_tapes_that_cannot_be_replayed(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="names no run"):
        hwloop.connect("replay:")
    with pytest.raises(ReplayError, match="cannot be read"):
        hwloop.connect(f"replay:{tmp_path / 'missing'}")
    bare = FileTape(tmp_path / "bare", {})
    bare.operations([Wait(ticks=3, id=1)])
    with pytest.raises(ReplayError, match="does not begin with what its array is"):
        hwloop.connect(f"replay:{tmp_path / 'bare'}")
    newer = FileTape(tmp_path / "newer", {})
    newer.event({"chip": {"name": "x", "colour": "red"}})
    with pytest.raises(ReplayError, match="describes its array in another way"):
        hwloop.connect(f"replay:{tmp_path / 'newer'}")


def test_equal_operations_have_no_differences() -> None:
    from hwloop.tape.differences import field_differences

    pulse = Pulse(tile=0, counts=np.ones((2, 2), np.int16), shape="set", id=1)
    assert field_differences(pulse, dataclasses.replace(pulse, id=2)) == []
    one = Vmm(tile=0, direction=Direction.FORWARD, codes=np.zeros((1, 2), np.int32))
    assert [str(d) for d in field_differences(one, Snapshot(tile=0))] == [
        "kind: asked vmm, taped snapshot"
    ]
