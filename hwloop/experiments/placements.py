"""Where the layers of a network are, by the rules of a configuration."""

from __future__ import annotations

import math
from typing import Any

from pydantic import JsonValue
from torch import nn

from hwloop.controllers.options import FastOptions, HiddenOptions
from hwloop.device_file.explain import nearest
from hwloop.errors import ConfigurationError
from hwloop.experiments.config import TrainConfig
from hwloop.experiments.network_config import Rule
from hwloop.nn import Placement
from hwloop.nn.survey import MOVABLE, Rules, matches

TOKENS: dict[str, JsonValue] = {"n_s": 64, "lines_per_transfer": 8}
"""Options of layers that see many vectors of each image, for algorithms that read a fast array."""

IMAGES: dict[str, JsonValue] = {"n_s": 10, "lines_per_transfer": 10}
"""Options of layers that see one vector of each image."""

NO_RULE = Rule(layers="*")


def suitable_rules(config: TrainConfig) -> tuple[Rule, ...]:
    """Return rules that suit a network where a configuration gives none.

    Convolutions and the layers of a transformer have a vector for each patch and each token, so
    that their fast arrays can be read more seldom, and hidden matrices accumulate for longer.
    """
    options = config.algorithm.options()
    if not isinstance(options, FastOptions):
        return ()
    kind = config.network.kind
    if kind == "swin":
        return (Rule(layers="*", options=TOKENS), Rule(layers="head", options=IMAGES))
    if kind == "lenet" and isinstance(options, HiddenOptions):
        first: dict[str, JsonValue] = {"n_s": 64, "lines_per_transfer": 25, "gamma0": 5000.0}
        second: dict[str, JsonValue] = {"n_s": 16, "lines_per_transfer": 10, "gamma0": 2000.0}
        return (Rule(layers="1", options=first), Rule(layers="4", options=second))
    return ()


def placements(net: nn.Module, config: TrainConfig, fill: float | None = None) -> Rules:
    """Return a rule for each layer of a network that could move to an array, by its path.

    Args:
        net: the network.
        config: the configuration.
        fill: what the largest weight of each layer becomes, in device units; None maps all layers
            by the algorithm's `weight_gain`.

    Raises:
        ConfigurationError: a rule matches no module.
    """
    rules = config.rules if config.rules is not None else suitable_rules(config)
    paths = [path for path, _ in net.named_modules()]
    for rule in rules:
        if not any(matches(rule.layers, path) for path in paths):
            near = nearest(rule.layers, paths)
            raise ConfigurationError(
                f"rules: {rule.layers!r} matches no module of the network",
                remedy=f"did you mean {near!r}?" if near else f"modules: {', '.join(paths[1:])}",
            )
    found: dict[str, Any] = {}
    for path, module in net.named_modules():
        if type(module) not in MOVABLE:
            continue
        assert isinstance(module, nn.Linear | nn.Conv1d | nn.Conv2d)
        rule = next((r for r in reversed(rules) if matches(r.layers, path)), NO_RULE)
        if rule.digital:
            found[path] = "digital"
            continue
        gain = rule.weight_gain
        if gain is None and fill is not None:
            weight = module.weight.detach()
            gain = float(weight.abs().max()) / fill * math.sqrt(weight[0].numel())
        algorithm = config.algorithm.changed(rule.options) if rule.options else None
        found[path] = Placement(algorithm=algorithm, weight_gain=gain)
    return found


def pulses_per_vector(rules: Rules, config: TrainConfig) -> int:
    """Return the most pulses that a vector gives to a cell of any layer."""
    usual = config.algorithm.options()
    own = [rule.algorithm or usual for rule in rules.values() if isinstance(rule, Placement)]
    return max((algorithm.pulses_per_vector for algorithm in own), default=0)
