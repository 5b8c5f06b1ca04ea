"""URLs of the arrays that runs open."""

from pathlib import Path

import pytest

from hwloop.errors import ConfigurationError
from hwloop.experiments.address import absolute, complete_url
from hwloop.experiments.config import load_config


def test_a_simulated_array_is_told_shape_and_seed() -> None:
    url = complete_url("sim:reram-om", shape="2x4x5", seed=3)
    assert url.startswith("sim:reram-om,shape=2x4x5,threads=")
    assert url.endswith(",seed=3")


def test_what_the_url_says_stays() -> None:
    url = complete_url("sim:ideal,shape=2x2,seed=9,threads=1", shape="4x5", seed=3)
    assert url == "sim:ideal,shape=2x2,seed=9,threads=1"


def test_a_device_takes_the_place_of_the_address() -> None:
    assert complete_url("sim:ideal,dac_bits=5", device="my.yaml") == "sim:my.yaml,dac_bits=5"
    url = complete_url("sim:ideal,dac_bits=5", device="reram-om,states=9")
    assert url == "sim:reram-om,dac_bits=5,states=9"
    with pytest.raises(ConfigurationError, match=r"'b\.yaml' is not key=value"):
        complete_url("sim:", device="a,b.yaml")


def test_other_arrays_are_left_alone() -> None:
    url = "serial:/dev/ttyACM0,baud=921600"
    assert complete_url(url, device="my.yaml", shape="4x5", seed=3) == url


def test_files_are_found_from_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my.yaml").touch()
    (tmp_path / "digits").mkdir()
    (tmp_path / "mine").mkdir()
    flags = {"backend.device": "my.yaml", "data.source": "mine"}
    config = absolute(load_config(flags={**flags, "backend.url": "sim:my.yaml,seed=3"}))
    assert config.backend.url == f"sim:{tmp_path}/my.yaml,seed=3"
    assert config.backend.device == f"{tmp_path}/my.yaml"
    assert config.data.source == f"{tmp_path}/mine"
    named = load_config(flags={"data.source": "digits"})
    assert absolute(named) == named
