"""The training loop."""

from __future__ import annotations

import dataclasses
import time
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from hwloop.experiments.address import is_replay
from hwloop.experiments.going_on import can_be_set, stored_cells
from hwloop.experiments.networks import accuracy
from hwloop.experiments.progress import Observer, Progress, State, Tally
from hwloop.experiments.rig import Rig
from hwloop.experiments.run_folder import RunFolder
from hwloop.experiments.versions import versions
from hwloop.nn import save
from hwloop.random import host_generator


class Trainer:
    """Trains the networks of a rig from a place on, and writes what happens to a folder.

    Attributes:
        progress: the place.
    """

    def __init__(
        self, rig: Rig, folder: RunFolder, observer: Observer, progress: Progress | None = None
    ) -> None:
        self.progress = progress or Progress()
        self._rig = rig
        self._config = rig.bench.config
        self._folder = folder
        self._observer = observer
        self._total = rig.bench.batches
        self._started = time.perf_counter()
        self._accuracy: float | None = None

    @property
    def seconds(self) -> float:
        """Wall time so far, all sessions together."""
        return self.progress.seconds + time.perf_counter() - self._started

    def run(self) -> None:
        """Train to the end."""
        progress = self.progress
        if not progress.batches and not can_be_set(self._rig.chip.backend):
            self._checkpoint()  # what the cells hold before the first batch
        while progress.batches < self._total or progress.batch > 0:
            self._epoch()

    def _epoch(self) -> None:
        rig, progress, schedule = self._rig, self.progress, self._config.schedule
        rig.scale_rates(schedule.factor(progress.epoch))
        samples = len(rig.x_train)
        generator = host_generator(self._config.seed, "order of samples", progress.epoch)
        order = torch.from_numpy(generator.permutation(samples))
        for start in range(progress.batch * schedule.batch, samples, schedule.batch):
            if progress.batches == self._total:
                break
            done = train_batch(rig, order[start : start + schedule.batch])
            progress.epoch_tally.add(done)
            progress.row_tally.add(done)
            progress.batch += 1
            progress.batches += 1
            self._after_batch()
        self._end_epoch()

    def _after_batch(self) -> None:
        progress, chip = self.progress, self._rig.chip
        if progress.batches % self._config.report.every == 0:
            self._folder.add_metrics(self._row("batch", progress.row_tally))
            progress.row_tally = Tally()
        self._observer.batch(State(progress, chip.totals.pulses, chip.chip_seconds, self._accuracy))
        every = self._config.schedule.checkpoint_batches
        if every is not None and progress.batches % every == 0:
            self._checkpoint()

    def _end_epoch(self) -> None:
        rig, progress = self._rig, self.progress
        self._accuracy = accuracy(rig.networks.analog, rig.x_test, rig.y_test)
        float_accuracy = None
        if rig.networks.digital is not None:
            float_accuracy = accuracy(rig.networks.digital, rig.x_test, rig.y_test)
        rig.chip.flush()
        row = self._row("epoch", progress.epoch_tally)
        row |= {"test_accuracy": self._accuracy, "float_test_accuracy": float_accuracy}
        self._folder.add_metrics(row)
        self._observer.epoch(row)
        progress.epoch += 1
        progress.batch = 0
        progress.epoch_tally = Tally()
        self._checkpoint()

    def _row(self, kind: str, tally: Tally) -> dict[str, Any]:
        rig, progress = self._rig, self.progress
        return {
            "kind": kind,
            "epoch": progress.epoch + 1,
            "batch": progress.batches,
            "progress": progress.epoch + progress.batch / rig.bench.epoch_batches,
            "lr": rig.optimizer.param_groups[0]["lr"],
            **tally.means(with_float=rig.networks.digital is not None),
            "operations": rig.chip.totals.operations,
            "pulses": rig.chip.totals.pulses,
            "chip_seconds": rig.chip.chip_seconds,
            "seconds": round(self.seconds, 3),
            **link_row(rig),
        }

    def _checkpoint(self) -> None:
        rig, folder = self._rig, self._folder
        rig.chip.flush()  # so that the tape ends with the last result
        cells = stored_cells(rig.chip)
        if is_replay(rig.bench.url) or rig.chip.tape.repeating:
            return  # a tape has no state to go on from
        extra = {
            "progress": {**self.progress.content(), "seconds": self.seconds},
            "tape_bytes": folder.tape.stat().st_size,
            "metrics_bytes": folder.metrics_size(),
            "data": rig.bench.fingerprint,
            "pretrained": rig.pretrained,
            "versions": versions(),
        }
        folder.add_checkpoint(
            self.progress.batches,
            lambda path: save(path, rig.chip, rig.networks, rig.optimizer, extra, cells),
        )


def link_row(rig: Rig) -> dict[str, Any]:
    """Return the counters of the array's link as part of a row, nothing where there is none."""
    counters = rig.chip.link
    return {} if counters is None else {"link": dataclasses.asdict(counters)}


def train_batch(rig: Rig, chosen: Tensor) -> Tally:
    """Train both networks by one batch.

    Args:
        rig: the networks and their data.
        chosen: indices of the training samples, shape (samples,).
    """
    x, y = rig.x_train[chosen], rig.y_train[chosen]
    scores = rig.networks.analog(x)
    loss = F.cross_entropy(scores, y)
    loss.backward()  # type: ignore[no-untyped-call]
    rig.optimizer.step()
    done = Tally(len(y), loss.item() * len(y), _correct(scores, y))
    if rig.networks.digital is not None and rig.float_optimizer is not None:
        scores = rig.networks.digital(x)
        loss = F.cross_entropy(scores, y)
        rig.float_optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        rig.float_optimizer.step()
        done.float_loss, done.float_correct = loss.item() * len(y), _correct(scores, y)
    return done


def _correct(scores: Tensor, y: Tensor) -> int:
    return int((scores.argmax(dim=1) == y).sum())
