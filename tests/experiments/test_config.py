"""Settings: where they come from, and what is refused."""

from pathlib import Path

import pytest
import yaml

from hwloop.errors import ConfigurationError
from hwloop.experiments.config import ALGORITHMS, TrainConfig, dump_config, known_keys, load_config


def file(tmp_path: Path, **content: object) -> Path:
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def test_defaults_are_the_main_job() -> None:
    config = load_config()
    assert config.algorithm.name == "c-ttv2"
    assert config.backend.url == "sim:reram-om"
    assert config.data.source == "mnist"
    assert config.network.hidden == (256, 128)
    assert (config.schedule.epochs, config.schedule.batch) == (10, 10)


def test_defaults_give_way_to_file_to_assignments_to_flags(tmp_path: Path) -> None:
    path = file(tmp_path, schedule={"epochs": 2, "batch": 3, "limit": 4}, seed=7)
    assignments = ["schedule.batch=30", "schedule.limit=40"]
    config = load_config(path, assignments, {"schedule.limit": 400})
    assert config.seed == 7
    assert config.schedule.epochs == 2
    assert config.schedule.batch == 30
    assert config.schedule.limit == 400


def test_values_of_assignments_are_yaml() -> None:
    config = load_config(
        assignments=["network.hidden=[5, 6]", "schedule.float_lr=null", "report.html=false"]
    )
    assert config.network.hidden == (5, 6)
    assert config.schedule.float_lr is None
    assert config.report.html is False


def test_options_are_those_of_the_controller() -> None:
    options = load_config(assignments=["algorithm.n_s=3", "algorithm.chopper=regular"])
    assert options.algorithm.options().n_s == 3
    assert options.algorithm.options().chopper == "regular"


def test_another_algorithm_drops_the_options_of_the_files(tmp_path: Path) -> None:
    path = file(tmp_path, algorithm={"name": "c-ttv2", "n_s": 4, "lr": 0.3})
    assert load_config(path).algorithm.options().n_s == 4
    other = load_config(path, flags={"algorithm.name": "sgd"})
    assert other.algorithm == ALGORITHMS["sgd"].model_validate({})


def test_naming_the_default_algorithm_keeps_the_options_of_the_file(tmp_path: Path) -> None:
    path = file(tmp_path, algorithm={"n_s": 4})
    config = load_config(path, flags={"algorithm.name": "c-ttv2"})
    assert config.algorithm.options().n_s == 4


def test_dumped_settings_load_as_the_same(tmp_path: Path) -> None:
    config = load_config(assignments=["algorithm.name=sgd", "algorithm.l_max=7", "seed=3"])
    path = tmp_path / "again.yaml"
    path.write_text(dump_config(config))
    assert load_config(path) == config


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="frozen"):
        load_config().seed = 2


@pytest.mark.parametrize(
    ("assignment", "message", "remedy"),
    [
        ("schedule.epoch=3", "schedule.epoch: unknown key", "did you mean schedule.epochs?"),
        ("n_s=3", "n_s: unknown key", "did you mean algorithm.n_s?"),
        ("algorithm.ns=3", "algorithm.ns: unknown key", "did you mean algorithm.n_s?"),
        ("quux=3", "quux: unknown key", "keys: algorithm"),
        ("algorithm.name=ttv9", "unknown algorithm 'ttv9'", "c-ttv2, ttv2, agad"),
        ("algorithm=3", "algorithm: is 3", ""),
        ("schedule.epochs=0", "schedule.epochs: is 0", ""),
        ("schedule.batch=ten", "schedule.batch: is 'ten'", ""),
        ("schedule.float_lr=.nan", "schedule.float_lr: is nan", ""),
        ("network.hidden=[8, -1]", "network.hidden.1: is -1", ""),
        ("schedule.decay=[[0.8, 0.1], [0.5, 0.3]]", "schedule.decay: is", ""),
        ("data.test_share=1", "data.test_share: is 1", ""),
        ("seed", "not key=value", "algorithm.n_s=2"),
        ("seed=[", "not YAML", ""),
        ("algorithm.eta0=-1", "eta0 is -1", ""),
    ],
)
def test_mistakes_are_named(assignment: str, message: str, remedy: str) -> None:
    with pytest.raises(ConfigurationError) as refusal:
        load_config(assignments=[assignment])
    assert message in refusal.value.message
    assert remedy in refusal.value.remedy


def test_mistakes_in_a_file_name_the_file(tmp_path: Path) -> None:
    path = file(tmp_path, schedule={"epochs": -1})
    with pytest.raises(ConfigurationError, match=r"config\.yaml: schedule\.epochs: is -1"):
        load_config(path)
    with pytest.raises(ConfigurationError, match="command line: seed: is -1"):
        load_config(path, ["schedule.epochs=1", "seed=-1"])


@pytest.mark.parametrize(
    ("content", "message"),
    [("[1, 2", "is not YAML"), ("[1, 2]", "mapping of sections"), ("a: b: c", "is not YAML")],
)
def test_unreadable_files_are_refused(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(content)
    with pytest.raises(ConfigurationError, match=message):
        load_config(path)


def test_missing_and_empty_files(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="No such file"):
        load_config(tmp_path / "missing.yaml")
    empty = tmp_path / "empty.yaml"
    empty.touch()
    assert load_config(empty) == TrainConfig()


def test_rates_fall_as_the_schedule_says() -> None:
    schedule = load_config().schedule
    assert [schedule.factor(epoch) for epoch in range(10)] == [1] * 5 + [0.3] * 3 + [0.1] * 2


def test_every_key_can_be_set() -> None:
    keys = known_keys()
    assert {"seed", "data.source", "algorithm.lr", "algorithm.n_s", "schedule.limit"} <= set(keys)
    assert not [key for key in keys if key.split(".")[0] not in TrainConfig.model_fields]
