"""Measured data on disk: what is written is read back, and nothing else is read."""

import gzip
import os
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwloop import characterization
from hwloop.characterization import Measurement, measurement, tables
from hwloop.device_file import Column, FileError
from hwloop.errors import ConfigurationError

PULSES = 12


def response(**header: object) -> Measurement:
    columns = {
        "cell": np.repeat([0, 1], PULSES),
        "repeat": 0,
        "sequence": np.tile(np.arange(PULSES), 2),
        "direction": 1,
        "pulse": np.tile(np.arange(1, PULSES + 1), 2),
        "conductance_siemens": np.linspace(1e-6, 9e-6, 2 * PULSES),
    }
    return measurement("pulse_response", columns, name="hfo2", **header)


def same(one: Measurement, other: Measurement) -> bool:
    return list(one.columns) == list(other.columns) and all(
        np.array_equal(one.columns[name], other.columns[name], equal_nan=True)
        and one.columns[name].dtype == other.columns[name].dtype
        for name in one.columns
    )


finite = st.floats(allow_nan=False, allow_infinity=False, width=64)


@settings(max_examples=40, deadline=None)
@given(
    values=st.lists(finite | st.just(float("nan")), min_size=1, max_size=30),
    own=st.lists(finite | st.just(float("nan")), min_size=30, max_size=30),
    suffix=st.sampled_from([".yaml", ".json"]),
    as_hdf5=st.booleans(),
    name=st.text(min_size=1, max_size=20).filter(lambda text: text.isprintable()),
)
def test_round_trip(
    tmp_path_factory: pytest.TempPathFactory,
    values: list[float],
    own: list[float],
    suffix: str,
    as_hdf5: bool,
    name: str,
) -> None:
    folder = tmp_path_factory.mktemp("file")
    data = measurement(
        "read_noise",
        {"cell": 3, "time_seconds": np.arange(len(values)), "state_units": values, "own": own}
        if len(own) == len(values)
        else {"cell": 3, "time_seconds": np.arange(len(values)), "state_units": values},
        own={"own": Column(name="own", unit="m", meaning="something else")},
        name=name,
    )
    with pytest.MonkeyPatch.context() as patch:
        if as_hdf5:
            patch.setattr("hwloop.characterization.files.MOST_CSV_ROWS", 0)
        header = characterization.save(data, folder / f"x{suffix}")
    loaded = characterization.load(folder / f"x{suffix}")
    assert same(loaded, data)
    assert loaded.header == header
    assert header.table.format == ("hdf5" if as_hdf5 else "csv")


def test_names_of_the_files(tmp_path: Path) -> None:
    characterization.save(response(), tmp_path / "hfo2.yaml")
    assert sorted(os.listdir(tmp_path)) == ["hfo2.table.csv", "hfo2.yaml"]
    first = (tmp_path / "hfo2.table.csv").read_text().splitlines()[:2]
    assert first == ["cell,repeat,sequence,direction,pulse,conductance_siemens", "0,0,0,1,1,1e-06"]


def test_nothing_is_left_of_a_failed_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    characterization.save(response(), tmp_path / "old.yaml")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    monkeypatch.setattr("hwloop.characterization.files.os.fsync", fail)
    for target in ("old.yaml", "new.yaml"):
        with pytest.raises(ConfigurationError, match="cannot be written: No space left"):
            characterization.save(response(description="other"), tmp_path / target)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"conductance_siemens": [1e-6, float("inf")]}, "row 2: inf: should be finite"),
        ({"pulse": [1, 1.5]}, "pulse, row 2: 1.5: should be a whole number"),
        ({"pulse": [1, float("nan")]}, "pulse, row 2: nan: should be a number in every row"),
        ({"pulse": [1, -2]}, "pulse, row 2: -2: should be at least 0"),
        ({"direction": [1, 2]}, "direction, row 2: 2: should be at most 1"),
        ({"pulse": ["a", "b"]}, "pulse: numpy type <U1: should be numbers"),
        ({"pulse": np.array([1, None], object)}, "pulse: numpy type object: should be numbers"),
        ({"pulse": [1, 2, 3]}, "columns should have one length"),
        ({"pulze": [1, 2]}, "pulze is no known column"),
    ],
)
def test_values_that_columns_cannot_have(columns: dict[str, object], message: str) -> None:
    good = {
        "cell": [0, 0],
        "repeat": [0, 0],
        "sequence": [0, 1],
        "direction": [1, 1],
        "pulse": [1, 2],
        "conductance_siemens": [1e-6, 2e-6],
    }
    with pytest.raises(ConfigurationError) as caught:
        measurement("pulse_response", {**good, **columns}, name="x")
    assert message in str(caught.value)


