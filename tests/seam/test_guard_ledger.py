"""The doses of a chip's life on disk: never too little, whatever is cut off, killed or full."""

from __future__ import annotations

import copy
import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwloop.capabilities import Capabilities, Limits
from hwloop.cli import main
from hwloop.crossbar import Chip
from hwloop.errors import ConfigurationError, SafetyError
from hwloop.guard import (
    Dose,
    Ledger,
    LifeLedger,
    chip_folder,
    dose_of,
    is_held,
    recorded,
    state_folder,
)
from hwloop.guard import book as book_module
from hwloop.operations import Plane, Pulse
from tests.seam.bench_array import BenchArray

CHIP = BenchArray(3, 4, tiles=2, kind="physical").describe()


def dose(row: int, col: int, count: int) -> Dose:
    counts = np.full((1, 1), count, np.int16)
    rows, cols = np.array([row]), np.array([col])
    return dose_of(Pulse(tile=0, rows=rows, cols=cols, counts=counts, shape="set"), CHIP.tiles[0])


def covers(counts: Ledger, given_: Ledger) -> bool:
    """Whether counts are nowhere below what was given."""
    mine, its = counts.state(), given_.state()
    return all((mine[name] >= its[name]).all() for name in its)


def equal(counts: Ledger, given_: Ledger) -> bool:
    mine, its = counts.state(), given_.state()
    return all((mine[name] == its[name]).all() for name in its)


def known(chip: Capabilities = CHIP) -> Ledger:
    found = recorded(chip.chip_id)
    assert found is not None
    return found.counts


moves = st.lists(
    st.tuples(
        st.integers(0, 1), st.integers(0, 2), st.integers(0, 3), st.sampled_from([0, 1, 7, 4000])
    ),
    min_size=1,
    max_size=8,
)


@settings(max_examples=25, deadline=None)
@given(moves, st.data())
def test_a_file_cut_at_any_byte_says_at_least_what_was_given(
    given_moves: list[tuple[int, int, int, int]], data: st.DataObject
) -> None:
    """A cut file is refused, or counts no less than everything that has ever been sent."""
    with tempfile.TemporaryDirectory() as folder, patch.dict(os.environ, HWLOOP_STATE=folder):
        life = LifeLedger(CHIP, Limits())
        path = chip_folder(CHIP.chip_id) / "doses"
        given_ = Ledger(CHIP, per_cell=True)
        for tile, row, col, count in given_moves:
            life.charge([(tile, dose(row, col, count))])
            given_.charge(tile, dose(row, col, count))
            assert covers(known(), given_)  # before the operation is sent
        whole = path.read_bytes()
        if data.draw(st.booleans(), label="closed"):
            life.close()
            whole = path.read_bytes()
            assert equal(known(), given_)
        for cut in {0, len(whole), *data.draw(st.sets(st.integers(0, len(whole)), max_size=30))}:
            path.write_bytes(whole[:cut])
            try:
                counts = known()
            except ConfigurationError as error:
                assert cut < len(whole)
                assert "has lost doses" in error.message
                assert "nothing was sent" in error.message
            else:
                assert covers(counts, given_)
        life._lease.release()
        life._book.close()


@settings(max_examples=30, deadline=None)
@given(moves, st.integers(0, 200), st.integers(0, 2**32 - 1))
def test_power_lost_at_any_write_loses_no_dose(
    given_moves: list[tuple[int, int, int, int]], writes: int, seed: int
) -> None:
    """What is not synchronised may be lost in part; what was sent is in the file before."""
    dice = np.random.default_rng(seed)
    with tempfile.TemporaryDirectory() as folder, patch.dict(os.environ, HWLOOP_STATE=folder):
        path = chip_folder(CHIP.chip_id) / "doses"
        left = writes
        real_write, real_sync = os.pwrite, os.fsync
        synced = b""

        def pwrite(descriptor: int, content: bytes, at: int) -> int:
            nonlocal left
            left -= 1
            if left < 0:
                raise OSError(28, "No space left on device")
            return real_write(descriptor, content, at)

        def fsync(descriptor: int) -> None:
            nonlocal synced
            real_sync(descriptor)
            synced = path.read_bytes() if path.exists() else b""

        sent = Ledger(CHIP, per_cell=True)
        life = None
        with (
            patch.object(book_module.os, "pwrite", pwrite),
            patch.object(book_module.os, "fsync", fsync),
        ):
            try:
                life = LifeLedger(CHIP, Limits())
                for tile, row, col, count in given_moves:
                    life.charge([(tile, dose(row, col, count))])
                    sent.charge(tile, dose(row, col, count))
            except ConfigurationError as error:
                assert "nothing was sent" in error.message
        if life is not None:
            life._lease.release()
            life._book.close()
        if not path.exists():
            assert not any(a.any() for a in sent.state().values())
            return
        now = path.read_bytes()
        # Bytes beyond the last synchronisation may have reached the disk or not, in any mixture.
        kept = np.frombuffer(now, np.uint8).copy()
        before = np.frombuffer(synced.ljust(len(now), b"\0")[: len(now)], np.uint8)
        lost = (kept != before) & (dice.random(len(kept)) < 0.5)
        kept[lost] = before[lost]
        path.write_bytes(kept.tobytes())
        assert covers(known(), sent)


