"""What is wrong with a device file is said with file, field, value and expectation."""

import json
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

import hwloop.device_file
from hwloop import device_file
from hwloop.device_file.load import LARGEST_FILE
from hwloop.errors import ConfigurationError

PRESETS = Path(hwloop.device_file.__file__).parent / "presets"
GOOD = (PRESETS / "soft-bounds-40.yaml").read_text()


def problem(text: str) -> str:
    with pytest.raises(ConfigurationError) as caught:
        device_file.parse(text, "hfo2.yaml")
    return str(caught.value)


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ("step: 0.05", "step: -0.1", "hfo2.yaml: model.step: -0.1: should be greater than 0"),
        ("step: 0.05", "step: '0.1'", "hfo2.yaml: model.step: '0.1': should be a valid number"),
        ("step: 0.05", "step: true", "hfo2.yaml: model.step: True: should be a valid number"),
        ("step: 0.05", "step: .nan", "hfo2.yaml: model.step: nan: should be a finite number"),
        ("step: 0.05", "step: .inf", "hfo2.yaml: model.step: inf: should be a finite number"),
        ("  step: 0.05\n", "", "hfo2.yaml: model.step: is missing"),
        (
            "  step: 0.05",
            "  stpe: 0.05",
            "hfo2.yaml: model.stpe: 0.05: is no field of a device file",
        ),
        ("  step: 0.05", "  stpe: 0.05", "remedy: did you mean step?"),
        ("up_down: 0.0", "up_down: 2", "model.up_down: 2: should be less than or equal to 1"),
        ("bound_max: 1.0", "bound_max: -1.0", "model.bound_max: -1.0: should be greater than"),
        ("kind: soft_bounds", "kind: soft", "model.kind: 'soft': should be one of constant_step,"),
        ("  kind: soft_bounds\n", "", "model.kind: is missing; should be one of constant_step,"),
        ("schema_version: 1", "schema_version: 2", "schema_version: 2: this library reads up to 1"),
        ("schema_version: 1", "schema_version: 2", "remedy: install a newer hwloop"),
        ("schema_version: 1\n", "", "schema_version: is missing"),
        ("kind: model", "kind: read_noise", "kind: 'read_noise': should be one of model"),
        ("  rasch2024: >-", "  rasch: >-", "should begin with a key of sources or with `assumed:`"),
        ("  model.step:", "  model.stap:", "provenance: model.stap: no field of this file"),
        (
            "limits: {}",
            "limits: {voltage_max: 0.5}",
            "shapes.set.up.amplitude_volts: 1 should be at most the file's own limit, 0.5",
        ),
        (
            "half_range_siemens: 4.0e-5",
            "half_range_siemens: 4.0",
            "conductance: half_range_siemens should be at most middle_siemens",
        ),
        ("step: 0.05", "step: 0.05\n  step: 0.06", "line 35, column 3: the key 'step' is given"),
        ("step: 0.05", "step: &s 0.05\n  write_noise: *s", "aliases are not allowed"),
    ],
)
def test_message(old: str, new: str, line: str) -> None:
    assert old in GOOD
    assert line in problem(GOOD.replace(old, new, 1))


def test_every_problem_has_its_line() -> None:
    text = GOOD.replace("step: 0.05", "step: -1").replace("read_volts: 0.2", "read_volts: low")
    lines = problem(text).splitlines()
    assert lines[0] == "hfo2.yaml: conductance.read_volts: 'low': should be a valid number"
    assert lines[1] == "hfo2.yaml: model.step: -1: should be greater than 0"


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity", "1e999"])
@pytest.mark.parametrize("field", ["step", "write_noise", "bound_max"])
def test_json_must_be_finite(field: str, value: str) -> None:
    content = yaml.safe_load(GOOD)
    content["model"][field] = "VALUE"
    text = json.dumps(content).replace('"VALUE"', value)
    assert f"model.{field}: " in problem(text)


def test_numbers_are_read_as_people_write_them() -> None:
    text = GOOD.replace("step: 0.05", "step: 5e-2").replace("bound_max: 1.0", "bound_max: 1")
    assert device_file.parse(text, "x").model == device_file.parse(GOOD, "x").model


