"""A study on a real Dask cluster whose worker is killed in the middle of a point."""

import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from hwloop.errors import ConfigurationError
from hwloop.experiments.sweep import Study, dask_cluster, parse_study, run_study

from .test_killed import STUDY, alive, events_of, kill_a_worker, points


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[str]:
    """Start a scheduler and two workers without nannies, so that a killed worker stays dead."""
    with ExitStack() as stack:
        scheduler = start(stack, "scheduler", "--host", "127.0.0.1", "--port", "0")
        address = find(scheduler, r"Scheduler at:\s+(\S+)")
        for i in range(2):
            start(
                stack,
                "worker",
                address,
                *("--nthreads", "1", "--no-nanny", "--name", str(i)),
                *("--local-directory", str(tmp_path / "scratch")),
            )
        yield address


def start(stack: ExitStack, kind: str, *words: str) -> subprocess.Popen[str]:
    """Start a part of the cluster; it ends with the stack."""
    command = [sys.executable, "-m", "distributed.cli.dask_" + kind, "--no-dashboard", *words]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    stack.callback(end, process)
    return process


def end(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.wait()
    assert process.stderr is not None
    process.stderr.close()


def find(process: subprocess.Popen[str], pattern: str) -> str:
    assert process.stderr is not None
    for line in process.stderr:
        if (found := re.search(pattern, line)) is not None:
            return found[1]
    pytest.fail(f"{pattern} was never said")


def test_a_worker_killed_in_the_middle(cluster: str, tmp_path: Path) -> None:
    folder, killed = tmp_path / "study", list[tuple[str, int]]()
    killer = threading.Thread(target=lambda: killed.append(kill_a_worker(folder)))
    killer.start()
    study = parse_study(STUDY.replace("seeds: 3", "seeds: 2"), "killed.yaml")
    result = run_study(study, folder, engine=dask_cluster(cluster))
    killer.join()
    ((victim, process),) = killed
    assert not alive(process)
    assert result.complete and len(result.rows) == 4
    for point in points(folder):
        assert events_of(point, "finished") == 1
        assert events_of(point, "begun") == (2 if point.name == victim else 1)

    with pytest.raises(ConfigurationError, match="elsewhere is not there on"):
        dask_cluster(cluster)(tmp_path / "elsewhere", 1)


def test_nobody_at_the_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from hwloop.experiments.sweep import dask, driver

    monkeypatch.setattr(dask, "SECONDS_TO_CONNECT", 0.2)
    monkeypatch.setattr(driver, "check", lambda *arguments: None)
    with pytest.raises(ConfigurationError, match=r"--dask tcp://127.0.0.1:9: no scheduler answers"):
        run_study(
            Study(name="a", seeds=[1, 2]),
            tmp_path / "s",
            engine=dask_cluster("tcp://127.0.0.1:9"),
        )
    assert not (tmp_path / "s").exists()
