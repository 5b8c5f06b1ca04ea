"""Device files survive saving and loading, and their digest tells them apart."""

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from hwloop import device_file
from hwloop.device_file import DeviceFile
from hwloop.errors import ConfigurationError

from .strategies import device_files


@pytest.mark.parametrize("suffix", ["yaml", "json"])
@given(device=device_files)
@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_load_returns_what_save_wrote(device: DeviceFile, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"device.{suffix}"
    device_file.save(device, path)
    again = device_file.load(path)
    assert again == device
    assert again.digest == device.digest
    assert again.default_shape == device.default_shape


@given(device=device_files)
@settings(max_examples=30, deadline=None)
def test_granularity_and_states_are_positive(device: DeviceFile) -> None:
    assert device.granularity > 0
    assert device.states > 0


def test_digest_does_not_depend_on_the_order_of_keys() -> None:
    device = device_file.load("reram-om")
    content = device.content()
    turned = DeviceFile.model_validate(dict(reversed(content.items())))
    assert turned.digest == device.digest


def test_digest_depends_on_which_shape_is_the_default() -> None:
    device = device_file.load("ideal")
    content = device.content()
    shape = content["shapes"]["set"]
    first, second = (
        DeviceFile.model_validate(content | {"shapes": dict.fromkeys(names, shape)})
        for names in (("set", "weak"), ("weak", "set"))
    )
    assert first.digest != second.digest
    assert first.default_shape == "set"
    assert second.default_shape == "weak"


def test_json_schema_describes_every_field() -> None:
    schema = DeviceFile.model_json_schema()
    json.dumps(schema)
    for name in ("SoftBounds", "LinearStep", "ExponentialStep", "PowerStep", "Conductance"):
        for field, entry in schema["$defs"][name]["properties"].items():
            assert field == "kind" or entry.get("description"), f"{name}.{field}"


@pytest.mark.parametrize(
    "text", ["Z\x85e", "a\u2028b", "a\r\nb", "\ufeffa", " a\n\n b ", "1e5", "no"]
)
def test_text_is_kept_to_the_character(text: str, tmp_path: Path) -> None:
    content = device_file.load("ideal").content()
    content |= {"description": text, "sources": {text: text}}
    device = DeviceFile.model_validate(content)
    device_file.save(device, tmp_path / "device.yaml")
    assert device_file.load(tmp_path / "device.yaml") == device


def test_save_refuses_other_suffixes(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"device\.txt: .*should end in \.yaml"):
        device_file.save(device_file.load("ideal"), tmp_path / "device.txt")


def test_save_names_a_folder_that_does_not_exist(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be written: No such file"):
        device_file.save(device_file.load("ideal"), tmp_path / "no" / "device.yaml")
