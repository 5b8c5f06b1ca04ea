"""Bad input: imported rightly, or refused by line and column; no partial file is left."""

import gzip
import io
import json
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwloop import characterization
from hwloop.characterization.importers import Options, import_files
from hwloop.characterization.importers.fields import number
from hwloop.characterization.importers.workbook import reference
from hwloop.cli import main
from hwloop.errors import ConfigurationError

DATA = Path(__file__).parents[1] / "data" / "measured"
UP = [10 + i for i in range(20)]
GOOD = "".join(f"{up},{down}\n" for up, down in zip(UP, UP[::-1], strict=True))
"""A pulse response up and down, 20 pulses, in uS."""

Import = Callable[..., tuple[int, str]]


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Import:
    """Import bytes with the command; return exit code and what it said."""

    def run_import(content: bytes | str, *flags: str, name: str = "x.csv") -> tuple[int, str]:
        source = tmp_path / name
        source.write_bytes(content if isinstance(content, bytes) else content.encode())
        words = ["--format", "aihwkit", "--unit", "uS"] if not flags else list(flags)
        code = main(["device", "import", str(source), "--out", str(tmp_path / "out.yaml"), *words])
        left = {path.name for path in tmp_path.iterdir()} - {name}
        assert left == ({"out.yaml", "out.table.csv"} if code == 0 else set())
        out, err = capsys.readouterr()
        assert "Traceback" not in err
        return code, out + err

    return run_import


def state(tmp_path: Path) -> list[float]:
    return (characterization.load(tmp_path / "out.yaml").state * 1e6).round(9).tolist()


@pytest.mark.parametrize(
    "content",
    [
        "\ufeff" + GOOD,
        GOOD.replace("\n", "\r\n"),
        GOOD.replace("\n", "\r"),
        GOOD.rstrip("\n"),
        GOOD + "\n\n  \n",
        gzip.compress(GOOD.encode()),
        GOOD.replace(",", " , "),
        "".join(f'"{a}","{b}"\n' for a, b in (line.split(",") for line in GOOD.splitlines())),
    ],
    ids=["BOM", "CRLF", "CR", "no end", "blank lines", "gzip", "spaces", "quotes"],
)
def test_imported_rightly(run: Import, tmp_path: Path, content: bytes | str) -> None:
    assert run(content)[0] == 0
    assert state(tmp_path) == [*UP, *UP[::-1]]


def test_decimal_commas_and_other_delimiters(run: Import, tmp_path: Path) -> None:
    content = "".join(f"{up},5;{down},5\n" for up, down in zip(UP, UP[::-1], strict=True))
    flags = ("--format", "aihwkit", "--unit", "uS", "--delimiter", "semicolon")
    code, said = run(content, *flags)
    assert code == 2
    assert "line 1, column 1: '10,5': has a decimal comma" in said
    assert "remedy: give --decimal comma" in said
    assert run(content, *flags, "--decimal", "comma")[0] == 0
    assert state(tmp_path)[0] == 10.5


@pytest.mark.parametrize(
    ("old", "new", "where", "remedy"),
    [
        ("12,", "12,7,", "line 3: 3 fields: should be 2", "mend or remove the line"),
        ("12,", "", "line 3: 1 fields: should be 2", "mend or remove the line"),
        ("12,", ",", "line 3, column 1: '': is empty", "fill it in"),
        ("12,", "NaN,", "line 3, column 1: 'NaN': is not a number", "fill it in"),
        ("12,", "#N/A,", "line 3, column 1: '#N/A': is not a number", "fill it in"),
        ("12,", "inf,", "line 3, column 1: 'inf': is infinite", "an overflow"),
        ("12,", "overload,", "line 3, column 1: 'overload': should be a number", ""),
        ("12,", "=A1+1,", "line 3, column 1: '=A1+1': is a formula", "paste as values"),
        ("12,", '"1,234",', "line 3, column 1: '1,234': has a thousands sep", "--decimal comma"),
        ("12,", "1'234,", "'1': has a thousands separator or", ""),
        (
            "12,",
            "1 234.5,",
            "line 3, column 1: '1 234.5': has a thousands sep",
            "without thousands",
        ),
        ("12,", '"12,5",', "line 3, column 1: '12,5': has a decimal comma", "--decimal comma"),
        ("12,", "12 uS,", "line 3, column 1: '12 uS': should be a number", "plain numbers"),
        ("12,", "1_2,", "line 3, column 1: '1_2': should be a number", ""),
        ("12,", "0x12,", "line 3, column 1: '0x12': should be a number", ""),
        ("12,", "-12,", "line 3, column 1: -1.2e-05: is a conductance or", "correct the sign"),
    ],
)
def test_refused_by_line_and_column(
    run: Import, old: str, new: str, where: str, remedy: str
) -> None:
    code, said = run(GOOD.replace(old, new, 1))
    assert code == 2
    if new == "1'234,":
        where = 'line 3, column 1: "1\'234": has a thousands separator'
    assert where in said
    assert remedy in said