def test_words_are_not_taken_for_other_types() -> None:
    text = GOOD.replace("name: soft-bounds-40", "name: no").replace(
        "technology: model", "technology: 2018-01-01"
    )
    device = device_file.parse(text, "x")
    assert (device.name, device.technology) == ("no", "2018-01-01")


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a: [", "hfo2.yaml: line 1, column 5: "),
        ("- 1", "hfo2.yaml: [1]: a device file should be a mapping"),
        ("", "hfo2.yaml: None: a device file should be a mapping"),
        ("[" * 100_000, "hfo2.yaml: nested too deeply"),
        ("!!python/object/apply:os.system [ls]", "could not determine a constructor"),
        ("{a: !!binary YQ==, schema_version: 1}", "hfo2.yaml: Object of type bytes"),
        ('{"a": 1, "a": 2}', "the key 'a' is given twice"),
        ("schema_version: 1\n? [1]\n: 2", "unhashable"),
    ],
)
def test_text_that_is_no_device_file(text: str, line: str) -> None:
    assert line in problem(text)


@given(text=st.text(max_size=60) | st.binary(max_size=60).map(lambda b: b.decode("latin-1")))
def test_any_text_is_refused_politely(text: str) -> None:
    with pytest.raises(ConfigurationError):
        device_file.parse(text, "x")


@given(data=st.data())
def test_any_value_is_refused_politely_or_kept(data: st.DataObject) -> None:
    content = yaml.safe_load(GOOD)
    where = data.draw(st.sampled_from([content, content["model"], content["conductance"]]))
    key = data.draw(st.sampled_from(sorted(where)))
    where[key] = data.draw(
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats()
        | st.text(max_size=3)
        | st.lists(st.integers(), max_size=2)
        | st.dictionaries(st.text(max_size=2), st.integers(), max_size=2)
    )
    try:
        device_file.parse(json.dumps(content), "x")
    except ConfigurationError as error:
        assert str(error).startswith("x: ")


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("reram-on", "remedy: did you mean reram-om? presets: capacitor, "),
        ("reram-on", "device 'reram-on': no preset has this name, and no file this path"),
        ("nothing.yaml", "nothing.yaml: there is no such file"),
        ("", "device '': no preset"),
        ("a\0b", "no preset has this name"),
        ("x" * 5000, "no preset has this name"),
        ("/", "/: is not a file"),
        ("reram-om,reference_sdt=1", "remedy: did you mean reference_std?"),
        ("reram-om,reference_sdt=1", "device reram-om: option 'reference_sdt' is unknown"),
        ("reram-om,reference_std", "option 'reference_std' is not key=value"),
        ("reram-om,reference_std=x", "option reference_std=x: should be a number"),
        ("reram-om,reference_std=-1", "model.reference.std: -1.0: should be greater than or equal"),
        ("reram-om,reference_std=nan", "model.reference.std: nan: should be a finite number"),
        ("reram-om,corrupt=2", "model.corrupt_probability: 2.0: should be less than or equal to 1"),
        ("ideal,corrupt=measured", "option corrupt=measured: the file states no measured share"),
        ("ideal,subtract_symmetry_point=yes", "subtract_symmetry_point=yes: should be true or"),
        ("ideal,subtract_symmetry_point=true", "have no symmetry point"),
        ("reram-om,states=0", "option states=0: should be greater than 0"),
    ],
)
def test_name_or_path(name: str, line: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        device_file.load(name)
    assert line in str(caught.value)


def test_file_that_is_no_text(tmp_path: Path) -> None:
    path = tmp_path / "device.yaml"
    path.write_bytes(b"name: \xff")
    with pytest.raises(ConfigurationError, match=r"is not UTF-8 text \(byte 6\)"):
        device_file.load(path)


def test_file_that_is_too_large(tmp_path: Path) -> None:
    path = tmp_path / "device.yaml"
    path.write_bytes(b"#" * (LARGEST_FILE + 1))
    with pytest.raises(ConfigurationError, match="is larger than a device file can be"):
        device_file.load(path)


def test_file_named_like_a_preset_is_found_by_its_path(tmp_path: Path) -> None:
    path = tmp_path / "ideal"
    path.write_text(GOOD)
    assert device_file.load(path).name == "soft-bounds-40"
    assert device_file.load(str(path)).name == "soft-bounds-40"