def test_a_closed_chip_has_what_it_was_given_and_an_open_one_more() -> None:
    with Chip(BenchArray(kind="physical"), arm="bench-1") as chip:
        chip[0].pulse(1, 2, -5)
        chip[1].pulse(0, 0, 3)
        open_counts = known(chip.capabilities)
        assert open_counts.cells is not None
        assert open_counts.cells[0][1, 2] >= 5
        assert recorded("bench-1").settled is False  # type: ignore[union-attr]
    counts = known(chip.capabilities)
    assert counts.cells is not None
    assert counts.cells[0][1, 2] == 5
    assert counts.row[0].tolist() == [0, 5, 0, 0]
    assert counts.col[1].tolist() == [3, 0, 0, 0, 0, 0]
    with Chip(BenchArray(kind="physical"), arm="bench-1") as chip:
        chip[0].pulse(1, 2, 2)
    assert known(chip.capabilities).row[0].tolist() == [0, 7, 0, 0]
    assert recorded("bench-1").settled  # type: ignore[union-attr]


def test_few_synchronisations_are_needed() -> None:
    syncs = 0
    real = os.fsync

    def fsync(descriptor: int) -> None:
        nonlocal syncs
        syncs += 1
        real(descriptor)

    with (
        patch.object(book_module.os, "fsync", fsync),
        Chip(BenchArray(kind="physical"), arm="bench-1") as chip,
    ):
        for _ in range(1000):
            chip[0].pulse(1, 2, 1)
    assert syncs < 60


@pytest.mark.parametrize("limit", ["life_dose_per_cell", "life_dose_per_line"])
def test_a_limit_for_life_holds_over_runs_and_crashes(limit: str) -> None:
    limits = Limits.model_validate({limit: 100})
    fired = 0
    for _ in range(3):
        array = BenchArray(kind="physical", limits=limits)
        chip = Chip(array, arm="bench-1")
        for _ in range(13):
            chip[0].pulse(1, 2, 2)
            fired += 2
        chip.close()
    chip = Chip(array := BenchArray(kind="physical", limits=limits), arm="bench-1")
    with pytest.raises(SafetyError, match=r"in its life.*of 100 from the chip") as refused:
        chip[0].pulse(1, 2, 23)
    assert refused.value.limit == limit
    assert not any(op.kind == "pulse" for op in array.executed)
    while True:
        try:
            chip[0].pulse(1, 2, 1)
        except SafetyError:
            break
        fired += 1
    assert fired == 100
    chip.guard.life._lease.release()  # type: ignore[union-attr]  # as a crash does
    counts = known(chip.capabilities)
    assert counts.cells is not None
    given_ = counts.cells[0][1, 2] if limit.endswith("cell") else counts.row[0][1]
    assert given_ == 100  # no more is reserved than is allowed
    with (
        Chip(BenchArray(kind="physical", limits=limits), arm="bench-1") as again,
        pytest.raises(SafetyError, match="would have had 101 pulses in its life"),
    ):
        again[0].pulse(1, 2, 1)


def test_a_rehearsal_counts_on_a_copy() -> None:
    limits = Limits(life_dose_per_cell=10)
    with Chip(BenchArray(kind="physical", limits=limits), arm="bench-1") as chip:
        guard = copy.deepcopy(chip.guard)
        pulse = chip[0].new_pulse(np.array([0]), np.array([0]), np.full((1, 1), 6, np.int16))
        guard.admit([pulse])
        with pytest.raises(SafetyError, match="life_dose_per_cell"):
            guard.admit([pulse])
        chip.submit([pulse]).results()
    assert known(chip.capabilities).row[0][0] == 6


def test_virtual_arrays_leave_no_state_unless_a_limit_asks_for_it() -> None:
    with Chip(BenchArray(limits=Limits(dose_per_cell=9, dose_per_line=9))) as chip:
        chip[0].pulse(0, 0, 1)
    with Chip(BenchArray(kind="physical")) as chip:  # not armed: nothing can be given
        chip[0].read_cells(plane=Plane.MAIN)
    assert not state_folder().exists()
    with Chip(BenchArray(limits=Limits(life_dose_per_cell=9))) as chip:
        chip[0].pulse(0, 0, 1)
    assert known(chip.capabilities).row[0][0] == 1