def test_all_problems_are_named(run: Import) -> None:
    code, said = run(GOOD.replace("12,", "=1,").replace("15,", "x,").replace("11,", "1,2,"))
    assert code == 2
    assert all(f"line {line}" in said for line in (2, 3, 6))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"  \n\n", "is empty"),
        (b"\xef\xbb\xbf\n", "holds no rows"),
        (bytes(range(256)) * 10, "holds a zero byte"),
        (GOOD.encode() + b"\0", "line 21: holds a zero byte"),
        (pickle.dumps([1.0]), "is a pickle, not text"),
        (GOOD.encode("utf-16"), "is UTF-16 text, not text"),
        (b"1,2,3\n", "has 3 columns; this form has two"),
        (gzip.compress(GOOD.encode() * 100)[:-20], "the gzip file is broken off or damaged"),
        (gzip.compress(GOOD.encode())[:-6] + b"\1\2\3\4\5\6", "broken off or damaged"),
        (b"\x1f\x8b" + b"x" * 50, "the gzip file is broken off or damaged"),
    ],
)
def test_files_that_hold_no_table(run: Import, content: bytes, message: str) -> None:
    code, said = run(content)
    assert code == 2
    assert message in said


def test_object_arrays_are_refused(run: Import) -> None:
    plain, objects = io.BytesIO(), io.BytesIO()
    np.savez(plain, x=np.array([1, None], object))
    np.save(objects, np.array([1, None], object))
    assert "is a zip archive: an .xlsx workbook or an .npz, not text" in run(plain.getvalue())[1]
    assert "is a file of numpy, not text" in run(objects.getvalue())[1]
    code, said = run(plain.getvalue(), "--format", "xlsx", "--kind", "array_map", "--unit", "uS")
    assert (code, "is an archive of numpy, no workbook" in said) == (2, True)


