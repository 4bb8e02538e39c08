"""Parts of a page: diagrams, clips that play, folds, turning numbers, heads and feet, Colab."""

import base64
import io
import json
import re
import shutil

import matplotlib.pyplot as plt
import nbformat
import pytest
import torch
from matplotlib.colors import to_hex
from matplotlib.patches import Rectangle
from PIL import Image

from minilib import clips, course, diagrams, page, plots
from minilib.batch.executed import read_notebook
from minilib.claims import Table
from minilib.errors import BadInput
from minilib.files import NOTEBOOKS, ROOT


@pytest.fixture(autouse=True)
def closed():
    plots.style()
    yield
    plt.close("all")


# --- diagrams --------------------------------------------------------------------------------------------------------


def test_a_head_has_the_colour_of_the_frame_that_it_reads():
    axis = diagrams.canvas(4, 4)
    back, own, ahead = diagrams.heads(axis, 2, 3, (-1, 0, 2))
    fills = [to_hex(patch.get_facecolor()) for patch in axis.patches if isinstance(patch, Rectangle)]
    assert fills == [to_hex(colour) for colour in (diagrams.BACK, diagrams.OWN, diagrams.AHEAD)]
    assert back.y > own.y > ahead.y, "from the top"
    assert [text.get_text() for text in axis.texts] == ["−1", "+2"]


def test_frames_keep_the_drawing_as_large_as_it_was_and_show_the_clip():
    axis = diagrams.canvas(9, 3)
    clip = torch.randint(256, (3, 8, 8, 3), dtype=torch.uint8)
    first, second, _ = diagrams.frames(axis, 1, 1.5, clip)
    assert axis.get_xlim() == (0, 9) and axis.get_ylim() == (0, 3)
    assert torch.equal(torch.from_numpy(axis.images[1].get_array().copy()), clip[1])
    assert first.right[0] < second.left[0] and first.y == second.y
    assert len(diagrams.frames(axis, 1, 1.5, 4)) == 4


def test_marked_tokens_lie_where_they_are_counted():
    axis = diagrams.canvas(2, 2)
    diagrams.tokens(axis, diagrams.Box(1, 1, 2, 2), 2, 2, marked=(1,))
    (filled,) = [patch for patch in axis.patches if patch.get_alpha()]
    assert filled.get_xy() == (1, 1), "the second one is top right"


# --- clips -----------------------------------------------------------------------------------------------------------


def moving(t: int = 4) -> torch.Tensor:
    clip = torch.zeros(t, 16, 16, 3, dtype=torch.uint8)
    for k in range(t):
        clip[k, :, 4 * k : 4 * k + 4] = 250
    return clip


def test_panels_play_in_step():
    playing = clips.play({"forward": moving(), "back<ward": moving().flip(0)}, alt='a bar "moves"')
    film = Image.open(io.BytesIO(playing.webp))
    assert film.n_frames == 4 and film.size == (16 + clips.GAP + 16, 16) and film.info["loop"] == 0
    film.seek(0)
    pixels = film.convert("RGB")
    assert pixels.getpixel((2, 8))[0] > 200 and pixels.getpixel((16 + clips.GAP + 14, 8))[0] > 200
    assert pixels.getpixel((14, 8))[0] < 60
    html = playing._repr_html_()
    assert "back&lt;ward" in html and 'alt="a bar &quot;moves&quot;"' in html and "prefers-reduced-motion" in html
    assert base64.b64encode(playing.webp).decode() in html and "http" not in html


@pytest.mark.parametrize(
    ("panels", "alt", "said"),
    [
        ({"a": moving(), "b": moving(3)}, "x", "of one shape"),
        ({"a": moving().float()}, "x", "must be uint8"),
        ({"a": moving()}, " ", "alt must say"),
        ({"a": torch.randint(256, (16, 200, 200, 3), dtype=torch.uint8)}, "x", "show fewer or smaller"),
    ],
)
def test_what_cannot_be_played_is_said_in_one_line(panels, alt, said):
    with pytest.raises(BadInput, match=said):
        clips.play(panels, alt)


def test_a_map_brightens_where_it_is_large():
    clip = torch.full((1, 8, 8, 3), 100, dtype=torch.uint8)
    maps = torch.zeros(1, 2, 2)
    maps[0, 0, 0] = 3
    seen = clips.with_maps(clip, maps).float().mean(-1)[0]
    assert seen[0, 0] > 100 > seen[7, 7]
    assert clips.enlarged(clip, 3).shape == (1, 24, 24, 3)


# --- folds and numbers to turn ---------------------------------------------------------------------------------------


