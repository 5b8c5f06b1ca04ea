"""The tape of a run: shown, filtered, exported."""

import csv
import dataclasses
import json
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import h5py
import numpy as np
import pytest

import hwloop
from hwloop.cli import main
from hwloop.crossbar import Chip
from hwloop.operations import CONTENT, KINDS, OuterTrains, OuterUpdate, Pulse, Result, Vmm, Wait
from hwloop.run import Run
from hwloop.tape import Entry, FileTape, Tape, export_hdf5
from hwloop.tape.export_csv import write_csv
from hwloop.tape.export_hdf5 import write_hdf5
from hwloop.tape.selecting import Selection, touches
from hwloop.tape.stream import entries


def work(chip: Chip) -> None:
    for tile in (chip[0], chip[1]):
        tile.pulse(row=1, col=2, count=-7)
        tile.read_cells(rows=[0, 1], cols=[2, 0], average=3)
        tile.read_line(3)
        tile.forward(np.linspace(-0.2, 0.2, 6))
        tile.update(np.eye(6)[2], np.eye(4)[1], train_length=5)
    chip.wait(2e-6)
    chip[0].pulse(row=0, col=0, count=1)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tape") / "tape"
    with hwloop.connect("sim:reram-om,shape=2x4x6", tape=FileTape(path, {"who": "me"})) as chip:
        work(chip)
    return path


def shown(path: Path, capsys: pytest.CaptureFixture[str], *words: str) -> list[dict[str, object]]:
    assert main(["run", "tape", str(path), "--json", *words]) == 0
    return json.loads(capsys.readouterr().out)["entries"]


def test_all_are_shown_by_default(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    everything = shown(path, capsys)
    assert [entry["id"] for entry in everything] == list(range(13))
    assert everything[2]["result"]["values"] == Tape(path)[2].result.values.tolist()
    some = shown(path, capsys, "--start", "3", "--limit", "2")
    assert [entry["id"] for entry in some] == [3, 4]


@pytest.mark.parametrize(
    ("words", "ids"),
    [
        (["--kind", "pulse"], [1, 6, 12]),
        (["--kind", "pulse", "--kind", "wait"], [1, 6, 11, 12]),
        (["--tile", "1"], [6, 7, 8, 9, 10]),
        (["--from", "9", "--to", "11"], [9, 10, 11]),
        (["--cell", "1,2"], [1, 2, 5, 6, 7, 10]),
        (["--cell", "1,2", "--tile", "0", "--kind", "pulse"], [1]),
        (["--cell", "3,5"], [3, 8]),
        (["--cell", "9,9"], []),
    ],
)
def test_filters(
    path: Path, capsys: pytest.CaptureFixture[str], words: list[str], ids: list[int]
) -> None:
    assert [entry["id"] for entry in shown(path, capsys, *words)] == ids


@pytest.mark.parametrize(
    "words",
    [["--kind", "quux"], ["--cell", "3"], ["--cell", "3,x"], ["--export", "tape.txt"]],
)
def test_mistakes(path: Path, capsys: pytest.CaptureFixture[str], words: list[str]) -> None:
    assert main(["run", "tape", str(path), *words]) == 2
    assert "remedy" in capsys.readouterr().err


def test_hash_of_a_run(trained: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "tape", str(trained.folder), "--hash"]) == 0
    assert capsys.readouterr().out.strip() == trained.summary["tape_hash"]


def test_which_cells_an_update_may_move() -> None:
    codes = {"x_codes": np.array([[5, 0], [0, 3]]), "d_codes": np.array([[0, 1], [0, 0]])}
    gains = {name: np.ones(2, int) for name in ("train_lengths", "x_gains", "d_gains")}
    update = OuterUpdate(tile=0, shape="set", **codes, **gains)
    x, d = np.zeros((2, 3, 2), np.int8), np.zeros((2, 3, 2), np.int8)
    x[0, 1, 0], d[0, 1, 1] = 1, -1
    x[1, 2, 1], d[1, 1, 0] = 1, 1  # not in the same slot
    trains = OuterTrains(tile=0, shape="set", x_trains=x, d_trains=d)
    for operation in (update, trains):
        cells = [(r, c) for r in range(3) for c in range(3) if touches(operation, r, c)]
        assert cells == [(1, 0)]
    assert not touches(Wait(ticks=1), 0, 0)


def rebuilt(file: h5py.File) -> list[tuple[int, Entry]]:
    """Return what an HDF5 file holds, in the order of the tape."""
    found = []

    def ragged(group: h5py.Group, i: int) -> np.ndarray | None:
        shape = group["shape"][i]
        if shape[0] < 0:
            return None
        start = group["start"][i]
        return group["values"][start : start + np.prod(shape)].reshape(shape)

    for kind, cls in KINDS.items():
        if kind not in file:
            continue
        group, values = file[kind], {}
        for i in range(len(group["id"])):
            for name in (*CONTENT[cls], "id", "ordinal"):
                column = group[name]
                if isinstance(column, h5py.Group):
                    values[name] = ragged(column, i)
                else:
                    value = column[i]
                    values[name] = value.decode() if isinstance(value, bytes) else int(value)
            for name, enum in (("direction", Vmm), ("plane", Vmm)):
                if name in values:
                    kind_of = {"direction": hwloop.operations.Direction, "plane": hwloop.Plane}
                    values[name] = kind_of[name](values[name])
                del enum
            result = Result(
                id=values["id"],
                values=ragged(group["result_values"], i),
                saturated=ragged(group["result_saturated"], i),
                fired=int(group["result_fired"][i]),
                ticks=int(group["result_ticks"][i]),
                verdict=hwloop.operations.Verdict(int(group["result_verdict"][i])),
            )
            found.append((int(group["position"][i]), Entry(cls(**values), result)))
    return sorted(found, key=lambda pair: pair[0])


