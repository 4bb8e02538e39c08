"""Soft masks as proposals, and what masks are compared with."""

import torch
import torch.nn.functional as F

from minilib.metrics.proposals import boxes, clusters, enlarge, j_and_f, proposals, scores, true_patches


def two_clips():
    truth = torch.zeros(2, 2, 16, 16, dtype=torch.uint8)
    truth[0, :, :8, :8], truth[0, :, 8:, 8:] = 1, 2
    truth[1, :, :8] = 1
    return truth


def test_masks_are_enlarged_and_scored():
    truth = two_clips()
    one = F.one_hot(torch.tensor([[0, 0, 1, 1], [0, 0, 1, 1]]).repeat(2, 1).view(2, 2, 4), 3).movedim(-1, 2).float()
    soft = enlarge(one, (2, 2), (16, 16))
    assert soft.shape == (2, 2, 3, 16, 16) and torch.allclose(soft.sum(2), torch.ones(2, 2, 16, 16))
    ramp = enlarge(torch.tensor([1.0, 0, 1, 0]).view(1, 1, 1, 4), (2, 2), (4, 4))
    assert ramp[0, 0, 0].tolist() == [[1, 0.75, 0.25, 0]] * 4, "a patch's value is that of its middle"
    answer = proposals(soft)
    assert answer.dtype == torch.uint8 and answer.unique().tolist() == [1, 2]
    found = scores(truth, answer)
    assert found[1].region.min() == 1.0
    assert j_and_f(truth[1:], answer[1:]) == 100.0 and j_and_f(truth[:1], answer[:1]) < 100
    truth[1] = 0
    assert len(scores(truth, answer)) == 1, "a clip without objects is left out"


def test_boxes_are_a_grid():
    grid = boxes(2, 2, (16, 16))
    assert grid.shape == (4, 16, 16) and torch.equal(grid.sum(0), torch.ones(16, 16))
    assert [mask.nonzero().float().mean(0).tolist() for mask in grid] == [
        [3.5, 3.5],
        [3.5, 11.5],
        [11.5, 3.5],
        [11.5, 11.5],
    ]
    assert scores(two_clips()[:1], proposals(grid).expand(1, 2, 16, 16))[0].region.min() == 1.0


def test_clusters_find_what_is_apart():
    patches = torch.zeros(2, 3, 4, 5)
    patches[:, :, 2:] = 10
    found = clusters(patches, 2)
    assert found.shape == (2, 3, 2, 4) and (found.sum(2) == 1).all()
    assert (found[:, :, :, 0] == found[:, :, :, 1]).all() and (found[:, :, :, 0] != found[:, :, :, 2]).all()


def test_true_patches_are_shares_of_what_covers_them():
    truth = torch.zeros(1, 1, 8, 8, dtype=torch.uint8)
    truth[0, 0, :4, :4], truth[0, 0, :4, 4:6], truth[0, 0, 4:, 4:] = 1, 2, 255
    shares = true_patches(truth, (2, 2))
    assert shares.shape == (1, 1, 3, 4)
    assert shares[0, 0].T.tolist() == [[0, 1, 0], [0.5, 0, 0.5], [1, 0, 0], [1, 0, 0]], "void is ground"