def test_a_fold_holds_figures_tables_and_sentences_in_order():
    figure = plt.figure()
    html = page.folded("all <of> it", "one < two", Table(("x",), (("1",),)), figure, alt="a line")._repr_html_()
    assert html.startswith("<details><summary>all &lt;of&gt; it</summary><p>one &lt; two</p><style>")
    assert '<img alt="a line" src="data:image/png;base64,' in html and not plt.fignum_exists(figure.number)


def test_a_number_to_turn_shows_one_picture_at_a_time():
    turned = page.steps("Δt", {"-1": "back", "0": "own", "1": "ahead"}, alt="heads", first="0")
    html = turned._repr_html_()
    assert html.count('type="radio"') == 3 and html.count(" checked>") == 1
    key = re.search(r'<div class="(\w+)">', html)[1]
    assert f".{key}>input:nth-of-type(2):checked~div:nth-of-type(2){{display:block}}" in html
    assert html.index("<p>back</p>") < html.index("<p>own</p>") and "<script" not in html


# --- the course ------------------------------------------------------------------------------------------------------


@pytest.fixture
def two(tmp_path):
    for name, title in (("01_a", "01 · A & B"), ("02_c", "02 · C")):
        book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell(f"# {title}\n\nText")])
        nbformat.write(book, tmp_path / f"{name}.ipynb")
    shutil.copy(course.GLOSSARY, tmp_path)
    return tmp_path


def test_a_head_links_to_its_neighbours_and_says_what_was_measured(two):
    html = course.head("02_c", ("01_a",), ("IoU",), two)._repr_html_()
    assert '← <a href="01_a.ipynb">01 · A &amp; B</a>' in html and "→" not in html
    assert "not measured yet" in html and "Intersection over union" in html
    book = read_notebook(two / "02_c.ipynb")
    output = nbformat.v4.new_output("display_data", {"text/html": html})
    book.cells.append(nbformat.v4.new_code_cell("head", outputs=[output]))
    course.timed(book, 500.2, 2)
    assert "eight minutes with two threads, measured" in book.cells[1].outputs[0]["data"]["text/html"]
    nbformat.write(book, two / "02_c.ipynb")
    assert "eight minutes with two threads, measured" in course.head("02_c", (), (), two)._repr_html_()
    assert "→" in course.foot("01_a", {"A paper": "https://x.org"}, two)._repr_html_()


def test_a_link_shows_no_marks_of_emphasis(two):
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("# 03 · *When*, **not** `what`: 2 * 3 * 4")])
    nbformat.write(book, two / "03_d.ipynb")
    assert course.chapters(two)["03_d"] == "03 · When, not what: 2 * 3 * 4"
    assert ">03 · When, not what: 2 * 3 * 4</a> →" in course.head("02_c", (), (), two)._repr_html_()


def test_a_prerequisite_or_a_word_that_is_not_there_is_bad_input(two):
    with pytest.raises(BadInput, match="no notebook '07_x'; there are 01_a, 02_c"):
        course.head("02_c", ("07_x",), (), two)
    with pytest.raises(BadInput, match=r"'frobnicate' is not in glossary.md"):
        course.head("02_c", (), ("frobnicate",), two)


def test_colab_is_furnished_from_one_setting(tmp_path):
    project = tmp_path / "pyproject.toml"
    project.write_text('[tool.minilib]\nrepository = "https://github.com/me/suite/"\n')
    address = course.repository(project)
    assert address == "https://github.com/me/suite"
    bare = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("# T"), nbformat.v4.new_code_cell("1")])
    before = json.loads(nbformat.writes(bare))
    once = course.furnish(bare, "02_c", address)
    again = course.furnish(once, "02_c", address)
    assert [c.cell_type for c in again.cells] == ["markdown", "markdown", "code", "code"]
    assert "colab.research.google.com/github/me/suite/blob/main/notebooks/02_c.ipynb" in again.cells[1].source
    assert "git clone --quiet --depth 1 https://github.com/me/suite " in again.cells[2].source
    assert json.loads(nbformat.writes(course.furnish(again, "02_c", ""))) == before
    project.write_text('[tool.minilib]\nrepository = "git@github.com:me/suite"\n')
    with pytest.raises(BadInput, match="must be https://github.com/<owner>/<name>"):
        course.repository(project)


def test_notebooks_are_furnished_as_the_setting_says():
    address = course.repository(ROOT / "pyproject.toml")
    for name in course.chapters():
        book = read_notebook(NOTEBOOKS / f"{name}.ipynb")
        cells = [cell.source for cell in book.cells]
        assert [cell.source for cell in course.furnish(book, name, address).cells] == cells, "python -m minilib.course"
