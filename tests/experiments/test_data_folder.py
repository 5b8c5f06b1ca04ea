"""Folders of images in colour and of other sizes."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hwloop.errors import ConfigurationError
from hwloop.experiments.data import load_data


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return two classes of two images of 6 x 4 pixels, red and blue."""
    for name, colour in (("red", (255, 0, 0)), ("blue", (0, 0, 255))):
        (tmp_path / name).mkdir()
        for i in range(2):
            Image.new("RGB", (6, 4), colour).save(tmp_path / name / f"{i}.png")
    return tmp_path


def test_images_in_colour(folder: Path):
    data = load_data(str(folder), test_share=0.5, colour=True)
    assert data.image == (3, 4, 6)
    assert data.classes == ("blue", "red")
    blue = data.x_train[data.y_train == 0][0].reshape(3, 4, 6)
    assert (blue[2] == 1).all()
    assert not blue[:2].any()


def test_images_are_grey_unless_asked_for(folder: Path):
    data = load_data(str(folder), test_share=0.5)
    assert data.image == (1, 4, 6)
    assert data.x_train.max() == np.float32(76 / 255)  # red is 29.9 % of grey


def test_images_are_scaled(folder: Path):
    Image.new("RGB", (60, 50)).save(folder / "red" / "2.png")
    with pytest.raises(ConfigurationError, match="60 x 50 pixels") as refusal:
        load_data(str(folder), test_share=0.5)
    assert "data.image_size" in refusal.value.remedy
    data = load_data(str(folder), test_share=0.5, image_size=8)
    assert (data.image, data.inputs) == ((1, 8, 8), 64)


def test_images_that_would_fill_the_memory_are_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 5)
    with pytest.raises(ConfigurationError, match="is not a readable image"):
        load_data(str(folder), test_share=0.5)
