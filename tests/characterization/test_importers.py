"""Importers, on excerpts of the measured data that they are made for."""

from pathlib import Path

import h5py
import numpy as np
import pytest

from hwloop import characterization
from hwloop.characterization import Measurement
from hwloop.characterization.importers import FORMATS, Options, detect, import_files
from hwloop.characterization.importers.trains import trains
from hwloop.characterization.importers.units import state_column, unit
from hwloop.errors import ConfigurationError

DATA = Path(__file__).parents[1] / "data" / "measured"


def imported(
    *paths: Path | str, form: str | None = None, warns: bool = False, **options: object
) -> Measurement:
    found = import_files([DATA / path for path in paths], form, Options(**options))
    assert bool(found.warnings) == warns, found.warnings
    return found.measurement


def refusal(*paths: Path | str, form: str | None = None, **options: object) -> str:
    with pytest.raises(ConfigurationError) as caught:
        import_files([DATA / path for path in paths], form, Options(**options))
    return str(caught.value)


def columns(data: Measurement, *names: str) -> list[list[float]]:
    return [np.asarray(data.columns[name]).tolist() for name in names]


def test_aihwkit() -> None:
    data = imported("reram-pulse-response/gong_et_al.csv", form="aihwkit", unit="normalised")
    raw = np.loadtxt(DATA / "reram-pulse-response/gong_et_al.csv", delimiter=",")
    assert data.header.normalised
    np.testing.assert_array_equal(data.state, raw.T.ravel())
    direction, pulse = columns(data, "direction", "pulse")
    assert direction == [1] * 40 + [-1] * 40
    assert pulse == [*range(1, 41)] * 2
    provenance = data.header.provenance
    assert provenance["columns.state_units"] == "assumed: --unit normalised at import"
    assert "gong_et_al.csv, 655 bytes, SHA-256 " in data.header.sources["file"]


def test_crosssim() -> None:
    paths = ["set-reset-ramps/set.csv", "set-reset-ramps/reset.csv"]
    data = imported(*paths, unit="ampere", read_volts=0.1)
    reset = np.genfromtxt(DATA / paths[1], delimiter=",", skip_header=1)
    first = reset[:, 0][np.isfinite(reset[:, 0])]
    np.testing.assert_array_equal(data.columns["current_amperes"][: len(first)], first)
    np.testing.assert_allclose(data.state[: len(first)], first / 0.1)
    turns = np.flatnonzero(np.diff(data.columns["direction"])) + 1
    assert data.columns["direction"][[0, *turns]].tolist() == [-1, 1, -1, 1, -1, 1, -1]
    assert data.columns["repeat"][[0, *turns]].tolist() == [0, 0, 1, 1, 2, 2, 3]
    jumps = np.abs(np.diff(data.state))[turns - 1]
    assert jumps.max() < 2e-6  # of a range of 800 uS: the ramps follow each other
    assert data.header.conditions.read_volts == 0.1
    assert "by continuity" in data.header.provenance["columns.sequence"]
    assert imported(*paths, unit="ampere", read_volts=0.1, first="down").rows == data.rows
    text = refusal(*paths, unit="ampere", read_volts=0.1, first="up")
    assert "--first up: contradicts the values" in text
    assert "remedy: --first down" in text


@pytest.mark.parametrize(
    ("options", "flag"),
    [({}, "--unit siemens"), ({"unit": "ampere"}, "--read-volts 0.1")],
)
def test_units_are_never_guessed(options: dict[str, object], flag: str) -> None:
    for form, names in (
        ("aihwkit", ["reram-pulse-response/gong_et_al.csv"]),
        ("crosssim", ["set-reset-ramps/set.csv", "set-reset-ramps/reset.csv"]),
        ("digitised", ["molecular-memristor/SaturationCurrent.csv"]),
    ):
        if form != "digitised":
            assert flag in refusal(*names, form=form, **options)
        else:
            assert flag in refusal(*names, form=form, pulses=100, **options)


