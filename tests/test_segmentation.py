"""J, F and J&F equal a plain loop over frames and pairs, keep the protocol's rules, and say what they cannot score."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from minilib.errors import BadInput
from minilib.metrics import segmentation
from minilib.metrics.segmentation import (
    MAX_PROPOSALS,
    SequenceScore,
    boundaries,
    dilate,
    pairwise,
    score_sequence,
    statistics,
    summarise,
)


def loop_boundary(mask):
    height, width = mask.shape
    out = np.zeros_like(mask)
    for y in range(height):
        for x in range(width):
            right = x + 1 < width and mask[y, x] != mask[y, x + 1]
            down = y + 1 < height and mask[y, x] != mask[y + 1, x]
            diagonal = y + 1 < height and x + 1 < width and mask[y, x] != mask[y + 1, x + 1]
            out[y, x] = right or down or diagonal
    return out


def disk(radius):
    y, x = np.mgrid[-radius : radius + 1, -radius : radius + 1]
    return x**2 + y**2 <= radius**2


def loop_j(truth, mask, valid):
    union = ((truth | mask) & valid).sum()
    return (truth & mask & valid).sum() / union if union else 1.0


def loop_f(truth, mask, valid):
    ball = disk(int(np.ceil(0.008 * np.linalg.norm(truth.shape))))
    edge_t, edge_m = loop_boundary(truth & valid), loop_boundary(mask & valid)
    if not edge_t.any() or not edge_m.any():
        return 1.0 if edge_t.any() == edge_m.any() else 0.0
    precision = edge_m[ndimage.binary_dilation(edge_t, ball)].sum() / edge_m.sum()
    recall = edge_t[ndimage.binary_dilation(edge_m, ball)].sum() / edge_t.sum()
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def loop_pairwise(truth, proposals, objects, count):
    j, f = np.zeros((2, len(truth), objects, count))
    for t in range(len(truth)):
        valid = truth[t] != 255
        for o in range(objects):
            for p in range(count):
                pair = truth[t] == o + 1, proposals[t] == p + 1, valid
                j[t, o, p], f[t, o, p] = loop_j(*pair), loop_f(*pair)
    return j, f


def best(j, f):
    """The largest total quality, by trying every assignment."""
    quality = ((j + f) / 2).mean(0)
    objects, count = quality.shape
    return max(sum(quality[o, p] for o, p in enumerate(order)) for order in permutations(range(count), objects))


@st.composite
def videos(draw):
    """Truth with void and at least one object in its first frame, and proposals, both (t, h, w)."""
    shape = draw(st.tuples(st.integers(1, 3), st.integers(1, 9), st.integers(1, 9)))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    smooth = draw(st.sampled_from([0, 1.5]))

    def ids(count):
        fields = ndimage.gaussian_filter(rng.standard_normal((count + 1, *shape)), (0, 0, smooth, smooth))
        return fields.argmax(0).astype(np.uint8)

    truth, proposals = ids(draw(st.integers(1, 3))), ids(draw(st.integers(0, 4)))
    truth[rng.random(shape) < draw(st.sampled_from([0, 0.2]))] = 255
    truth[0, 0, 0] = max(1, truth[0][truth[0] != 255].max(initial=1))
    return truth, proposals


@settings(max_examples=40)
@given(videos())
def test_equal_to_a_loop_over_frames_and_pairs(pair):
    truth, proposals = pair
    objects, count = int(truth[0][truth[0] != 255].max()), int(proposals.max())
    j, f = loop_pairwise(truth, proposals, objects, max(count, objects))
    seen = pairwise(*(torch.from_numpy(ids).short() for ids in pair), objects, max(count, objects))
    assert np.allclose(seen[0], j, atol=1e-12) and np.allclose(seen[1], f, atol=1e-12)
    score = score_sequence(truth, proposals)
    assert score.region.shape == score.boundary.shape == (objects, len(truth))
    assert np.isclose((score.region + score.boundary).mean(1).sum() / 2, best(j, f))
    for o, p in enumerate(score.assigned):
        if p:
            assert np.allclose(score.region[o], j[:, o, p - 1]) and np.allclose(score.boundary[o], f[:, o, p - 1])
    used = score.assigned[score.assigned > 0]
    assert len(set(used)) == len(used) == min(objects, count)


@settings(max_examples=30)
@given(videos(), st.randoms(use_true_random=False))
def test_the_names_of_proposals_do_not_matter(pair, random):
    truth, proposals = pair
    ids = np.unique(proposals[proposals > 0])
    proposals = np.searchsorted(ids, proposals, side="right")  # no number is skipped
    renamed = np.array([0, *random.sample(range(1, len(ids) + 1), len(ids))])[proposals]
    a, b = (summarise([score_sequence(truth, ids)]) for ids in (proposals, renamed))
    assert np.isclose(a.j_and_f, b.j_and_f)


@pytest.mark.parametrize("shape", [(60, 80), (200, 150), (7, 500)])
def test_radius_grows_with_the_frame(shape):
    rng = np.random.default_rng(0)
    truth, proposals = (ndimage.gaussian_filter(rng.random((3, 1, *shape)), (0, 0, 6, 6)).argmax(0) for _ in range(2))
    j, f = loop_pairwise(truth, proposals, 2, 2)
    seen = pairwise(torch.from_numpy(truth), torch.from_numpy(proposals), 2, 2)
    assert np.allclose(seen[0], j) and np.allclose(seen[1], f) and f.max() > 0.05


@settings(max_examples=40)
@given(st.integers(1, 9), st.integers(1, 9), st.integers(0, 9), st.integers(0, 999))
def test_boundaries_and_dilation(height, width, radius, seed):
    masks = np.random.default_rng(seed).random((2, 3, height, width)) < 0.3
    edges, wide = boundaries(torch.from_numpy(masks)), dilate(torch.from_numpy(masks), radius)
    for i in np.ndindex(2, 3):
        assert np.array_equal(edges[i], loop_boundary(masks[i]))
        assert np.array_equal(wide[i], ndimage.binary_dilation(masks[i], disk(radius)))


def test_chunks_change_nothing(monkeypatch):
    rng = np.random.default_rng(1)
    truth, proposals = rng.integers(0, 3, (7, 9, 8)), rng.integers(0, 5, (7, 9, 8))
    whole = score_sequence(truth, proposals)
    for pixels in (1, 9 * 8 * 6 * 3):
        monkeypatch.setattr(segmentation, "CHUNK", pixels)
        part = score_sequence(truth, proposals)
        assert np.array_equal(part.region, whole.region) and np.array_equal(part.boundary, whole.boundary)


def test_counted_by_hand():
    """A 2 x 2 square in the corner of 4 x 4 against the same one moved right by one: J = 2 / 6. Edges of the truth:
    (0,1), (1,0), (1,1); of the proposal: (0,0), (0,2), (1,0), (1,1), (1,2). The disk of radius 1 is a plus."""
    truth, proposal = np.zeros((2, 1, 4, 4), np.uint8)
    truth[0, :2, :2] = 1
    proposal[0, :2, 1:3] = 1
    score = score_sequence(truth, proposal)
    assert score.region.tolist() == [[2 / 6]] and score.assigned.tolist() == [1]
    assert score.boundary.tolist() == [[1.0]]  # every edge pixel has one of the other's within one step
    far = np.zeros_like(truth)
    far[0, 2:, 2:] = 1  # edges (1,1), (1,2), (1,3), (2,1), (3,1); (2,2) and others are inside
    score = score_sequence(truth, far)
    precision, recall = 3 / 5, 3 / 3  # (1,1), (1,2), (2,1) lie within a step of (1,1); all three of the truth do
    assert score.region.tolist() == [[0.0]]
    assert score.boundary[0, 0] == pytest.approx(2 * precision * recall / (precision + recall))


def test_perfect_is_one_and_void_costs_nothing():
    truth = np.zeros((5, 20, 30), np.uint8)
    truth[:, 2:8, 3:9], truth[:, 10:15, 12:25], truth[:, 10:12, 12:25] = 1, 2, 255
    proposals = np.array([3, 2, 1] + [0] * 252 + [1])[truth]  # other names, a proposal on the ground, one under void
    summary = summarise([score_sequence(truth, proposals)])
    assert summary.j_and_f == summary.region.recall == summary.boundary.mean == 1 and summary.objects == 2
    assert summary.region.decay == summary.boundary.decay == 0


def test_empty_masks():
    truth = np.zeros((3, 6, 6), np.uint8)
    truth[0, :3, :3] = 1  # gone from the second frame on
    nothing = np.zeros_like(truth)
    score = score_sequence(truth, nothing)
    assert score.region.tolist() == score.boundary.tolist() == [[0, 1, 1]] and score.assigned.tolist() == [0]
    late = nothing.copy()
    late[1, 3:, 3:] = 1
    score = score_sequence(truth, late)
    assert score.region.tolist() == score.boundary.tolist() == [[0, 0, 1]] and score.assigned.tolist() == [1]
    whole = score_sequence(np.ones_like(truth), np.ones_like(truth))  # no boundary anywhere, on both sides
    assert whole.region.min() == whole.boundary.min() == 1


def test_more_and_fewer_proposals_than_objects():
    truth = np.zeros((2, 8, 8), np.uint8)
    truth[:, :4, :4], truth[:, 4:, 4:] = 1, 2
    fewer = np.where(truth == 2, 1, 0)
    score = score_sequence(truth, fewer)
    assert score.assigned.tolist() == [0, 1] and score.region.mean(1).tolist() == [0, 1]
    more = truth.copy()
    more[:, :4, 4:], more[:, 4:, :2], more[:, 4:, 2:4] = 3, 4, MAX_PROPOSALS
    assert summarise([score_sequence(truth, more)]).j_and_f == 1  # what is left over costs nothing


def test_one_assignment_for_the_whole_sequence():
    truth = np.ones((3, 6, 6), np.uint8)
    truth[:, :, 3:] = 0
    swapped = np.where(truth == 1, 1, 2)
    swapped[2] = 3 - swapped[2]
    assert score_sequence(truth, swapped).region.tolist() == [[1, 1, 0]]


def test_objects_are_those_of_the_first_frame():
    truth = np.zeros((2, 6, 6), np.uint8)
    truth[0, :2, :2], truth[:, 5, 5], truth[1, 3:5, 3:5] = 2, 255, 3
    score = score_sequence(truth, np.where(truth == 2, 1, 0))
    assert len(score.region) == 2  # 1, of which there is no pixel, and 2; not 3, not 255
    assert score.region.tolist() == [[1, 1], [1, 1]]


@pytest.mark.parametrize("frames", [*range(1, 20), 50, 104, 300])
def test_statistics_of_one_object(frames):
    values = np.random.default_rng(frames).random(frames)
    ends = np.round(np.linspace(1, frames, 5) + 1e-10) - 1  # the official bins, without their overflow beyond 255
    bins = [values[int(ends[i]) : int(ends[i + 1]) + 1] for i in range(4)]
    expected = [values.mean(), (values > 0.5).mean(), bins[0].mean() - bins[3].mean()]
    assert np.allclose(statistics(values[None])[:, 0], expected)


def test_objects_count_the_same_in_long_and_short_sequences():
    short = SequenceScore(np.ones((1, 2)), np.ones((1, 2)), np.ones(1, int))
    long = SequenceScore(np.zeros((3, 40)), np.full((3, 40), 0.5), np.ones(3, int))
    summary = summarise([short, long])
    assert (summary.region.mean, summary.boundary.mean, summary.j_and_f) == (0.25, 0.625, 0.4375)
    assert (summary.region.recall, summary.boundary.recall, summary.objects) == (0.25, 0.25, 4)  # 0.5 is not above 0.5


def test_autocast_does_not_round_the_counts():
    rng = np.random.default_rng(2)
    truth, proposals = rng.integers(0, 3, (2, 40, 40)), rng.integers(0, 3, (2, 40, 40))
    with torch.autocast("cpu", torch.bfloat16):
        low = score_sequence(truth, proposals)
    assert np.array_equal(low.region, score_sequence(truth, proposals).region)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_the_same_on_a_gpu():
    rng = np.random.default_rng(3)
    truth, proposals = (torch.from_numpy(rng.integers(0, 4, (3, 50, 60))) for _ in range(2))
    a, b = score_sequence(truth, proposals), score_sequence(truth.cuda(), proposals)
    assert np.array_equal(a.region, b.region) and np.array_equal(a.boundary, b.boundary)


ONE = np.ones((2, 4, 4), np.uint8)


@pytest.mark.parametrize(
    ("truth", "proposals", "reason"),
    [
        (ONE, ONE[:, :3], "resize the proposals"),
        (ONE, ONE[:1], "same size"),
        (ONE[0], ONE[0], "frames, height, width"),
        (ONE[:0], ONE[:0], "no pixels"),
        (ONE, ONE * 0.5, "proposals holds torch.float"),
        (ONE, ONE.astype(int) * -1, "proposals has identities -1"),
        (ONE.astype(int) * 256, ONE, "truth has identities 256"),
        (ONE * 0, ONE, "no object"),
        (ONE * 255, ONE, "255 is void here"),
        (ONE, ONE * 21, "number 21"),
        (ONE, ONE * 255, "number 255"),
    ],
)
def test_what_cannot_be_scored_is_said_in_one_line(truth, proposals, reason):
    with pytest.raises(BadInput, match=reason) as caught:
        score_sequence(truth, proposals)
    assert str(caught.value).startswith("segmentation: ") and "\n" not in str(caught.value)
    with pytest.raises(BadInput, match="no sequence"):
        summarise([])
