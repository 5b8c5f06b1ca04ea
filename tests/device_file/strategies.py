"""Device files of every family, for hypothesis."""

from typing import Any

from hypothesis import strategies as st

from hwloop.capabilities import Limits, PolarityShape, PulseShape
from hwloop.device_file import (
    Conductance,
    ConstantStep,
    DeviceFile,
    Drift,
    ExponentialStep,
    LinearStep,
    PiecewiseStep,
    PowerStep,
    ReadNoise,
    Reference,
    Relaxation,
    SoftBounds,
    Telegraph,
)

texts = st.text(st.characters(codec="utf-8"), max_size=20)
spreads = st.floats(0, 2)
signed = st.floats(-3, 3)
positive = st.floats(1e-9, 1e3)
seconds = st.floats(1e-9, 1e6)
curves = st.lists(signed, min_size=1, max_size=4).map(tuple)
magnitudes = st.lists(spreads, min_size=1, max_size=4).map(tuple)
bands = {"shortest_seconds": st.floats(1e-9, 1), "longest_seconds": st.floats(1, 100)}
relaxations = st.builds(Relaxation, onset_seconds=seconds, mean=curves, std=magnitudes)
drifts = st.builds(Drift, onset_seconds=seconds, exponent=curves, exponent_spread=spreads)
read_noises = st.builds(ReadNoise, **bands, std=magnitudes, slope=st.floats(0, 2))
telegraphs = st.builds(
    Telegraph,
    **bands,
    share=st.floats(0, 1),
    height=curves,
    height_spread=spreads,
    filled=st.floats(0.01, 0.99),
)


def _common(with_reference: bool = True) -> dict[str, Any]:
    references = st.builds(
        Reference,
        mean=signed,
        std=spreads,
        subtract_symmetry_point=st.booleans() if with_reference else st.just(False),
    )
    return {
        "step": st.floats(1e-6, 1),
        "step_spread": spreads,
        "step_distribution": st.sampled_from(["normal", "log_normal"]),
        "up_down": st.floats(-1, 1),
        "up_down_spread": spreads,
        "bound_max": st.floats(0.1, 2),
        "bound_min": st.floats(-2, -0.1),
        "bound_max_spread": spreads,
        "bound_min_spread": spreads,
        "bound_rule": st.sampled_from(["folded", "clamped"]),
        "cycle_noise": spreads,
        "cycle_noise_kind": st.sampled_from(["multiplicative", "additive"]),
        "write_noise": spreads,
        "write_noise_memory": st.floats(0, 0.99),
        "relaxation": st.none() | relaxations,
        "drift": st.none() | drifts,
        "read_noise": st.none() | read_noises,
        "telegraph": st.none() | telegraphs,
        "corrupt_probability": st.floats(0, 1),
        "corrupt_range": st.none() | positive,
        "reference": st.none() | references,
    }


nodes = st.lists(st.floats(0.1, 2), min_size=3, max_size=3).map(tuple)
models = st.one_of(
    st.builds(ConstantStep, **_common(with_reference=False)),
    st.builds(
        LinearStep,
        **_common(),
        gamma_up=st.floats(0.01, 1),
        gamma_down=signed,
        gamma_up_spread=spreads,
        gamma_down_spread=spreads,
        allow_increasing=st.booleans(),
        mean_bound_reference=st.booleans(),
    ),
    st.builds(SoftBounds, **_common(), slope_up_spread=spreads, slope_down_spread=spreads),
    st.builds(
        ExponentialStep,
        **_common(),
        A_up=st.floats(-1, 0.2),
        A_down=st.floats(-1, 0.2),
        gamma_up=signed,
        gamma_down=signed,
        a=st.floats(-0.5, 0.5),
        b=st.floats(-0.5, 0.5),
    ),
    st.builds(PowerStep, **_common(), gamma_up=st.floats(1, 4), gamma_down=st.floats(1, 4)),
    st.builds(PiecewiseStep, **_common(), up=nodes, down=nodes),
)
pulses = st.builds(
    PolarityShape,
    amplitude_volts=signed,
    width_seconds=positive,
    compliance_amperes=st.none() | positive,
)
device_files = st.builds(
    DeviceFile,
    name=st.text(st.characters(codec="utf-8"), min_size=1, max_size=20),
    description=texts,
    technology=texts,
    sources=st.dictionaries(texts, texts, max_size=2),
    provenance=st.dictionaries(
        st.sampled_from(["model", "model.step", "conductance", "limits"]),
        texts.map(lambda why: f"assumed: {why}"),
    ),
    measured=st.dictionaries(st.sampled_from(["model.step", "model.bound_max"]), signed),
    conductance=st.builds(
        Conductance,
        middle_siemens=st.floats(1e-5, 1e-3),
        half_range_siemens=st.floats(1e-9, 1e-5),
        read_volts=positive,
        normalised=st.booleans(),
    ),
    shapes=st.dictionaries(
        texts, st.builds(PulseShape, up=pulses, down=pulses), min_size=1, max_size=3
    ),
    limits=st.builds(Limits, voltage_max=st.none() | st.floats(3, 9), forming=st.booleans()),
    model=models,
)