def test_huge_lines_and_bombs(run: Import, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hwloop.characterization.importers.sources.LONGEST_LINE", 1 << 20)
    code, said = run(b"1," * (2 << 20))
    assert (code, "line 1: is longer than 1048576 bytes" in said) == (2, True)
    monkeypatch.setattr("hwloop.characterization.importers.sources.SMALL", 1 << 20)
    code, said = run(gzip.compress(b"1,2\n" * (1 << 19), 9))
    assert (code, "unpacks to more than" in said) == (2, True)


def test_header_only(run: Import) -> None:
    flags = ("--format", "table", "--mapping", "pcm-partial-reset")
    code, said = run("R,V\r\n", *flags)
    assert (code, "holds no rows below its names" in said) == (2, True)
    code, said = run("R,R\n1,2\n", *flags)
    assert (code, "line 1: 'R': is the name of two columns" in said) == (2, True)


def test_swapped_polarity(run: Import, tmp_path: Path) -> None:
    swapped = "".join(",".join(line.split(",")[::-1]) + "\n" for line in GOOD.splitlines())
    code, said = run(swapped)
    assert code == 2
    assert "moves against the direction in 2 of 2 trains" in said
    assert "import it with --polarity swapped" in said
    flags = ("--format", "aihwkit", "--unit", "uS", "--polarity", "swapped")
    assert run(swapped, *flags)[0] == 0
    assert state(tmp_path) == [*UP, *UP[::-1]]


def test_compliance_plateaus_are_imported_with_a_warning(run: Import) -> None:
    flat = "".join(f"{min(up, 20)},{30 - i}\n" for i, up in enumerate(UP))
    code, said = run(flat.replace("30\n", "20\n").replace(",2", ",1"))
    assert code == 0
    assert "warning: conductance_siemens, row 11" in said
    assert "column `limited`" in said


def test_duplicated_times(run: Import) -> None:
    rows = gzip.decompress(
        (DATA / "rram-relaxation/relaxdata_10k.min.tsv.gz").read_bytes()
    ).decode()
    first = rows.splitlines()[0]
    code, said = run(rows + first + "\n", "--format", "table", "--mapping", "rram-relaxation")
    assert code == 2
    assert "time_seconds, row 2: 0: is given twice for its cell and repeat (1 rows)" in said


def test_negative_resistances(run: Import) -> None:
    rows = (DATA / "pcm-partial-reset/partial_reset_pcm.csv").read_text()
    flags = ("--format", "table", "--mapping", "pcm-partial-reset")
    code, said = run(rows.replace("\n53393.42", "\n-53393.42"), *flags)
    assert code == 2
    assert "line 5, column R: -53393.4: is a conductance or resistance that no cell has" in said


def test_ragged_ramps(tmp_path: Path) -> None:
    (tmp_path / "set.csv").write_text("rmp1,rmp2\n1,2\n,3\n3,4\n")
    (tmp_path / "reset.csv").write_text("rmp1,rmp2\n1,2\n2,3\n")
    paths = [tmp_path / "set.csv", tmp_path / "reset.csv"]
    with pytest.raises(ConfigurationError, match="row 2, column rmp1: is empty; only the end"):
        import_files(paths, "crosssim", Options(unit="uS"))
    with pytest.raises(ConfigurationError, match="takes two files, one with `reset`"):
        import_files(paths[:1], "crosssim", Options(unit="uS"))


def test_ramps_whose_order_the_values_leave_open(tmp_path: Path) -> None:
    ramps = "rmp1,rmp2\n" + "".join(f"{i},{i}\n" for i in range(10, 30))
    (tmp_path / "set.csv").write_text(ramps)
    (tmp_path / "reset.csv").write_text("\n".join([ramps.split()[0], *ramps.split()[:0:-1]]))
    paths = [tmp_path / "set.csv", tmp_path / "reset.csv"]
    with pytest.raises(ConfigurationError) as caught:
        import_files(paths, "crosssim", Options(unit="uS"))
    assert "does not say which ramp is first, nor do the values" in str(caught.value)
    found = import_files(paths, "crosssim", Options(unit="uS", first="up")).measurement
    assert found.columns["direction"][0] == 1


def workbook(path: Path, rows: str, extra: dict[str, str] | None = None, head: str = "") -> Path:
    main_space = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    relation = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    parts = {
        "xl/workbook.xml": f'<workbook xmlns="{main_space}" xmlns:r="{relation}"><sheets>'
        '<sheet name="S" sheetId="1" r:id="rId1"/></sheets></workbook>',
        "xl/_rels/workbook.xml.rels": '<Relationships><Relationship Id="rId1" '
        'Target="worksheets/sheet1.xml"/></Relationships>',
        "xl/worksheets/sheet1.xml": f'{head}<worksheet xmlns="{main_space}"><sheetData>{rows}'
        "</sheetData></worksheet>",
        **(extra or {}),
    }
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in parts.items():
            archive.writestr(name, text)
    return path


def cells(*values: str) -> str:
    return "".join(values)


def sheet(tmp_path: Path, rows: str, **options: object) -> object:
    path = workbook(tmp_path / "x.xlsx", rows, **options)
    return import_files([path], None, Options(kind="array_map", unit="uS"))


GRID = (
    '<row><c r="A1"><v>1.5</v></c><c r="B1"><v>2.5</v></c></row>'
    '<row><c r="A2"><v>3.5</v></c><c r="B2"><f>A1*3</f><v>4.5</v></c></row>'
)


def test_formulas_count_by_their_cached_values(tmp_path: Path) -> None:
    found = sheet(tmp_path, GRID)
    np.testing.assert_allclose(found.measurement.state, [1.5e-6, 2.5e-6, 3.5e-6, 4.5e-6])
    assert "1 cells are formulas; their cached values count" in found.warnings[0]
    assert "1 cells are formulas" in found.measurement.header.notes["formulas"]
    with pytest.raises(ConfigurationError, match="B2: is a formula without a cached value"):
        sheet(tmp_path, GRID.replace("<v>4.5</v>", ""))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"B1"><v>2.5', '"B1" t="e"><v>#DIV/0!', "B1: '#DIV/0!': is an error of the spreadsheet"),
        ('"B1"><v>2.5', '"B1" t="str"><v>open', "B1: 'open': should be a number"),
        ('"B1"><v>2.5', '"B1" t="s"><v>0', "B1: 'title': should be a number"),
        ('"B1"><v>2.5', '"B1" t="s"><v>7', "B1: '7': should be a number"),
        ('"B1"><v>2.5', '"B1"><v>2,5', "B1: '2,5': should be a number"),
        ('"B2"', '"XFD1048576"', "is mostly empty"),
        ('"B2"', '"2B"', "'2B': is no cell"),
        ('<c r="A1"><v>1.5</v></c>', "", "A1 is empty, but above and beside"),
        ("</row>", "</raw>", "cannot be read"),
        (GRID, "", "is empty"),
    ],
)
def test_sheets_that_are_no_grid(tmp_path: Path, old: str, new: str, message: str) -> None:
    strings = {"xl/sharedStrings.xml": "<sst><si><t>title</t></si></sst>"}
    assert old in GRID
    with pytest.raises(ConfigurationError) as caught:
        sheet(tmp_path, GRID.replace(old, new, 1), extra=strings)
    assert message in str(caught.value)


