"""mAP by two rules and kinds of slots: cases made by hand, and torchmetrics where the rules agree."""

import itertools

import numpy as np
import pytest
import torch

from minilib.errors import BadInput
from minilib.metrics.localization import overlaps
from minilib.metrics.named_boxes import (
    KINDS,
    NamedBoxes,
    average_precisions,
    kinds,
    map50_coco,
    map50_released,
    shares,
)

BOX, FAR = [0, 0, 10, 10], [50, 50, 60, 60]


def named(found, scores, truth, names, there=None):
    names = torch.tensor(names)
    there = torch.ones_like(names, dtype=torch.bool) if there is None else torch.tensor(there)
    return NamedBoxes(torch.as_tensor(found), torch.as_tensor(scores), torch.tensor(truth), names, there)


def test_perfect_boxes_and_names():
    boxes = named([[BOX, FAR]], [[[0.9, 0.1], [0.2, 0.8]]], [[BOX, FAR]], [[0, 1]])
    assert map50_released(boxes) == 100 and map50_coco(boxes) == pytest.approx(100)
    # wrong names: the right box of a name comes second
    boxes = named([[BOX, FAR]], [[[0.1, 0.9], [0.8, 0.2]]], [[BOX, FAR]], [[0, 1]])
    assert map50_released(boxes) == 50 and map50_coco(boxes) == pytest.approx(50, abs=0.6)


def test_a_name_without_a_true_box_is_left_out():
    boxes = named([[BOX]], [[[0.1, 0.9]]], [[BOX]], [[0]])
    found = average_precisions(boxes)
    assert found[0] == 100 and np.isnan(found[1])
    assert map50_released(boxes) == 100 == pytest.approx(map50_coco(boxes))


def test_second_box_on_one_object_is_false_and_frames_without_objects_count():
    twice = named([[BOX, BOX, FAR]], [[[0.9], [0.8], [0.7]]], [[BOX, FAR]], [[0, 0]])
    assert map50_released(twice) == pytest.approx(100 * (1 + 2 / 3) / 2)
    empty_first = named([[FAR], [BOX]], [[[0.9]], [[0.8]]], [[FAR], [BOX]], [[0], [0]], [[False], [True]])
    assert map50_released(empty_first) == 50 and map50_coco(empty_first) == pytest.approx(50, abs=0.6)


def test_equal_scores_are_taken_in_order():
    frames = [[FAR], [BOX]], [[[0.5]], [[0.5]]], [[FAR], [BOX]], [[0], [0]], [[False], [True]]
    for metric in (map50_released, map50_coco):
        assert metric(named(*frames)) == pytest.approx(50)
        assert metric(named(*(list(reversed(part)) for part in frames))) == pytest.approx(100)
        for found, expected in (([FAR, BOX], 50), ([BOX, FAR], 100), ([BOX, BOX], 100)):  # of one frame
            assert metric(named([found], [[[0.5], [0.5]]], [[BOX]], [[0]])) == pytest.approx(expected)


def test_nothing_found_and_nothing_to_find():
    boxes = named([[[0, 0, 0, 0]]], [[[0.9]]], [[BOX]], [[0]])
    false = named([[FAR, FAR]], [[[0.9], [0.5]]], [[BOX]], [[0]])
    no_slots = named(torch.zeros(1, 0, 4), torch.zeros(1, 0, 1), [[BOX]], [[0]])
    for each in (boxes, false, no_slots):
        assert map50_released(each) == 0 and map50_coco(each) == 0
    for metric in (map50_released, map50_coco):
        with pytest.raises(BadInput, match="nothing to find"):
            metric(named([[BOX]], [[[0.9]]], [[BOX]], [[0]], [[False]]))


def test_many_boxes_a_frame_are_all_kept():
    count = 150
    corners = torch.tensor(list(itertools.product(range(0, 150, 10), range(0, 100, 10))))
    grid = torch.cat([corners, corners + 10], 1)[None]
    scores = torch.linspace(1, 0.5, count).view(1, count, 1)
    boxes = NamedBoxes(grid, scores, grid, torch.zeros(1, count, dtype=torch.long), torch.ones(1, count, dtype=bool))
    assert map50_released(boxes) == pytest.approx(100) and map50_coco(boxes) == pytest.approx(100)


def test_agrees_with_coco_on_random_boxes_up_to_its_grid_of_recalls():
    generator = torch.Generator().manual_seed(0)
    corner = torch.randint(40, (30, 3, 2), generator=generator)
    truth = torch.cat([corner, corner + torch.randint(8, 20, (30, 3, 2), generator=generator)], -1)
    noise = torch.randint(-3, 4, (30, 3, 4), generator=generator)
    names = torch.randint(4, (30, 3), generator=generator)
    scores = torch.rand(30, 3, 4, generator=generator) + 0.5 * torch.nn.functional.one_hot(names, 4)
    boxes = NamedBoxes(truth + noise, scores, truth, names, torch.rand(30, 3, generator=generator) > 0.2)
    plain = np.nanmean(average_precisions(boxes, extra=0.0))
    assert 20 < plain < 95 and plain == pytest.approx(map50_coco(boxes), abs=1.5)
    assert map50_released(boxes) > plain  # a pixel more on every side


