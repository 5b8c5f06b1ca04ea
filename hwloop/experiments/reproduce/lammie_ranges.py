"""Ranges set after training, before and after each of the two steps (Lammie et al. 2024).

A network of rectified units is trained in float on digits and programmed, each layer's largest
weight as the largest conductance, onto an array of exact cells with converters of four bits, whose
ranges are fixed: the input range of a tile is the largest input that 200 training digits give it.
What that costs against the float network is clipping and quantisation alone. Then the input ranges
become a percentile, and every output line is programmed to use its converter (arXiv 2401.09859; the
percentile and the number of deviations are not in the paper's abstract, nor are they tuned here).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from hwloop.experiments.reproduce.base import Check, Outcome, Reproduction, Request
from hwloop.experiments.reproduce.judging import at_least
from hwloop.random import host_generator

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from torch import nn

    from hwloop.experiments.data import Dataset

HIDDEN, RATE, BATCH = (256, 128), 0.1, 10
ARRAY = "sim:ideal,dac_bits=4,adc_bits=4"
SAMPLES = 200
PERCENTILE, DEVIATIONS = 99.0, 3.0
SHARE = 0.5
"""Share of the cost that both steps together should win back."""

FORMS = {"neither": (False, False), "inputs": (True, False), "lines": (False, True)} | {
    "both": (True, True)
}
"""Which of the two steps is taken: input ranges, conductances of the lines."""

TITLES = {"neither": "neither", "inputs": "input ranges", "lines": "lines", "both": "both"}


def train(data: Dataset, epochs: int, seed: int) -> nn.Module:
    """Return a network trained in float."""
    import torch
    from torch.nn import functional as F

    from hwloop.experiments.network_config import Mlp
    from hwloop.experiments.networks import perceptron

    shape = Mlp(hidden=HIDDEN, activation="relu")
    net = perceptron(data.inputs, len(data.classes), shape, seed)
    optimizer = torch.optim.SGD(net.parameters(), lr=RATE)
    x, y = torch.from_numpy(data.x_train), torch.from_numpy(data.y_train)
    for epoch in range(epochs):
        generator = host_generator(seed, "order of samples", epoch)
        order = torch.from_numpy(generator.permutation(len(x)))
        for start in range(0, len(x), BATCH):
            chosen = order[start : start + BATCH]
            optimizer.zero_grad()
            F.cross_entropy(net(x[chosen]), y[chosen]).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
    return net


def accuracies(data: Dataset, epochs: int, seed: int) -> dict[str, float]:
    """Return the test accuracy of the float network, and of each form on the array, in percent."""
    import torch

    from hwloop.experiments.networks import accuracy
    from hwloop.experiments.rig import one_torch_thread

    with one_torch_thread():
        net = train(data, epochs, seed)
        x, y = torch.from_numpy(data.x_test), torch.from_numpy(data.y_test)
        samples = torch.from_numpy(data.x_train[:SAMPLES])
        found = {"float": 100 * accuracy(net, x, y)}
        for form, (inputs, lines) in FORMS.items():
            found[form] = 100 * _on_array(net, samples, x, y, seed, inputs=inputs, lines=lines)
    return found


def _on_array(
    net: nn.Module, samples: Any, x: Any, y: Any, seed: int, *, inputs: bool, lines: bool
) -> float:
    from torch import nn

    from hwloop.controllers import AnalogSGD
    from hwloop.crossbar import connect
    from hwloop.experiments.networks import accuracy
    from hwloop.nn import (
        Placement,
        convert,
        set_input_ranges,
        set_line_ranges,
        shape_option,
        tile_shapes,
    )
    from hwloop.tape import NoTape

    algorithm = AnalogSGD()
    largest = {
        name: Placement(
            weight_gain=layer.weight.detach().abs().max().item() * layer.in_features**0.5
        )
        for name, layer in net.named_modules()
        if isinstance(layer, nn.Linear)
    }
    shape = shape_option(tile_shapes(net, algorithm))
    with connect(f"{ARRAY},shape={shape},seed={seed}", tape=NoTape()) as chip:
        model = convert(net, chip, algorithm, rules=largest)
        set_input_ranges(model, samples, PERCENTILE if inputs else 100)
        if lines:
            set_line_ranges(model, samples, deviations=DEVIATIONS)
        return accuracy(model, x, y)


def run(request: Request) -> Outcome:
    """Run the quick or the full form."""
    from hwloop.experiments.data import load_data

    data = load_data("mnist")
    seeds, epochs = (range(1, 6), 10) if request.full else (range(1, 2), 2)
    rows = []
    for seed in seeds:
        rows.append(accuracies(data, epochs, seed))
        request.tell(f"seed {seed}: " + ", ".join(f"{k} {v:.1f} %" for k, v in rows[-1].items()))
    mean = {form: float(np.mean([row[form] for row in rows])) for form in rows[0]}
    cost = mean["float"] - mean["neither"]
    won = {form: (mean[form] - mean["neither"]) / cost for form in ("inputs", "lines", "both")}
    shown = ", ".join(f"{TITLES.get(form, form)} {value:.1f}" for form, value in mean.items())
    checks = (
        Check("accuracy, %", "-", shown, None, f"{len(rows)} seeds"),
        at_least("clipping and quantisation cost, points", 2.0, cost),
        Check("input ranges alone: share won back", "-", f"{won['inputs']:.2f}", None),
        Check("lines alone: share won back", "-", f"{won['lines']:.2f}", None),
        at_least("both: share won back", SHARE, won["both"]),
    )
    content = {"seeds": rows, "mean": mean, "won_back": won}
    return Outcome(checks, content, {"accuracy": _picture(rows)})


def _picture(rows: list[dict[str, float]]) -> Figure:
    from matplotlib.figure import Figure

    from hwloop.report.style import ANALOG, FLOAT, style

    with style():
        figure = Figure(figsize=(5.4, 3.2), layout="constrained")
        axes = figure.subplots()
        for place, form in enumerate(FORMS):
            values = np.array([row[form] for row in rows])
            axes.errorbar(place, values.mean(), values.std(), fmt="o", color=ANALOG, capsize=4)
        axes.axhline(float(np.mean([row["float"] for row in rows])), color=FLOAT, label="float")
        axes.set(ylabel="test accuracy, %", title="steps taken after programming")
        axes.set_xticks(range(len(FORMS)), [TITLES[form] for form in FORMS])
        axes.legend()
        return figure


REPRODUCTION = Reproduction(
    name="lammie-ranges",
    what="input and conductance ranges set after training (Lammie et al. 2024)",
    quick="about 10 seconds",
    full="about 1 minute",
    run=run,
)
