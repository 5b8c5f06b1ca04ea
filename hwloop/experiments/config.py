"""The configuration of a training run: what it may say, and where it comes from."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union, get_type_hints

import yaml
from pydantic import (
    BaseModel,
    Field,
    ValidationError,
    create_model,
    field_validator,
    model_validator,
)

from hwloop import controllers
from hwloop.capabilities import Limits
from hwloop.device_file.explain import nearest, short
from hwloop.device_file.text import parse
from hwloop.errors import ConfigurationError
from hwloop.experiments.network_config import DEFAULT_KIND, NETWORKS, Mlp, Network, Rule
from hwloop.experiments.sections import Count, Positive, Section
from hwloop.experiments.transfer_config import Transfer


class Data(Section):
    """What is learned.

    Attributes:
        source: `mnist`, `digits`, `cifar10`, `cifar100`, a CIFAR archive or its folder, or a folder
            of IDX files or of images, one subfolder per class.
        test_share: share of each class that is kept for the test, where the source has no split.
        samples: training samples that are used, as many of each class; None for all.
        image_size: height and width that images of a folder are scaled to; None keeps theirs.
        colour: whether images are read in colour; None reads CIFAR so, and folders as grey values.
    """

    source: str = "mnist"
    test_share: float = Field(default=0.2, gt=0, lt=1)
    samples: Count | None = None
    image_size: Count | None = None
    colour: bool | None = None


class Algorithm(Section):
    """The training algorithm: its name, its learning rate, and the options of its controller.

    Attributes:
        name: name of the algorithm.
        lr: learning rate of the analog weights.
        weight_gain: one device unit of a layer's tiles is the weight `weight_gain / sqrt(inputs)`.
    """

    name: str
    lr: Positive
    weight_gain: Positive

    def options(self) -> Any:
        """Return the options as the controller takes them."""
        values = {k: getattr(self, k) for k in type(self).model_fields}
        return CONTROLLERS[self.name](
            **{k: v for k, v in values.items() if k not in Algorithm.model_fields}
        )

    def changed(self, options: Mapping[str, Any]) -> Any:
        """Return the options as the controller takes them, some of them changed.

        Raises:
            ConfigurationError: the algorithm has no such option, or the value does not fit.
        """
        known = [name for name in type(self).model_fields if name not in Algorithm.model_fields]
        for name in options:
            if name not in known:
                near = nearest(name, known)
                raise ConfigurationError(
                    f"rules: {self.name} has no option {name!r} that can differ between layers",
                    remedy=f"did you mean {near}?" if near else f"options: {', '.join(known)}",
                )
        try:
            section = type(self).model_validate({**self.model_dump(), **options})
        except ValidationError as error:
            raise _explain(error, {}, None) from None
        return section.options()


class Backend(Section):
    """The array.

    Attributes:
        url: where it is; `shape` and `seed` of a `sim:` URL are filled in where they are missing.
        device: name or path of a device file, in place of the one that the URL names.
        station: path of the station file of the bench, with its limits.
        limits: further limits; the tightest of all holds.
        lowerings: names of lowerings that build missing capabilities.
    """

    url: str = "sim:reram-om"
    device: str | None = None
    station: str | None = None
    limits: Limits = Limits()
    lowerings: tuple[str, ...] = ()


class Schedule(Section):
    """Order and length of the training.

    Attributes:
        epochs: passes over the training data.
        batch: samples per batch.
        limit: batches after which the run ends, or None.
        decay: pairs (share of the epochs, factor): from that share on, rates have that factor.
        digital_lr: learning rate of the digital biases; that of the algorithm by default.
        float_lr: learning rate of the float network that is trained alongside; None for none.
        checkpoint_batches: batches between two checkpoints; None for one after each epoch.
    """

    epochs: Count = 10
    batch: Count = 10
    limit: Count | None = None
    decay: tuple[tuple[float, Positive], ...] = ((0.5, 0.3), (0.8, 0.1))
    digital_lr: Positive | None = None
    float_lr: Positive | None = 0.2
    checkpoint_batches: Count | None = None

    @field_validator("decay")
    @classmethod
    def _decay_in_order(cls, decay: tuple[tuple[float, float], ...]) -> Any:
        shares = [share for share, _ in decay]
        if shares != sorted(shares) or not all(0 <= share <= 1 for share in shares):
            raise ValueError("shares of the epochs should rise from 0 to 1")
        return decay

    def factor(self, epoch: int) -> float:
        """Return the factor on all rates in an epoch, counted from 0."""
        factors = [factor for share, factor in self.decay if epoch >= share * self.epochs]
        return factors[-1] if factors else 1.0


class Report(Section):
    """What is written while the run goes on, and after it.

    Attributes:
        every: batches between two rows of metrics.
        html: whether `report.html` is made.
    """

    every: Count = 50
    html: bool = True


DEFAULT_ALGORITHM = "c-ttv2"

CONTROLLERS: dict[str, type[Any]] = {options.name: options for options in controllers.ALGORITHMS}
"""Option classes of the controllers, by the names of their algorithms."""

_TEN_LINES = {"weight_gain": 16.0, "n_s": 10, "lines_per_transfer": 10}

_DEFAULTS: dict[str, dict[str, Any]] = {
    "c-ttv2": {"lr": 0.1, **_TEN_LINES},
    "ttv2": {"lr": 0.1, **_TEN_LINES},
    "agad": {"lr": 0.1, **_TEN_LINES, "period": 5},
    "e-rider": {"lr": 0.1, **_TEN_LINES, "rho": 0.2, "eta": 0.3, "gamma": 0.02},
    "tiki-taka": {"lr": 0.05, **_TEN_LINES, "fast_lr": 50.0},
    "residual": {"lr": 0.1, **_TEN_LINES, "fast_lr": 10.0},
    "mixed-precision": {"lr": 0.2, "weight_gain": 16.0, "n_s": 10},
    "sgd": {"lr": 0.05, "weight_gain": 10 / 3},
}
"""What suits 4,000 digits: on so few, the fast array has to be read once per sample, here ten lines
after ten samples."""


def _algorithm_section(name: str) -> type[Algorithm]:
    controller = CONTROLLERS[name]
    hints = get_type_hints(controller)
    defaults = _DEFAULTS[name]
    fields: dict[str, Any] = {
        "name": (Literal[name], name),
        "lr": (Positive, defaults["lr"]),
        "weight_gain": (Positive, defaults["weight_gain"]),
    }
    for field in dataclasses.fields(controller):
        default = defaults.get(field.name, field.default)
        fields[field.name] = (hints[field.name], default)
    return create_model(f"Algorithm_{name}", __base__=Algorithm, **fields)


ALGORITHMS: dict[str, type[Algorithm]] = {name: _algorithm_section(name) for name in CONTROLLERS}
"""Forms of the section `algorithm`; each has the options of its controller."""

if TYPE_CHECKING:
    AnyAlgorithm = Algorithm
else:
    AnyAlgorithm = Annotated[
        Union[tuple(ALGORITHMS.values())],  # noqa: UP007 (no list of types is known here)
        Field(discriminator="name"),
    ]


_FORMS: dict[str, Mapping[str, type[BaseModel]]] = {"algorithm": ALGORITHMS, "network": NETWORKS}

TRANSFER_LEARNING = "transfer-learning"


class TrainConfig(Section):
    """Everything that determines a training run.

    Attributes:
        experiment: `training` from initial weights, or `transfer-learning` from weights that were
            trained in float on other classes.
        seed: seed of the weights, the order of the data, the controller and, unless its URL names
            one, a simulated array.
        rules: what is different in some layers; None for what suits the network.
        transfer: settings of transfer learning, None without it.
    """

    experiment: Literal["training", "transfer-learning"] = "training"
    seed: int = Field(default=1, ge=0, lt=2**63)
    data: Data = Data()
    network: Network = Mlp()
    rules: tuple[Rule, ...] | None = None
    transfer: Transfer | None = None
    algorithm: AnyAlgorithm = ALGORITHMS[DEFAULT_ALGORITHM].model_validate({})
    backend: Backend = Backend()
    schedule: Schedule = Schedule()
    report: Report = Report()

    @model_validator(mode="before")
    @classmethod
    def _transfer_with_its_experiment(cls, values: Any) -> Any:
        if not isinstance(values, Mapping) or values.get("experiment") != TRANSFER_LEARNING:
            return values
        return {**values, "transfer": {} if values.get("transfer") is None else values["transfer"]}

    @model_validator(mode="after")
    def _transfer_only_with_its_experiment(self) -> TrainConfig:
        if self.transfer is not None and self.experiment != TRANSFER_LEARNING:
            raise ValueError(f"transfer has settings, but experiment is not {TRANSFER_LEARNING}")
        return self


def load_config(
    path: Path | None = None,
    assignments: Sequence[str] = (),
    flags: Mapping[str, Any] | None = None,
) -> TrainConfig:
    """Return a configuration: defaults, overridden by a file, by `key=value` texts, by flags.

    Args:
        path: YAML file.
        assignments: texts such as `algorithm.n_s=2`; values are YAML.
        flags: values by dotted keys.

    Raises:
        ConfigurationError: an unknown key or a value that does not fit, with its place.
    """
    file = {} if path is None else _read(path)
    command = _merge(_from_assignments(assignments), _nested(flags or {}))
    for section, form, usual in (
        ("algorithm", "name", DEFAULT_ALGORITHM),
        ("network", "kind", DEFAULT_KIND),
    ):
        chosen = _form(command, section, form)
        if chosen is not None and chosen != (_form(file, section, form) or usual):
            file = {k: v for k, v in file.items() if k != section}  # another form's settings
    merged = _merge(file, command)
    if isinstance(merged.setdefault("algorithm", {}), dict):
        merged["algorithm"].setdefault("name", DEFAULT_ALGORITHM)
    try:
        config = TrainConfig.model_validate(merged)
    except ValidationError as error:
        raise _explain(error, command, path) from None
    config.algorithm.options()
    for rule in config.rules or ():
        config.algorithm.changed(rule.options)
    return config


def dump_config(config: TrainConfig) -> str:
    """Return a configuration as YAML that `load_config` reads."""
    return yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False)


def known_keys() -> list[str]:
    """Return the dotted keys of all settings."""
    keys = list(_keys_of(TrainConfig))
    forms: list[tuple[str, type[BaseModel]]] = [("transfer", Transfer)]
    forms += [("algorithm", section) for section in ALGORITHMS.values()]
    forms += [("network", section) for section in NETWORKS.values()]
    keys += [f"{name}.{key}" for name, section in forms for key in section.model_fields]
    return sorted(set(keys))


def _keys_of(model: type[BaseModel]) -> Iterator[str]:
    for name, field in model.model_fields.items():
        section = type(field.default)
        if issubclass(section, Algorithm):
            continue
        if issubclass(section, Section):
            yield from (f"{name}.{key}" for key in _keys_of(section))
        else:
            yield name


def _read(path: Path) -> dict[str, Any]:
    try:
        loaded = parse(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path}: is not YAML: {error}") from error
    if loaded is None:
        return {}
    if not isinstance(loaded, dict):
        raise ConfigurationError(f"{path}: should be a mapping of sections")
    return loaded


def _from_assignments(assignments: Sequence[str]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for text in assignments:
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise ConfigurationError(
                f"--set {text!r} is not key=value", remedy="write for example algorithm.n_s=2"
            )
        try:
            values[key.strip()] = parse(value)
        except yaml.YAMLError as error:
            raise ConfigurationError(f"--set {text!r}: the value is not YAML") from error
    return _nested(values)


def _nested(flat: Mapping[str, Any]) -> dict[str, Any]:
    nested: dict[str, Any] = {}
    for key, value in flat.items():
        *sections, last = key.split(".")
        leaf: dict[str, Any] = {last: value}
        for section in reversed(sections):
            leaf = {section: leaf}
        nested = _merge(nested, leaf)
    return nested


def _merge(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for key, value in above.items():
        under = merged.get(key)
        both = isinstance(value, Mapping) and isinstance(under, Mapping)
        merged[key] = _merge(under, value) if both else value  # type: ignore[arg-type]
    return merged


def _form(layer: Mapping[str, Any], name: str, key: str) -> Any:
    """Return which of its forms a section names, if it does."""
    section = layer.get(name)
    return section.get(key) if isinstance(section, Mapping) else None


def _explain(
    error: ValidationError, command: Mapping[str, Any], path: Path | None
) -> ConfigurationError:
    lines, remedy = [], "hwloop train --dry-run shows all settings"
    for problem in error.errors(include_url=False):
        place = [str(part) for part in problem["loc"]] or ["transfer"]
        if place[0] in _FORMS and len(place) > 1 and place[1] in _FORMS[place[0]]:
            del place[1]  # pydantic names the form that it chose; the file has no such level
        key = ".".join(place)
        where = "command line" if _holds(command, place) or path is None else str(path)
        what = problem["msg"].removeprefix("Value error, ").removeprefix("Input ")
        if problem["type"] == "union_tag_invalid":
            what = f"unknown {place[0]} {problem['ctx']['tag']!r}"
            remedy = f"use one of {', '.join(_FORMS[place[0]])}"
        elif problem["type"] == "extra_forbidden":
            what = "unknown key"
            known = known_keys()
            near = next((k for k in known if k.split(".")[-1] == place[-1]), nearest(key, known))
            remedy = f"did you mean {near}?" if near else f"keys: {', '.join(known)}"
            if key in known:
                remedy = f"it is a setting of another {place[0]}"
        elif not problem["loc"]:
            remedy = f"set experiment to {TRANSFER_LEARNING}, or leave transfer out"
        else:
            what = f"is {short(problem['input'])}, {what}"
        lines.append(f"{where}: {key}: {what}")
    return ConfigurationError("\n".join(lines), remedy=remedy)


def _holds(layer: Mapping[str, Any], place: Sequence[str]) -> bool:
    here: Any = layer
    for part in place:
        if not isinstance(here, Mapping):
            return True  # the problem lies inside a value that this layer gave
        if part not in here:
            return False
        here = here[part]
    return True