def test_read_noise() -> None:
    data = imported(
        "rram-noise-and-bake/tsdata_ranges_0_16_24.tsv.gz", form="table", mapping="rram-noise"
    )
    assert (data.kind, data.rows, len(data.cells)) == ("read_noise", 600, 3)
    level, time = columns(data, "level", "time_seconds")
    assert level == [0] * 200 + [16] * 200 + [24] * 200
    assert time[:3] == [0, 0.0025, 0.005]
    assert time[200] == 0
    np.testing.assert_allclose(data.state[0], 5.953369680980220152e-06, rtol=0)
    assert "fs 400 Hz" in data.header.provenance["columns.time_seconds"]


def test_bake() -> None:
    data = imported("rram-noise-and-bake/bake.tsv.gz", form="table", mapping="rram-bake")
    assert (data.kind, data.rows) == ("retention", 40)
    assert data.cells.tolist() == [80000, 80001, 80002, 80003]
    (temperature,) = columns(data.select(data.columns["cell"] == 80000), "temperature_kelvin")
    np.testing.assert_allclose(temperature, np.repeat([373.15, 413.15, 453.15, 493.15, 533.15], 2))
    _, first = next(data.by_cell())
    assert first.columns["repeat"].tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
    assert first.columns["time_seconds"][0::2].tolist() == [0] * 5
    assert first.state[0] == 0.00011151227995192937


def test_relaxation() -> None:
    data = imported(
        "rram-relaxation/relaxdata_10k.min.tsv.gz", form="table", mapping="rram-relaxation"
    )
    assert (data.kind, len(data.cells)) == ("retention", 8)
    _, first = next(data.by_cell())
    assert (np.diff(first.columns["time_seconds"]) > 0).all()
    assert first.columns["initial_siemens"][0] == first.state[0] == 8.261946839874293e-06


def test_partial_reset() -> None:
    path = "pcm-partial-reset/partial_reset_pcm.csv"
    data = imported(path, form="table", mapping="pcm-partial-reset")
    repeat, sequence, volts = columns(data, "repeat", "sequence", "amplitude_volts")
    assert repeat == [0] * 40 + [1] * 40
    assert sequence == [*range(40)] * 2
    assert sorted(set(volts)) == [round(1 + 0.05 * i, 2) for i in range(40)]
    assert data.columns["resistance_ohms"][0] == 39847.46
    np.testing.assert_allclose(data.state[0], 1 / 39847.46)


def test_array_map() -> None:
    path, options = "resistor-array-map/Figure_1.xlsx", {"kind": "array_map", "unit": "uS"}
    data = imported(path, sheet="input weight", **options)
    assert data.rows == 64
    value = data.state.reshape(8, 8)
    assert value[0].tolist()[:4] == [0, 0, 0, 0]  # zeros are open cells, not gaps
    np.testing.assert_allclose(value[0, 4], 13.31296730041504e-6)
    assert columns(data, "row", "col")[1] == [*range(8)] * 8
    assert "remedy: say which one: --sheet 'input weight'" in refusal(path, **options)
    text = refusal(path, sheet="weights", **options)
    assert "its sheets are 'input weight', 'hidden weight'" in text
    assert "--kind array_map" in refusal(path, sheet="input weight", unit="uS")
    assert "--unit siemens" in refusal(path, sheet="input weight", kind="array_map")


def test_forming() -> None:
    path = "resistor-array-map/Extended_Data_Figure_1.xlsx"
    data = imported(path, kind="forming", unit="volt")
    volts = data.columns["breakdown_volts"]
    assert len(volts) == 400
    assert abs(volts.mean() - 3.433) < 0.0005
    assert len(np.unique(volts)) == 28
    assert "forming voltages are in volts" in refusal(path, kind="forming", unit="siemens")


