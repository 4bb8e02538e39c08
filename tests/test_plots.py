"""Pictures: what is drawn where, and that files stay small."""

import io
from itertools import pairwise

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from matplotlib.text import Text
from PIL import Image

from minilib import plots


@pytest.fixture(autouse=True)
def closed():
    plots.style()
    yield
    plt.close("all")


def test_an_ablation_shows_every_seed_its_mean_and_the_papers_value():
    table = {"ours": ("grid/a", 66.0), "not measured": ("grid/b", None), "one seed": ("grid/c", 60.0)}
    figure = plots.ablation("Table 1", table, {"grid/a": {0: 40.0, 1: 50.0, 2: 45.0}, "grid/c": {0: 20.0}}, chance=8.3)
    axis, beside = figure.axes
    seeds = [line for line in axis.lines if line.get_marker() == "o"]
    assert [list(line.get_xdata()) for line in seeds] == [[40, 50, 45], [20]]
    paper = [(float(line.get_xdata()[0]), float(line.get_ydata()[0])) for line in beside.lines]
    assert paper == [(66, 0), (60, 2)] and [text.get_text() for text in beside.texts] == ["66", "60"]
    assert beside.get_ylim() == axis.get_ylim(), "a row stands at one height in both"
    assert [round(bar.get_width(), 6) for bar in axis.patches] == [45, 20]
    assert [label.get_text() for label in axis.get_yticklabels()] == list(table)
    assert axis.get_title(loc="left") == "Table 1 (1 to 3 seeds)"
    (alone,) = plots.ablation("T", {"x": ("m", None)}, {}).axes
    assert alone.get_title(loc="left") == "T (no seeds)"


def test_ranks_join_the_papers_place_and_ours():
    table = {"a": ("m/a", 3.0), "b": ("m/b", 2.0), "c": ("m/c", 1.0), "ours alone": ("m/d", None), "gone": ("m/e", 9.0)}
    rows = {"m/a": {0: 10.0}, "m/b": {0: 30.0, 1: 20.0}, "m/c": {0: 5.0}, "m/d": {0: 50.0}}
    _, axis = plt.subplots()
    plots.ranks(axis, "T", table, rows)
    joined = [tuple(map(int, line.get_ydata())) for line in axis.lines]
    assert joined == [(1, 2), (2, 1), (3, 3)], "best on top: gone, a, b, c beside ours alone, b, a, c"
    words = [text.get_text() for text in axis.texts]
    assert "gone, not measured  9" in words and "50.0 %  ours alone, not in the paper" in words and "30.0 %  b" in words
    assert axis.lines[2].get_color() == plots.COLOURS[0], "its rank is kept"


def test_level_lines_change_no_places_and_less_can_be_better():
    table = {"a": ("m/a", 2.0), "b": ("m/b", 3.0), "c": ("m/c", 3.0)}
    for rows, best, wanted in (
        ({"m/a": {0: 7.0}, "m/b": {0: 7.0}, "m/c": {0: 9.0}}, max, [(0, 0), (1, 1), (2, 2)]),  # c, b, a beside c, b, a
        ({"m/a": {0: 1.0}, "m/b": {0: 7.0}, "m/c": {0: 6.0}}, min, [(0, 0), (1, 1), (2, 2)]),  # a, c, b beside a, c, b
    ):
        _, axis = plt.subplots()
        plots.ranks(axis, "T", table, rows, best=best)
        assert [tuple(map(int, line.get_ydata())) for line in axis.lines] == wanted
    assert axis.texts[0].get_text() == "a  2" and "1.0 %  a" in [text.get_text() for text in axis.texts]


def test_rows_that_nobody_measured_keep_their_place():
    figure = plots.ablation("T", {"first": ("a", None), "ours": ("b", None), "last": ("c", None)}, {"b": {0: 40.0}})
    assert figure.axes[0].get_ylim() == (2.5, -0.5)


def test_names_stand_apart_in_the_order_of_their_points():
    points = {"a": (1.0, 90.0), "b": (2.0, 90.1), "c": (1.5, 90.1), "low": (1.0, 10.0), "nowhere": (np.nan, 3.0)}
    _, axis = plt.subplots()
    for point in points.values():
        axis.plot(*point, "o")
    plots.names_beside(axis, points)
    axis.figure.canvas.draw()
    boxes = {text.get_text(): Text.get_window_extent(text) for text in axis.texts}  # without its line
    assert list(boxes) == ["low", "a", "b", "c"]
    ordered = list(boxes.values())
    assert all(above.y0 >= below.y1 for below, above in pairwise(ordered))
    assert all(box.x0 > axis.get_window_extent().x1 for box in ordered) and ordered[-1].y0 < axis.get_window_extent().y1
    plots.names_beside(plt.figure().add_subplot(), {})


def test_confusion_is_in_percent_of_the_true_class():
    score = torch.eye(3)[[0, 0, 1, 2, 2]]
    _, axis = plt.subplots()
    plots.confusion(axis, score, torch.tensor([0, 1, 1, 2, 2]), "abc")
    assert np.allclose(axis.images[0].get_array(), [[100, 0, 0], [50, 50, 0], [0, 0, 100]])


def test_a_small_png_keeps_rare_colours(tmp_path):
    figure, axis = plt.subplots(figsize=(4, 3))
    axis.imshow(np.random.default_rng(0).integers(0, 60, (64, 64, 3), dtype=np.uint8))
    axis.plot([5], [5], "s", color="#F0E442", markersize=6)
    path = plots.save_small(figure, tmp_path / "figure.png")
    plain = io.BytesIO()
    figure.savefig(plain, format="png")
    assert path.stat().st_size < len(plain.getvalue())
    pixels = np.asarray(Image.open(path).convert("RGB")).reshape(-1, 3).astype(int)
    assert np.abs(pixels - [0xF0, 0xE4, 0x42]).max(1).min() < 12
