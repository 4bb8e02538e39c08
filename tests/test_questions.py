"""EgoSchema, IntentQA, NExT-GQA and captions: what official files say is read as they say it; bad files are named."""

from __future__ import annotations

import csv
import io
import json
from functools import partial
from pathlib import Path

import pytest
import torch

from minilib.datasets import captioned, ego_schema, intent_qa, next_gqa, next_qa, read_captions
from minilib.errors import BadInput
from minilib.metrics.grounding import GroundingScore, grounding, overlap
from minilib.papers.language_repository import SMALL, Writing, generate, read, write
from minilib.world.chronicles import chronicle
from minilib.world.export_chronicles import CAPTIONS, export_chronicles

HEADER = "video_id,frame_count,width,height,question,answer,qid,type,a0,a1,a2,a3,a4"
INTENT = "10415409886,479,640,360,what do they do,1,2,TN,rest,push it,fall,straighten up,remove cap,lifted,lift,137"
GROUNDED = "4882821564,2697,640,480,why did he, the boy,unwrap it,1,CW,share it,approach,unwrap it,play,gesture"
LOCATED = {"4882821564": {"duration": 90, "location": {"1": [[1.2, 5.8], [30.0, 91.5]]}, "fps": 29.97}}
EGO = {"q_uid": "0074f737-11cb", "google_drive_id": "15y", "question": "what is C's aim?"} | {
    f"option {i}": f"C does {i}" for i in range(5)
}
READ = {"ego_schema": ego_schema, "next_qa": next_qa, "intent_qa": intent_qa, "next_gqa": next_gqa}


def put(path: Path, content) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def lines(header: str, row: str, **changes: str) -> str:
    cells = dict(zip(header.split(","), next(csv.reader([row])), strict=True)) | changes
    text = io.StringIO(newline="")
    csv.writer(text).writerows([cells.keys(), cells.values()])
    return text.getvalue()


def intent_root(root, **changes):
    header = HEADER + ",action,lemma,lemma_id"
    put(root / "intentqa" / "test.csv", lines(header, INTENT, **changes))
    return partial(intent_qa, root, "test")


def grounded_root(root, located=LOCATED, **changes):
    row = GROUNDED.replace("why did he, the boy", '"why did he, the boy"')
    put(root / "nextgqa" / "val.csv", lines(HEADER, row, **changes))
    put(root / "nextgqa" / "gsub_val.json", located)
    return partial(next_gqa, root, "val")


def ego_root(root, known=None, split="full", **changes):
    record = {key: value for key, value in (EGO | changes).items() if value is not None}
    put(root / "questions.json", [EGO | {"q_uid": "other"}, record])
    put(root / "subset_answers.json", {"0074f737-11cb": 3} if known is None else known)
    return partial(ego_schema, root, split)


def captions_root(root, content):
    return partial(read_captions, put(root / "captions.json", content))


# --- as official files have it ---------------------------------------------------------------------------------------


def test_intent_qa(tmp_path):
    (question,) = intent_root(tmp_path)()
    assert question.path == tmp_path / "NExTVideo" / "10415409886.mp4" and question.video == "10415409886"
    assert (question.answers[question.right], question.kind, question.id) == ("push it", "TN", "2")
    put(tmp_path / "intentqa" / "map_vid_vidorID.json", {"10415409886": "1164/10415409886"})
    (question,) = intent_qa(tmp_path, "test")
    assert question.path.parent.name == "1164" and question.video == "10415409886"


def test_next_gqa_has_its_answers_in_words_and_their_seconds(tmp_path):
    (question,) = grounded_root(tmp_path)()
    assert (question.right, question.text) == (2, "why did he, the boy")
    assert question.spans == ((1.2, 5.8), (30.0, 91.5))  # which ends after the video, as official ones do
    (question,) = grounded_root(tmp_path, answer="4")()
    assert question.right == 4  # a file with numbers, as NExT-QA's own
    put(tmp_path / "nextgqa" / "train.csv", lines(HEADER, GROUNDED.replace(", the", " the")))
    (question,) = next_gqa(tmp_path, "train")
    assert question.spans == ()


def test_reversed_seconds_are_left_out_and_counted(tmp_path):
    both = {"4882821564": {"duration": 90, "location": {"1": [[5, 3], [1, 2]]}, "fps": 30}}
    with pytest.warns(UserWarning, match="1 spans end before they start"):
        assert grounded_root(tmp_path, located=both)()[0].spans == ((1, 2),)


def test_ego_schema_knows_some_answers(tmp_path):
    first, second = ego_root(tmp_path)()
    assert (first.right, second.right, second.text) == (None, 3, "what is C's aim?")
    assert second.path == tmp_path / "videos" / "0074f737-11cb.mp4" and second.answers[3] == "C does 3"
    assert ego_schema(tmp_path, "subset") == [second]