def test_summaries() -> None:
    data = imported("mos2-memristors/processedTable.csv", form="table", mapping="mos2-devices")
    ohms = data.columns["resistance_ohms"]
    assert np.count_nonzero(np.isnan(ohms)) >= 3  # dead devices
    assert data.header.labels["chip"][0].startswith("Chip#")
    assert set(np.round(data.columns["area_square_metres"] * 1e12)) <= {4, 36, 144, 324}
    path = "mos2-memristors/memeffect_sweep_aug30.csv"
    data = imported(path, form="table", mapping="mos2-sweeps")
    assert "Chip#14-FA4-T12" in data.header.labels["cell"]
    states = data.header.labels["switching_state"]
    switched = data.columns["switching_state"] == states.index("switched")
    assert data.columns["set_volts"][switched].tolist() == [3.3737]
    assert np.isnan(data.columns["set_volts"][~switched]).all()
    assert data.columns["time_seconds"].min() == 0
    assert 44 in data.columns["run"]


def test_digitised() -> None:
    options = {"unit": "normalised", "pulses": 100}
    data = imported("molecular-memristor/SaturationCurrent.csv", **options)
    top = int(np.argmax(data.state))
    assert np.isclose(data.state[top], 7.13, atol=0.01)
    assert (data.columns["direction"] == np.where(np.arange(30) <= top, 1, -1)).all()
    assert data.columns["pulse"][top + 1] > 0
    assert not data.header.conditions.noise_in_values
    assert data.header.notes["x_max"] == "100.0"
    assert data.header.notes["y_tick"].count(";") == 3
    assert data.state.min() < 0  # an error of the plot's axis, kept
    text = refusal("molecular-memristor/SaturationCurrent.csv", unit="normalised")
    assert "--pulses 100" in text


ARC1 = """session,x
free
Wordline,Bitline,Resistance,Amplitude (V),Pulse width (s),Tag,ReadTag,ReadVoltage
1,2,50000,0,0.0,S R,R2,0.5
1,2,40000,1.2,1e-06,P,R2,0.5
3,1,90000,0,0.0,S R,R2,0.5
1,2,30000,1.2,1e-06,P,R2,0.5
1,2,20000,1.2,1e-06,P,R2,0.5
1,2,15000,1.2,1e-06,P,R2,0.5
1,2,12000,1.2,1e-06,P,R2,0.5
1,2,12100,0,0.0,S R,R2,0.5
1,2,25000,-1.3,1e-06,P,R2,0.5
1,2,30000,-1.3,1e-06,P,R2,0.5
1,2,40000,-1.3,1e-06,P,R2,0.5
1,2,50000,-1.3,1e-06,P,R2,0.5
1,2,30000,1.2,1e-06,P,R2,0.5
"""


@pytest.fixture
def write(tmp_path: Path):
    def write_file(name: str, content: str | bytes) -> Path:
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write_file


def arc1(*amplitudes: str) -> str:
    rows = [*ARC1.splitlines()]
    return "\n".join(row for row in rows if not row.startswith("3,1")) + "\n"


def test_arc1(write) -> None:
    path = write("arc1.csv", arc1())
    assert detect(path) == "arc1"
    data = imported(path, kind="pulse_response", unit="ohm")
    assert (data.columns["row"][0], data.columns["col"][0]) == (0, 1)
    direction, repeat, pulse = columns(data, "direction", "repeat", "pulse")
    assert direction == [0, 1, 1, 1, 1, 1, 1, -1, -1, -1, -1, 1]
    assert repeat == [0] * 11 + [1]
    assert pulse == [0, 1, 2, 3, 4, 5, 5, 1, 2, 3, 4, 1]
    assert data.columns["read_volts"][0] == 0.5
    np.testing.assert_allclose(data.state[0], 2e-5)
    assert "--kind pulse_response" in refusal(path, unit="ohm")
    assert "--unit siemens" in refusal(path, kind="pulse_response")
    swapped = refusal(path, kind="pulse_response", unit="ohm", polarity="swapped")
    assert "moves against the direction" in swapped
    ramp = arc1().replace("40000,1.2", "40000,1.1")
    text = refusal(write("ramp.csv", ramp), kind="pulse_response", unit="ohm")
    assert "pulses up have 2 amplitudes, 1.1 to 1.2 V" in text
    assert "--kind amplitude_response" in text


def test_cells_of_a_tester_are_told_apart(write) -> None:
    # The second cell has one read, too few for anything.
    text = refusal(write("arc1.csv", ARC1), kind="pulse_response", unit="ohm")
    assert "cell 1: 1 rows: pulse_response needs at least 10 per cell; 1 of 2 cells" in text


