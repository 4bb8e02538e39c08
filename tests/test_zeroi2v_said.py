"""ZeroI2V's sentences say what was measured, and cannot say anything else."""

import torch

from minilib.claims import load
from minilib.papers.zeroi2v import said, study


def test_reach_and_costs_are_counted():
    staircase = torch.tensor([[False, True], [True, True]])
    assert said.reached({"two heads": staircase}) == (
        "After two blocks, of two frames this many know of the last one: two with two heads."
    )
    rows = {"cost/latency.merged": {0: 0.9, 1: 0.6, 2: 1.35}, "cost/step.aim": {0: 1.6}, "cost/memory.evl": {0: 0.4}}
    latency, step = said.costs(rows).split("). ", 1)  # 0.9 is the geometric mean, as in the verdicts
    assert latency.startswith(
        "On the device of the rows merged ZeroI2V takes 0.9 times as long as the image model (ViT"
    )
    assert step == (
        "The time of a training step, in multiples of ZeroI2V's: AIM 1.6. "
        "The memory of a training step, in multiples of ZeroI2V's: EVL 0.4."
    )
    assert said.costs({}) == "Time and memory are not measured here yet."


TABLE = {
    "second: ours": ("tuned/second/ours", 60.0),
    "second: full": ("tuned/second/full", None),
    "labels": ("tuned/second/labels", None),
}


def test_the_second_image_model_is_said_to_be_missing_until_it_is_there():
    text = said.second(TABLE, {"tuned/second/ours": {0: 1.0}}, "second: ours", ("second: full",))
    assert "Not measured yet" in text and "--variants second/full second/labels --plan`" in text
    rows = {"tuned/second/ours": {0: 3.0, 1: 4.0}, "tuned/second/full": {0: 1.0, 1: 2.1}}
    text = said.second(TABLE, rows, "second: ours", ("second: full",))
    assert text.startswith("“second: ours” is ahead of “second: full” by 1.9") and "not measured" not in text
    text = said.second(TABLE, rows, "second: ours", ("second: full", "labels"))
    assert text.startswith("“second: ours” is ahead of “second: full” by 1.9") and "Not measured yet: “labels”." in text
    table = study.STUDY.printed("On the second image model", load("zeroi2v"), "tuned")
    labels = ("second: ZeroI2V", "second: full fine-tuning, image model", "second: full")  # as page 02 asks
    assert {*labels} < table.keys()
    text = said.second(table, {}, labels[0], labels[1:])
    assert {f"second/{name}" for name in study.SECOND} <= set(text.replace("`", " ").split())
