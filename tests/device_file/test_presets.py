"""The devices that come with the library."""

import pytest

from hwloop import device_file
from hwloop.device_file import SoftBounds, from_aihwkit
from hwloop.errors import ConfigurationError

STATES = {
    "capacitor": 400,
    "ecram": 1000,
    "ecram-mo": 7089,
    "gokmen-vlasov": 1250,
    "ideal": 16384,
    "idealized": 10000,
    "reram-es": 1152,
    "reram-hfo2": 4.327,
    "reram-om": 21.07,
    "reram-sb": 1000,
    "soft-bounds-40": 40,
    "soft-bounds-rasch": 20,
}


def test_all_are_known() -> None:
    assert set(device_file.presets()) == set(STATES)


@pytest.mark.parametrize("name", device_file.presets())
def test_preset(name: str) -> None:
    device = device_file.load(name)
    assert device.name == name
    assert device.states == pytest.approx(STATES[name], rel=1e-3)
    assert device.default_shape == "set"
    assert device.conductance.normalised
    assert device.description
    assert {"model", "conductance", "shapes", "limits"} <= set(device.provenance)
    for field in ("conductance", "conductance.read_volts", "shapes", "limits"):
        assert device.provenance[field].startswith("assumed: ")


@pytest.mark.parametrize(
    ("name", "raw_max", "raw_min", "share"),
    [("reram-om", 1.4839, -0.6192, 0.1348), ("reram-hfo2", 1.1490, -1.0284, 0.0977)],
)
def test_arrays_record_what_was_measured(
    name: str, raw_max: float, raw_min: float, share: float
) -> None:
    device = device_file.load(name)
    assert device.measured == {
        "model.bound_max": raw_max,
        "model.bound_min": raw_min,
        "model.corrupt_probability": share,
    }
    assert device.model.corrupt_probability == 0
    corrupt = device_file.load(f"{name},corrupt=measured")
    assert corrupt.model.corrupt_probability == share


def test_granularity_counts_both_directions() -> None:
    # aihwkit's own figure for exponential steps is the down step averaged with itself: 0.00199.
    model = device_file.load("reram-es").model
    up = 1.18445 * 2.718281828 ** (5 * -0.5) + 1
    down = (1 - 0.259359) * (0.081404 * 2.718281828 ** (-5 * -0.5) + 1)
    assert model.granularity == pytest.approx(0.00135 * (up + down) / 2)


def test_states_option_sets_the_step() -> None:
    device = device_file.load("reram-es,states=50")
    assert device.states == pytest.approx(50)
    assert device.provenance["model.step"] == "assumed: option states=50"


def test_reference_options_give_a_plane() -> None:
    assert device_file.load("reram-sb").model.reference is None
    reference = device_file.load("reram-sb,subtract_symmetry_point=true").model.reference
    assert reference is not None and reference.subtract_symmetry_point
    reference = device_file.load("reram-sb,reference_mean=0.2,reference_std=0.1").model.reference
    assert reference is not None
    assert (reference.mean, reference.std, reference.subtract_symmetry_point) == (0.2, 0.1, False)


def test_no_option_changes_nothing() -> None:
    device = device_file.load("reram-om")
    assert device_file.override(device, {}) is device


def test_aihwkit_device_is_the_preset() -> None:
    device = from_aihwkit(
        "SoftBoundsReferenceDevice",
        {
            "dw_min": 0.4622,
            "dw_min_dtod": 0.7125,
            "dw_min_dtod_log_normal": True,
            "dw_min_std": 0.2174,
            "w_max": 1.0,
            "w_min": -1.0,
            "w_max_dtod": 0.4295,
            "w_min_dtod": 0.599,
            "write_noise_std": 0.5841,
            "corrupt_devices_range": 0.01,
            "subtract_symmetry_point": True,
            "reference_std": 0.05,
        },
    )
    assert isinstance(device.model, SoftBounds)
    assert device.model == device_file.load("reram-hfo2").model


@pytest.mark.parametrize(
    ("name", "parameters", "line"),
    [
        ("PCMPresetDevice", {}, "aihwkit device 'PCMPresetDevice' has no counterpart"),
        ("ExpStepDevice", {"dw_min_std_slope": 0.1}, "dw_min_std_slope=0.1 has no counterpart"),
        ("LinearStepDevice", {"reverse_up": True}, "reverse_up=True has no counterpart"),
        ("PowStepDevice", {"pow_gamma": 2.0}, "pow_gamma_dtod and pow_up_down_dtod have no"),
        ("ConstantStepDevice", {"dw_min": -1.0}, "model.step: -1.0: should be greater than 0"),
    ],
)
def test_aihwkit_device_that_has_no_counterpart(
    name: str, parameters: dict[str, object], line: str
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        from_aihwkit(name, parameters)
    assert line in str(caught.value)