def arc2_file(path: Path, **changes: object) -> Path:
    kinds = [(n, "<f4") for n in ("current", "voltage", "pulse_width", "read_voltage")]
    rows = np.zeros(20, [*kinds, ("op_type", "<u4")])
    values = [
        (1e-6 * (i + 1), 1.5 if i else 0, 1e-6 if i else 0, 0.2, 3 if i else 1) for i in range(12)
    ]
    rows[:12] = values
    rows[5] = (0, 1.5, 1e-6, 0, 2)  # a pulse without a read
    with h5py.File(path, "w") as store:
        store.attrs["H5DS_VERSION_MAJOR"], store.attrs["H5DS_VERSION_MINOR"] = 0, 2
        for name in ("W03B05", "W01B02"):
            series = store.create_dataset(f"crosspoints/{name}/timeseries", data=rows)
            series.attrs["NROWS"] = 12
        for name, value in changes.items():
            store.attrs[name] = value
    return path


def test_arc2(tmp_path: Path) -> None:
    path = arc2_file(tmp_path / "arc2.h5")
    assert detect(path) == "arc2"
    data = imported(path, kind="pulse_response")
    assert data.rows == 24
    _, first = next(data.by_cell())
    assert (first.columns["row"][0], first.columns["col"][0]) == (1, 2)
    assert first.columns["pulse"].tolist() == [*range(12)]
    assert np.isnan(first.state[5])
    np.testing.assert_allclose(first.state[3], 4e-6 / 0.2)


def test_arc2_of_other_forms(tmp_path: Path) -> None:
    path = arc2_file(tmp_path / "new.h5", H5DS_VERSION_MINOR=3)
    assert "is of version 0.3; up to 0.2" in refusal(path, kind="pulse_response")
    path = arc2_file(tmp_path / "links.h5")
    with h5py.File(path, "a") as store:
        del store["crosspoints/W03B05/timeseries"]
        store["crosspoints/W03B05/timeseries"] = h5py.ExternalLink("other.h5", "/x")
    assert "ExternalLink: links are not followed" in refusal(path, kind="pulse_response")
    with h5py.File(path, "a") as store:
        del store["crosspoints"]
        store["crosspoints"] = h5py.SoftLink("/x")
    assert "crosspoints: is missing, or a link" in refusal(path, kind="pulse_response")
    text = DATA / "set-reset-ramps/set.csv"
    assert "is no HDF5 file" in refusal(text, form="arc2", kind="pulse_response")


PYMEASURE = """#Procedure: <lab.IV>
#Parameters:
#\tCompliance: 0.001 A
#\tDevice: A7
#Data:
Voltage (V),Current (uA),Time (s)
0.0,0.1,0
0.1,10.5,0.1
0.2,21,0.2
0.1,14,0.3
"""


def test_pymeasure(write) -> None:
    path = write("iv.csv", PYMEASURE)
    assert detect(path) == "pymeasure"
    data = imported(path, kind="iv")
    assert data.header.notes["Compliance"] == "0.001 A"
    np.testing.assert_allclose(data.columns["current_amperes"], [1e-7, 10.5e-6, 21e-6, 14e-6])
    assert columns(data, "read_volts", "sequence") == [[0, 0.1, 0.2, 0.1], [0, 1, 2, 3]]
    for old, new, message in (
        ("(uA)", "", "column 'Current': has no unit in brackets"),
        ("Current (uA)", "Light (lm)", "unit 'lm' is not known"),
        ("Time (s)", "Gate (V)", "a second column of V"),
        ("Time (s)", "R (ohm)", "one is the measured one"),
    ):
        other = write("other.csv", PYMEASURE.replace(old, new))
        assert message in refusal(other, kind="iv")
    assert "--kind iv" in refusal(path)


