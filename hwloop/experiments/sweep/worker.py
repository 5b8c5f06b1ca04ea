"""A worker process of this machine: reads tasks, one a line, and answers each with its hash.

It ends with its driver, however that ended: the pipe that it reads from is then closed.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import sys
import threading

SINGLE_THREADED = {
    name: "1" for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
}
"""Environment of a worker: each has one core."""


def main() -> None:
    """Work until the driver closes the pipe."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the driver
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print is no answer
    tasks: queue.SimpleQueue[str] = queue.SimpleQueue()
    threading.Thread(target=_read, args=(tasks,), daemon=True).start()
    import hwloop.experiments.train  # noqa: F401 (a few seconds, which are no point's)
    from hwloop.experiments.sweep.work import run_task

    while True:
        content = json.loads(tasks.get())
        run_task(content)
        answers.write(content["hash"] + "\n")
        answers.flush()


def _read(tasks: queue.SimpleQueue[str]) -> None:
    for line in sys.stdin:
        tasks.put(line)
    os._exit(0)  # at once, in the middle of a point too: it goes on from its checkpoint


if __name__ == "__main__":
    main()
