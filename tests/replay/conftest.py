"""A small training run whose device file is gone."""

import shutil
from pathlib import Path

import pytest

from hwloop import device_file
from hwloop.experiments.train import train_run
from hwloop.run import Run
from tests.tiny_runs import tiny

PRESETS = Path(device_file.__file__).parent / "presets"


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("trained")
    device = folder / "my-cells.yaml"
    shutil.copy(PRESETS / "reram-om.yaml", device)
    config = tiny(backend__url=f"sim:{device}", schedule__limit=22)
    run = train_run(config, out=folder / "7")
    device.unlink()
    return run


@pytest.fixture
def copied(trained: Run, tmp_path: Path) -> Run:
    """The run in a folder that the test may change."""
    shutil.copytree(trained.folder, tmp_path / "7")
    return Run(tmp_path / "7")
