"""Blocks of a device file that say what time does to a cell."""

import json

import pytest
from pydantic import ValidationError

from hwloop import device_file
from hwloop.device_file import DeviceFile, ReadNoise
from hwloop.errors import ConfigurationError


def with_terms() -> DeviceFile:
    content = device_file.load("reram-om").content()
    content["model"] |= {
        "relaxation": {"onset_seconds": 1e-3, "std": [0.01, 0.05]},
        "telegraph": {
            "share": 0.1,
            "height": [0.1],
            "shortest_seconds": 1e-6,
            "longest_seconds": 1e-3,
        },
    }
    content["provenance"]["model.relaxation.std"] = "assumed: a guess"
    return DeviceFile.model_validate(content)


def test_octaves_of_a_band() -> None:
    noise = {"std": (0.1,), "shortest_seconds": 1e-3}
    assert ReadNoise(**noise, longest_seconds=1e-3).octaves == 1
    assert ReadNoise(**noise, longest_seconds=1.0).octaves == 11
    for longest in (0.9e-3, 1e-3 * 2.0**39.5):
        with pytest.raises(ValidationError, match="1 to 2\\*\\*39 times shortest_seconds"):
            ReadNoise(**noise, longest_seconds=longest)


def test_options_change_the_terms() -> None:
    device = with_terms()
    assert device_file.override(device, {"telegraph_share": "0.7"}).model.telegraph.share == 0.7
    assert (
        device_file.override(device, {"write_noise_memory": "0.5"}).model.write_noise_memory == 0.5
    )
    assert device_file.override(device, {"static": "false"}) == device
    still = device_file.override(device, {"static": "true"})
    assert still.model.relaxation is None and still.model.telegraph is None
    assert still.provenance["model.relaxation"] == "assumed: option static=true"
    with pytest.raises(ConfigurationError, match=r"model.telegraph.height: is missing"):
        device_file.override(device_file.load("reram-om"), {"telegraph_share": "0.7"})


@pytest.mark.parametrize(
    ("block", "message"),
    [
        ({"relaxation": {"onset_seconds": 0}}, "relaxation.onset_seconds"),
        ({"relaxation": {"onset_seconds": 1, "std": []}}, "relaxation.std"),
        ({"relaxation": {"onset_seconds": 1, "std": [-0.1]}}, "relaxation.std.0"),
        ({"drift": {"onset_seconds": 1}}, "drift.exponent: is missing"),
        ({"write_noise_memory": 1.0}, "write_noise_memory: 1.0: should be less than 1"),
    ],
)
def test_what_cannot_be_is_refused(block: dict[str, object], message: str) -> None:
    content = device_file.load("reram-om").content()
    content["model"] |= block
    with pytest.raises(ConfigurationError) as caught:
        device_file.parse(json.dumps(content), "om.json")
    assert message in str(caught.value)