def one_by_one(boxes, threshold=0.5, extra=1.0):
    """Average precisions as the released code finds them: box after box, each takes its true box or is false."""
    iou, found = overlaps(boxes.found, boxes.truth, extra), []
    for name in range(boxes.scores.shape[2]):
        asked = boxes.there & (boxes.names == name)
        free, hits = asked.clone(), []
        flat = [(i, s) for i in range(len(iou)) for s in range(iou.shape[1]) if boxes.real[i, s]]
        for i, s in sorted(flat, key=lambda at: -float(boxes.scores[*at, name])):
            best = int(iou[i, s].where(asked[i], torch.tensor(-1.0)).argmax())
            hits.append(bool(asked[i].any() and iou[i, s, best] >= threshold and free[i, best]))
            free[i, best] &= not hits[-1]
        precision = [sum(hits[: n + 1]) / (n + 1) for n in range(len(hits))]
        area = sum(max(precision[n:]) for n, hit in enumerate(hits) if hit)
        found.append(100 * area / int(asked.sum()) if asked.any() else float("nan"))
    return found


@pytest.mark.parametrize("seed", range(4))
def test_equal_to_a_loop_over_boxes_with_ties_and_crowds(seed):
    """Boxes that share true ones, equal scores, boxes without area, frames without objects, a name that nobody has."""
    generator = torch.Generator().manual_seed(seed)
    corner = torch.randint(12, (12, 3, 2), generator=generator)
    truth = torch.cat([corner, corner + torch.randint(6, 14, (12, 3, 2), generator=generator)], -1)
    which = torch.randint(3, (12, 7), generator=generator)
    found = truth.gather(1, which[..., None].expand(-1, -1, 4)) + torch.randint(-2, 3, (12, 7, 4), generator=generator)
    found[:, 6] = 0
    scores = torch.randint(4, (12, 7, 5), generator=generator) / 4
    there = torch.rand(12, 3, generator=generator) > 0.4
    boxes = NamedBoxes(found, scores, truth, torch.randint(4, (12, 3), generator=generator), there)
    vectors = average_precisions(boxes)
    np.testing.assert_allclose(vectors, one_by_one(boxes), rtol=1e-6)
    assert 5 < np.nanmin(vectors) and np.nanmax(vectors) < 95 and np.isnan(vectors[4])


def test_shapes_and_names_are_checked():
    with pytest.raises(BadInput, match="scores is"):
        NamedBoxes(
            torch.zeros(1, 2, 4), torch.zeros(1, 3, 2), torch.zeros(1, 1, 4), torch.zeros(1, 1), torch.ones(1, 1)
        )
    with pytest.raises(BadInput, match="none of the 1"):
        named([[BOX]], [[[0.9]]], [[BOX]], [[1]])
    with pytest.raises(BadInput, match="not finite"):
        named([[BOX]], [[[float("nan")]]], [[BOX]], [[0]])


def test_kinds_of_slots_by_the_appendix():
    truth = torch.tensor([[[0, 0, 20, 20], [30, 0, 50, 20], [0, 0, 5, 5]]])
    there = torch.tensor([[True, True, False]])
    found = torch.tensor(
        [[[0, 0, 20, 18], [0, 0, 9, 9], [0, 0, 50, 20], [60, 60, 70, 70], [0, 0, 20, 60], [0, 0, 0, 0], [2, 0, 20, 40]]]
    )
    expected = ["single object", "part of an object", "group of objects", "background", "single object", None]
    found_kinds = [KINDS[k] if k >= 0 else None for k in kinds(found, truth, there)[0].tolist()]
    assert found_kinds[:6] == expected
    # 18 x 40 pixels: half of the box lies in no object, nine tenths of the object lie in the box
    assert found_kinds[6] == "single object"
    covers = torch.tensor(
        [[[0, 0, 16, 15], [2, 2, 15, 20]]]
    )  # more than half of an object, and nothing else, IoU > 0.5
    assert kinds(covers, truth, there).tolist() == [[0, 0]]
    inside = torch.tensor([[[0, 0, 20, 39], [0, 0, 30, 12]]])  # covers more than half of one object, is half in it
    first, second = (kinds(inside, truth, there, tau=0.51, parts_first=flag).tolist() for flag in (False, True))
    assert first == [[0, 0]] and second[0][1] == KINDS.index("part of an object")
    assert sum(shares(kinds(found, truth, there)).values()) == pytest.approx(100)
    with pytest.raises(BadInput, match="no box"):
        shares(torch.full((1, 2), -1))
