"""CorLoc, DecRate: cases that can be counted by hand, and torchvision's IoU."""

import pytest
import torch
from torchvision.ops import box_iou

from minilib.errors import BadInput
from minilib.metrics.localization import best, check_boxes, cor_loc, dec_rate, dec_rate_released, overlaps
from minilib.metrics.named_boxes import NamedBoxes


def random_boxes(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    corner = torch.randint(20, (*shape, 2), generator=generator)
    return torch.cat([corner, corner + torch.randint(1, 20, (*shape, 2), generator=generator)], -1)


def test_overlap_is_torchvisions():
    found, truth = random_boxes(5), random_boxes(4, seed=1)
    torch.testing.assert_close(overlaps(found, truth), box_iou(found.float(), truth.float()))
    nothing = torch.zeros(1, 4)
    assert not overlaps(nothing, truth).any() and not overlaps(nothing, truth, extra=1).any()
    wide = torch.tensor([[0, 0, 3, 3]]), torch.tensor([[0, 0, 3, 1]])
    assert overlaps(*wide).item() == pytest.approx(3 / 9) and overlaps(*wide, extra=1).item() == pytest.approx(8 / 16)


def test_rates_of_three_images():
    iou = torch.tensor([[0.6, 0.4], [0.5, 0.9], [0.9, 0.9]])
    there = torch.tensor([[True, True], [True, False], [False, False]])
    assert cor_loc(iou, there) == 50  # exactly a half is not found, and who is not there does not count
    assert dec_rate(iou, there) == pytest.approx(100 / 3)
    assert dec_rate_released(iou, there) == 25  # halves of images, not of objects
    nobody = torch.zeros_like(there)
    for rate in (cor_loc, dec_rate, dec_rate_released):
        with pytest.raises(BadInput, match="nothing to find"):
            rate(iou, nobody)


def test_best_box_of_each_object():
    found, truth = random_boxes(6, 3), random_boxes(6, 2, seed=2)
    expected = torch.stack([box_iou(f.float(), t.float()).amax(0) for f, t in zip(found, truth, strict=True)])
    torch.testing.assert_close(best(found, truth), expected)


def test_wrong_boxes_are_named():
    for boxes, said in (
        (torch.zeros(2, 3), "four numbers"),
        (torch.tensor([[5, 5, 4, 9]]), r"\[5, 5, 4, 9\] is inverted"),
        (torch.tensor([[0, 0, 65, 9]]), "64 x 64 pixels"),
        (torch.tensor([[0.0, 0, float("nan"), 9]]), "not finite"),
    ):
        with pytest.raises(BadInput, match=said):
            check_boxes(boxes, "truth", (64, 64))
    check_boxes(torch.tensor([[0, 0, 64, 64]]), "truth", (64, 64))


def test_what_is_no_box_is_scored_by_nobody():
    box, wrong = torch.tensor([[[0, 0, 8, 8]]]), torch.tensor([[[8, 0, 0, 8]]])
    with pytest.raises(BadInput, match="found: box .* is inverted"):
        best(wrong, box)
    there, names, scores = torch.ones(1, 1, dtype=torch.bool), torch.zeros(1, 1, dtype=torch.int64), torch.ones(1, 1, 2)
    for found, truth in ((wrong, box), (box, wrong)):
        with pytest.raises(BadInput, match="is inverted"):
            NamedBoxes(found, scores, truth, names, there)
    NamedBoxes(box, scores, wrong, names, ~there)  # who is not there has any box


def test_where_there_is_no_box_nothing_is_found():
    truth = torch.tensor([[[0, 0, 8, 8]]])
    assert best(torch.zeros(1, 0, 4), truth).tolist() == [[0.0]]