def test_entities_are_refused(tmp_path: Path) -> None:
    head = '<!DOCTYPE x [<!ENTITY a "1"><!ENTITY b "&a;&a;">]>'
    with pytest.raises(ConfigurationError, match="document types"):
        sheet(tmp_path, GRID.replace("1.5", "&b;"), head=head)


def test_no_file_is_replaced_unasked(run: Import, tmp_path: Path) -> None:
    assert run(GOOD)[0] == 0
    before = (tmp_path / "out.yaml").read_bytes()
    words = ["device", "import", str(tmp_path / "x.csv"), "--out", str(tmp_path / "out.yaml")]
    words += ["--format", "aihwkit", "--unit", "nS"]
    assert main(words) == 2
    assert (tmp_path / "out.yaml").read_bytes() == before
    assert main([*words, "--dry-run"]) == 0
    assert (tmp_path / "out.yaml").read_bytes() == before
    assert main([*words, "--force"]) == 0
    assert (tmp_path / "out.yaml").read_bytes() != before


def test_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = tmp_path / "x.csv"
    source.write_text(GOOD)
    words = ["device", "import", str(source), "--out", str(tmp_path / "out.yaml"), "--json"]
    words += ["--format", "aihwkit", "--unit", "uS"]
    assert main(words) == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["kind"], facts["rows"], facts["cells"]) == ("pulse_response", 40, 1)
    assert facts["assumed"]["columns.conductance_siemens"] == "assumed: --unit uS at import"
    assert main(words) == 2
    assert "--force replaces it" in json.loads(capsys.readouterr().out)["error"]["remedy"]


@settings(max_examples=60, deadline=None)
@given(content=st.binary(max_size=300) | st.text("0123456789.,-+eE \t\n\r\"'=;#N", max_size=200))
def test_any_file_is_imported_or_refused_politely(
    tmp_path_factory: pytest.TempPathFactory, content: bytes | str
) -> None:
    path = tmp_path_factory.mktemp("any") / "x.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    for form, options in (
        ("aihwkit", Options(unit="normalised")),
        ("table", Options(mapping="pcm-partial-reset")),
        ("pymeasure", Options(kind="iv")),
        ("xlsx", Options(kind="array_map", unit="uS")),
    ):
        try:
            found = import_files([path], form, options).measurement
        except ConfigurationError as error:
            assert str(error)
        else:
            assert np.isfinite(found.state).all()


@given(value=st.floats(allow_nan=False, allow_infinity=False), decimal=st.sampled_from(".,"))
def test_numbers_are_read_as_they_are_written(value: float, decimal: str) -> None:
    assert number(repr(value).replace(".", decimal), decimal) == (value, "", "")


def test_references() -> None:
    assert [reference(2, col) for col in (0, 25, 26, 701, 702)] == [
        "A3",
        "Z3",
        "AA3",
        "ZZ3",
        "AAA3",
    ]
