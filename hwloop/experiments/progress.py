"""How far a training run is, and who is told."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

from hwloop.experiments.config import TrainConfig


@dataclass(slots=True)
class Tally:
    """Sums over training samples, of the analog network and of the float one.

    Attributes:
        samples: samples so far.
        loss, float_loss: summed losses.
        correct, float_correct: samples that were classified right.
    """

    samples: int = 0
    loss: float = 0.0
    correct: int = 0
    float_loss: float = 0.0
    float_correct: int = 0

    def add(self, other: Tally) -> None:
        """Add the sums of further samples."""
        self.samples += other.samples
        self.loss += other.loss
        self.correct += other.correct
        self.float_loss += other.float_loss
        self.float_correct += other.float_correct

    def means(self, *, with_float: bool) -> dict[str, float | None]:
        """Return losses and accuracies per sample; None without a float network."""
        n = max(self.samples, 1)
        return {
            "loss": self.loss / n,
            "accuracy": self.correct / n,
            "float_loss": self.float_loss / n if with_float else None,
            "float_accuracy": self.float_correct / n if with_float else None,
        }


@dataclass(slots=True)
class Progress:
    """The place of a run; together with the state of network and array it is all that a run is.

    Attributes:
        epoch: epochs completed.
        batch: batches of the epoch under way.
        batches: batches so far.
        seconds: wall time before this session.
        epoch_tally: sums over the epoch under way.
        row_tally: sums since the last row of metrics.
    """

    epoch: int = 0
    batch: int = 0
    batches: int = 0
    seconds: float = 0.0
    epoch_tally: Tally = field(default_factory=Tally)
    row_tally: Tally = field(default_factory=Tally)

    def content(self) -> dict[str, Any]:
        """Return everything as plain values."""
        return asdict(self)

    @classmethod
    def from_content(cls, content: dict[str, Any]) -> Progress:
        """Return what `content` was taken of."""
        tallies = {name: Tally(**content[name]) for name in ("epoch_tally", "row_tally")}
        return cls(**{**content, **tallies})


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run is about to do.

    Attributes:
        config: its configuration.
        folder: where it is written.
        url: the array.
        array: name of the array.
        data: name of the data.
        epoch_batches: batches of an epoch.
        batches: batches of the whole run.
        done: batches that were done before.
    """

    config: TrainConfig
    folder: Path
    url: str
    array: str
    data: str
    epoch_batches: int
    batches: int
    done: int = 0


@dataclass(frozen=True, slots=True)
class State:
    """What can be said of a run after each batch.

    Attributes:
        progress: its place.
        pulses: pulses given, all cells together.
        chip_seconds: chip time.
        test_accuracy: of the last completed epoch.
    """

    progress: Progress
    pulses: int
    chip_seconds: float
    test_accuracy: float | None


class Observer(Protocol):
    """Who is told how a run goes on."""

    def begin(self, plan: Plan) -> None:
        """Take note that the run begins."""
        ...

    def batch(self, state: State) -> None:
        """Take note of a batch; called often."""
        ...

    def epoch(self, row: dict[str, Any]) -> None:
        """Take note of a completed epoch, as its row of metrics says."""
        ...

    def note(self, text: str) -> None:
        """Take note of something that the user should know."""
        ...


class Silence:
    """An observer that says nothing."""

    def begin(self, plan: Plan) -> None:
        """Say nothing."""

    def batch(self, state: State) -> None:
        """Say nothing."""

    def epoch(self, row: dict[str, Any]) -> None:
        """Say nothing."""

    def note(self, text: str) -> None:
        """Say nothing."""
