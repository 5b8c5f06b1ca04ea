"""Time and size of the tape of the default training run, against the same run without one.

One run, whose tape changes from round to round: one that forgets everything, one that keeps the
hash alone, one that writes the file. The figures are CPU seconds of the process. A share is the
median, over the rounds, of the time with a tape relative to the same turn without one.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

import torch

from hwloop.experiments.config import load_config
from hwloop.experiments.loop import train_batch
from hwloop.experiments.rig import Rig, one_torch_thread, prepare
from hwloop.experiments.train import TAPE_BLOCK_BYTES
from hwloop.tape import FileTape, HashTape, NoTape, TapeSink

MOST = 0.10
"""Largest share of the run that the tape may take."""


def train(rig: Rig, first: int, batches: int) -> float:
    """Train some batches and return the CPU seconds."""
    size, samples = rig.bench.config.schedule.batch, len(rig.x_train)
    start = time.process_time()
    for batch in range(first, first + batches):
        at = batch * size % samples
        train_batch(rig, torch.arange(at, min(at + size, samples)))
    rig.chip.flush()
    return time.process_time() - start


def main() -> int:
    """Time the rounds, print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batches", type=int, default=600, help="with each tape")
    parser.add_argument("--turn", type=int, default=20, help="batches between changes of tape")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, one_torch_thread():
        file = FileTape(Path(folder) / "tape.bin", {}, block_bytes=TAPE_BLOCK_BYTES)
        rig = Rig(prepare(load_config(flags={"backend.url": "sim:reram-om,threads=1"})), tape=file)
        rig.convert()
        written = file.offset
        tapes: dict[str, TapeSink] = {"none": NoTape(), "hash": HashTape(), "file": file}
        done, turns = 0, []
        for turn in range(-1, options.batches // options.turn):  # the first one warms up
            seconds = {}
            order = list(tapes)[turn % 3 :] + list(tapes)[: turn % 3]
            for name in order:
                rig.chip.tape = tapes[name]
                seconds[name] = train(rig, done, options.turn)
                done += options.turn
            turns.append(seconds)
        per_batch = (file.offset - written) / (len(turns) * options.turn)
        rig.chip.close()
        file.close()
    turns = turns[1:]
    bench, batches = rig.bench, len(turns) * options.turn
    share = {
        name: statistics.median(t[name] / t["none"] - 1 for t in turns) for name in ("hash", "file")
    }
    alone = statistics.median(t["none"] for t in turns) / options.turn
    size = written + per_batch * bench.batches
    print(
        f"{batches} batches with each tape, {1e3 * alone:.2f} ms each without one\n"
        f"hash alone  {100 * share['hash']:+.1f} %\n"
        f"file        {100 * share['file']:+.1f} %\n"
        f"size        {per_batch / 1e3:.1f} kB per batch and {written / 1e6:.1f} MB of initial "
        f"weights: {size / 1e6:.0f} MB for the {bench.batches} batches of the run, tests apart"
    )
    if options.json:
        found = {"batches": batches, "seconds_per_batch": alone, "share": share}
        sizes = {"bytes_per_batch": per_batch, "bytes_of_weights": written}
        options.json.write_text(json.dumps({**found, **sizes, "turns": turns}, indent=1))
    return 0 if share["file"] <= MOST else 1


if __name__ == "__main__":
    sys.exit(main())
