"""Tables of cells: every measured cell as itself, and what is wrong with a table."""

import hashlib
from pathlib import Path

import numpy as np
import pytest

import hwloop_sim
from hwloop import device_file
from hwloop.device_file import DeviceFile, write_cells
from hwloop.errors import ConfigurationError
from hwloop.operations import Snapshot
from hwloop_sim.population import draw

ROWS, COLS = 6, 5


def columns(**more: object) -> dict[str, object]:
    row, col = np.mgrid[:ROWS, :COLS].reshape(2, -1)
    return {"row": row, "col": col, **more}


def device(**more: object) -> DeviceFile:
    return device_file.load("reram-om").with_cells(write_cells(columns(**more)), "om-cells.csv")


def test_what_the_table_says_is_used_and_the_rest_is_drawn(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    step_up, bound_max = rng.uniform(0.01, 0.2, 30), rng.uniform(0.5, 9, 30)
    state, noise = rng.uniform(-0.3, 0.3, 30), rng.uniform(0, 0.1, 30)
    step_up[3] = np.nan
    stuck = np.zeros(30)
    stuck[7] = 1
    made = device(step_up=step_up, bound_max=bound_max, state=state, write_noise=noise, stuck=stuck)
    device_file.save(made, tmp_path / "om.yaml")
    loaded = device_file.load(tmp_path / "om.yaml")
    assert loaded == made
    assert loaded.digest != device_file.load("reram-om").digest

    measured = draw(loaded, ROWS, COLS, seed=1)
    drawn = draw(loaded, ROWS, COLS, seed=1, overrides={"population": "drawn"})
    normal = stuck == 0
    expected = np.where(np.isnan(step_up), drawn.up_a.ravel(), step_up).astype(np.float32)
    np.testing.assert_array_equal(measured.up_a.ravel()[normal], expected[normal])
    np.testing.assert_allclose(measured.bound_max.ravel()[normal], bound_max[normal], rtol=1e-6)
    np.testing.assert_allclose(
        measured.up_b.ravel()[normal], (-expected / bound_max)[normal], rtol=1e-6
    )
    np.testing.assert_allclose(measured.initial.ravel(), state, rtol=1e-6)
    np.testing.assert_allclose(measured.write_noise.ravel()[normal], noise[normal], rtol=1e-6)
    np.testing.assert_array_equal(measured.down_a[0, :2], drawn.down_a[0, :2])
    assert measured.up_a.ravel()[7] == 0
    assert measured.bound_max.ravel()[7] == measured.bound_min.ravel()[7] == np.float32(state[7])
    assert measured.full_scale == 16  # above the largest bound


def test_arrays_take_the_cells_of_the_table(tmp_path: Path) -> None:
    first = columns(state=np.linspace(-0.2, 0.2, 30))
    both = {k: np.concatenate([np.asarray(v)] * 2) for k, v in first.items()}
    both["tile"] = np.repeat([0, 1], 30)
    both["state"][30:] = 0.1
    made = device_file.load("reram-om").with_cells(write_cells(both))
    device_file.save(made, tmp_path / "om.json")
    array = hwloop_sim.open_backend(str(tmp_path / "om.json"), {})
    assert [(t.rows, t.cols) for t in array.describe().tiles] == [(ROWS, COLS)] * 2
    states = array.wait(array.submit([Snapshot(tile=n) for n in range(2)]))
    values = [s.values[0].view(np.float32) for s in states]
    np.testing.assert_allclose(values[0].ravel(), both["state"][:30], atol=1e-7)
    np.testing.assert_allclose(values[1], 0.1, rtol=1e-6)
    array.close()
    drawn = hwloop_sim.open_backend(str(tmp_path / "om.json"), {"population": "drawn"})
    assert drawn.describe().tiles[0].rows == 64
    drawn.close()
    with pytest.raises(ConfigurationError, match="has 6x5 of it\\nremedy: use shape=6x5\\+6x5"):
        hwloop_sim.open_backend(str(tmp_path / "om.json"), {"shape": "8x5"})
    with pytest.raises(ConfigurationError, match="has no table of cells"):
        hwloop_sim.open_backend("reram-om", {"population": "measured"})
    with pytest.raises(ConfigurationError, match="should be measured or drawn"):
        hwloop_sim.open_backend("reram-om", {"population": "some"})


def test_options_keep_the_table() -> None:
    made = device(state=np.zeros(30))
    changed = device_file.override(made, {"cycle_noise": "0.1"})
    assert changed.measured_cells == made.measured_cells
    assert device_file.override(made, {"population": "drawn"}).cells is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("row,col\n", "has no cells"),
        ("row,step_up\n0,1\n", "line 1: column col is missing"),
        ("row,col,step\n0,0,1\n", "line 1: step: should be one of tile, row, col, step_up"),
        ("row,col,state\n0,0\n", "line 2: 2 fields: should be 3"),
        ("row,col,state\n0,0,1\n0,0,1\n", "tile 0, row 0, col 0: is there twice"),
        ("row,col,state\n0,0,x\n", "line 2, column state: x: should be a number from -100 to 100"),
        ("row,col,state\n0,,1\n", "line 2, column col: should be a whole number from 0"),
        ("row,col,stuck\n0,0,0.5\n", "column stuck: 0.5: should be a whole number from 0 to 1"),
        ("row,col,bound_max\n0,0,-1\n", "column bound_max: -1: should be a number from 0 to 100"),
    ],
)
def test_what_is_wrong_with_a_table_is_named(text: str, message: str, tmp_path: Path) -> None:
    device_file.save(device(state=np.zeros(30)), tmp_path / "om.yaml")
    table = tmp_path / "om-cells.csv"
    old = hashlib.sha256(table.read_bytes()).hexdigest()
    table.write_text(text)
    with pytest.raises(ConfigurationError, match=f"om-cells.csv: SHA-256.*should be {old}"):
        device_file.load(tmp_path / "om.yaml")
    header = (tmp_path / "om.yaml").read_text()
    new = hashlib.sha256(table.read_bytes()).hexdigest()
    (tmp_path / "om.yaml").write_text(header.replace(old, new))
    with pytest.raises(ConfigurationError) as caught:
        device_file.load(tmp_path / "om.yaml")
    assert message in str(caught.value)


def test_a_table_that_is_not_there(tmp_path: Path) -> None:
    device_file.save(device(state=np.zeros(30)), tmp_path / "om.yaml")
    text = (tmp_path / "om.yaml").read_text()
    (tmp_path / "om-cells.csv").unlink()
    with pytest.raises(ConfigurationError, match=r"om.yaml: cells.file: om-cells.csv: there is no"):
        device_file.load(tmp_path / "om.yaml")
    with pytest.raises(ConfigurationError, match="load the device file by its path"):
        draw(device_file.parse(text, "om.yaml"), ROWS, COLS, seed=1)