def test_several_files_are_cells_or_repeats(write) -> None:
    paths = [write(f"{i}.csv", PYMEASURE) for i in range(3)]
    assert "--each cell or --each repeat" in refusal(*paths, kind="iv")
    cells = imported(*paths, kind="iv", each="cell")
    assert cells.cells.tolist() == [0, 1, 2]
    repeats = imported(*paths, kind="iv", each="repeat")
    assert repeats.cells.tolist() == [0]
    assert np.unique(repeats.columns["repeat"]).tolist() == [0, 1, 2]
    assert repeats.header.provenance["columns.repeat"] == "assumed: --each repeat at import"
    assert "2.csv" in repeats.header.sources["file3"]


MAPPING = """schema_version: 1
kind: mapping
measured: pulse_response
file: {delimiter: semicolon, skip_lines: 1, decimal: comma, comment: "%"}
columns:
  cell: {from: dev, labels: true}
  repeat: {value: 0}
  sequence: {count: rows}
  direction: {from: dir}
  pulse: {from: n}
  width_seconds: {from: w, unit: us}
  conductance_siemens: {from: G, unit: nS, scale: 2}
ignore: [note]
"""
TABLE = "free\ndev;dir;n;w;G;note\n% comment\n" + "".join(
    f"{d};{1 if n < 6 else -1};{n};0,5;{n if n < 6 else 12 - n},5;x\n"
    for d in "AB"
    for n in range(12)
)


def test_tables_of_ones_own(write) -> None:
    mapping, path = write("map.yaml", MAPPING), write("x.txt", TABLE)
    data = imported(path, form="table", mapping=str(mapping), warns=False)
    assert data.header.labels == {"cell": ("A", "B")}
    assert data.columns["width_seconds"][0] == 0.5e-6
    np.testing.assert_allclose(data.state[:3], [1e-9, 3e-9, 5e-9])
    assert data.columns["sequence"].tolist() == [*range(12)] * 2
    with h5py.File(path.parent / "x.h5", "w") as store:
        for name in ("cell", "direction", "pulse", "conductance_siemens"):
            store[f"run/{name}"] = data.columns[name]
    text = MAPPING.replace(
        'delimiter: semicolon, skip_lines: 1, decimal: comma, comment: "%"', "format: hdf5"
    )
    for old, new in (
        ("dev, labels: true", "run/cell"),
        ("from: dir", "from: run/direction"),
        ("from: n", "from: run/pulse"),
        ("from: G, unit: nS, scale: 2", "from: run/conductance_siemens, unit: S"),
        ("  width_seconds: {from: w, unit: us}\n", ""),
        ("ignore: [note]\n", ""),
    ):
        assert old in text
        text = text.replace(old, new)
    again = imported(path.parent / "x.h5", form="table", mapping=str(write("h5.yaml", text)))
    np.testing.assert_array_equal(again.state, data.state)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("unit: us", "unit: uS", "columns.width_seconds.unit: 'uS' is a unit of S, not of s"),
        (", unit: us", "", "columns.width_seconds.unit: is missing"),
        ("ignore: [note]", "", "column 'note': the mapping does not mention"),
        ("from: G", "from: Gg", "'Gg': is no column; the file has 6"),
        ("{value: 0}", "{value: 0, from: n}", "columns.repeat: should have exactly one of from"),
        ("{count: rows}", "{count: restarts}", "of: goes with count"),
        ("pulse: {", "pulze: {", "columns.pulze: is no known column; give meaning and as_unit"),
        ("pulse: {", "pulze: {", "did you mean pulse?"),
        ("measured", "mesured", "mesured: 'pulse_response': is no field"),
        ("decimal: comma", "decimal: point", "column w: '0,5': has a decimal comma"),
        ("skip_lines: 1, ", "", "'dev': is no column; the file has 1: 'free'"),
    ],
)
def test_mappings_that_do_not_fit(write, old: str, new: str, message: str) -> None:
    assert old in MAPPING
    mapping = write("map.yaml", MAPPING.replace(old, new, 1))
    path = write("x.txt", TABLE)
    assert message in refusal(path, form="table", mapping=str(mapping))


def test_mappings_by_name() -> None:
    text = refusal("set-reset-ramps/set.csv", form="table", mapping="quux")
    assert "mappings: mos2-devices," in text
    assert "--mapping my-table.yaml" in refusal("set-reset-ramps/set.csv", form="table")