def test_headers_say_all_that_is_wrong_with_their_columns() -> None:
    with pytest.raises(FileError) as caught:
        measurement(
            "pulse_response",
            {"cell": [0], "current_amperes": [1.0], "state_units": [1.0]},
            name="x",
        )
    lines = str(caught.value).splitlines()
    assert "also needs repeat, sequence, direction, pulse" in lines[0]
    assert "exactly one of" in lines[1]
    assert "conditions.read_volts: is needed" in lines[2]


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    characterization.save(response(), tmp_path / "hfo2.yaml")
    return tmp_path / "hfo2.yaml"


@pytest.fixture
def saved_hdf5(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("hwloop.characterization.files.MOST_CSV_ROWS", 0)
    characterization.save(response(), tmp_path / "hfo2.yaml")
    return tmp_path / "hfo2.yaml"


def refusal(path: Path) -> str:
    with pytest.raises(ConfigurationError) as caught:
        characterization.load(path)
    return str(caught.value)


def signed(path: Path) -> None:
    """Let the header state the checksum of its table as it now is."""
    table = next(path.parent.glob("hfo2.table.*"))
    text = path.read_text()
    old = text.partition("sha256: ")[2].split()[0]
    path.write_text(text.replace(old, tables.sha256_of(table)))


def test_a_changed_table_is_refused_with_all_that_is_wrong(saved: Path) -> None:
    table = saved.parent / "hfo2.table.csv"
    table.write_text(table.read_text().replace("0,0,1,1,2,", "0,0,1,7,-2,"))
    text = refusal(saved)
    assert "hfo2.table.csv: SHA-256: " in text
    assert "direction, row 2: 7: should be at most 1" in text
    assert "pulse, row 2: -2: should be at least 0" in text
    assert "remedy: the table was changed" in text
    signed(saved)
    assert "SHA-256" not in refusal(saved)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("\n0,0,1,", "\n0,0,one,", "line 3, column sequence: 'one': should be a number"),
        ("\n0,0,1,", "\n0,0,1,1,", "line 3: 7 fields: should be 6 fields"),
        ("cell,", "cel,", "line 1: 'cel,repeat,"),
        ("1e-06", "inf", "conductance_siemens, row 1: inf: should be finite"),
        ("\n0,0,1,1,2", "\n0.5,0,1,1,2", "cell, row 2: 0.5: should be a whole number"),
        ("0,0,0,1,1,1e-06\n", "", "rows: 23: should be 24, as table.rows says"),
        ("1e-06", "=1+1", "line 2, column conductance_siemens: '=1+1'"),
    ],
)
def test_tables_of_text(saved: Path, old: str, new: str, message: str) -> None:
    table = saved.parent / "hfo2.table.csv"
    assert old in table.read_text()
    table.write_text(table.read_text().replace(old, new, 1))
    signed(saved)
    assert message in refusal(saved)


def test_missing_tables(saved: Path) -> None:
    table = saved.parent / "hfo2.table.csv"
    table.rename(saved.parent / "elsewhere.csv")
    assert "table.file: 'hfo2.table.csv': there is no such file beside it" in refusal(saved)
    table.symlink_to(saved.parent / "elsewhere.csv")
    assert "there is no such file beside it" in refusal(saved)
    text = saved.read_text()
    saved.write_text(text[: text.index("table:")])
    assert "table: is missing" in refusal(saved)
    saved.write_text(text.replace("hfo2.table.csv", "../hfo2.table.csv"))
    assert "table.file" in refusal(saved)


def test_sizes_are_bounded_before_anything_is_read(saved: Path) -> None:
    saved.write_text(saved.read_text().replace("rows: 24", "rows: 999999999999"))
    assert f"at most {tables.LARGEST_TABLE} bytes and {tables.MOST_VALUES} values" in refusal(saved)


