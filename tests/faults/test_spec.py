"""Faults as text: what is written is read, and what cannot be meant is refused with the way out."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwloop.cli import main
from hwloop.errors import ConfigurationError
from hwloop.experiments.address import with_faults
from hwloop.run import load_run
from hwloop.testing import FaultSpec, Reboot, Schedule, Stall

rates = st.floats(0, 1).map(lambda x: float(f"{x:g}"))
messages = st.integers(1, 10**6)
specs = st.builds(
    FaultSpec,
    drop=rates,
    flip=rates,
    duplicate=rates,
    delay=rates,
    delay_seconds=st.floats(0, 60).map(lambda x: float(f"{x:g}")),
    reorder=rates,
    stalls=st.lists(
        st.builds(Stall, st.floats(0, 99).map(lambda x: float(f"{x:g}")), messages), max_size=2
    ).map(tuple),
    disconnects=st.lists(messages, max_size=3).map(tuple),
    reboots=st.lists(
        st.builds(Reboot, st.sampled_from(["after-intent", "before-request"]), messages), max_size=2
    ).map(tuple),
    seed=st.integers(0, 2**31),
)


@given(specs)
def test_a_spec_is_its_text(spec: FaultSpec) -> None:
    assert FaultSpec.parse(str(spec)) == spec
    assert FaultSpec.parse(spec.in_url()) == spec
    assert "," not in spec.in_url()


def test_the_text_of_the_documentation() -> None:
    spec = FaultSpec.parse("drop=0.01,flip=1e-4,reboot=after-intent@40")
    assert spec == FaultSpec(drop=0.01, flip=1e-4, reboots=(Reboot("after-intent", 40),))
    assert FaultSpec.parse("1e-3") == FaultSpec.total(1e-3)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("drop", "from 0 to 1"),
        ("dorp=0.1", "unknown key 'dorp'"),
        ("drop=2", "drop=2: expected a number from 0 to 1"),
        ("drop=nan", "drop=nan"),
        ("drop=0.1,drop=0.2", "given twice"),
        ("drop=0.1,,flip=1", "not key=value"),
        ("reboot=after-intent", "reboot=after-intent"),
        ("reboot=@4", "reboot=@4"),
        ("disconnect=now@4", "disconnect=now@4"),
        ("stall=0.5@0", "stall=0.5@0"),
        ("stall=-1@5", "stall=-1"),
        ("seed=1.5", "seed=1.5"),
    ],
)
def test_what_is_no_spec(text: str, says: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        FaultSpec.parse(text)
    assert says in caught.value.message


@pytest.mark.parametrize("point", ["after-intent", "before-request"])
def test_a_reboot_that_nobody_can_give_is_refused(point: str) -> None:
    with pytest.raises(ConfigurationError, match="reboot") as caught:
        Schedule(FaultSpec(reboots=(Reboot(point, 1),)))
    assert "emulator:native" in caught.value.remedy


@pytest.mark.parametrize("url", ["sim:reram-om", "replay:runs/7"])
def test_arrays_without_a_link_are_refused(url: str) -> None:
    with pytest.raises(ConfigurationError, match="no link") as caught:
        with_faults(url, FaultSpec(drop=0.1))
    assert "emulator:native" in caught.value.remedy


def test_faults_become_an_option_of_the_url() -> None:
    spec = FaultSpec(drop=0.1, disconnects=(3,))
    assert with_faults("zmq:tcp://h:1,timeout=2", spec) == (
        "zmq:tcp://h:1,timeout=2,faults=drop=0.1+disconnect=@3"
    )
    assert with_faults("sim:reram-om", None) == "sim:reram-om"


@pytest.mark.parametrize(
    "words", [["train", "--data", "digits"], ["device", "measure", "pulse_response"]]
)
def test_the_command_line_refuses_faults_that_cannot_be(
    words: list[str], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    out = ["--out", str(tmp_path / "run")]
    assert main([*words, *out, "--backend", "sim:reram-om", "--faults", "drop=0.1"]) == 2
    assert "no link" in capsys.readouterr().err
    assert main([*words, *out, "--backend", "emulator:native", "--faults", "dorp=0.1"]) == 2
    assert "unknown key 'dorp'" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_a_measurement_with_faults_leaves_the_tape_of_one_without(tmp_path: Path) -> None:
    hashes = []
    for n, faults in enumerate(([], ["--faults", "drop=1e-4,disconnect=@12,reorder=0.02"])):
        words = ["device", "measure", "pulse_response", "--set", "pulses=10", *faults]
        where = ["--backend", "emulator:native,shape=4x4", "--out", str(tmp_path / str(n))]
        assert main([*words, *where]) == 0
        summary = load_run(tmp_path / str(n)).summary
        hashes.append(summary["tape_hash"])
        assert "faults" not in summary["url"]
    assert hashes[0] == hashes[1]