def test_every_fact_that_is_given_is_used() -> None:
    path = "reram-pulse-response/gong_et_al.csv"
    text = refusal(path, form="aihwkit", unit="normalised", sheet="1", first="up")
    assert "--first, --sheet: aihwkit files have no use for it" in text
    assert "--each cell: is for several files" in refusal(
        path, form="aihwkit", unit="normalised", each="cell"
    )
    text = refusal(path, form="aihwkit", unit="normalised", up_volts=1.0)
    assert "a pulse shape needs --down-volts, --width too" in text
    data = imported(
        path,
        form="aihwkit",
        unit="normalised",
        up_volts=1.2,
        down_volts=-1.1,
        width_seconds=1e-7,
        read_volts=0.1,
        name="gong",
        assume={"conditions.temperature_kelvin": "300", "device.stack": "TiN/HfO2"},
    )
    header = data.header
    assert header.name == "gong"
    assert header.shapes["set"].down.amplitude_volts == -1.1
    assert (header.conditions.temperature_kelvin, header.device.stack) == (300, "TiN/HfO2")
    for path_, said in (
        ("shapes.set", "--up-volts 1.2 --down-volts -1.1 --width 1e-07"),
        ("conditions.read_volts", "--read-volts 0.1"),
        ("conditions.temperature_kelvin", "--assume conditions.temperature_kelvin=300"),
    ):
        assert header.provenance[path_] == f"assumed: {said} at import"
    for wrong in ("name", "conditions.temperature", "quux.x"):
        assert wrong.split(".")[-1] in refusal(
            "reram-pulse-response/gong_et_al.csv",
            form="aihwkit",
            unit="normalised",
            assume={wrong: "300"},
        )


def test_formats_are_detected_only_where_there_is_no_other() -> None:
    text = refusal("reram-pulse-response/gong_et_al.csv", unit="normalised")
    assert "the content may be of several formats" in text
    assert f"--format {'|'.join(FORMATS)}" in text
    assert "did you mean aihwkit?" in refusal("set-reset-ramps/set.csv", form="aihwkt")


def test_imports_survive_the_disk(tmp_path: Path) -> None:
    data = imported(
        "rram-relaxation/relaxdata_10k.min.tsv.gz", form="table", mapping="rram-relaxation"
    )
    header = characterization.save(data, tmp_path / "x.yaml")
    loaded = characterization.load(tmp_path / "x.yaml")
    assert loaded.header == header
    np.testing.assert_array_equal(loaded.state, data.state)


@pytest.mark.parametrize(
    ("text", "base", "factor"),
    [
        ("siemens", "S", 1),
        ("uS", "S", 1e-6),
        ("µS", "S", 1e-6),
        ("microsiemens", "S", 1e-6),
        ("kohm", "ohm", 1e3),
        ("MΩ", "ohm", 1e6),
        ("nA", "A", 1e-9),
        ("ms", "s", 1e-3),
        ("mV", "V", 1e-3),
        ("normalised", "device unit", 1),
        ("um2", "m2", 1e-12),
    ],
)
def test_units(text: str, base: str, factor: float) -> None:
    assert (unit(text).base, unit(text).factor) == (base, factor)


def test_units_of_temperature_and_none() -> None:
    assert unit("degC").offset == 273.15
    for text in ("", "quux", "us iemens", "kS S", "siemen"):
        with pytest.raises(ConfigurationError, match="is not known"):
            unit(text)
    with pytest.raises(ConfigurationError, match="is no unit of a conductance"):
        state_column("volt")


def test_trains() -> None:
    direction, repeat, pulse = trains(np.array([0, 0, -1, 0, -1, 1, 1, 0, -1, 1]))
    assert direction.tolist() == [0, 0, -1, -1, -1, 1, 1, 1, -1, 1]
    assert repeat.tolist() == [0, 0, 0, 0, 0, 0, 0, 0, 1, 1]
    assert pulse.tolist() == [0, 0, 1, 1, 2, 1, 2, 2, 1, 1]
