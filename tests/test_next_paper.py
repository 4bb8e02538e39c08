"""The seven steps of CONTRIBUTING.md with a toy: claims, a method, a count, a study, a figure, rows, verdicts."""

import json
import subprocess
import sys
from textwrap import dedent

import matplotlib as mpl
import pytest

import minilib.papers
from minilib.batch.executed import read_notebook
from minilib.claims import Measurements, judge, load
from minilib.claims.table import headlines
from minilib.files import ROOT
from minilib.study import Trial, load_study
from minilib.study.counting import record_counts
from minilib.study.plan import wanted

FILES = {
    "claims/toy.yaml": """
        title: Toy, a ninth paper
        experiment: 1
        tasks:
          motion:
            chance: 8.3333
            oracle: 100
            positive: {better: grid/mean, worse: chance}
            negative: {better: grid/control/labels, worse: chance}
        printed: {t1.mean: 60.0, t1.last: 50.0}
        derived: {gain: {grid/mean: 1, grid/last: -1}}
        claims:
        - id: params
          source: Section 3
          statement: The model has 48 parameters.
          kind: count
          paper_value: 48
          unit: parameters
          digit: 1
        - id: mean_over_last
          headline: true
          source: Table 1
          statement: The mean over all frames beats the last frame.
          kind: ordering
          task: motion
          paper: [t1.mean, t1.last]
          unit: points
          pairs: [{better: grid/mean, worse: grid/last}]
        """,
    "toy/__init__.py": """
        \"\"\"Toy: the mean colour of the frames (Section 3).\"\"\"
        from minilib.papers.toy.method import MeanColour
        """,
    "toy/method.py": """
        import torch
        from torch import Tensor, nn


        class MeanColour(nn.Module):
            \"\"\"Eq. 1: frames uint8 (b, t, h, w, 3) -> scores (b, k).\"\"\"

            def __init__(self, classes: int):
                super().__init__()
                self.head = nn.Linear(3, classes)

            def over_time(self, x: Tensor) -> Tensor:
                return x.mean(1)

            def forward(self, frames: Tensor) -> Tensor:
                return self.head(self.over_time(frames.float().mean((2, 3)) / 255))
        """,
    "toy/variants.py": """
        from minilib.papers.toy.method import MeanColour


        class LastColour(MeanColour):
            \"\"\"Table 1, row 2: the last frame alone.\"\"\"

            def over_time(self, x):
                return x[:, -1]
        """,
    "toy/counts.py": """
        import torch

        from minilib.cost import parameters
        from minilib.papers.toy.method import MeanColour


        def count_all() -> dict[str, float]:
            with torch.device("meta"):
                return {"params": parameters(MeanColour(12))}
        """,
    "toy/study.py": """
        from dataclasses import replace
        from functools import partial

        from minilib.papers.toy.method import MeanColour
        from minilib.papers.toy.variants import LastColour
        from minilib.study import Feed, Row, Study, Tuned, Variant, WorldTask
        from minilib.training import TrainSettings

        TASK = WorldTask("motion", frames=2, train=16, test=16)
        GRID = TrainSettings(steps=2, batch=4, lr=1e-2, warmup=1)


        def model(feed: Feed, kind: type[MeanColour] = MeanColour) -> MeanColour:
            return kind(12)


        VARIANTS = {
            "mean": Variant(model, TASK),
            "last": Variant(partial(model, kind=LastColour), TASK),
            "control/labels": Variant(model, replace(TASK, control="labels")),
        }
        STUDY = Study(
            "toy",
            VARIANTS,
            recipes={"core": GRID, "grid": GRID, "tuned": Tuned(GRID)},
            grids={"core": ("mean",), "grid": tuple(VARIANTS), "tuned": ("mean", "last")},
            tables={"Table 1": {"mean": Row("mean", "t1.mean"), "last frame": Row("last", "t1.last")}},
        )
        """,
    "toy/figures.py": """
        from matplotlib.figure import Figure


        def weights(model) -> Figure:
            figure = Figure()
            figure.subplots().imshow(model.head.weight.detach())
            return figure
        """,
}


@pytest.fixture
def toy(tmp_path, monkeypatch):
    for name, text in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(dedent(text).lstrip())
    monkeypatch.setattr(minilib.papers, "__path__", [*minilib.papers.__path__, str(tmp_path)])
    yield tmp_path
    for name in [name for name in sys.modules if name.startswith("minilib.papers.toy")]:
        del sys.modules[name]


