"""What docs/devices.md shows is true."""

import re
from pathlib import Path

from hwloop import device_file
from hwloop.device_file import OVERRIDES

GUIDE = (Path(__file__).parents[2] / "docs" / "devices.md").read_text(encoding="utf-8")


def test_example_loads() -> None:
    (example,) = re.findall(r"```yaml\n(.*?)```", GUIDE, re.DOTALL)
    device = device_file.parse(example, "docs/devices.md")
    assert device.name == "my-reram"
    assert round(device.states) == 33
    assert not device.conductance.normalised


def test_table_lists_the_presets() -> None:
    rows = re.findall(r"^\| `([a-z0-9-]+)` \| ([a-z ]+) \| ([0-9.]+) \|", GUIDE, re.MULTILINE)
    listed = {name: (kind, float(states)) for name, kind, states in rows}
    assert set(listed) == set(device_file.presets())
    for name, (kind, states) in listed.items():
        device = device_file.load(name)
        assert device.model.kind.replace("_", " ") == kind
        assert abs(device.states / states - 1) < 0.02


def test_every_option_and_field_is_named() -> None:
    for name in OVERRIDES:
        assert f"`{name}`" in GUIDE
    for name in device_file.StepModel.model_fields:
        assert f"`{name}`" in GUIDE or f"{name.removesuffix('_spread')}" in GUIDE


def test_python_example_runs(tmp_path: Path) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", GUIDE, re.DOTALL)
    exec(example.replace('"mine.yaml"', repr(str(tmp_path / "mine.yaml"))), {})
    assert device_file.load(tmp_path / "mine.yaml") == device_file.load("reram-om")
