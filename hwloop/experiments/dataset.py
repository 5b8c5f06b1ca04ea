"""A data set, and how it is divided."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwloop.device_file.explain import nearest
from hwloop.errors import ConfigurationError

Inputs = NDArray[np.float32]
Labels = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Dataset:
    """Vectors with their classes, split into a training and a test part.

    Attributes:
        name: what the data are.
        x_train, x_test: inputs from 0 to 1, float32, shape (samples, inputs).
        y_train, y_test: classes, int64, shape (samples,).
        classes: names of the classes.
        image: channels, height and width, in the order of an input vector; None is no image.
    """

    name: str
    x_train: Inputs
    y_train: Labels
    x_test: Inputs
    y_test: Labels
    classes: tuple[str, ...]
    image: tuple[int, int, int] | None = None

    @property
    def inputs(self) -> int:
        """Length of an input vector."""
        return int(self.x_train.shape[1])

    def fingerprint(self) -> str:
        """Return the SHA-256 over all samples, in order."""
        digest = hashlib.sha256()
        for array in (self.x_train, self.y_train, self.x_test, self.y_test):
            digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()

    def of_classes(self, names: Sequence[str]) -> Dataset:
        """Return the samples of some classes, which are numbered anew in the order of the names.

        Raises:
            ConfigurationError: there is no such class, or one is named twice.
        """
        for name in names:
            if name not in self.classes:
                near = nearest(name, self.classes)
                raise ConfigurationError(
                    f"data {self.name!r} have no class {name!r}",
                    remedy=f"did you mean {near!r}?"
                    if near
                    else f"classes: {', '.join(self.classes)}",
                )
        if len(set(names)) != len(names) or len(names) < 2:
            raise ConfigurationError(
                f"classes {', '.join(names) or 'none'}: expected two or more, each once"
            )
        number = np.full(len(self.classes), -1, np.int64)
        for new, name in enumerate(names):
            number[self.classes.index(name)] = new
        train, test = number[self.y_train], number[self.y_test]
        return replace(
            self,
            name=f"{self.name}, classes {', '.join(names)}",
            x_train=self.x_train[train >= 0],
            y_train=train[train >= 0],
            x_test=self.x_test[test >= 0],
            y_test=test[test >= 0],
            classes=tuple(names),
        )

    def of_samples(self, count: int) -> Dataset:
        """Return a data set of fewer training samples: the first ones of each class, equally many.

        Raises:
            ConfigurationError: there are not so many.
        """
        classes = len(self.classes)
        if count < classes or count > len(self.y_train):
            raise ConfigurationError(
                f"data.samples is {count}, expected {classes} to {len(self.y_train)}: "
                f"{self.name} has {classes} classes and {len(self.y_train)} training samples"
            )
        chosen = []
        for label in range(classes):
            wanted = count // classes + (label < count % classes)
            members = np.flatnonzero(self.y_train == label)
            if len(members) < wanted:
                raise ConfigurationError(
                    f"data.samples is {count}: class {self.classes[label]!r} has "
                    f"{len(members)} training samples, {wanted} would be its share"
                )
            chosen.append(members[:wanted])
        kept = np.sort(np.concatenate(chosen))
        return replace(self, x_train=self.x_train[kept], y_train=self.y_train[kept])


def stratified_split(y: Labels, test_share: float) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return indices of the training and the test samples; the same ones for the same `y`.

    Class by class a permutation from `numpy.random.default_rng(0)`: its first part trains, its last
    part tests.
    """
    generator = np.random.default_rng(0)
    train, test = [], []
    for label in range(int(y.max()) + 1):
        members = generator.permutation(np.flatnonzero(y == label))
        kept = len(members) - round(len(members) * test_share)
        train.append(members[:kept])
        test.append(members[kept:])
    return np.concatenate(train), np.concatenate(test)


def split(
    name: str,
    x: NDArray[Any],
    y: Labels,
    classes: Sequence[str],
    test_share: float,
    image: tuple[int, int, int] | None = None,
) -> Dataset:
    """Return samples as a data set, split into a training and a test part class by class."""
    train, test = stratified_split(y, test_share)
    if not len(train) or not len(test):
        raise ConfigurationError(
            f"data {name!r}: {len(train)} samples to train and {len(test)} to test",
            remedy="set data.test_share so that both parts get some of each class",
        )
    x = x.astype(np.float32)
    return Dataset(name, x[train], y[train], x[test], y[test], tuple(classes), image)