def test_the_next_paper_in_seven_steps(toy):
    claims = load("toy", toy / "claims")
    study = load_study("toy")
    rows = Measurements("toy", toy / "out", committed=toy / "none", claims_folder=toy / "claims")

    from minilib.papers.toy import MeanColour, figures
    from minilib.papers.toy.counts import count_all

    record_counts(rows, count_all())
    record_counts(rows, count_all())
    assert len(rows.rows()) == 1  # counted once, written once

    missing = wanted(study, claims, rows, range(5), ["mean", "last", "control/labels"])
    assert missing[0].metric.startswith("grid/mean") and missing[0].why.startswith("headline")
    for each in missing:
        if each.metric.startswith("grid/"):
            study.measure(each.metric, each.seed, rows)
    outcome = study.variants["mean"].run(study.recipes["core"], Trial())
    assert isinstance(outcome.model, MeanColour) and len(outcome.history.loss) == 2
    assert isinstance(figures.weights(outcome.model), mpl.figure.Figure)

    verdicts = judge(claims, rows.rows())
    assert [verdict.id for verdict in verdicts] == ["mean_over_last", "params"]
    assert verdicts[1].verdict == "reproduced" and verdicts[0].paper_value == 10.0
    assert verdicts[0].verdict in ("cannot show it here", "undecided", "no difference here")
    assert json.loads(verdicts[0].json()).keys() == {
        "id", "kind", "source", "paper_value", "measured", "verdict", "why", "reasons"
    }  # fmt: skip
    assert "beats the last frame" in str(headlines(claims, verdicts))
    gain = rows.seeds_of()["gain"]
    assert gain.keys() == {0, 1, 2, 3, 4}
    printed = study.printed("Table 1", claims)
    assert printed == {"mean": ("grid/mean", 60.0), "last frame": ("grid/last", 50.0)}


def test_a_methods_import_costs_torch_and_little_more(toy):
    """Whoever lifts a method out pulls in neither notebooks nor claims, studies, worlds or pictures."""
    code = "import sys; import minilib.papers.{0}.method; print(*[m for m in sys.modules if m.startswith('minilib')])"
    papers = (
        "zeroi2v",
        "dist",
        "object_centric",
        "victr",
        "coarse_fine",
        "detection_pretraining",
        "open_vocabulary",
        "language_repository",
        "long_video",
    )
    for paper in papers:
        found = subprocess.run([sys.executable, "-c", code.format(paper)], capture_output=True, text=True, cwd=ROOT)
        assert not found.returncode, found.stderr
        allowed = ("minilib.models", f"minilib.papers.{paper}", "minilib.papers", "minilib.errors")
        foreign = [name for name in found.stdout.split() if name != "minilib" and not name.startswith(allowed)]
        assert not foreign, f"{paper} pulls in {foreign}"


def test_no_file_of_the_library_is_long_and_no_paper_imports_another():
    builds_on = {
        "detection_pretraining": {"coarse_fine"},  # chapter 4 of the thesis trains the networks of chapter 3
        "open_vocabulary": {"object_centric"},  # whose slots are looked at as rivals
        "object_centric_diffusion": {"open_vocabulary"},  # whose slots are one source of its masks
        "long_video": {  # whose models, scores and language models it takes over; its method builds on none of them
            "object_centric_diffusion",
            "language_repository",
        },
    }
    for path in (ROOT / "minilib").rglob("*.py"):
        text = path.read_text()
        assert text.count("\n") <= 300, f"{path} has more than 300 lines"
        if "papers" in path.parts[:-2]:
            own = path.parts[path.parts.index("papers") + 1]
            named = {line.split("minilib.papers.")[1].split()[0].split(".")[0] for line in text.splitlines()
                     if line.strip().startswith("from minilib.papers.")}  # fmt: skip
            if own == "comparison":
                continue
            foreign = named - {own, "baselines"} - builds_on.get(own, set())
            assert not foreign, f"{path} imports {foreign}"
            assert "coarse_fine.study" not in text or own == "coarse_fine", f"{path} imports another paper's study"


def test_the_recipe_of_contributing_names_what_is_there():
    text = (ROOT / "CONTRIBUTING.md").read_text()
    for name in (
        "method.py",
        "variants.py",
        "counts.py",
        "study.py",
        "figures.py",
        "claims/<paper>.yaml",
        "--lock",
        "--plan",
    ):
        assert name in text
    assert read_notebook(next((ROOT / "notebooks").glob("02*.ipynb")))