def change(path: Path, name: str, **options: object) -> None:
    """Put another dataset in the place of a column."""
    with h5py.File(path.parent / "hfo2.table.h5", "a") as store:
        del store[name]
        store.create_dataset(name, **options)
    signed(path)


def test_hdf5_of_other_types(saved_hdf5: Path) -> None:
    change(saved_hdf5, "pulse", data=np.array([b"x"] * 24, dtype="S1"))
    assert "pulse: type |S1: should be integers or floats" in refusal(saved_hdf5)
    change(saved_hdf5, "pulse", data=[b"x"] * 24, dtype=h5py.special_dtype(vlen=bytes))
    assert "pulse: type object: should be integers or floats" in refusal(saved_hdf5)
    change(saved_hdf5, "pulse", data=np.zeros(24, [("a", "f8"), ("b", "f8")]))
    assert "should have the fields of numbers" in refusal(saved_hdf5)
    change(saved_hdf5, "pulse", data=np.zeros((24, 2)))
    assert "pulse: shape (24, 2): should be (24,)" in refusal(saved_hdf5)
    change(saved_hdf5, "pulse", data=np.zeros(24), compression="lzf")
    assert "filter b'lzf': should be of gzip, shuffle, fletcher32" in refusal(saved_hdf5)


def test_hdf5_with_data_elsewhere(saved_hdf5: Path) -> None:
    table = saved_hdf5.parent / "hfo2.table.h5"
    with h5py.File(table, "a") as store:
        del store["pulse"], store["cell"], store["repeat"]
        store["pulse"] = h5py.ExternalLink("other.h5", "/pulse")
        store["cell"] = h5py.SoftLink("/sequence")
        store.create_dataset("repeat", (24,), "i8", external=[("raw.bin", 0, 192)])
        store["extra"] = [1.0]
    signed(saved_hdf5)
    text = refusal(saved_hdf5)
    assert "pulse: ExternalLink: links are not followed" in text
    assert "cell: SoftLink: links are not followed" in text
    assert "repeat: data in another file: should be in this file" in text
    assert "'extra': is no column of the header" in text


def test_hdf5_chunks_cannot_grow(saved_hdf5: Path) -> None:
    change(
        saved_hdf5,
        "pulse",
        shape=(24,),
        maxshape=(None,),
        dtype="i8",
        chunks=(1 << 24,),
        compression="gzip",
    )
    assert "pulse: chunk (16777216,): should unpack to at most" in refusal(saved_hdf5)


def test_damaged_hdf5(saved_hdf5: Path) -> None:
    table = saved_hdf5.parent / "hfo2.table.h5"
    table.write_bytes(table.read_bytes()[:1000])
    signed(saved_hdf5)
    assert "cannot be read" in refusal(saved_hdf5)


def test_files_of_other_kinds(saved: Path) -> None:
    saved.write_bytes(gzip.compress(saved.read_bytes()))
    assert "is not UTF-8 text" in refusal(saved)
    saved.write_text("schema_version: 1\nkind: model\n")
    assert "kind: 'model': should be one of pulse_response," in refusal(saved)
    saved.write_text("schema_version: 2\nkind: iv\n")
    assert "schema_version: 2: this library reads up to 1" in refusal(saved)
    with pytest.raises(ConfigurationError, match=r"should end in \.yaml, \.yml, \.json"):
        characterization.save(response(), saved.with_suffix(".csv"))


def test_states_are_siemens_whatever_was_measured() -> None:
    columns = {"cell": [0, 1], "row": [0, 0], "col": [0, 1]}
    ohms = measurement("array_map", {**columns, "resistance_ohms": [1e3, 1e4]}, name="x")
    np.testing.assert_allclose(ohms.state, [1e-3, 1e-4])
    amperes = {**columns, "current_amperes": [1e-6, 2e-6]}
    by_column = measurement("array_map", {**amperes, "read_volts": [0.1, 0.2]}, name="x")
    np.testing.assert_allclose(by_column.state, 1e-5)
    by_header = measurement("array_map", amperes, name="x", conditions={"read_volts": 0.1})
    np.testing.assert_allclose(by_header.state, [1e-5, 2e-5])
    assert [cell for cell, _ in by_header.by_cell()] == [0, 1]