def test_large_chips_are_counted_by_line_and_by_cell_once_a_limit_asks() -> None:
    def large(limits: Limits | None = None) -> BenchArray:
        return BenchArray(300, 300, tiles=1, kind="physical", limits=limits)

    with Chip(large(), arm="bench-1") as chip:
        chip[0].pulse(7, 8, 5)
        chip[0].pulse(7, 9, 2)
    assert known(chip.capabilities).cells is None
    limits = Limits(life_dose_per_cell=8)
    with Chip(large(limits), arm="bench-1") as chip:
        assert chip.guard.life is not None
        cells = chip.guard.life.counts.cells
        assert cells is not None
        assert (cells[0][7, 8], cells[0][7, 9], cells[0][1, 8]) == (5, 2, 0)
        with pytest.raises(SafetyError, match="row 7, col 8"):
            chip[0].pulse(7, 8, 4)


def test_another_chip_of_the_same_name_is_refused() -> None:
    with Chip(BenchArray(kind="physical"), arm="bench-1") as chip:
        chip[0].pulse(0, 0, 1)
    with pytest.raises(ConfigurationError, match=r"tiles .*nothing was sent(.|\n)*id of its own"):
        Chip(BenchArray(5, 5, kind="physical"), arm="bench-1")
    assert not is_held(chip_folder("bench-1"))


ODD = ["..", ".", "a/b", "", "%2E", "é" * 80, "x" * 300, "x" * 299, "A:1*?", "a\0b", "lease"]


def test_odd_ids_have_folders_of_their_own() -> None:
    folders = {chip_folder(name) for name in ODD}
    assert len(folders) == len(ODD)
    for folder in folders:
        assert folder.parent == state_folder() / "chips"
        assert folder.resolve().parent == folder.parent.resolve()
        assert len(os.fsencode(folder.name)) < 250
        folder.mkdir(parents=True)


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"", "its head is not whole"),
        (b"nonsense" * 20, "its head is not whole"),
        (os.urandom(64), "its head is not whole"),
    ],
)
def test_files_that_are_no_record_are_refused(content: bytes, text: str) -> None:
    folder = chip_folder("bench-1")
    folder.mkdir(parents=True)
    (folder / "doses").write_bytes(content)
    with pytest.raises(ConfigurationError, match=text):
        Chip(BenchArray(kind="physical"), arm="bench-1")


def test_a_folder_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        patch.dict(os.environ, HWLOOP_STATE=str(tmp_path / "file" / "below")),
        pytest.raises(ConfigurationError, match=r"cannot be written.*nothing was sent(.|\n)*STATE"),
    ):
        Chip(BenchArray(kind="physical"), arm="bench-1")


HOLDER = """
import sys, time
from hwloop.crossbar import Chip
from tests.seam.bench_array import BenchArray
chip = Chip(BenchArray(kind="physical"), arm="bench-1")
print("held", flush=True)
for n in range(10**6):
    chip[0].pulse(1, 2, 3)
    print(n + 1, flush=True)
    time.sleep(0.001)
"""


def test_one_process_holds_a_chip_and_kill_9_loses_no_dose() -> None:
    command = [sys.executable, "-c", HOLDER]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        with pytest.raises(SafetyError, match=f"held by process {process.pid} on ") as refused:
            Chip(BenchArray(kind="physical"), arm="bench-1")
        assert refused.value.retryable
        assert "nothing was sent" in refused.value.message
        Chip(BenchArray(kind="physical")).close()  # reading needs no lease
        for _ in range(100):
            process.stdout.readline()
        process.send_signal(signal.SIGKILL)
        last = 100
        for line in process.stdout:
            last = int(line) if line.endswith("\n") else last
    found = recorded("bench-1")
    assert found is not None
    assert not found.settled
    assert 3 * (last + 1) <= found.counts.row[0][1] + 3  # the last one may not have been printed
    assert found.counts.row[0][1] >= 3 * last
    with Chip(BenchArray(kind="physical"), arm="bench-1") as chip:  # what is stale blocks nobody
        chip[0].pulse(0, 0, 1)


def test_the_command_shows_doses(capsys: pytest.CaptureFixture[str]) -> None:
    with Chip(BenchArray(kind="physical"), arm="bench-1") as chip:
        chip[0].pulse(1, 2, -5)
        assert main(["chip", "dose", "--chip", "bench-1"]) == 0
        assert f"in use by process {os.getpid()}" in capsys.readouterr().out
    assert main(["chip", "dose", "--chip", "bench-1", "--json"]) == 0
    (shown,) = json.loads(capsys.readouterr().out)["chips"]
    assert shown["settled"]
    assert not shown["in_use"]
    assert shown["pulses"] == 5
    assert shown["tiles"][0]["row"] == [0, 5, 0, 0]
    assert shown["tiles"][0]["cells"][1][2] == 5
    assert main(["chip", "dose"]) == 0
    assert "5 (row 1, col 2)" in capsys.readouterr().out
    assert main(["chip", "dose", "--chip", "bench-2"]) == 2
    assert "chips with a record: 'bench-1'" in capsys.readouterr().err
    assert main(["chip", "dose", "--chip", "a", "--backend", "sim:"]) == 2
