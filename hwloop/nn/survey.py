"""Which layers of a model move to arrays, which stay digital, and which can do neither."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal

import torch
from torch import nn
from torch.nn.parameter import UninitializedParameter

from hwloop.controllers import Algorithm
from hwloop.device_file.explain import nearest
from hwloop.errors import CapabilityError, ConfigurationError
from hwloop.nn.attention import Attention

Movable = nn.Linear | nn.Conv1d | nn.Conv2d
MOVABLE: tuple[type[nn.Module], ...] = (nn.Linear, nn.Conv1d, nn.Conv2d)
"""Layers that move to an array; the exact classes."""

DIGITAL: tuple[type[nn.Module], ...] = (
    nn.LayerNorm,
    nn.RMSNorm,
    nn.GroupNorm,
    nn.InstanceNorm1d,
    nn.InstanceNorm2d,
    nn.BatchNorm1d,
    nn.BatchNorm2d,
    nn.SyncBatchNorm,
    nn.PReLU,
    nn.Embedding,
    nn.EmbeddingBag,
)
"""Layers of torch with parameters that stay digital and are trained by a digital optimizer."""

CONTAINERS: tuple[type[nn.Module], ...] = (
    nn.Module,
    nn.Sequential,
    nn.ModuleList,
    nn.ModuleDict,
    nn.ParameterList,
    nn.ParameterDict,
)

REMEDIES: dict[type[nn.Module], str] = {
    nn.RNNBase: "write it out with torch.nn.Linear layers",
    nn.RNNCellBase: "write it out with torch.nn.Linear layers",
    nn.ConvTranspose1d: "take Upsample and Conv1d in its place",
    nn.ConvTranspose2d: "take Upsample and Conv2d in its place",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """Where layers are, and what trains them; None takes what `convert` was given for all.

    Attributes:
        algorithm: the training algorithm.
        weight_gain: weight of one device unit times sqrt(n_in).
        array: name of an array of `convert`'s `arrays`, whose cells may be another device.
    """

    algorithm: Algorithm | None = None
    weight_gain: float | None = None
    array: str | None = None


Rule = Placement | Literal["digital"]
Rules = Mapping[str, Rule]
"""Rules by patterns of module paths, such as `head` or `blocks.*.mlp`. A pattern (`fnmatch`) also
means all that is below the modules it names; the last rule that matches counts."""


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """A weight that moves to an array.

    Attributes:
        path: path of the first layer that has it.
        layers: all layers that have it.
        placement: what the rules say.
        rows, cols: outputs, and inputs (of a convolution: length of a patch).
    """

    path: str
    layers: list[Movable]
    placement: Placement
    rows: int
    cols: int

    @property
    def label(self) -> str:
        """How messages name it."""
        return f"layer {self.path or '(the model itself)'}"


def survey(net: nn.Module, rules: Rules | None = None) -> tuple[nn.Module, list[Found]]:
    """Return a copy of a model, attention replaced by layers, and the weights that move.

    Raises:
        CapabilityError: there are layers that cannot move; it lists all of them.
        ConfigurationError: a rule means nothing.
    """
    rules = dict(rules or {})
    for pattern, rule in rules.items():
        if not (isinstance(rule, Placement) or rule == "digital"):
            raise ConfigurationError(
                f"rule {pattern!r} is {rule!r}, expected a Placement or 'digital'"
            )
    paths = [path for path, _ in net.named_modules()]
    refused = list(_refusals(net, rules))
    if refused:
        raise CapabilityError(
            "the model has layers that cannot move to an array:\n  "
            + "\n  ".join(f"{label}: {reason}" for _, label, reason in refused),
            remedy=f"replace them, or keep them digital: rules={{'{refused[0][0]}': 'digital'}}",
        )
    model = _with_open_attention(copy.deepcopy(net), rules)
    paths += [path for path, _ in model.named_modules()]
    for pattern in rules:
        if not any(matches(pattern, path) for path in paths):
            near = nearest(pattern, paths)
            raise ConfigurationError(
                f"rule {pattern!r} matches no module",
                remedy=f"did you mean {near!r}?" if near else "print(net) shows their paths",
            )
    found: dict[int, Found] = {}
    for path, module in model.named_modules():
        rule = _rule(path, rules)
        if type(module) not in MOVABLE or rule == "digital":
            continue
        assert isinstance(module, nn.Linear | nn.Conv1d | nn.Conv2d)
        weight = module.weight
        known = found.setdefault(
            id(weight), Found(path, [], rule, weight.shape[0], weight[0].numel())
        )
        if known.placement != rule:
            raise ConfigurationError(
                f"{known.path} and {path} share their weights, but rules differ",
                remedy="give them one rule",
            )
        known.layers.append(module)
    if not found:
        raise CapabilityError(
            "the model has no layer that moves to an array (torch.nn.Linear, Conv1d, Conv2d, "
            "MultiheadAttention)"
        )
    return model, list(found.values())


def _rule(path: str, rules: Rules) -> Rule:
    last: Rule = Placement()
    for pattern, rule in rules.items():
        if matches(pattern, path):
            last = rule
    return last


def matches(pattern: str, path: str) -> bool:
    """Return whether a pattern means a module: it, or one that it is in."""
    parts = path.split(".")
    return any(fnmatchcase(".".join(parts[: i + 1]), pattern) for i in range(len(parts)))


def _with_open_attention(model: nn.Module, rules: Rules) -> nn.Module:
    """Replace attention modules, which use their weights by themselves, by layers."""
    made: dict[int, Attention] = {}
    for path, module in list(model.named_modules()):
        if type(module) is nn.MultiheadAttention and _rule(path, rules) != "digital":
            made[id(module)] = Attention(module)
        elif isinstance(module, nn.TransformerEncoder):
            module.use_nested_tensor = False  # it would take the weights of its layers
    replaced = replace(model, made)
    return replaced


def replace(model: nn.Module, replacements: Mapping[int, nn.Module]) -> nn.Module:
    """Replace modules, by their identities, wherever they are; return the model."""
    if id(model) in replacements:
        return replacements[id(model)]
    for module in list(model.modules()):
        # Not `named_children`, which names a layer that is used twice once.
        for name, child in module._modules.items():
            if id(child) in replacements:
                module._modules[name] = replacements[id(child)]
    return model


def _refusals(net: nn.Module, rules: Rules) -> Iterator[tuple[str, str, str]]:
    """Yield path, label and reason of each layer that cannot move."""
    owners: dict[int, tuple[str, nn.Module]] = {}
    inside: set[int] = set()
    for path, module in net.named_modules():
        if id(module) in inside:
            continue
        label = f"{path or 'the model itself'} ({type(module).__name__})"
        digital = _rule(path, rules) == "digital"
        moves = not digital and type(module) in (*MOVABLE, nn.MultiheadAttention)
        if type(module) is nn.MultiheadAttention:
            inside |= {id(part) for part in module.modules()}
            own = list(module.parameters())
        else:
            own = list(module.parameters(recurse=False))
        for parameter in own:
            other_path, other = owners.setdefault(id(parameter), (path, module))
            if other is module or not _shares(parameter, module, moves, other, rules, other_path):
                continue
            yield path, label, f"it shares a parameter with {other_path} ({type(other).__name__})"
            break
        if not digital:
            reason = _reason(module, own)
            if reason is not None:
                yield path, label, reason


def _shares(
    parameter: nn.Parameter,
    module: nn.Module,
    moves: bool,
    other: nn.Module,
    rules: Rules,
    other_path: str,
) -> bool:
    """Return whether a parameter has two owners that cannot share it on an array."""
    other_moves = _rule(other_path, rules) != "digital" and type(other) in (
        *MOVABLE,
        nn.MultiheadAttention,
    )
    if not moves and not other_moves:
        return False
    if type(module) is nn.MultiheadAttention or type(other) is nn.MultiheadAttention:
        return True
    roles = [[k for k, v in m._parameters.items() if v is parameter] for m in (module, other)]
    if roles == [["bias"], ["bias"]]:
        return False
    return not (moves and other_moves and roles == [["weight"], ["weight"]])


def _reason(module: nn.Module, own: list[nn.Parameter]) -> str | None:
    """Return why a layer cannot move, or None if it can, or need not."""
    if isinstance(module, torch.jit.ScriptModule):
        return "it is compiled (TorchScript); convert the model it was made of"
    if isinstance(module, nn.DataParallel | nn.parallel.DistributedDataParallel):
        return "copies of a model cannot share an array; convert the module inside"
    if type(module).__module__.startswith(("torch.ao.nn", "torch.nn.quantized", "torch.nn.qat")):
        return "it is quantised; convert the float model, the array has its own converters"
    if any(isinstance(p, UninitializedParameter) for p in own):
        return "its shape is not known yet; run a batch through the model first"
    exact = type(module) in (*MOVABLE, nn.MultiheadAttention)
    if exact and any(p.is_meta or not p.is_floating_point() for p in own):
        return "its weights are no real numbers in memory"
    if exact and (module._forward_hooks or module._forward_pre_hooks or module._backward_hooks):
        return "it has forward or backward hooks; remove them (weight_norm is such a hook)"
    if isinstance(module, nn.Conv1d | nn.Conv2d) and exact and module.groups != 1:
        return f"convolutions of {module.groups} groups are not supported"
    if type(module) is nn.MultiheadAttention and (
        module.bias_k is not None or module.add_zero_attn
    ):
        return "add_bias_kv and add_zero_attn are not supported"
    if exact or not own:
        return None
    # Users' classes may do anything with their parameters, which stay digital; users' kinds of
    # torch's layers would go on using the dense weights.
    base = next(c for c in type(module).__mro__ if c.__module__.startswith("torch.nn.modules"))
    if base in DIGITAL or base in CONTAINERS:
        return None
    if base in (*MOVABLE, nn.MultiheadAttention):
        if hasattr(module, "parametrizations"):
            return "it has parametrizations; remove them (remove_parametrizations)"
        return f"it is a class of its own, only torch.nn.{base.__name__} itself moves"
    remedy = next((text for kind, text in REMEDIES.items() if isinstance(module, kind)), None)
    return f"torch.nn.{base.__name__} is not supported" + (f"; {remedy}" if remedy else "")
