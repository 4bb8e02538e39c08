"""The committed notebooks: executed, small, in order, and not older than the code they show."""

import ast
import re
from importlib import import_module
from importlib.util import find_spec

import nbformat
import pytest

from minilib.batch.executed import is_current, read_notebook
from minilib.batch.solutions import exercises
from minilib.files import ROOT

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
PARAMETERS = ("scale", "seed", "seeds", "grid", "fresh", "device", "weights", "data_root", "out_dir")


@pytest.fixture(params=NOTEBOOKS, ids=lambda path: path.stem)
def notebook(request) -> tuple:
    return request.param, read_notebook(request.param)


def test_there_are_notebooks():
    assert [path.stem for path in NOTEBOOKS] == [
        "00_tour",
        "01_small_world",
        "02_zeroi2v",
        "03_dist",
        "04_object_centric_adaptation",
        "05_victr",
        "06_image_to_video_compared",
        "07_coarse_fine",
        "08_detection_pretraining",
        "09_open_vocabulary_localization",
        "10_object_centric_diffusion",
        "11_language_repository",
        "12_long_video_by_chunks",
        "13_scorecard",
        "14_your_own_videos",
    ]


def code_cells(nb) -> list:
    return [cell for cell in nb.cells if cell.cell_type == "code" and cell.source.strip()]


def test_it_is_valid_and_small(notebook):
    path, nb = notebook
    nbformat.validate(nb)
    assert not [o for cell in code_cells(nb) for o in cell.outputs if o.output_type == "error"]
    assert path.stat().st_size <= 500_000
    text = path.read_text(encoding="utf-8")
    assert str(ROOT) not in text and '"papermill"' not in text


def test_its_parameters_are_literals_that_tests_can_mock(notebook):
    _, nb = notebook
    (cell,) = [cell for cell in nb.cells if "parameters" in cell.metadata.get("tags", [])]
    names = [line.split(":")[0] for line in cell.source.splitlines() if line.strip()]
    assert tuple(names[: len(PARAMETERS)]) == PARAMETERS
    assert cell.metadata["nbmake"]["mock"]["scale"] == "smoke"


def test_what_it_imports_is_there(notebook):
    """What was renamed in the library would else be noticed by the cell that fails, minutes later."""
    _, nb = notebook
    trees = [ast.parse(cell.source) for cell in code_cells(nb)]
    found = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    ours = [(node.module, each.name) for node in found if node.module.startswith("minilib") for each in node.names]
    assert ours
    for module, name in ours:
        assert hasattr(import_module(module), name) or find_spec(f"{module}.{name}"), f"{module} has no {name}"


def test_its_links_lead_to_notebooks_that_are_there(notebook):
    path, nb = notebook
    text = "\n".join(cell.source for cell in nb.cells if cell.cell_type == "markdown")
    gone = [name for name in re.findall(r"\]\(([\w/.-]+\.ipynb)\)", text) if not (path.parent / name).is_file()]
    assert not gone


def test_it_is_executed_in_order(notebook):
    cells = code_cells(notebook[1])
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))


def test_its_outputs_are_as_new_as_its_code(notebook):
    path, _ = notebook
    assert is_current(path), f"{path.name} shows older code: `make notebooks ONLY={path.stem[:2]}` renews it"


WITHOUT_ANATOMY = ("13",)  # the scorecard teaches no method


@pytest.mark.parametrize(
    "path", [p for p in NOTEBOOKS if not p.name.startswith(WITHOUT_ANATOMY)], ids=lambda path: path.stem
)
def test_a_page_has_its_anatomy(path):
    nb = read_notebook(path)
    cells = code_cells(nb)
    outputs = [output for cell in cells for output in cell.outputs]
    assert any("image/png" in output.get("data", {}) for output in cells[0].outputs), "the picture comes first"
    for output in outputs:
        assert output.get("name") != "stderr"
        if "image/png" in output.get("data", {}):
            assert output.metadata["image/png"]["alt"], "a picture says what is seen"
    html = "".join("".join(output.get("data", {}).get("text/html", "")) for output in outputs)
    assert html.count('<img src="data:image/webp') >= 3, "clips that play"
    assert '<span class="took">' in html and "not measured yet</span>" not in html
    assert len(exercises(nb)) >= 4
    sources = "\0".join(cell.source for cell in nb.cells)
    if not path.name.startswith(("00", "01", "14")):  # these teach no paper
        order = [sources.index(text) for text in ("claims.headlines(", "scale: str =", "claims.judge(")]
        assert order == sorted(order), "claims, then parameters, then verdicts"
    for cell in cells:
        plumbing = re.search(r"^import |plt\.subplots|course\.(head|foot)", cell.source, re.MULTILINE)
        assert not plumbing or cell.metadata.get("jupyter", {}).get("source_hidden"), cell.source[:80]