def test_hdf5_holds_all_that_the_tape_holds(
    path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "tape.h5"
    with mock.patch.object(export_hdf5, "ROWS", 2):  # several chunks
        assert main(["run", "tape", str(path), "--export", str(out)]) == 0
    assert "13 operations" in capsys.readouterr().out
    with h5py.File(out) as file:
        back = rebuilt(file)
        assert json.loads(file["header"][()])["who"] == "me"
        assert json.loads(file["chip"][()])["name"] == "simulated reram-om"
    whole = list(Tape(path))
    assert [position for position, _ in back] == list(range(13))
    for (_, mine), theirs in zip(back, whole, strict=True):
        assert mine == theirs
        assert mine.operation.ordinal == theirs.operation.ordinal
        assert mine.result.ticks == theirs.result.ticks


def test_csv_has_a_line_per_operation(path: Path, tmp_path: Path) -> None:
    out = tmp_path / "tape.csv"
    words = ["--export", str(out), "--json", "--tile", "0"]
    assert main(["run", "tape", str(path), *words]) == 0
    with out.open(newline="") as file:
        rows = list(csv.DictReader(file))
    # `configure` and `wait` say tile 0 as well.
    assert [int(row["id"]) for row in rows] == [0, 1, 2, 3, 4, 5, 11, 12]
    read = Tape(path)[2]
    assert json.loads(rows[2]["result_values"]) == read.result.values.tolist()
    assert json.loads(rows[2]["rows"]) == [0, 1]
    assert rows[1]["counts"] == "[[-7]]"
    assert rows[4]["direction"] == "forward"
    assert rows[5]["result_fired"] == str(Tape(path)[5].result.fired)


def test_csv_of_a_cell_has_its_values(path: Path, tmp_path: Path) -> None:
    out = tmp_path / "cell.csv"
    words = ["--cell", "1,2", "--tile", "1", "--export", str(out)]
    assert main(["run", "tape", str(path), *words]) == 0
    with out.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["kind"] for row in rows] == ["pulse", "read_cells", "outer_update"]
    assert (rows[0]["rows"], rows[0]["cols"], rows[0]["counts"]) == ("1", "2", "-7")
    assert rows[1]["result_values"] == str(Tape(path)[7].result.values[1, 0])
    assert rows[1]["average"] == "3"


@pytest.mark.parametrize("suffix", [".csv", ".h5"])
def test_an_interrupted_export_leaves_what_was_there(
    path: Path, tmp_path: Path, suffix: str
) -> None:
    out = tmp_path / f"tape{suffix}"

    def stop(found: Path, progress: object) -> Iterator[Entry]:
        yield next(entries(found))
        raise KeyboardInterrupt

    for before in (None, "mine"):
        if before is not None:
            out.write_text(before)
        with mock.patch("hwloop.cli.run_tape.entries", stop):
            assert main(["run", "tape", str(path), "--export", str(out)]) == 130
        assert [p.name for p in tmp_path.iterdir()] == ([] if before is None else [out.name])
        if before is not None:
            assert out.read_text() == before


def test_a_file_that_cannot_be_written(path: Path, tmp_path: Path) -> None:
    out = tmp_path / "missing" / "tape.csv"
    assert main(["run", "tape", str(path), "--export", str(out)]) == 2


def endless(number: int) -> Iterator[Entry]:
    """Yield entries of 4 kB, made when they are asked for."""
    for i in range(number):
        pulse = Pulse(tile=0, counts=np.full((32, 32), i % 7, np.int32), shape="set", id=i + 1)
        yield Entry(pulse, Result(id=i + 1, fired=i))


def test_exports_need_no_memory_for_the_tape(tmp_path: Path) -> None:
    number, size = 200, 200 * 32 * 32 * 4
    with mock.patch.object(export_hdf5, "HELD_BYTES", 1 << 15):
        write_hdf5(tmp_path / "warm.h5", enumerate(endless(2)))  # loads what HDF5 keeps
        for write in (
            lambda: write_hdf5(tmp_path / "a.h5", enumerate(endless(number))),
            lambda: write_csv(tmp_path / "a.csv", endless(number)),
        ):
            tracemalloc.start()
            assert write() == number
            peak = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
            assert peak < size / 3


def test_a_selection_of_nothing_is_everything(path: Path) -> None:
    assert all(entry.operation in Selection() for entry in Tape(path))
    assert dataclasses.replace(Selection(), tile=5) != Selection()