def test_captions_have_their_seconds(tmp_path, recwarn):
    both = {"a": ["ein Mann öffnet die Tür", "男人打开门"], "b": [[0.5, "🙂"], [3, "a star"]]}
    assert captions_root(tmp_path, both)() == {
        "a": ((0.0, "ein Mann öffnet die Tür"), (1.0, "男人打开门")),
        "b": ((0.5, "🙂"), (3.0, "a star")),
    }
    assert not recwarn.list


def test_empty_captions_are_left_out_and_the_others_keep_their_seconds(tmp_path):
    with pytest.warns(UserWarning, match="2 empty ones are left out"):
        assert captions_root(tmp_path, {"a": ["x", " ", "", "y"]})() == {"a": ((0.0, "x"), (3.0, "y"))}


# --- the world in these layouts --------------------------------------------------------------------------------------


@pytest.mark.parametrize("layout", READ)
def test_chronicles_come_back_with_their_captions(layout, tmp_path):
    root = export_chronicles(tmp_path / "world", layout, {"test": 12}, seed=5, seconds=40)
    questions = READ[layout](root, "full" if layout == "ego_schema" else "test")
    assert len(questions) == 12
    for index, (found, captions) in enumerate(captioned(questions, root / CAPTIONS[layout])):
        told, asked = chronicle(5, "test", index, 40)
        assert (found.text, found.answers) == (asked.text, asked.answers)
        assert captions == tuple((float(second), text) for second, text in enumerate(told.captions))
        public = layout != "ego_schema" or index % 2 == 0
        assert found.right == (asked.right if public else None)
        if layout == "next_gqa":
            assert found.spans == ((asked.span[0], asked.span[1] + 1),)
    if layout == "ego_schema":
        assert len(ego_schema(root, "subset")) == 6


def test_splits_share_one_file_of_captions_and_worlds_do_not_mix(tmp_path):
    export_chronicles(tmp_path, "next_qa", {"train": 2}, seconds=20)
    export_chronicles(tmp_path, "next_qa", {"test": 1}, seconds=20)
    questions = next_qa(tmp_path, "train") + next_qa(tmp_path, "test")
    assert len({captions for _, captions in captioned(questions, tmp_path / CAPTIONS["next_qa"])}) == 3
    for layout, counts, reason in (
        ("intent_qa", {"test": 1}, "holds a world made with"),
        ("charades", {"test": 1}, "none of ego_schema"),
        ("next_qa", {"dev": 1}, "split 'dev'"),
    ):
        with pytest.raises(BadInput, match=reason):
            export_chronicles(tmp_path, layout, counts, seconds=20)
    (other := tmp_path / "other").mkdir()
    (other / "mine.txt").touch()
    with pytest.raises(BadInput, match="holds no world"):
        export_chronicles(other, "next_qa", {"test": 1})


def test_a_repository_is_written_and_read_from_real_files(tmp_path):
    """From files to an answer: what a language model is given are the captions of the question's own video."""

    class Model:
        asked = []

        def complete(self, prompt, most):
            self.asked.append(prompt)
            return "B" if "question :" in prompt else ""

    root = export_chronicles(tmp_path, "intent_qa", {"val": 3}, seconds=20)
    ((question, captions), *_) = captioned(intent_qa(root, "val"), root / CAPTIONS["intent_qa"])
    embed = lambda texts: torch.eye(len(texts))  # noqa: E731
    repository = write(captions, [Writing(2, 0.5)], embed, Model(), SMALL, torch.Generator().manual_seed(0))
    found = read(repository, question.text, Model(), SMALL, summarise=False)
    assert all(text in found.text for _, text in captions)  # without a list each group keeps its captions
    assert generate(found.text, question.text, question.answers, Model(), SMALL).strict == 1
    assert any(captions[0][1] in prompt for prompt in Model.asked)


# --- what is wrong is named ------------------------------------------------------------------------------------------

