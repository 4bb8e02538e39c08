"""Clips on a page: what is drawn is what was given, in order."""

import io

import numpy as np
import pytest
from PIL import Image, ImageSequence

from minilib.errors import BadInput
from minilib.films import GAP, TITLE, film, strips


def test_panels_stand_beside_each_other_and_play_in_order():
    first = np.zeros((3, 8, 6, 3), np.uint8)
    first[..., 0] = np.array([50, 150, 250]).reshape(3, 1, 1)
    found = strips({"a": first, "b": 255 - first}, scale=2)
    assert [each.size for each in found] == [(12 + GAP + 12, 16 + TITLE)] * 3
    assert [each.getpixel((3, TITLE + 3))[0] for each in found] == [50, 150, 250]
    assert [each.getpixel((12 + GAP + 3, TITLE + 3))[0] for each in found] == [205, 105, 5]
    shown = film({"a <b>": first})
    frames = [each.convert("RGB") for each in ImageSequence.Iterator(Image.open(io.BytesIO(shown.data)))]
    assert [abs(each.getpixel((6, TITLE + 8))[0] - red) < 30 for each, red in zip(frames, (50, 150, 250), strict=True)]
    assert "a &lt;b&gt;" in shown._repr_html_() and "plays" in repr(shown)
    for clips in ({"a": first, "b": first[:2]}, {"a": first[0]}, {}):
        with pytest.raises(BadInput, match="one size"):
            film(clips)
