"""The settings of a network: its kind, its sizes, and rules for some of its layers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, JsonValue, Tag, model_validator

from hwloop.experiments.sections import Count, Positive, Section

DEFAULT_KIND = "mlp"

Activation = Literal["tanh", "relu", "sigmoid"]


class Mlp(Section):
    """A multilayer perceptron.

    Attributes:
        kind: `mlp`.
        hidden: widths of the hidden layers.
        activation: function of the hidden units.
    """

    kind: Literal["mlp"] = "mlp"
    hidden: tuple[Count, ...] = (256, 128)
    activation: Activation = "tanh"


class LeNet(Section):
    """A LeNet: two convolutions, each halved by maximum pooling, and two linear layers.

    Attributes:
        kind: `lenet`.
        channels: channels of the convolutions.
        kernel: height and width of their kernels.
        hidden: width of the hidden layer.
        activation: function of the hidden units.
    """

    kind: Literal["lenet"] = "lenet"
    channels: tuple[Count, Count] = (16, 32)
    kernel: Count = 5
    hidden: Count = 128
    activation: Activation = "tanh"


class SwinNet(Section):
    """A Swin transformer (`hwloop.experiments.swin`); image and classes follow from the data.

    Attributes:
        kind: `swin`.
        patch: height and width of a patch, which becomes a token.
        width: channels of the first stage; each stage has twice those of the one before.
        depths: blocks of each stage.
        heads: attention heads of each stage.
        window: height and width of a window, tokens.
        mlp_ratio: width of the hidden layer of a block, as a multiple of its channels.
    """

    kind: Literal["swin"] = "swin"
    patch: Count = 4
    width: Count = 32
    depths: tuple[Count, ...] = (2, 2)
    heads: tuple[Count, ...] = (2, 4)
    window: Count = 4
    mlp_ratio: Count = 2


NETWORKS: dict[str, type[Mlp | LeNet | SwinNet]] = {"mlp": Mlp, "lenet": LeNet, "swin": SwinNet}
"""Forms of the section `network`, by kind."""


def _kind(value: Any) -> Any:
    """Return the kind of a section; one that names none is a perceptron."""
    if isinstance(value, Mapping):
        return value.get("kind", DEFAULT_KIND)
    return getattr(value, "kind", DEFAULT_KIND)


Network = Annotated[
    Annotated[Mlp, Tag("mlp")] | Annotated[LeNet, Tag("lenet")] | Annotated[SwinNet, Tag("swin")],
    Discriminator(_kind),
]


class Rule(Section):
    """What is different in some layers; of several rules for a layer the last one counts.

    Attributes:
        layers: path of a module, possibly with `*`; it means all that is below it.
        digital: whether the layers stay digital.
        weight_gain: their weight of one device unit times sqrt(n_in).
        options: options of the algorithm that differ in them, for example `{n_s: 64}`.
    """

    layers: str
    digital: bool = False
    weight_gain: Positive | None = None
    options: dict[str, JsonValue] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _one_or_the_other(self) -> Rule:
        if self.digital and (self.options or self.weight_gain is not None):
            raise ValueError("digital layers have neither options nor a weight_gain")
        return self