LONG = {"4882821564": {"duration": 90, "location": {"1": [[-1, 2]]}, "fps": 30}}
BAD = {
    "index": (intent_root, dict(answer="5"), "line 2: the right answer is 5, but there are 0 to 4"),
    "words": (intent_root, dict(answer="push it"), "line 2: answer must be a whole number"),
    "answer empty": (intent_root, dict(a2=""), "line 2: a2 is empty"),
    "leaving": (intent_root, dict(video_id="../x"), "leaves the data folder"),
    "no option": (grounded_root, dict(answer="eat it"), "line 2: the right answer 'eat it' is none of the 5"),
    "no option 7": (grounded_root, dict(answer="7"), "the right answer is 7"),
    "not located": (grounded_root, dict(located={}), "no seconds of question 4882821564_1 of val.csv"),
    "other question": (grounded_root, dict(qid="2"), "no seconds of question 4882821564_2"),
    "negative": (grounded_root, dict(located=LONG), r"question 4882821564_1: \[-1.0, 2.0\] are no seconds"),
    "no pair": (grounded_root, dict(located={"x": {"duration": 1, "location": {"1": [[1]]}}}), "at .x.location"),
    "old file": (ego_root, dict(question=None), "record 1: no 'question'; an old version"),
    "four options": (ego_root, dict(**{"option 4": None}), "record 1: no 'option 4'"),
    "foreign answer": (ego_root, dict(known={"zzz": 1}), "zzz is no question of questions.json"),
    "sixth": (ego_root, dict(known={"other": 5}), "the right answer of other is 5, there are 0 to 4"),
    "ego split": (ego_root, dict(split="val"), "split 'val' is none of subset, full"),
    "one string": (captions_root, dict(content={"a": "all of it"}), "video 'a': not a list of sentences"),
    "no times": (captions_root, dict(content={"a": [[0, "x"], "y"]}), "caption 1: 'y' has no time"),
    "word for time": (captions_root, dict(content={"a": [["now", "x"]]}), "caption 0: .* has no time"),
    "order": (captions_root, dict(content={"a": [[0, "x"], [2, "y"], [1, "z"]]}), "caption 2: 1 s comes after 2 s"),
    "number": (captions_root, dict(content={"a": [[0, 7]]}), "caption 0: '7' is no sentence"),
    "no videos": (captions_root, dict(content={}), "no video in it"),
    "a list": (captions_root, dict(content=[]), "captions.json"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_bad_files_are_named(name, tmp_path):
    build, content, reason = BAD[name]
    with pytest.raises(BadInput, match=reason) as caught:
        build(tmp_path, **content)()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("reader", [intent_qa, next_gqa])
def test_missing_files_and_splits_are_named(reader, tmp_path):
    with pytest.raises(BadInput, match=str(tmp_path)):
        reader(tmp_path, "val")
    with pytest.raises(BadInput, match="split 'dev' is none of"):
        reader(tmp_path, "dev")


def test_a_question_about_a_video_without_captions(tmp_path):
    questions = intent_root(tmp_path)()
    for content, reason in (({"1": ["x"]}, "none of video '10415409886'; caption"), ({"10415409886": []}, "none of")):
        with pytest.raises(BadInput, match=reason):
            captioned(questions, put(tmp_path / "c.json", content))


# --- grounding -------------------------------------------------------------------------------------------------------


def official(location, span):
    """The overlaps as NExT-GQA's evaluation computes them, written down from its description: hull and difference."""
    if span[0] == span[1]:
        return 0, int(location[0] <= span[0] <= location[1])
    hull = max(location[1], span[1]) - min(location[0], span[0])
    shared = min(location[1], span[1]) - max(location[0], span[0])
    return max(0, shared / hull), max(0, shared / (span[1] - span[0]))


def test_overlaps_equal_the_official_ones():
    draws = torch.randint(0, 9, (300, 4), generator=torch.Generator().manual_seed(0)).double()
    for a, b, c, d in draws.tolist():
        if c < d:
            found, truth = (min(a, b), max(a, b)), (c, d)
            assert overlap(found, truth) == pytest.approx(official(truth, found))


def test_grounding_by_hand():
    truths = [[(0, 10)], [(0, 4), (6, 10)], [(0, 10)], [(0, 10)]]
    found = [(0, 5), (6, 8), None, (4, 4)]
    score = grounding(found, truths, [True, False, True, True])
    assert score == GroundingScore(iou=25, iou_03=50, iou_05=50, iop=75, iop_03=75, iop_05=75, grounded_accuracy=50)
    less = grounding([(0, 10)], [[(0, 4)]], [True])  # two fifths of what was found are right
    assert (less.iop, less.iop_03, less.iop_05, less.grounded_accuracy) == (40, 100, 0, 0)


@pytest.mark.parametrize(
    ("found", "truths", "answered", "reason"),
    [
        ([], [], [], "give one each"),
        ([(0, 1)], [[(0, 1)]], [], "give one each"),
        ([(2, 1)], [[(0, 1)]], [True], r"question 0: \(2, 1\) is no span"),
        ([None], [[]], [True], "no true span"),
    ],
)
def test_bad_spans(found, truths, answered, reason):
    with pytest.raises(BadInput, match=reason):
        grounding(found, truths, answered)
